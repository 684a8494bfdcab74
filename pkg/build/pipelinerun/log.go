package pipelinerun

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// engineLine is how Kaniko writes a line of its own with --log-format=text,
// logrus' text format.
var engineLine = regexp.MustCompile(`^time="[^"]*" level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S*)$`)

// lacking is how Kaniko goes from a mirror to the registry behind it.
var lacking = regexp.MustCompile(`^Failed to retrieve image \S+ from remapped registry ([^\s:]+(?::\d+)?)`)

// LogLine is one line of the build step's log.
type LogLine struct {
	// Level is the build engine's word for how grave its line is: info, warning,
	// error, fatal. It is empty for what the Dockerfile's own commands wrote.
	Level string
	// Message is the line without the engine's time and level.
	Message string
	// Chatter says that the line tells how the engine works and nothing about the
	// build.
	Chatter bool
	// Stage is the base image of the Dockerfile's stage that begins here.
	Stage string
	// Base is the base image that is being pulled.
	Base string
	// Lacks is the mirror that has no such base image.
	Lacks string
	// Cached is the instruction that will be taken from the cache.
	Cached string
	// Pushing is the reference of the image that is being pushed: the built one,
	// or a layer for the cache.
	Pushing string
}

// chatter is how such lines of Kaniko begin.
func chatter() []string {
	return []string{
		"Adding exposed port", "Args: ", "Building stage", "Built cross stage deps", "Changed working directory",
		"Checking for cached layer", "Cmd: ", "Deleting filesystem", "Found cached layer", "Initializing snapshotter",
		"No cached layer found", "No files changed", "No files were changed", "Performing slow lookup", "Pushed ", "Pushing image to", "Pushing layer",
		"Resolved base name", "Retrieving image", "Returning cached image manifest", "Running: ",
		"Saving file", "Taking snapshot", "Using dockerignore file", "Using caching version of cmd", "Skipping unpacking", "Unpacking rootfs", "Util.Lookup returned", "credential providers",
	}
}

// ParseLogLine tells the build engine's own lines from those of the commands
// that it runs.
func ParseLogLine(text string) LogLine {
	match := engineLine.FindStringSubmatch(text)
	if match == nil {
		return LogLine{Message: text}
	}
	message, err := strconv.Unquote(match[2])
	if err != nil {
		message = match[2]
	}
	line := LogLine{
		Level:   match[1],
		Message: message,
		Chatter: match[1] == "info" && slices.ContainsFunc(chatter(), func(prefix string) bool {
			return strings.HasPrefix(message, prefix)
		}),
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

// after is what follows the prefix; empty without it.
func after(text, prefix string) string {
	if !strings.HasPrefix(text, prefix) {
		return ""
	}
	return text[len(prefix):]
}
