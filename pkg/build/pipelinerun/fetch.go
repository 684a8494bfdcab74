package pipelinerun

import (
	"regexp"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// fetchPrefix starts the lines that the Task itself writes.
	fetchPrefix   = "pyflow: "
	warningPrefix = "warning: "
)

// pushLine is what crane writes about a push that succeeds.
var pushLine = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:base unspecified, using empty image$|(?:pushed|existing|mounted) (?:blob|manifest): |\S+: digest: sha256:)|^\S+@sha256:[0-9a-f]{64}$`)

// FetchLine is one line of the log of FetchTask, or of another Task that runs a script.
type FetchLine struct {
	// Level is warning, or error for the reason of a failure, if the Task wrote the
	// line; empty for a line of another program.
	Level string
	// Message is the line without the Task's marks.
	Message string
	// Chatter marks a line about the push of the source that says nothing about the build.
	Chatter bool
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
		return FetchLine{Message: text, Chatter: pushLine.MatchString(text)}
	}
	if warning, ok := strings.CutPrefix(message, warningPrefix); ok {
		return FetchLine{Level: "warning", Message: warning}
	}
	return FetchLine{Level: "error", Message: message}
}
