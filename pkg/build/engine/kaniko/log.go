package kaniko

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
)

// ownLine is how Kaniko writes a line of its own with --log-format=text,
// logrus' text format.
var ownLine = regexp.MustCompile(`^time="[^"]*" level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S*)$`)

// lacking is what Kaniko writes when it goes from a mirror to the registry behind it.
var lacking = regexp.MustCompile(`^Failed to retrieve image \S+ from remapped registry ([^\s:]+(?::\d+)?)`)

// intended is what Kaniko warns about and what the build means: VOLUME, and the stage
// that has what RUN instructions mount, see foreignMounts.
var intended = regexp.MustCompile(`^Assertion disabled \[executor\.build\.without-fs\]|/kaniko/` + mountsStage + `/|^Writes to the kaniko directory are blocked|^To copy files there, relocate kaniko`)

// chatter returns how lines about Kaniko's own work start.
func chatter() []string {
	return []string{
		"Adding exposed port", "Adding volume ", "Args: ", "Building stage", "Built cross stage deps", "Changed working directory", "Creating directory ",
		"Checking for cached layer", "Cmd: ", "Deleting filesystem", "Found cached layer", "Initializing snapshotter",
		"No base image, nothing to extract", "No cached layer found", "No files changed", "No files were changed", "Performing slow lookup", "Pushed ", "Pushing image to", "Pushing layer",
		"Resolved base name", "Retrieving image", "Returning cached image manifest", "Running: ",
		"Saving file", "Taking snapshot", "Using dockerignore file", "Using caching version of cmd", "Skipping unpacking", "Squashing stages", "Storing source image", "Unpacking rootfs", "Util.Lookup returned", "credential providers",
	}
}

// ParseLine separates Kaniko's own lines from those of the commands that it runs.
func (Engine) ParseLine(text string) engine.Line {
	match := ownLine.FindStringSubmatch(text)
	if match == nil {
		return engine.Line{Message: text}
	}
	message, err := strconv.Unquote(match[2])
	if err != nil {
		message = match[2]
	}
	line := engine.Line{
		Level:   match[1],
		Message: message,
		Chatter: match[1] == "info" && slices.ContainsFunc(chatter(), func(prefix string) bool {
			return strings.HasPrefix(message, prefix)
		}) || intended.MatchString(message),
	}
	if stage, ok := strings.CutPrefix(message, "Building stage '"); ok {
		line.Stage, _, _ = strings.Cut(stage, "'")
	}
	if match := lacking.FindStringSubmatch(message); match != nil && unknownImage.MatchString(message) {
		line.Lacks = match[1]
	}
	line.Base = after(message, "Retrieving image manifest ")
	line.Cached = after(message, "Using caching version of cmd: ")
	line.Pushing = after(message, "Pushing image to ")
	return line
}

// after returns what follows the prefix, or nothing without the prefix.
func after(text, prefix string) string {
	if !strings.HasPrefix(text, prefix) {
		return ""
	}
	return text[len(prefix):]
}
