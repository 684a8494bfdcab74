package lint

import (
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// checker is one run.
type checker struct {
	options  Options
	findings []Finding
	sources  map[string]*text
	// escape is the Dockerfile's escape character.
	escape rune
}

// text is a file that was read.
type text struct {
	lines    []string
	suppress suppressions
}

// add takes a file's content, from which findings get their place.
func (c *checker) add(path string, content []byte) {
	lines := strings.Split(strings.TrimPrefix(string(content), "\ufeff"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	c.sources[path] = &text{lines: lines}
}

// place is a stretch of one file: lines and columns from 1, the end column is the
// one after the last character.
type place struct {
	path                             string
	line, column, endLine, endColumn int
}

// lines is the place of whole lines, without the spaces around them.
func (c *checker) lines(path string, first, last int) place {
	source := c.sources[path]
	if source == nil || first < 1 || first > len(source.lines) {
		return place{path: path}
	}
	last = min(max(first, last), len(source.lines))
	for last > first && strings.TrimSpace(source.lines[last-1]) == "" {
		last--
	}
	start := source.lines[first-1]
	indent := len([]rune(start)) - len([]rune(strings.TrimLeft(start, " \t")))
	return place{path, first, indent + 1, last, max(indent+1, len([]rune(strings.TrimRight(source.lines[last-1], " \t")))+1)}
}

// find adds a finding of a rule of ours.
func (c *checker) find(rule string, at place, message, fix string) {
	finding := newFinding(rule, at.path, message, fix)
	finding.Line, finding.Column, finding.EndLine, finding.EndColumn = at.line, at.column, at.endLine, at.endColumn
	c.findings = append(c.findings, finding)
}

// newFinding is one of a rule of ours, without a place. What it says may repeat words
// of a file.
func newFinding(rule, path, message, fix string) Finding {
	return Finding{Rule: rule, Severity: severityOf(rule), Path: path, Message: maskTokens(message), Fix: maskTokens(fix), URL: pageURL(rule)}
}

// within is the place of the first occurrence of text in the lines of a place, or
// the place itself when it is not there as it stands.
func (c *checker) within(at place, text string) place {
	source := c.sources[at.path]
	if source == nil || text == "" {
		return at
	}
	for number := max(at.line, 1); number <= at.endLine && number <= len(source.lines); number++ {
		line := source.lines[number-1]
		if start := indexWord(line, text); start >= 0 {
			column := len([]rune(line[:start])) + 1
			return place{at.path, number, column, number, column + len([]rune(text))}
		}
	}
	return at
}

// indexWord returns where text is in line other than as part of a longer name, or -1.
func indexWord(line, text string) int {
	inName := func(b byte) bool {
		return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
	}
	for from := 0; ; {
		start := strings.Index(line[from:], text)
		if start < 0 {
			return -1
		}
		start += from
		end := start + len(text)
		if (start == 0 || !inName(line[start-1]) || !inName(text[0])) && (end == len(line) || !inName(line[end]) || !inName(text[len(text)-1])) {
			return start
		}
		from = start + 1
	}
}

// replace leaves out BuildKit's findings of a rule in the lines of an instruction, of
// which a rule of ours knows more; those that name something only when they name it so.
func (c *checker) replace(rule string, at place, name string) {
	c.findings = slices.DeleteFunc(c.findings, func(finding Finding) bool {
		return finding.Rule == rule && at.line <= finding.Line && finding.EndLine <= at.endLine && strings.Contains(finding.Message, name)
	})
}

// report leaves out what the files say to ignore.
func (c *checker) report(parsed *dockerfile.Dockerfile) *Report {
	report := &Report{Dockerfile: parsed.Path, sources: map[string][]string{}}
	findings := slices.DeleteFunc(c.findings, func(finding Finding) bool {
		source := c.sources[finding.Path]
		return source != nil && source.suppress.covers(finding.Rule, finding.Line)
	})
	report.Findings = sorted(findings)
	for i := range report.Findings {
		if source := c.sources[report.Findings[i].Path]; source != nil {
			report.sources[report.Findings[i].Path] = source.lines
		}
	}
	return report
}
