package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// char is a character of a file and where it is there, from 1.
type char struct {
	r            rune
	line, column int
}

// word is one word of a command, without its quotes.
type word struct {
	text string
	// chars are those of text.
	chars []char
	at    place
}

// call is one simple command: NAME=value … command argument ….
type call struct {
	assigns []word
	words   []word
	// piped says that it reads what the call before it writes, exec that it takes the
	// place of the shell.
	piped, exec bool
}

// name is the command without its directory, or empty.
func (c *call) name() string {
	if len(c.words) == 0 {
		return ""
	}
	return path.Base(c.words[0].text)
}

// has says whether one of the words is one of those.
func (c *call) has(words ...string) bool {
	return slices.ContainsFunc(c.words, func(word word) bool { return slices.Contains(words, word.text) })
}

// at is the place from the first word to the last one.
func (c *call) at() place { return c.upto(len(c.words)) }

// upto is the place of the first n words.
func (c *call) upto(n int) place {
	at, last := c.words[0].at, c.words[min(n, len(c.words))-1].at
	at.endLine, at.endColumn = last.endLine, last.endColumn
	return at
}

// instruction returns the characters of an instruction from its arguments on: with
// the lines that are continued joined, as the Dockerfile's parser does, and with
// the lines of its heredocs behind them.
func (c *checker) instruction(file string, first, last int, escape rune) []char {
	lines := c.sources[file].lines
	var chars []char
	header := true
	for number := first; number <= last && number <= len(lines); number++ {
		line := lines[number-1]
		trimmed := strings.TrimSpace(line)
		continued := false
		if header {
			if number > first && (trimmed == "" || trimmed[0] == '#') {
				continue
			}
			cut := strings.TrimRight(line, " \t")
			if strings.HasSuffix(cut, string(escape)) && !strings.HasSuffix(cut, strings.Repeat(string(escape), 2)) {
				line, continued = strings.TrimSuffix(cut, string(escape)), true
			}
		}
		column := 0
		for _, r := range line {
			column++
			chars = append(chars, char{r, number, column})
		}
		if !continued {
			header = false
			chars = append(chars, char{'\n', number, column + 1})
		}
	}
	return chars
}

