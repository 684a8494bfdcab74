package buildview

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// place is where an instruction is, as editors and terminals find it.
func place(file string, instruction *event.Instruction) string {
	if instruction.Line == 0 {
		return "test"
	}
	return fmt.Sprintf("%s:%d", display.Sanitize(cmp.Or(file, instruction.Dockerfile, "Dockerfile")), instruction.Line)
}

// paint is how parts of a failure are set off; on paper they are not.
type paint struct{ failed, aside func(string) string }

func unpainted() paint {
	same := func(text string) string { return text }
	return paint{same, same}
}

// excerpt shows the instruction that failed in its file, with the numbers of its
// lines.
func excerpt(failure *event.Failure, paint paint) []string {
	if failure == nil || failure.Instruction == nil {
		return nil
	}
	text := failure.Excerpt
	if len(text) == 0 {
		text = []string{failure.Instruction.Text}
	}
	const rule = "--------------------"
	lines := []string{place(failure.Dockerfile, failure.Instruction), paint.aside(rule)}
	last := failure.Instruction.Line + len(text) - 1
	width := len(strconv.Itoa(last))
	for i, line := range text {
		gutter := fmt.Sprintf("%*d | ", width, failure.Instruction.Line+i)
		lines = append(lines, " "+paint.aside(gutter)+paint.failed(">>> "+strings.TrimRight(display.SanitizeLog(line, false), " ")))
	}
	return append(lines, paint.aside(rule))
}

// exit says how the step ended.
func exit(failure *event.Failure) []string {
	if failure == nil || failure.ExitCode == 0 {
		return nil
	}
	who := "exit code"
	if failure.Step != "" {
		who = display.Sanitize(failure.Step) + ": exit code"
	}
	return []string{fmt.Sprintf("%s %d", who, failure.ExitCode)}
}
