package buildview

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// words are what a stage is called while it is to come, under way, and done.
func words(stage event.Phase) (todo, doing, done string) {
	switch stage {
	case event.Pack:
		return "Pack", "Packing", "Packed"
	case event.Upload:
		return "Upload", "Uploading", "Uploaded"
	case event.Queue:
		return "Start", "Waiting for the run to start", "Started"
	case event.Fetch:
		return "Fetch", "Fetching the source", "Fetched the source"
	case event.Build:
		return "Build", "Building", "Built the image"
	case event.Push:
		return "Push", "Pushing the image", "Pushed the image"
	case event.Test:
		return "Test", "Testing", "Tests passed"
	case event.Deploy:
		return "Deliver", "Delivering", "Delivered"
	case event.Rollout:
		return "Roll out", "Rolling out", "Rolled out"
	}
	return string(stage), string(stage), string(stage)
}

// ended says what became of a stage. A message that begins with a capital letter
// says it all, any other follows the stage's own words.
func ended(stage event.Phase, state event.State, message string) string {
	_, doing, done := words(stage)
	message = display.OneLine(message)
	switch state {
	case event.Succeeded:
	case event.Canceled:
		return doing + ", canceled"
	case event.Superseded:
		return doing + ", superseded"
	default:
		return doing
	}
	first, _ := utf8.DecodeRuneInString(message)
	switch {
	case message == "":
		return done
	case unicode.IsUpper(first):
		return message
	}
	return done + ": " + message
}

func endMark(state event.State) string {
	switch state {
	case event.Succeeded:
		return "✓"
	case event.Canceled, event.Superseded:
		return "–"
	}
	return "✗"
}

// transferred says how much has been read or sent, and how fast.
func transferred(transfer *event.Transfer) string {
	var parts []string
	if transfer.Files > 0 {
		parts = append(parts, display.Count(transfer.Files, "file"))
	}
	size := display.Bytes(transfer.Bytes)
	if transfer.Total > 0 {
		size += " of " + display.Bytes(transfer.Total)
	}
	parts = append(parts, size)
	if transfer.BytesPerSecond > 0 {
		parts = append(parts, display.Bytes(transfer.BytesPerSecond)+"/s")
	}
	return strings.Join(parts, ", ")
}

// waiting is the reason for it, and what to do, or nothing.
func waiting(e *event.Event) (reason, advice string) {
	reason = display.OneLine(e.Reason)
	if message := display.OneLine(e.Message); reason == "" {
		reason = message
	} else if message != "" {
		reason += ": " + message
	}
	return reason, display.OneLine(e.Advice)
}

// summary is what a person wants to know in the end, a line each.
func summary(result *event.Result) []string {
	if result == nil {
		return nil
	}
	head := "Failed after "
	switch result.State {
	case event.Succeeded:
		head = "Done in "
	case event.Canceled:
		head = "Canceled after "
	case event.Superseded:
		head = "Superseded by a newer run after "
	}
	head += duration(result.DurationSeconds)
	times := make([]string, len(result.Phases))
	for i, stage := range result.Phases {
		times[i] = fmt.Sprintf("%s %s", stage.Phase, duration(stage.DurationSeconds))
	}
	if len(times) > 0 {
		head += ": " + strings.Join(times, ", ")
	}
	lines := []string{head}
	if result.State != event.Succeeded {
		return lines
	}
	if result.SizeBytes > 0 {
		lines = append(lines, "size   "+size(result.SizeBytes, result.PreviousSizeBytes))
	}
	if result.Commit != "" {
		lines = append(lines, "commit "+commit(result.Commit, result.Dirty))
	}
	return lines
}

// noise is by how much the same files differ in size when they are packed again.
const noise = 10_000

// size is that of the image, and how much it has changed.
func size(now, before int64) string {
	text := display.Bytes(now)
	switch {
	case before == 0:
		return text
	case max(now-before, before-now) < noise:
	case now > before:
		return text + " (+" + display.Bytes(now-before) + " since the last release)"
	case now < before:
		return text + " (-" + display.Bytes(before-now) + " since the last release)"
	}
	return text + " (as the last release)"
}

// commit is shortened as far as people do.
func commit(hash string, dirty bool) string {
	const short = 12
	if len(hash) > short {
		hash = hash[:short]
	}
	if dirty {
		hash += ", with changes that are not committed"
	}
	return display.Sanitize(hash)
}

func duration(seconds float64) string {
	return display.Seconds(time.Duration(seconds * float64(time.Second)))
}

// warning is the Reason of a Notice that is one.
const warning = "Warning"
