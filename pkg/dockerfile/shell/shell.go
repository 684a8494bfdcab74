// Package shell reads shell scripts, as RUN, CMD and test commands hold them: into the
// simple commands that a script can run, wherever they are in it. It runs nothing and
// expands nothing.
package shell

import (
	"errors"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Command is one simple command: NAME=value … program argument ….
type Command struct {
	// Assigns are the NAME=value words before the program.
	Assigns []Word
	// Words are the program and its arguments. Programs that only start another one, such
	// as sudo, env and timeout, are left out. It is empty for assignments alone.
	Words []Word
	// Line is the line of the script on which the command starts, from 1.
	Line int
	// PipedFrom is the index of the command whose output this one reads, -1 for none.
	PipedFrom int
	// Exec reports whether the command replaces the shell.
	Exec bool
}

// Name returns the program without its directory, or an empty string.
func (c *Command) Name() string {
	if len(c.Words) == 0 {
		return ""
	}
	return path.Base(c.Words[0].Text)
}

// Has reports whether one of the words is one of those.
func (c *Command) Has(words ...string) bool {
	return slices.ContainsFunc(c.Words, func(word Word) bool { return slices.Contains(words, word.Text) })
}

// Script returns the word that is a script itself: what a shell gets with -c, or eval.
func (c *Command) Script() (Word, bool) {
	if c.Name() == "eval" && len(c.Words) == 2 {
		return c.Words[1], true
	}
	if !IsShell(c.Name()) {
		return Word{}, false
	}
	for i, option := range c.Words[1:] {
		if !strings.HasPrefix(option.Text, "-") {
			break
		}
		if !strings.HasPrefix(option.Text, "--") && strings.HasSuffix(option.Text, "c") && i+2 < len(c.Words) {
			return c.Words[i+2], true
		}
	}
	return Word{}, false
}

// readsScript reports whether the command runs what it reads from its input: a shell
// without a script among its arguments.
func (c *Command) readsScript() bool {
	return IsShell(c.Name()) && !slices.ContainsFunc(c.Words[1:], func(word Word) bool { return !strings.HasPrefix(word.Text, "-") })
}

// IsShell reports whether a program is a shell that this package can read.
func IsShell(name string) bool { return slices.Contains([]string{"sh", "bash", "dash", "ash"}, name) }

// maxDepth limits how deep scripts are nested in scripts.
const maxDepth = 4

// maxWord limits what is between two spaces, in bytes: the parser's time and memory grow with its
// square.
const maxWord = 8 << 10

// Parse returns the commands of a script in their order: those of pipes, loops, functions
// and substitutions, and those of the scripts that it passes to another shell, by -c or
// in a heredoc. If the script has a syntax error, it returns the commands before it; none if it has
// more than 8 KiB without a space.
func Parse(script string) []Command { return parse(script, 0) }

// Exec returns the commands of an instruction in exec form, whose text is a JSON array of
// strings: the program itself, and the commands of the script if it is a shell.
func Exec(text string) []Command {
	words := jsonWords(text)
	if len(words) == 0 {
		return nil
	}
	return nested(simple(Command{Words: words, Line: line(text, words[0].Start), PipedFrom: -1}), text, 0)
}

// Fields splits a command line into words, with the quotes removed. Expansions stay as
// they are written. No shell runs such a line, so an operator, such as && or >, is an
// error.
func Fields(commandLine string) ([]string, error) {
	var fields []string
	for word, err := range syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).WordsSeq(strings.NewReader(commandLine)) {
		switch {
		case syntax.IsIncomplete(err):
			return nil, errors.New("a quote is not closed")
		case err != nil:
			return nil, errors.New("it has an operator of a shell: quote it, or run a shell as in sh -c 'a && b'")
		}
		fields = append(fields, newWord(commandLine, word).Text)
	}
	return fields, nil
}

