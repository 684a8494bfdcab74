package kaniko

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

var (
	// ownLine is how Kaniko writes a line of its own with --log-format=text, logrus' text
	// format.
	ownLine = regexp.MustCompile(`^time="[^"]*" level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S*)$`)
	// lacking is what Kaniko writes when it goes from a mirror to the registry behind it.
	lacking = regexp.MustCompile(`^Failed to retrieve image \S+ from remapped registry ([^\s:]+(?::\d+)?)`)
	// building starts a stage of the Dockerfile.
	building = regexp.MustCompile(`^Building stage '.*' \[idx: '(\d+)', base-idx: '(-?\d+)'\]$`)
	// instruction is how the text of an instruction starts.
	instruction = regexp.MustCompile(`^(?:ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR) `)
	// exited is how Kaniko ends when a command of the Dockerfile fails.
	exited = regexp.MustCompile(`^` + fatal + `error building stage: failed to execute command: (?:waiting for process to exit: )?(?:exit status (\d+)|signal: (\w+))`)
)

// The exit codes that a shell gives a command which a signal ended.
const (
	exitKilled = 128 + 9
	exitSignal = 128
)

// intended is what Kaniko warns about and what the build means: VOLUME, and the stage
// that has what RUN instructions mount, see foreignMounts.
var intended = regexp.MustCompile(`^Assertion disabled \[executor\.build\.without-fs\]|/kaniko/` + mountsStage + `/|^Writes to the kaniko directory are blocked|^To copy files there, relocate kaniko`)

// activities are what Kaniko does between instructions: how its line starts, and what that
// is called. A %s is the first word behind the start.
func activities() []struct{ start, phrase string } {
	return []struct{ start, phrase string }{
		{"Retrieving image manifest ", "looking up %s"},
		{"Checking for cached layer ", "looking for cached layers"},
		{"Unpacking rootfs", "unpacking the base image"},
		{"Found cached layer, extracting", "unpacking the cached layer"},
		{"Initializing snapshotter", "listing the files of the stage"},
		{"Taking snapshot of", "taking a snapshot of the files"},
		{"Pushing layer ", "pushing the layer to the cache"},
		{"Storing source image from stage ", "keeping the stage for a later one"},
		{"Saving file ", "keeping /%s for a later stage"},
		{"Deleting filesystem", "removing the files of the stage"},
		{"Adding remote URL ", "downloading %s"},
	}
}

// ParseLine separates Kaniko's own lines from those of the commands that it runs. All that
// it writes to inform is chatter, except for the text of an instruction: what it says about
// the build is in the fields of the line.
func (Engine) ParseLine(text string) engine.Line {
	match := ownLine.FindStringSubmatch(text)
	if match == nil {
		return engine.Line{Message: text, Exit: exitOf(text)}
	}
	message, err := strconv.Unquote(match[2])
	if err != nil {
		message = match[2]
	}
	line := engine.Line{Level: match[1], Message: message, Chatter: match[1] == "info" && !instruction.MatchString(message) || intended.MatchString(message)}
	if match := building.FindStringSubmatch(message); match != nil {
		number, _ := strconv.Atoi(match[1])
		base, _ := strconv.Atoi(match[2])
		line.Stage = &engine.Stage{Number: number, Base: base}
	}
	if match := lacking.FindStringSubmatch(message); match != nil && unknownImage.MatchString(message) {
		line.Lacks = match[1]
	}
	line.Base = after(message, "Retrieving image manifest ")
	line.Cached = after(message, "Using caching version of cmd: ")
	line.Pushing = after(message, "Pushing image to ")
	line.Activity = activity(message)
	line.Runs = strings.HasPrefix(message, "Running: ")
	line.Background = strings.HasPrefix(message, "Pushing layer ")
	return line
}

// exitOf returns the exit code of the command because of which Kaniko ends; 0 for any other
// line.
func exitOf(text string) int32 {
	match := exited.FindStringSubmatch(text)
	switch {
	case match == nil:
		return 0
	case match[2] == "killed":
		return exitKilled
	case match[2] != "":
		return exitSignal
	}
	code, err := strconv.ParseInt(match[1], 10, 32)
	if err != nil {
		return 0
	}
	return int32(code)
}

// activity returns what Kaniko does from this line on; empty if that is the instruction.
func activity(message string) string {
	for _, known := range activities() {
		rest, ok := strings.CutPrefix(message, known.start)
		if !ok {
			continue
		}
		word, _, _ := strings.Cut(rest, " ")
		return strings.Replace(known.phrase, "%s", word, 1)
	}
	return ""
}

// after returns what follows the prefix, or nothing without the prefix.
func after(text, prefix string) string {
	if !strings.HasPrefix(text, prefix) {
		return ""
	}
	return text[len(prefix):]
}
