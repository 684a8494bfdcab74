package installed

import (
	"context"
	"io/fs"
	"os"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
)

// SupportPage is the page that describes what the engine builds.
const SupportPage = "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/docs/dockerfile-support.md"

// LintRules returns the rows of the build engine in which something has to be said, as
// rules.
func LintRules() []lint.Rule {
	var rules []lint.Rule
	for _, row := range Engine().Rows(Version()) {
		severity := lint.Note
		switch row.Support {
		case engine.Supported:
			continue
		case engine.Refused:
			severity = lint.Error
		}
		rules = append(rules, lint.Rule{ID: row.ID, Severity: severity, Summary: row.Instruction + ": " + row.Feature, URL: SupportPage})
	}
	return rules
}

// LintCheck returns the check of the build engine for a directory.
func LintCheck(ctx context.Context, dir string) func(*dockerfile.Dockerfile, string) ([]lint.Finding, error) {
	return func(file *dockerfile.Dockerfile, target string) ([]lint.Finding, error) {
		source := engine.Source{Dockerfile: file, Targets: []string{target}}
		if root, err := os.OpenRoot(dir); err == nil {
			defer root.Close() //nolint:errcheck // nothing was written through it
			source.Context, source.Mode = root.FS(), buildcontext.Mode
			source.Files = func() (map[string]fs.FileMode, error) {
				return buildcontext.List(ctx, dir, buildcontext.Options{Dockerfile: file.Path})
			}
		}
		found, err := Engine().Check(Version(), source)
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

// Row returns the row of the build engine with an ID.
func Row(id string) (row engine.Row, ok bool) {
	rows := Engine().Rows(Version())
	i := slices.IndexFunc(rows, func(row engine.Row) bool { return row.ID == id })
	if i < 0 {
		return engine.Row{}, false
	}
	return rows[i], true
}