func parse(script string, depth int) []Command {
	r := reader{script: script, depth: depth, index: map[syntax.Command]int{}, nested: map[*syntax.Redirect]bool{}}
	for _, statement := range statements(script) {
		r.read(statement)
	}
	return r.commands
}

// statements parses a script. Most scripts are Bash or can be read as such; what is valid
// in a POSIX shell only is read as that.
func statements(script string) []*syntax.Stmt {
	for word := range strings.FieldsSeq(script) {
		if len(word) > maxWord {
			return nil
		}
	}
	var best []*syntax.Stmt
	for _, variant := range []syntax.LangVariant{syntax.LangBash, syntax.LangPOSIX} {
		var read []*syntax.Stmt
		complete := true
		for statement, err := range syntax.NewParser(syntax.Variant(variant)).StmtsSeq(strings.NewReader(script)) {
			if err != nil {
				complete = false
				break
			}
			read = append(read, statement)
		}
		if complete {
			return read
		}
		if len(read) > len(best) {
			best = read
		}
	}
	return best
}

// reader collects the commands of a script.
type reader struct {
	script   string
	depth    int
	commands []Command
	// index is the index of the command that a call or a declaration has become.
	index map[syntax.Command]int
	// nested are the heredocs that were read as scripts.
	nested map[*syntax.Redirect]bool
}

// read adds the commands of a statement.
func (r *reader) read(statement *syntax.Stmt) {
	var pipes []*syntax.BinaryCmd
	syntax.Walk(statement, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Stmt:
			r.statement(node)
		case *syntax.DeclClause:
			r.index[node] = r.declaration(node)
		case *syntax.BinaryCmd:
			if node.Op == syntax.Pipe || node.Op == syntax.PipeAll {
				pipes = append(pipes, node)
			}
		case *syntax.Redirect:
			return !r.nested[node]
		}
		return true
	})
	for _, pipe := range pipes {
		from, okFrom := r.index[lastCommand(pipe.X)]
		to, okTo := r.index[firstCommand(pipe.Y)]
		if okFrom && okTo {
			r.commands[to].PipedFrom = from
		}
	}
}

// statement adds the command of a statement, and the commands of the scripts that it
// passes in heredocs: to a shell, or to nothing at all as in RUN <<EOF.
func (r *reader) statement(statement *syntax.Stmt) {
	isScript := statement.Cmd == nil
	if call, ok := statement.Cmd.(*syntax.CallExpr); ok {
		r.index[call] = r.add(call)
		isScript = r.commands[r.index[call]].readsScript()
	}
	if !isScript || r.depth >= maxDepth {
		return
	}
	for _, redirect := range statement.Redirs {
		if redirect.Hdoc != nil {
			r.heredoc(redirect)
		}
	}
}

// heredoc adds the commands of a script in a heredoc.
func (r *reader) heredoc(redirect *syntax.Redirect) {
	r.nested[redirect] = true
	start := offset(redirect.Hdoc.Pos())
	body := slice(r.script, start, offset(redirect.Hdoc.End()))
	// The parser counts the line of the delimiter to the body.
	if last := strings.LastIndexByte(body, '\n') + 1; strings.TrimLeft(body[last:], "\t") == newWord(r.script, redirect.Word).Text {
		body = body[:last]
	}
	if shebang, _, _ := strings.Cut(body, "\n"); strings.HasPrefix(shebang, "#!") && !isShellScript(shebang) {
		return
	}
	r.insert(shifted(parse(body, r.depth+1), r.script, start))
}

// add adds a call with what it passes to another shell, and returns its index.
func (r *reader) add(call *syntax.CallExpr) int {
	command := Command{Line: line(r.script, offset(call.Pos())), PipedFrom: -1}
	for _, assign := range call.Assigns {
		command.Assigns = append(command.Assigns, nodeWord(r.script, assign))
	}
	for _, word := range call.Args {
		command.Words = append(command.Words, newWord(r.script, word))
	}
	return r.insert(nested(simple(command), r.script, r.depth))
}

