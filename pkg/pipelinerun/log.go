package pipelinerun

import (
	"regexp"
	"strconv"
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
	return LogLine{Level: match[1], Message: message}
}
