package pipelinerun

import (
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// fetchPrefix starts the lines that the Task itself writes.
	fetchPrefix   = "pyflow: "
	warningPrefix = "warning: "
)

// FetchLine is one line of the log of FetchTask, or of another Task that runs a script.
type FetchLine struct {
	// Level is warning, or error for the reason of a failure, if the Task wrote the
	// line; empty for a line of another program.
	Level string
	// Message is the line without the Task's marks.
	Message string
	// Dockerfile marks a line of the Dockerfile, which the Task prints so that its
	// instructions can be shown.
	Dockerfile bool
}

// ParseFetchLine reads one line of such a log.
func ParseFetchLine(text string) FetchLine {
	if message, ok := strings.CutPrefix(text, manifests.AnnotationDockerfile+" "); ok {
		return FetchLine{Message: message, Dockerfile: true}
	}
	message, own := strings.CutPrefix(text, fetchPrefix)
	if !own {
		return FetchLine{Message: text}
	}
	if warning, ok := strings.CutPrefix(message, warningPrefix); ok {
		return FetchLine{Level: "warning", Message: warning}
	}
	return FetchLine{Level: "error", Message: message}
}
