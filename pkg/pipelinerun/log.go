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
}

// chatter is how such lines of Kaniko begin.
func chatter() []string {
	return []string{
		"Adding exposed port", "Args: ", "Built cross stage deps", "Changed working directory",
		"Checking for cached layer", "Cmd: ", "Deleting filesystem", "Initializing snapshotter",
		"No cached layer found", "No files changed", "No files were changed", "Performing slow lookup", "Pushing image to", "Pushing layer",
		"Resolved base name", "Retrieving image", "Returning cached image manifest", "Running: ",
		"Saving file", "Taking snapshot", "Using dockerignore file", "Util.Lookup returned", "credential providers",
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
	return LogLine{
		Level:   match[1],
		Message: message,
		Chatter: match[1] == "info" && slices.ContainsFunc(chatter(), func(prefix string) bool {
			return strings.HasPrefix(message, prefix)
		}),
	}
}
