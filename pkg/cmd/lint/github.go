package lint

import (
	"fmt"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
)

// annotations returns the findings as workflow commands of GitHub Actions, which shows
// them beside the lines of a pull request. shown returns the path of a file as the user
// reaches it.
func annotations(report *lint.Report, shown func(string) string) string {
	// Sanitize leaves no line break, which would end the command.
	message := strings.NewReplacer("%", "%25")
	property := strings.NewReplacer("%", "%25", ":", "%3A", ",", "%2C")
	var out strings.Builder
	for i := range report.Findings {
		finding := &report.Findings[i]
		place := "file=" + property.Replace(display.Sanitize(shown(finding.Path)))
		if finding.Line > 0 {
			place += fmt.Sprintf(",line=%d,endLine=%d", finding.Line, finding.EndLine)
		}
		if finding.Line > 0 && finding.Line == finding.EndLine {
			place += fmt.Sprintf(",col=%d", finding.Column)
		}
		text := finding.Message
		if finding.Fix != "" {
			text += "; fix: " + finding.Fix
		}
		fmt.Fprintf(&out, "::%s %s,title=%s::%s\n", level(finding.Severity), place, property.Replace(finding.Rule), message.Replace(display.Sanitize(text)))
	}
	return out.String()
}

// level returns GitHub's name of a severity.
func level(severity lint.Severity) string {
	if severity == lint.Note {
		return "notice"
	}
	return string(severity)
}
