package buildview

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// words returns what a phase is called before, while and after it runs.
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
		return "Deploy", "Deploying", "Deployed"
	case event.Rollout:
		return "Roll out", "Rolling out", "Rolled out"
	}
	return string(stage), string(stage), string(stage)
}

// ended returns the result of a phase as a phrase. A message that starts with a capital
// letter is the phrase, any other follows the words of the phase.
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

// written returns an instruction for people: a FROM with its image in place of variables.
func written(at *event.Instruction) string {
	if at.Image == "" {
		return display.OneLine(at.Text)
	}
	text := "FROM " + at.Image
	if fields := strings.Fields(at.Text); len(fields) > 2 && strings.EqualFold(fields[len(fields)-2], "as") {
		text += " AS " + fields[len(fields)-1]
	}
	return display.OneLine(text)
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

// transferred returns how much has been read or sent, and how fast.
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

// waiting returns the reason for waiting and what to do; both may be empty.
func waiting(e *event.Event) (reason, advice string) {
	reason = display.OneLine(e.Reason)
	if message := display.OneLine(e.Message); reason == "" {
		reason = message
	} else if message != "" {
		reason += ": " + message
	}
	return reason, display.OneLine(e.Advice)
}

// summary returns the result of a build as lines.
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
		times[i] = name(stage.Phase) + " " + duration(stage.DurationSeconds)
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

// name returns the name of a phase for people.
func name(phase event.Phase) string {
	if phase == event.Deploy {
		return "deploy"
	}
	return string(phase)
}

// noise is the difference in size of two images of the same files.
const noise = 10_000

// size returns the size of the image, and how much it has changed.
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

// commit returns the short hash of a commit.
func commit(hash string, dirty bool) string {
	const short = 12
	if len(hash) > short {
		hash = hash[:short]
	}
	if dirty {
		hash += ", with uncommitted changes"
	}
	return display.Sanitize(hash)
}

func duration(seconds float64) string {
	return display.Seconds(time.Duration(seconds * float64(time.Second)))
}

// warning is the Reason of a Notice that warns.
const warning = "Warning"