// skipWord returns what follows the first word and the spaces behind it.
func skipWord(chars []char) []char {
	i := 0
	for i < len(chars) && isSpace(chars[i].r) {
		i++
	}
	for i < len(chars) && !isSpace(chars[i].r) {
		i++
	}
	for i < len(chars) && isSpace(chars[i].r) && chars[i].r != '\n' {
		i++
	}
	return chars[i:]
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// startsWith says whether the characters begin with text.
func startsWith(chars []char, text string) bool {
	for _, r := range text {
		if len(chars) == 0 || chars[0].r != r {
			return false
		}
		chars = chars[1:]
	}
	return true
}

// scanner splits a shell's text into calls. It knows quotes, operators, comments,
// redirections and heredocs; what is substituted stays as it is written.
type scanner struct {
	file  string
	chars []char
	pos   int

	calls    []call
	current  call
	pipe     bool
	heredocs []heredoc
	depth    int
}

// heredoc is one of which the lines have not come yet.
type heredoc struct {
	delimiter string
	indented  bool
}

// maxDepth bounds how deep a script may be inside of another one.
const maxDepth = 4

// scanShell returns the calls of a shell's text in their order, those of scripts
// that are given to another shell among them.
func scanShell(file string, chars []char, depth int) []call {
	s := &scanner{file: file, chars: chars, depth: depth}
	for s.pos < len(s.chars) {
		s.next()
	}
	s.end()
	return s.calls
}

func (s *scanner) peek(offset int) rune {
	if s.pos+offset < len(s.chars) {
		return s.chars[s.pos+offset].r
	}
	return 0
}

// next reads one word or operator.
func (s *scanner) next() {
	switch r := s.peek(0); {
	case r == '\n':
		s.pos++
		s.newline()
	case isSpace(r):
		s.pos++
	case r == '#':
		for s.pos < len(s.chars) && s.peek(0) != '\n' {
			s.pos++
		}
	case r == '&' && s.peek(1) == '>':
		s.pos++
		s.redirect()
	case r == '|' && s.peek(1) != '|':
		s.pos++
		s.end()
		s.pipe = true
	case strings.ContainsRune(";&|()", r):
		s.pos++
		if (r == '&' || r == '|' || r == ';') && s.peek(0) == r {
			s.pos++
		}
		s.end()
	case r == '<' || r == '>':
		s.redirect()
	default:
		s.word()
	}
}

// word reads one and adds it to the call.
func (s *scanner) word() {
	word := s.read()
	if next := s.peek(0); (next == '<' || next == '>') && word.text != "" && strings.Trim(word.text, "0123456789") == "" {
		return // the number of the file that is redirected
	}
	if len(s.current.words) == 0 {
		if regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`).MatchString(word.text) {
			s.current.assigns = append(s.current.assigns, word)
			return
		}
		if slices.Contains([]string{"if", "then", "elif", "else", "do", "while", "until", "!", "{", "time"}, word.text) {
			return
		}
	}
	s.current.words = append(s.current.words, word)
}

// read reads a word up to what ends it.
func (s *scanner) read() word {
	start := s.pos
	var word word
	keep := func() {
		word.chars = append(word.chars, s.chars[s.pos])
		s.pos++
	}
	quote := rune(0)
	for s.pos < len(s.chars) {
		r := s.peek(0)
		switch {
		case quote == '\'':
			if r == quote {
				quote = 0
				s.pos++
			} else {
				keep()
			}
		case r == '\\' && (quote == 0 || strings.ContainsRune("\\\"$`\n", s.peek(1))):
			s.pos++
			if s.peek(0) == '\n' {
				s.pos++
			} else if s.pos < len(s.chars) {
				keep()
			}
		case r == '$' && (s.peek(1) == '(' || s.peek(1) == '{'):
			s.substitution(keep)
		case r == '`':
			keep()
			for s.pos < len(s.chars) && s.peek(0) != '`' {
				keep()
			}
			if s.pos < len(s.chars) {
				keep()
			}
		case quote == '"':
			if r == quote {
				quote = 0
				s.pos++
			} else {
				keep()
			}
		case r == '"' || r == '\'':
			quote = r
			s.pos++
		case isSpace(r) || strings.ContainsRune(";&|()<>", r):
			goto done
		default:
			keep()
		}
	}
done:
	if s.pos == start {
		s.pos++ // no word: go on behind it
	}
	runes := make([]rune, len(word.chars))
	for i, char := range word.chars {
		runes[i] = char.r
	}
	first, last := s.chars[start], s.chars[s.pos-1]
	word.text = string(runes)
	word.at = place{s.file, first.line, first.column, last.line, last.column + 1}
	return word
}

// substitution keeps $(…) or ${…} with all that is inside.
func (s *scanner) substitution(keep func()) {
	depth := 0
	for s.pos < len(s.chars) {
		r := s.peek(0)
		if r == '(' || r == '{' {
			depth++
		}
		if r == ')' || r == '}' {
			depth--
		}
		keep()
		if depth == 0 && (r == ')' || r == '}') {
			return
		}
	}
}

// redirect reads an operator and the file, or the delimiter, behind it.
func (s *scanner) redirect() {
	start := s.pos
	for s.peek(0) == '<' || s.peek(0) == '>' || s.peek(0) == '&' || s.peek(0) == '|' {
		s.pos++
	}
	operator := ""
	for _, char := range s.chars[start:s.pos] {
		operator += string(char.r)
	}
	if s.peek(0) == '(' {
		return // what is inside is a call
	}
	indented := operator == "<<" && s.peek(0) == '-'
	if indented {
		s.pos++
	}
	for s.peek(0) == ' ' || s.peek(0) == '\t' {
		s.pos++
	}
	if s.pos >= len(s.chars) || s.peek(0) == '\n' {
		return
	}
	target := s.read()
	if operator == "<<" {
		s.heredocs = append(s.heredocs, heredoc{target.text, indented})
	}
}

