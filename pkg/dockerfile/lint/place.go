package lint

import (
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// place is a stretch of one file: lines and columns from 1, the end column is the one
// after the last character.
type place struct {
	path                             string
	line, column, endLine, endColumn int
}

// sources are the lines of the files that findings can have a place in, by path.
type sources map[string][]string

// add adds a file.
func (s sources) add(path string, content []byte) {
	lines := strings.Split(strings.TrimPrefix(string(content), "\ufeff"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	s[path] = lines
}

// lines returns the place of whole lines, without the blanks around them.
func (s sources) lines(path string, first, last int) place {
	lines := s[path]
	if first < 1 || first > len(lines) {
		return place{path: path}
	}
	last = min(max(first, last), len(lines))
	for last > first && strings.TrimSpace(lines[last-1]) == "" {
		last--
	}
	start := lines[first-1]
	indent := len([]rune(start)) - len([]rune(strings.TrimLeft(start, " \t")))
	return place{path, first, indent + 1, last, max(indent+1, len([]rune(strings.TrimRight(lines[last-1], " \t")))+1)}
}

// within returns the place of the first occurrence of text in the lines of a place, or the
// place itself if the text is not written there like that.
func (s sources) within(at place, text string) place {
	lines := s[at.path]
	for number := max(at.line, 1); text != "" && number <= at.endLine && number <= len(lines); number++ {
		line := lines[number-1]
		if start := indexWord(line, text); start >= 0 {
			return span(at.path, number, line, start, start+len(text))
		}
	}
	return at
}

// span returns the place of a part of a line, given as byte offsets.
func span(path string, number int, line string, start, end int) place {
	column := len([]rune(line[:start])) + 1
	return place{path, number, column, number, column + len([]rune(line[start:end]))}
}

// indexWord returns where text is in line other than as part of a longer name, or -1.
func indexWord(line, text string) int {
	for from := 0; ; {
		start := strings.Index(line[from:], text)
		if start < 0 {
			return -1
		}
		start += from
		end := start + len(text)
		startsWord := start == 0 || !inName(line[start-1]) || !inName(text[0])
		endsWord := end == len(line) || !inName(line[end]) || !inName(text[len(text)-1])
		if startsWord && endsWord {
			return start
		}
		from = start + 1
	}
}

// inName reports whether a byte can be part of a name.
func inName(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// located gives words of a script their places in the file.
type located struct {
	path   string
	script dockerfile.Script
}

// at returns the place from the first to the last word.
func (l located) at(words ...shell.Word) place {
	first, last := words[0], words[len(words)-1]
	line, column := l.script.Position(first.Start)
	endLine, endColumn := l.script.Position(max(last.End-1, last.Start))
	return place{l.path, line, column, endLine, endColumn + 1}
}

// finding returns a finding that gets its rule later.
func finding(at place, message, fix string) Finding {
	return Finding{
		Path: at.path, Line: at.line, Column: at.column, EndLine: at.endLine, EndColumn: at.endColumn, Message: message, Fix: fix,
	}
}

// covers reports whether a finding is in the lines of a place.
func (p place) covers(finding Finding) bool {
	return finding.Path == p.path && p.line <= finding.Line && finding.EndLine <= p.endLine
}

// oneOf reports whether a text is one of several.
func oneOf(text string, texts ...string) bool { return slices.Contains(texts, text) }
