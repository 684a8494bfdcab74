package scaffold

import (
	"fmt"
	"slices"
	"strings"
)

// around is the number of lines shown before added lines.
const around = 3

// Diff returns a change in the format of diff -u: for Append the last present lines and the
// added ones, otherwise all lines. It is empty for a change that writes nothing.
func Diff(change Change) string {
	if !change.Writes() {
		return ""
	}
	before, after := lines(change.Before), lines(change.After)
	old, kept := change.Path, 0
	switch change.Action {
	case Create:
		old = "/dev/null"
	case Append:
		kept = len(before)
		// The last line changes if it gets an end.
		if kept > 0 && before[kept-1] != after[kept-1] {
			kept--
		}
	default:
	}
	from := max(kept-around, 0)
	var text strings.Builder
	fmt.Fprintf(&text, "--- %s\n+++ %s\n@@ -%s +%s @@\n", old, change.Path, span(from, len(before)), span(from, len(after)))
	for _, part := range []struct {
		mark  string
		lines []string
	}{{" ", before[from:kept]}, {"-", before[kept:]}, {"+", after[kept:]}} {
		for _, line := range part.lines {
			shown, ended := strings.CutSuffix(line, "\n")
			fmt.Fprintf(&text, "%s%s\n", part.mark, strings.TrimSuffix(shown, "\r"))
			if !ended {
				text.WriteString("\\ No newline at end of file\n")
			}
		}
	}
	return text.String()
}

// lines splits content into lines with their ends.
func lines(content []byte) []string {
	return slices.Collect(strings.Lines(string(content)))
}

// span returns the first line, from 1, and the number of lines.
func span(from, to int) string {
	if to == 0 {
		return "0,0"
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}
