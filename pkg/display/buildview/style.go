package buildview

import (
	"hash/fnv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// The colors are those that a theme defines. Text is never in a bright color or in yellow,
// which are unreadable on a light background.

func bold(text string) string  { return ansi.Style{}.Bold().Styled(text) }
func faint(text string) string { return ansi.Style{}.Faint().Styled(text) }

func colored(color ansi.BasicColor, text string) string {
	return ansi.Style{}.ForegroundColor(color).Styled(text)
}

// sourceColor returns the color of a step or a pod, always the same for a name. Red, yellow
// and green keep their meaning.
func sourceColor(source string) ansi.BasicColor {
	colors := [...]ansi.BasicColor{ansi.Cyan, ansi.Magenta, ansi.Blue}
	hash := fnv.New32a()
	// A hash does not fail.
	_, _ = hash.Write([]byte(source))
	return colors[hash.Sum32()%uint32(len(colors))]
}

// LogLine returns a log line for a person, after its source in brackets. It removes control
// sequences and reduces a progress bar to its last state. With color, each source has its
// own color and the line keeps its colors.
func LogLine(source, text string, color bool) string {
	prefix := "[" + display.Sanitize(source) + "]"
	if color {
		prefix = colored(sourceColor(source), prefix)
	}
	return strings.TrimRight(prefix+" "+LogText(text, color), " ")
}

// LogText returns LogLine without the source.
func LogText(text string, color bool) string { return display.SanitizeLog(lastState(text), color) }