// declaration adds export NAME=value and the like, and returns its index.
func (r *reader) declaration(node *syntax.DeclClause) int {
	command := Command{Line: line(r.script, offset(node.Pos())), PipedFrom: -1}
	command.Words = append(command.Words, nodeWord(r.script, node.Variant))
	for _, argument := range node.Args {
		command.Words = append(command.Words, nodeWord(r.script, argument))
	}
	return r.insert([]Command{command})
}

// insert appends commands, and returns the index of the first one.
func (r *reader) insert(commands []Command) int {
	first := len(r.commands)
	for _, command := range commands {
		if command.PipedFrom >= 0 {
			command.PipedFrom += first
		}
		r.commands = append(r.commands, command)
	}
	return first
}

// isShellScript reports whether a shebang names a shell.
func isShellScript(shebang string) bool {
	return slices.ContainsFunc(strings.Fields(strings.TrimPrefix(shebang, "#!")), func(word string) bool { return IsShell(path.Base(word)) })
}

// nested returns a command, and behind it the commands of the script that it passes to a
// shell.
func nested(command Command, script string, depth int) []Command {
	commands := []Command{command}
	word, ok := command.Script()
	if !ok || depth >= maxDepth {
		return commands
	}
	for _, inner := range parse(word.Text, depth+1) {
		if inner.PipedFrom >= 0 {
			inner.PipedFrom++
		}
		inner.Assigns, inner.Words = mapped(inner.Assigns, word), mapped(inner.Words, word)
		inner.Line = line(script, first(inner))
		commands = append(commands, inner)
	}
	return commands
}

// mapped returns words of a script that is a word itself, with their places in the script
// around it.
func mapped(words []Word, outer Word) []Word {
	result := make([]Word, len(words))
	for i, word := range words {
		result[i] = Word{Text: word.Text, Literal: word.Literal, Start: outer.offset(word.Start), End: outer.offset(word.End-1) + 1}
		for _, at := range word.at {
			result[i].at = append(result[i].at, outer.offset(at))
		}
	}
	return result
}

// shifted returns the commands of a part of a script that starts at an offset.
func shifted(commands []Command, script string, offset int) []Command {
	for i := range commands {
		for _, words := range [][]Word{commands[i].Assigns, commands[i].Words} {
			for j := range words {
				words[j] = words[j].Moved(offset)
			}
		}
		commands[i].Line = line(script, first(commands[i]))
	}
	return commands
}

// first returns the offset of the first word of a command.
func first(command Command) int {
	for _, words := range [][]Word{command.Assigns, command.Words} {
		if len(words) > 0 {
			return words[0].Start
		}
	}
	return 0
}

// line returns the line of an offset of a script, from 1.
func line(script string, offset int) int { return strings.Count(slice(script, 0, offset), "\n") + 1 }

// slice returns a part of a text, limited to the text.
func slice(text string, start, end int) string {
	start = min(max(start, 0), len(text))
	return text[start:max(start, min(end, len(text)))]
}

// firstCommand returns the simple command of a statement that reads its input.
func firstCommand(statement *syntax.Stmt) syntax.Command {
	return edge(statement, func(pipe *syntax.BinaryCmd) *syntax.Stmt { return pipe.X },
		func(list []*syntax.Stmt) *syntax.Stmt { return list[0] })
}

// lastCommand returns the simple command of a statement that writes its output last.
func lastCommand(statement *syntax.Stmt) syntax.Command {
	return edge(statement, func(pipe *syntax.BinaryCmd) *syntax.Stmt { return pipe.Y },
		func(list []*syntax.Stmt) *syntax.Stmt { return list[len(list)-1] })
}

