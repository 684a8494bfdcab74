// Package lint checks a Dockerfile and the requirements that it installs, with BuildKit's
// own checks and with rules for images of Python services. It reads files. It runs nothing,
// and asks no registry.
//
// A run is a chain of passes: read the image and its inputs, check the rules of the table,
// check with BuildKit, suppress what comments ignore, and report.
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
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// Severity is how certain it is that a finding has to be fixed.
type Severity string

// The severities.
const (
	// Error is certainly wrong.
	Error Severity = "error"
	// Warning is wrong unless there is a good reason.
	Warning Severity = "warning"
	// Note could be better.
	Note Severity = "note"
)

// Options select what is checked.
type Options struct {
	// Dir is the build context.
	Dir string
	// Dockerfile is its path in Dir, or an absolute one below it; empty means
	// "Dockerfile".
	Dockerfile string
	// Content is the text of the Dockerfile when it is not in Dir.
	Content []byte
	// Ignore is the text of the ignore file when it is not in Dir, as with Content; nil
	// means the one in Dir.
	Ignore []byte
	// Target is the stage that is built; empty means the last one. The rules for Python
	// images ignore the stages that it does not need.
	Target string
	// Extra are rules of other packages.
	Extra Extra
	// Now is the day for which support of base images is judged; zero is today.
	Now time.Time
}

// Finding is one thing to fix, and its place.
type Finding struct {
	// Rule is the ID of the rule, see Rules.
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Message is one sentence without a period. It holds no secret.
	Message string `json:"message"`
	// Path is that of the file, relative to the build context, with slashes.
	Path string `json:"path"`
	// Line and Column are where it starts, EndLine and EndColumn where it ends:
	// lines and characters from 1, the end column is the one after the last. All
	// are 0 when it is about the file as a whole.
	Line      int `json:"line,omitempty"`
	Column    int `json:"column,omitempty"`
	EndLine   int `json:"endLine,omitempty"`
	EndColumn int `json:"endColumn,omitempty"`
	// Fix is the remedy, in one line; BuildKit's checks have none.
	Fix string `json:"fix,omitempty"`
	// URL is the page of the rule.
	URL string `json:"url,omitempty"`
}

// Report is the result of a run.
type Report struct {
	// Findings are sorted by path, line and rule.
	Findings []Finding
	// Dockerfile is its path as in the findings.
	Dockerfile string

	// sources are the lines of the files with findings.
	sources sources
	// extra has the rules of other packages.
	extra Extra
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

// Summary returns one line, such as 3 errors, 2 warnings in Dockerfile.
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
	return secret.MaskLine(lines[line-1])
}

// Run checks the Dockerfile and the requirements files that its target installs. A
// Dockerfile that does not parse is a finding. Errors are those of dockerfile.Read and
// Dockerfile.Target; without a Dockerfile they hold dockerfile.ErrNotFound.
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
	if _, err := file.Target(options.Target); err != nil {
		return nil, err
	}
	image := newImage(file, options.Target)
	in := newInputs(options, image)
	theirs, err := checkBuildKit(ctx, file, options.Target, in)
	if err != nil {
		return nil, err
	}
	notes, certain, err := options.Extra.findings(file, options.Target, in)
	if err != nil {
		return nil, err
	}
	findings := slices.Concat(checkRules(image, in), withoutDoubtful(theirs, image, in), copiedIgnored(image, in), notes)
	report := newReport(file.Path, slices.Concat(suppress(findings, file, in, options.Extra.Rules), certain), in.sources)
	report.extra = options.Extra
	return report, nil
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

// invalid returns the report of a Dockerfile that does not parse.
func invalid(failure *dockerfile.ParseError) *Report {
	at := place{path: failure.Path}
	files := sources{}
	if failure.Line > 0 {
		files[failure.Path] = append(make([]string, failure.Line-1), failure.Text)
		at = place{failure.Path, failure.Line, 1, failure.Line, len([]rune(failure.Text)) + 1}
	}
	return newReport(failure.Path, findRule("dockerfile-invalid").stamp(finding(at, failure.Err.Error(), "")), files)
}

// newReport returns the report of findings, each once, with the lines of their files.
func newReport(path string, findings []Finding, files sources) *Report {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	report := &Report{Dockerfile: path, Findings: slices.Compact(findings), sources: sources{}}
	for i := range report.Findings {
		path := report.Findings[i].Path
		if lines, ok := files[path]; ok {
			report.sources[path] = lines
		}
	}
	return report
}
