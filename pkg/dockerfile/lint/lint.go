// Package lint checks a Dockerfile and the requirements that it installs: by
// BuildKit's own checks, and by rules for images of Python services. It reads
// files and runs nothing, and it asks no registry.
package lint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// Severity says how sure it is that a finding has to be put right.
type Severity string

// The severities.
const (
	// Error is what is surely wrong.
	Error Severity = "error"
	// Warning is what is wrong but for a good reason.
	Warning Severity = "warning"
	// Note is what could be better.
	Note Severity = "note"
)

// Options say what is checked.
type Options struct {
	// Dir is the build context.
	Dir string
	// Dockerfile is its path in Dir, or an absolute one below it; empty means
	// "Dockerfile".
	Dockerfile string
	// Content is the text of the Dockerfile when it is not in Dir.
	Content []byte
	// Ignore is the text of the ignore file when it is not in Dir, as with Content; nil
	// means the one that is there.
	Ignore []byte
	// Target is the stage that is built; empty means the last one. Stages that it
	// does not need are not looked at by the rules for Python images.
	Target string
	// Now is the day for which support of base images is judged; zero is today.
	Now time.Time
}

// Finding is one thing to put right, and where.
type Finding struct {
	// Rule is the id of the rule, see Rules.
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Message is one sentence without a period. It holds no secret.
	Message string `json:"message"`
	// Path is the file's, relative to the build context, with slashes.
	Path string `json:"path"`
	// Line and Column are where it starts, EndLine and EndColumn where it ends:
	// lines and characters from 1, the end column is the one after the last. All
	// are 0 when it is about the file as a whole.
	Line      int `json:"line,omitempty"`
	Column    int `json:"column,omitempty"`
	EndLine   int `json:"endLine,omitempty"`
	EndColumn int `json:"endColumn,omitempty"`
	// Fix is what to do, in one line; BuildKit's checks have none.
	Fix string `json:"fix,omitempty"`
	// URL is the page that says more.
	URL string `json:"url,omitempty"`
}

// Report is what was found.
type Report struct {
	// Findings are sorted by path, line and rule.
	Findings []Finding
	// Dockerfile is its path as in the findings.
	Dockerfile string

	// sources are the lines of the files with findings.
	sources map[string][]string
}

// Count returns how many findings there are of each severity.
func (r *Report) Count() (errors, warnings, notes int) {
	for i := range r.Findings {
		switch r.Findings[i].Severity {
		case Error:
			errors++
		case Warning:
			warnings++
		case Note:
			notes++
		}
	}
	return errors, warnings, notes
}

// Summary is one line: 3 errors, 2 warnings in Dockerfile.
func (r *Report) Summary() string {
	if len(r.Findings) == 0 {
		return "no findings in " + r.Dockerfile
	}
	var counts, paths []string
	failures, warnings, notes := r.Count()
	for _, count := range []struct {
		n     int
		thing string
	}{{failures, "error"}, {warnings, "warning"}, {notes, "note"}} {
		if count.n > 0 {
			counts = append(counts, english.Plural(count.n, count.thing, ""))
		}
	}
	for i := range r.Findings {
		if !slices.Contains(paths, r.Findings[i].Path) {
			paths = append(paths, r.Findings[i].Path)
		}
	}
	return strings.Join(counts, ", ") + " in " + english.WordSeries(paths, "and")
}

// Line returns a line of a file that was checked, from 1, without its end, and with
// asterisks in place of what looks like a secret; empty when there is no such line.
func (r *Report) Line(path string, line int) string {
	lines := r.sources[path]
	if line < 1 || line > len(lines) {
		return ""
	}
	return mask(lines[line-1])
}

// Run checks the Dockerfile and the files of requirements that its target installs.
// One that does not parse is a finding. Errors are those of project.ReadDockerfile,
// and of a target that the Dockerfile does not have; they hold project.ErrNoDockerfile
// when there is none.
func Run(ctx context.Context, options Options) (*Report, error) {
	if options.Now.IsZero() {
		options.Now = time.Now()
	}
	if options.Dockerfile == "" {
		options.Dockerfile = "Dockerfile"
	}
	file, err := read(options)
	var failure *dockerfile.ParseError
	if errors.As(err, &failure) {
		return invalid(failure), nil
	}
	if err != nil {
		return nil, err
	}
	if options.Target != "" {
		if _, err := file.Target(options.Target); err != nil {
			return nil, err
		}
	}
	check := &checker{options: options, sources: map[string]*text{}}
	check.add(file.Path, file.Content)
	check.suppress(file)
	if err := check.buildkit(ctx, file); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("check %s: %w", file.Path, err)
	}
	parsed, err := check.read(file)
	if err != nil {
		return nil, err
	}
	for _, rules := range []func(*image){
		check.variables, check.bases, check.users, check.caches, check.pins, check.order, check.development,
		check.system, check.servers, check.secrets, check.copies,
	} {
		rules(parsed)
	}
	return check.report(file), nil
}

// read returns the Dockerfile.
func read(options Options) (*dockerfile.Dockerfile, error) {
	if options.Content != nil {
		return dockerfile.Parse(options.Dockerfile, options.Content)
	}
	if _, err := os.Stat(options.Dir); err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return dockerfile.Read(options.Dir, options.Dockerfile)
}

// invalid is the report of a Dockerfile that does not parse.
func invalid(failure *dockerfile.ParseError) *Report {
	finding := newFinding("dockerfile-invalid", failure.Path, failure.Err.Error(), "")
	report := &Report{Dockerfile: failure.Path, sources: map[string][]string{}}
	if failure.Line > 0 {
		finding.Line, finding.EndLine, finding.Column = failure.Line, failure.Line, 1
		finding.EndColumn = len([]rune(failure.Text)) + 1
		report.sources[failure.Path] = append(make([]string, failure.Line-1), failure.Text)
	}
	report.Findings = []Finding{finding}
	return report
}

// sorted puts findings in their order, each once.
func sorted(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(findings)
}
