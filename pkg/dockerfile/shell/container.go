package shell

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Container returns a command line as the command of a container in Kubernetes, which expands
// $(NAME) to a variable of the container and makes one dollar sign of two. It splits the line
// as a shell does. Variables of that names become $(NAME), because the container is known to
// have them; a default as in ${NAME:-value} is dropped.
//
// If only a shell can run the line, for an operator, another variable or a pattern of file
// names, script is true and the command is sh -c with the line. The last program of the line
// then replaces the shell where it can, so that it gets the signals of the container.
func Container(line string, names ...string) (command []string, script bool, err error) {
	var statements []*syntax.Stmt
	for statement, err := range syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).StmtsSeq(strings.NewReader(line)) {
		switch {
		case syntax.IsIncomplete(err):
			return nil, false, errors.New("a quote or a command is not closed")
		case err != nil:
			return nil, false, fmt.Errorf("a shell cannot read it: %s", strings.TrimPrefix(err.Error(), "1:"))
		}
		statements = append(statements, statement)
	}
	if len(statements) == 0 {
		return nil, false, errors.New("it has no command")
	}
	if command := direct(line, statements, names); command != nil {
		return command, false, nil
	}
	if at := lastProgram(statements[len(statements)-1]); at >= 0 {
		line = line[:at] + "exec " + line[at:]
	}
	return []string{"sh", "-c", literal(line)}, true, nil
}

// direct returns the words of a single command that needs no shell; nil for any other.
func direct(line string, statements []*syntax.Stmt, names []string) []string {
	statement := statements[0]
	call, ok := statement.Cmd.(*syntax.CallExpr)
	if !ok || len(statements) > 1 || len(statement.Redirs) > 0 || statement.Background || statement.Negated || len(call.Assigns) > 0 {
		return nil
	}
	var command []string
	for _, word := range call.Args {
		text := strings.Builder{}
		for _, part := range word.Parts {
			if !addPart(&text, line, part, names, true) {
				return nil
			}
		}
		command = append(command, text.String())
	}
	if command[0] == "exec" && len(command) > 1 && !strings.HasPrefix(command[1], "-") {
		command = command[1:]
	}
	if command[0] == "" || isBuiltin(command[0]) {
		return nil
	}
	return command
}

// addPart adds a part of a word and reports whether it needs no shell. bare is false in quotes.
func addPart(text *strings.Builder, line string, part syntax.WordPart, names []string, bare bool) bool {
	switch part := part.(type) {
	case *syntax.Lit:
		if bare && isPattern(part.Value) {
			return false
		}
		word := Word{}
		if bare {
			word.part(line, part)
		} else {
			word.unescape(line, part, func(next byte) bool { return strings.IndexByte("\\\"$`", next) >= 0 })
		}
		text.WriteString(literal(word.Text))
	case *syntax.SglQuoted:
		if part.Dollar {
			return false
		}
		text.WriteString(literal(part.Value))
	case *syntax.DblQuoted:
		for _, inner := range part.Parts {
			if !addPart(text, line, inner, names, false) {
				return false
			}
		}
	case *syntax.ParamExp:
		simple := !part.Excl && !part.Length && !part.Width && part.Index == nil && part.Slice == nil && part.Repl == nil
		withDefault := part.Exp == nil || part.Exp.Op == syntax.DefaultUnset || part.Exp.Op == syntax.DefaultUnsetOrNull
		if !simple || !withDefault || !slices.Contains(names, part.Param.Value) {
			return false
		}
		text.WriteString("$(" + part.Param.Value + ")")
	default:
		return false
	}
	return true
}

// literal returns a text as Kubernetes reads it.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// isPattern reports whether a shell expands a bare text, as it is written, to file names.
func isPattern(written string) bool {
	if strings.HasPrefix(written, "~") {
		return true
	}
	for i := 0; i < len(written); i++ {
		switch written[i] {
		case '\\':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// lastProgram returns the offset of the program that a statement runs last, if the shell has
// nothing left to do then; -1 otherwise.
func lastProgram(statement *syntax.Stmt) int {
	if statement.Background || statement.Negated {
		return -1
	}
	switch command := statement.Cmd.(type) {
	case *syntax.BinaryCmd:
		if command.Op == syntax.AndStmt || command.Op == syntax.OrStmt {
			return lastProgram(command.Y)
		}
	case *syntax.CallExpr:
		if len(command.Args) > 0 && command.Args[0].Lit() != "" && !isBuiltin(command.Args[0].Lit()) {
			return offset(command.Args[0].Pos())
		}
	}
	return -1
}

// isBuiltin reports whether a name is a command of the shell itself, and not also a program.
func isBuiltin(name string) bool {
	return slices.Contains([]string{
		".", ":", "break", "cd", "continue", "eval", "exec", "exit", "export", "local", "read", "readonly",
		"return", "set", "shift", "source", "trap", "ulimit", "umask", "unset", "wait",
	}, name)
}