// newline ends the call, and reads the lines of its heredocs: a script when the
// call is a shell without one, or nothing at all.
func (s *scanner) newline() {
	isScript := len(s.current.words) == 0
	if slices.Contains([]string{"sh", "bash", "dash", "ash"}, s.current.name()) {
		isScript = !slices.ContainsFunc(s.current.words[1:], func(word word) bool { return !strings.HasPrefix(word.text, "-") })
	}
	s.end()
	for _, heredoc := range s.heredocs {
		body := s.body(heredoc)
		if shebang := startsWith(body, "#!"); isScript && s.depth < maxDepth && (!shebang || isShellScript(body)) {
			s.calls = append(s.calls, scanShell(s.file, body, s.depth+1)...)
		}
	}
	s.heredocs = nil
}

// isShellScript says whether the first line names a shell.
func isShellScript(body []char) bool {
	var line strings.Builder
	for _, char := range body {
		if char.r == '\n' {
			break
		}
		line.WriteRune(char.r)
	}
	return regexp.MustCompile(`\b(ba|da|a)?sh\b`).MatchString(line.String())
}

// body returns the lines up to the delimiter, which it reads too.
func (s *scanner) body(heredoc heredoc) []char {
	start := s.pos
	for s.pos < len(s.chars) {
		first := s.pos
		var line strings.Builder
		for s.pos < len(s.chars) && s.peek(0) != '\n' {
			line.WriteRune(s.peek(0))
			s.pos++
		}
		if s.pos < len(s.chars) {
			s.pos++
		}
		text := line.String()
		if heredoc.indented {
			text = strings.TrimLeft(text, "\t")
		}
		if text == heredoc.delimiter {
			return s.chars[start:first]
		}
	}
	return s.chars[start:]
}

// end adds the call that is being read, and those of the script that it gives to
// a shell.
func (s *scanner) end() {
	call := s.current
	call.piped = s.pipe
	s.current, s.pipe = newCall(), false
	call.unwrap()
	if len(call.words) == 0 && len(call.assigns) == 0 {
		return
	}
	s.calls = append(s.calls, call)
	if script, ok := call.script(); ok && s.depth < maxDepth {
		s.calls = append(s.calls, scanShell(s.file, script.chars, s.depth+1)...)
	}
}

func newCall() call { return call{} }

// script returns the text that a shell is given by -c.
func (c *call) script() (word, bool) {
	if !slices.Contains([]string{"sh", "bash", "dash", "ash"}, c.name()) {
		return word{}, false
	}
	for i, option := range c.words[1:] {
		if !strings.HasPrefix(option.text, "-") {
			break
		}
		if !strings.HasPrefix(option.text, "--") && strings.HasSuffix(option.text, "c") && i+2 < len(c.words) {
			return c.words[i+2], true
		}
	}
	return word{}, false
}

// unwrap takes off the commands that only start another one.
func (c *call) unwrap() {
	for len(c.words) > 1 {
		rest := c.words[1:]
		switch c.name() {
		case "exec", "command", "nohup", "sudo", "env", "nice":
			c.exec = c.exec || c.name() == "exec"
			for len(rest) > 0 && strings.HasPrefix(rest[0].text, "-") {
				rest = rest[1:]
			}
			for len(rest) > 0 && c.name() == "env" && strings.Contains(rest[0].text, "=") {
				c.assigns = append(c.assigns, rest[0])
				rest = rest[1:]
			}
		default:
			return
		}
		if len(rest) == 0 {
			return
		}
		c.words = rest
	}
}

// scanJSON returns the call of an instruction in exec form, and the calls of the
// script in it when it starts a shell.
func scanJSON(file string, chars []char) []call {
	var only call
	for i := 0; i < len(chars); i++ {
		if chars[i].r != '"' {
			continue
		}
		start := i
		var word word
		for i++; i < len(chars) && chars[i].r != '"'; i++ {
			if chars[i].r == '\\' && i+1 < len(chars) {
				i++
			}
			word.chars = append(word.chars, chars[i])
			word.text += string(chars[i].r)
		}
		end := chars[min(i, len(chars)-1)]
		word.at = place{file, chars[start].line, chars[start].column, end.line, end.column + 1}
		only.words = append(only.words, word)
	}
	if len(only.words) == 0 {
		return nil
	}
	only.unwrap()
	calls := []call{only}
	if script, ok := only.script(); ok {
		calls = append(calls, scanShell(file, script.chars, 1)...)
	}
	return calls
}
