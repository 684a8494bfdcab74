package buildview

import (
	"hash/fnv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// The colors are of the sixteen that a terminal's theme defines, so they can be
// read on any background.

func bold(text string) string  { return ansi.Style{}.Bold().Styled(text) }
func faint(text string) string { return ansi.Style{}.Faint().Styled(text) }

func colored(color ansi.BasicColor, text string) string {
	return ansi.Style{}.ForegroundColor(color).Styled(text)
}

// sourceColor is the color of a step or a pod, always the same for a name. Red,
// yellow and green are left to what they mean.
func sourceColor(source string) ansi.BasicColor {
	colors := [...]ansi.BasicColor{ansi.Cyan, ansi.Magenta, ansi.Blue, ansi.BrightCyan, ansi.BrightMagenta, ansi.BrightBlue}
	hash := fnv.New32a()
	// A hash takes everything.
	_, _ = hash.Write([]byte(source))
	return colors[hash.Sum32()%uint32(len(colors))]
}

// LogLine returns one line that a step or a pod wrote as a person reads it, after
// its source in brackets: control sequences are taken out, and of a progress bar
// its last state is left. With color the source has its own, the same every time,
// and the line keeps those that it has.
func LogLine(source, text string, color bool) string {
	prefix := "[" + display.Sanitize(source) + "]"
	if color {
		prefix = colored(sourceColor(source), prefix)
	}
	return strings.TrimRight(prefix+" "+LogText(text, color), " ")
}

// LogText is LogLine without the source.
func LogText(text string, color bool) string { return display.SanitizeLog(lastState(text), color) }
