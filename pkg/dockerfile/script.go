package dockerfile

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// Script is the part of an instruction behind its keyword and its flags: the lines that
// are continued are joined, and the lines of heredocs follow.
type Script struct {
	Text string
	// line and column are the places in the file of the bytes of Text, from 1.
	line, column []int
}

// Position returns the line and the column in the file, from 1, of a byte of Text. That
// of the byte behind the last one is the end.
func (s Script) Position(offset int) (line, column int) {
	if len(s.line) == 0 {
		return 0, 0
	}
	if offset >= len(s.line) {
		last := len(s.line) - 1
		return s.line[last], s.column[last] + 1
	}
	return s.line[max(offset, 0)], s.column[max(offset, 0)]
}

// Join returns the script with another one behind it.
func (s Script) Join(other Script) Script {
	return Script{
		Text: s.Text + other.Text, line: slices.Concat(s.line, other.line), column: slices.Concat(s.column, other.column),
	}
}

// Script returns the part of a step that a shell or an exec runs.
func (d *Dockerfile) Script(step *Step) Script {
	script := d.text(step.Instruction)
	keywords := 1
	if step.Triggered {
		keywords = 2
	}
	for range keywords {
		script = script.skipWord()
	}
	for strings.HasPrefix(script.Text, "--") {
		script = script.skipWord()
	}
	return script
}

// Commands returns the commands that a RUN, CMD or ENTRYPOINT runs, and the script with
// their places; other instructions have none.
func (d *Dockerfile) Commands(step *Step) ([]shell.Command, Script) {
	var line instructions.ShellDependantCmdLine
	switch command := step.Command.(type) {
	case *instructions.RunCommand:
		line = command.ShellDependantCmdLine
	case *instructions.CmdCommand:
		line = command.ShellDependantCmdLine
	case *instructions.EntrypointCommand:
		line = command.ShellDependantCmdLine
	default:
		return nil, Script{}
	}
	script := d.Script(step)
	if line.PrependShell {
		return shell.Parse(script.Text), script
	}
	return shell.Exec(script.Text), script
}

// text returns an instruction as the parser joins its lines.
func (d *Dockerfile) text(instruction Instruction) Script {
	var script Script
	header := true
	for i, line := range d.Excerpt(instruction) {
		number := instruction.Line + i
		if number == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		continued := false
		if header {
			if trimmed := strings.TrimSpace(line); i > 0 && (trimmed == "" || trimmed[0] == '#') {
				continue
			}
			line, continued = d.continued(line)
		}
		script.add(line, number, 1)
		if !continued {
			header = false
			script.add("\n", number, utf8.RuneCountInString(line)+1)
		}
	}
	return script
}

// continued returns a line without the escape character that continues it, and reports
// whether there was one.
func (d *Dockerfile) continued(line string) (string, bool) {
	escape := string(d.escape)
	cut := strings.TrimRight(line, " \t")
	if strings.HasSuffix(cut, escape) && !strings.HasSuffix(cut, escape+escape) {
		return strings.TrimSuffix(cut, escape), true
	}
	return line, false
}

// add appends text that starts at a place of the file.
func (s *Script) add(text string, line, column int) {
	s.Text += text
	for i := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		for range size {
			s.line, s.column = append(s.line, line), append(s.column, column)
		}
		column++
	}
}

// skipWord returns the script without its first word and the blanks around it.
func (s Script) skipWord() Script {
	rest := strings.TrimLeft(s.Text, " \t\r\n")
	end := strings.IndexAny(rest, " \t\r\n")
	if end < 0 {
		end = len(rest)
	}
	rest = strings.TrimLeft(rest[end:], " \t\r")
	from := len(s.Text) - len(rest)
	return Script{Text: rest, line: s.line[from:], column: s.column[from:]}
}