// edge returns the simple command at one side of a statement; nil if there is none.
func edge(statement *syntax.Stmt, side func(*syntax.BinaryCmd) *syntax.Stmt, of func([]*syntax.Stmt) *syntax.Stmt) syntax.Command {
	if statement == nil {
		return nil
	}
	switch command := statement.Cmd.(type) {
	case *syntax.CallExpr, *syntax.DeclClause:
		return command
	case *syntax.BinaryCmd:
		return edge(side(command), side, of)
	case *syntax.TimeClause:
		return edge(command.Stmt, side, of)
	case *syntax.Block:
		if len(command.Stmts) > 0 {
			return edge(of(command.Stmts), side, of)
		}
	case *syntax.Subshell:
		if len(command.Stmts) > 0 {
			return edge(of(command.Stmts), side, of)
		}
	}
	return nil
}

// simple returns a command without the programs that only start another one.
func simple(command Command) Command {
	for len(command.Words) > 1 {
		wrapper, ok := wrappers()[command.Name()]
		if !ok {
			break
		}
		rest, assigns, ok := wrapper.unwrap(command.Words[1:])
		if !ok {
			break
		}
		command.Exec = command.Exec || command.Name() == "exec"
		command.Assigns = append(slices.Clone(command.Assigns), assigns...)
		command.Words = rest
	}
	return command
}

// wrapper is a program that starts another one.
type wrapper struct {
	// values are the short options that take the next word, longValues the long ones.
	values     string
	longValues []string
	// not are the options with which it starts no program.
	not []string
	// operands is the number of words before the program.
	operands int
	// assigns reports whether NAME=value words may come before the program.
	assigns bool
}

// wrappers returns the programs that start another one, by name.
func wrappers() map[string]wrapper {
	return map[string]wrapper{
		"exec":    {values: "a"},
		"command": {not: []string{"-v", "-V"}},
		"nohup":   {},
		"setsid":  {},
		"sudo":    {values: "ughpCrtUDRT", longValues: []string{"--user", "--group", "--chdir", "--host", "--prompt"}, assigns: true},
		"doas":    {values: "uC"},
		"env":     {values: "uC", longValues: []string{"--unset", "--chdir"}, assigns: true},
		"nice":    {values: "n", longValues: []string{"--adjustment"}},
		"ionice":  {values: "cnpPu", longValues: []string{"--class", "--classdata"}},
		"timeout": {values: "sk", longValues: []string{"--signal", "--kill-after"}, operands: 1},
		"stdbuf":  {values: "ioe", longValues: []string{"--input", "--output", "--error"}},
		"gosu":    {operands: 1},
		"su-exec": {operands: 1},
		"xargs": {
			values:     "nPILsdaE",
			longValues: []string{"--max-args", "--max-procs", "--max-lines", "--max-chars", "--delimiter", "--arg-file", "--eof", "--replace"},
		},
	}
}

// unwrap returns the program that the wrapper starts, with its arguments, and the
// assignments before it. ok is false if it starts none.
func (w wrapper) unwrap(words []Word) (rest, assigns []Word, ok bool) {
	for len(words) > 0 && strings.HasPrefix(words[0].Text, "-") {
		option := words[0].Text
		if slices.Contains(w.not, option) {
			return nil, nil, false
		}
		words = words[1:]
		if option == "--" {
			break
		}
		if w.takesNext(option) && len(words) > 0 {
			words = words[1:]
		}
	}
	for w.assigns && len(words) > 0 && isAssignment(words[0].Text) {
		assigns, words = append(assigns, words[0]), words[1:]
	}
	if len(words) <= w.operands {
		return nil, nil, false
	}
	return words[w.operands:], assigns, true
}

// takesNext reports whether the value of an option is the next word.
func (w wrapper) takesNext(option string) bool {
	if strings.HasPrefix(option, "--") {
		return slices.Contains(w.longValues, option)
	}
	// Of flags that are written together, the last one takes it: -Hu in sudo -Hu app.
	for i, letter := range option[1:] {
		if strings.ContainsRune(w.values, letter) {
			return i == len(option)-2
		}
	}
	return false
}

// isAssignment reports whether a word is NAME=value.
func isAssignment(text string) bool {
	name, _, ok := strings.Cut(text, "=")
	return ok && syntax.ValidName(name)
}
