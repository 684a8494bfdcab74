package pipelinerun

import (
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// fetchPrefix is what the task that fetches from git starts its own words with.
	fetchPrefix   = "pyflow: "
	warningPrefix = "warning: "
)

// ParseFetchLine tells the lines of manifests.FetchTask apart. One of the
// Dockerfile, which the task prints so that its instructions can be shown, is true
// and the line without its mark. Of the task's own words the level is warning, or
// error for the reason of its failure; of git's it is empty.
func ParseFetchLine(text string) (line LogLine, dockerfile bool) {
	if message, ok := strings.CutPrefix(text, manifests.AnnotationDockerfile+" "); ok {
		return LogLine{Message: message}, true
	}
	message, own := strings.CutPrefix(text, fetchPrefix)
	if !own {
		return LogLine{Message: text}, false
	}
	if warning, ok := strings.CutPrefix(message, warningPrefix); ok {
		return LogLine{Level: "warning", Message: warning}, false
	}
	return LogLine{Level: "error", Message: message}, false
}
