package view

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/progress"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/term"
)

// words are what a stage is called while it is to come, under way, and done.
func words(stage progress.Stage) (todo, doing, done string) {
	switch stage {
	case progress.Pack:
		return "Pack", "Packing", "Packed"
	case progress.Upload:
		return "Upload", "Uploading", "Uploaded"
	case progress.Queue:
		return "Start", "Waiting for the run to start", "Started"
	case progress.Fetch:
		return "Fetch", "Fetching the source", "Fetched the source"
	case progress.Build:
		return "Build", "Building", "Built the image"
	case progress.Push:
		return "Push", "Pushing the image", "Pushed the image"
	case progress.Test:
		return "Test", "Testing", "Tests passed"
	case progress.Deliver:
		return "Deliver", "Delivering", "Delivered"
	case progress.Rollout:
		return "Roll out", "Rolling out", "Rolled out"
	}
	return string(stage), string(stage), string(stage)
}

// ended says what became of a stage. A message that begins with a capital letter
// says it all, any other follows the stage's own words.
func ended(stage progress.Stage, state progress.State, message string) string {
	_, doing, done := words(stage)
	message = oneLine(message)
	switch state {
	case progress.Succeeded:
	case progress.Canceled:
		return doing + ", canceled"
	case progress.Superseded:
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

func endMark(state progress.State) string {
	switch state {
	case progress.Succeeded:
		return "✓"
	case progress.Canceled, progress.Superseded:
		return "–"
	}
	return "✗"
}

// transferred says how much has been read or sent, and how fast.
func transferred(transfer *progress.Transfer) string {
	var parts []string
	if transfer.Files > 0 {
		parts = append(parts, term.Count(transfer.Files, "file"))
	}
	size := term.Bytes(transfer.Bytes)
	if transfer.Total > 0 {
		size += " of " + term.Bytes(transfer.Total)
	}
	parts = append(parts, size)
	if transfer.BytesPerSecond > 0 {
		parts = append(parts, term.Bytes(transfer.BytesPerSecond)+"/s")
	}
	return strings.Join(parts, ", ")
}

// waiting is the reason for it, and what to do, or nothing.
func waiting(event *progress.Event) (reason, advice string) {
	reason = oneLine(event.Reason)
	if message := oneLine(event.Message); reason == "" {
		reason = message
	} else if message != "" {
		reason += ": " + message
	}
	return reason, oneLine(event.Advice)
}

// summary is what a person wants to know in the end, a line each.
func summary(result *progress.Result) []string {
	if result == nil {
		return nil
	}
	head := "Failed after "
	switch result.State {
	case progress.Succeeded:
		head = "Done in "
	case progress.Canceled:
		head = "Canceled after "
	case progress.Superseded:
		head = "Superseded by a newer run after "
	}
	head += duration(result.DurationSeconds)
	times := make([]string, len(result.Stages))
	for i, stage := range result.Stages {
		times[i] = fmt.Sprintf("%s %s", stage.Stage, duration(stage.DurationSeconds))
	}
	if len(times) > 0 {
		head += ": " + strings.Join(times, ", ")
	}
	lines := []string{head}
	if result.State != progress.Succeeded {
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
	text := term.Bytes(now)
	switch {
	case before == 0:
		return text
	case max(now-before, before-now) < noise:
	case now > before:
		return text + " (+" + term.Bytes(now-before) + " since the last release)"
	case now < before:
		return text + " (-" + term.Bytes(before-now) + " since the last release)"
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
	return clean(hash, false)
}

func duration(seconds float64) string {
	return term.Seconds(time.Duration(seconds * float64(time.Second)))
}

// oneLine is a text of somebody else's that stays on its line.
func oneLine(text string) string {
	return clean(strings.Join(strings.Fields(text), " "), false)
}

// warning is the Reason of a Notice that is one.
const warning = "Warning"
