package lint

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
)

// text returns the findings for a person: the place as compilers print it, the line with a
// mark below it, and the fix. shown returns the path of a file as the user reaches it.
func text(report *lint.Report, shown func(string) string, color bool) string {
	paint := func(style ansi.Style, text string) string {
		if !color || text == "" {
			return text
		}
		return style.Styled(text)
	}
	var out strings.Builder
	for i := range report.Findings {
		finding := &report.Findings[i]
		if i > 0 {
			out.WriteByte('\n')
		}
		style := severityStyle(finding.Severity)
		at := shown(finding.Path)
		if finding.Line > 0 {
			at = fmt.Sprintf("%s:%d:%d", at, finding.Line, finding.Column)
		}
		fmt.Fprintf(&out, "%s: %s: %s %s\n", paint(ansi.Style{}.Bold(), display.Sanitize(at)), paint(style, string(finding.Severity)),
			display.Sanitize(finding.Message), paint(ansi.Style{}.Faint(), "("+finding.Rule+")"))
		if line, mark := excerpt(report, finding); line != "" {
			fmt.Fprintf(&out, "    %s\n    %s\n", line, paint(style, mark))
		}
		if finding.Fix != "" {
			fmt.Fprintf(&out, "  fix: %s\n", display.Sanitize(finding.Fix))
		} else if finding.URL != "" {
			fmt.Fprintf(&out, "  see: %s\n", finding.URL)
		}
	}
	return out.String()
}

func severityStyle(severity lint.Severity) ansi.Style {
	color := ansi.Cyan
	switch severity {
	case lint.Error:
		color = ansi.Red
	case lint.Warning:
		color = ansi.Yellow
	case lint.Note:
	}
	return ansi.Style{}.Bold().ForegroundColor(color)
}

// maxLine is the number of characters printed of a line.
const maxLine = 160

// excerpt returns the first line of a finding and the mark below it: ^ at the start, ~ up to
// the end. Both are empty if there is no such line.
func excerpt(report *lint.Report, finding *lint.Finding) (line, mark string) {
	whole := report.Line(finding.Path, finding.Line)
	if strings.TrimSpace(whole) == "" {
		return "", ""
	}
	runes := []rune(strings.TrimRight(whole, " \t"))
	first := min(max(finding.Column-1, 0), len(runes)-1)
	last := len(runes)
	if finding.EndLine == finding.Line {
		last = min(max(finding.EndColumn-1, first+1), len(runes))
	}
	// Of a long line, the part around the start of the finding.
	cut := 0
	if len(runes) > maxLine && first > maxLine/2 {
		cut = first - maxLine/2
	}
	end := min(len(runes), cut+maxLine)
	last = min(last, end)
	var shown, below strings.Builder
	if cut > 0 {
		runes[cut] = '…'
	}
	if end < len(runes) {
		runes[end-1] = '…'
	}
	for i := cut; i < end; i++ {
		switch {
		case runes[i] == '\t' && i < first:
			shown.WriteByte('\t')
			below.WriteByte('\t')
			continue
		case i < first:
			below.WriteString(strings.Repeat(" ", width(runes[i])))
		case i == first:
			below.WriteString("^" + strings.Repeat("~", width(runes[i])-1))
		case i < last:
			below.WriteString(strings.Repeat("~", width(runes[i])))
		}
		shown.WriteString(cmp.Or(display.Sanitize(string(runes[i])), " "))
	}
	return shown.String(), below.String()
}

// width returns how many cells of a terminal a character takes, at least one.
func width(r rune) int { return max(1, ansi.StringWidth(string(r))) }
