package lint

import (
	"os"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
)

// supportPage is the page that describes what the engine builds.
const supportPage = "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/docs/dockerfile-support.md"

// engineRules returns the rows of the build engine in which something has to be said, as
// rules.
func engineRules() []lint.Rule {
	var rules []lint.Rule
	for _, row := range installed.Engine().Rows(installed.Version()) {
		severity := lint.Note
		switch row.Support {
		case engine.Supported:
			continue
		case engine.Refused:
			severity = lint.Error
		}
		rules = append(rules, lint.Rule{ID: row.ID, Severity: severity, Summary: row.Instruction + ": " + row.Feature, URL: supportPage})
	}
	return rules
}

// allRules returns the rules of lint and those of the build engine.
func allRules() []lint.Rule { return slices.Concat(lint.Rules(), engineRules()) }

// engineCheck returns the check of the build engine for a directory.
func engineCheck(dir string) func(*dockerfile.Dockerfile, string) ([]lint.Finding, error) {
	return func(file *dockerfile.Dockerfile, target string) ([]lint.Finding, error) {
		source := engine.Source{Dockerfile: file, Targets: []string{target}}
		if root, err := os.OpenRoot(dir); err == nil {
			defer root.Close() //nolint:errcheck // nothing was written through it
			source.Context = root.FS()
		}
		found, err := installed.Engine().Check(installed.Version(), source)
		if err != nil {
			return nil, err
		}
		var findings []lint.Finding
		for _, kind := range []struct {
			remarks  []engine.Remark
			severity lint.Severity
			prefix   string
		}{
			{found.Refusals, lint.Error, ""}, {found.Notes, lint.Note, ""}, {found.Rewrites, lint.Note, "build rewrites it: "},
		} {
			for _, remark := range kind.remarks {
				fix := remark.Remedy
				if kind.prefix != "" {
					fix = ""
				}
				findings = append(findings, lint.Finding{
					Rule: remark.Row, Severity: kind.severity, Message: kind.prefix + remark.Message, Fix: fix, Line: remark.Line, EndLine: remark.End,
				})
			}
		}
		return findings, nil
	}
}

// engineRow returns the row of the build engine with an ID.
func engineRow(id string) (engine.Row, bool) {
	rows := installed.Engine().Rows(installed.Version())
	i := slices.IndexFunc(rows, func(row engine.Row) bool { return row.ID == id })
	if i < 0 {
		return engine.Row{}, false
	}
	return rows[i], true
}
