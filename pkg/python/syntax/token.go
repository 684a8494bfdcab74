// Package syntax reads Python source into tokens and statements, so that others can see
// what a module imports, assigns, defines and calls. It accepts every input: text that
// is not Python gives tokens without a meaning.
package syntax

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a token.
type Kind int

// The kinds. Comments, line ends and indentation are not tokens.
const (
	// Name is an identifier or a keyword.
	Name Kind = iota
	// Number is a number.
	Number
	// String is one string or bytes literal with its prefix and quotes.
	String
	// Op is an operator or a delimiter.
	Op
)

// Token is one token.
type Token struct {
	Kind Kind
	// Text is the token as it is in the source.
	Text string
	// Line is where it starts, from 1.
	Line int
}

// Is reports whether the token is that name or operator.
func (t Token) Is(text string) bool {
	return t.Text == text && (t.Kind == Name || t.Kind == Op)
}

// Literal returns the value of a string literal. ok is false for other tokens, and for
// f-strings and bytes, whose value is not known or not text.
func (t Token) Literal() (text string, ok bool) {
	if t.Kind != String {
		return "", false
	}
	prefix := len(t.Text) - len(strings.TrimLeft(t.Text, "rRbBuUfFtT"))
	flags := strings.ToLower(t.Text[:prefix])
	if strings.ContainsAny(flags, "bft") {
		return "", false
	}
	body := t.Text[prefix:]
	quote := 1
	if len(body) >= 6 && (strings.HasPrefix(body, `"""`) || strings.HasPrefix(body, `'''`)) {
		quote = 3
	}
	if len(body) < 2*quote || body[len(body)-quote:] != body[:quote] {
		return "", false
	}
	body = body[quote : len(body)-quote]
	if strings.Contains(flags, "r") || !strings.Contains(body, `\`) {
		return body, true
	}
	return unescape(body), true
}

// unescape replaces the escapes of a string literal; unknown ones stay, as in
// Python.
func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		i++
		digits := 0
		switch text[i] {
		case '\n':
		case '\\', '\'', '"':
			out.WriteByte(text[i])
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			out.WriteByte('\\')
			out.WriteByte(text[i])
		}
		if digits == 0 {
			continue
		}
		if i+digits < len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+1+digits], 16, 32); err == nil {
				out.WriteRune(rune(code)) //nolint:gosec // what is no character becomes the replacement character
				i += digits
				continue
			}
		}
		out.WriteByte('\\')
		out.WriteByte(text[i])
	}
	return out.String()
}

// logical is one logical line: physical lines joined by brackets, backslashes and
// strings.
type logical struct {
	indent int
	tokens []Token
	// begin is the offset of the first token.
	begin int
}

// maxNesting is how deep strings inside f-strings are followed.
const maxNesting = 32

// scanner reads logical lines.
type scanner struct {
	source string
	at     int
	line   int
	depth  int
	// wasted counts what was read without a result for nested strings: if it is too
	// much, f-strings are read as plain ones, so that the time stays linear.
	wasted int
	lines  []logical
	now    logical
	// read is the memory for the tokens of the current line.
	read []Token
}

// scan returns the logical lines of a source, and its text with line feeds alone.
func scan(source []byte) (lines []logical, normalized string) {
	text := strings.TrimPrefix(string(source), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	s := &scanner{source: text, line: 1}
	for s.at < len(s.source) {
		s.start()
		s.rest()
	}
	return s.lines, s.source
}

// start reads the indentation of a logical line. As in Python, a tab goes to the next
// multiple of eight, and a form feed resets the indentation.
func (s *scanner) start() {
	s.now = logical{tokens: s.read[:0]}
	for ; s.at < len(s.source); s.at++ {
		switch s.source[s.at] {
		case ' ':
			s.now.indent++
		case '\t':
			s.now.indent += 8 - s.now.indent%8
		case '\f':
			s.now.indent = 0
		default:
			return
		}
	}
}

// rest reads up to the end of the logical line.
func (s *scanner) rest() {
	s.depth = 0
	for s.at < len(s.source) {
		char := s.source[s.at]
		switch {
		case char == '\n':
			s.at++
			s.line++
			if s.depth == 0 {
				s.end()
				return
			}
		case char == ' ' || char == '\t' || char == '\f' || char == 0:
			s.at++
		case char == '#':
			for s.at < len(s.source) && s.source[s.at] != '\n' {
				s.at++
			}
		case char == '\\' && strings.HasPrefix(s.source[s.at+1:], "\n"):
			s.at += 2
			s.line++
		default:
			s.token()
		}
	}
	s.end()
}

// end adds the line, unless it is empty.
func (s *scanner) end() {
	if len(s.now.tokens) > 0 {
		s.read = s.now.tokens
		s.now.tokens = slices.Clone(s.read)
		s.lines = append(s.lines, s.now)
	}
}

// token reads one token, which is never empty.
func (s *scanner) token() {
	begin, line, kind := s.at, s.line, Op
	char := s.source[s.at]
	prefix, quoted := stringPrefix(s.source[s.at:])
	switch {
	case quoted:
		kind = String
		s.at = s.stringEnd(prefix)
		s.line += strings.Count(s.source[begin:s.at], "\n")
	case isDigit(char) || char == '.' && s.at+1 < len(s.source) && isDigit(s.source[s.at+1]):
		kind = Number
		s.at = numberEnd(s.source, s.at)
	case isNameByte(char):
		kind = Name
		for s.at < len(s.source) && (isNameByte(s.source[s.at]) || isDigit(s.source[s.at])) {
			s.at++
		}
	default:
		s.at += operator(s.source[s.at:])
		switch char {
		case '(', '[', '{':
			s.depth++
		case ')', ']', '}':
			s.depth = max(0, s.depth-1)
		}
	}
	if len(s.now.tokens) == 0 {
		s.now.begin = begin
	}
	s.now.tokens = append(s.now.tokens, Token{Kind: kind, Text: s.source[begin:s.at], Line: line})
}

// stringPrefix returns the length of the letters before the quote when text starts
// with a string literal.
func stringPrefix(text string) (int, bool) {
	for i := 0; i < len(text) && i <= 2; i++ {
		switch text[i] {
		case '\'', '"':
			return i, true
		case 'r', 'R', 'b', 'B', 'u', 'U', 'f', 'F', 't', 'T':
		default:
			return 0, false
		}
	}
	return 0, false
}

// stringEnd returns the end of the literal that starts here. One that is not
// closed ends at the end of the line, or of the file when its quotes are triple.
func (s *scanner) stringEnd(prefix int) int {
	if strings.ContainsAny(s.source[s.at:s.at+prefix], "fFtT") && s.wasted <= 2*len(s.source) {
		end, ok := formatted(s.source, s.at+prefix, 0)
		if ok {
			return end
		}
		s.wasted += end - s.at
	}
	end, _ := plain(s.source, s.at+prefix)
	return end
}

// quotes returns the quotes that open the string at this place.
func quotes(source string, at int) string {
	if triple := strings.Repeat(source[at:at+1], 3); strings.HasPrefix(source[at:], triple) {
		return triple
	}
	return source[at : at+1]
}

// plain returns the end of a string whose quotes open at this place, and whether
// it is closed.
func plain(source string, at int) (int, bool) {
	quote := quotes(source, at)
	for at += len(quote); at < len(source); at++ {
		switch {
		case source[at] == '\\':
			at++
		case source[at] == '\n' && len(quote) == 1:
			return at, false
		case strings.HasPrefix(source[at:], quote):
			return at + len(quote), true
		}
	}
	return len(source), false
}

// formatted is plain for an f-string, whose replacement fields may hold strings
// with the same quotes.
func formatted(source string, at, nesting int) (int, bool) {
	if nesting > maxNesting {
		return at, false
	}
	quote := quotes(source, at)
	for at += len(quote); at < len(source); {
		switch {
		case source[at] == '\\' && !strings.HasPrefix(source[at+1:], "{"):
			at += 2
		case source[at] == '\n' && len(quote) == 1:
			return at, false
		case strings.HasPrefix(source[at:], quote):
			return at + len(quote), true
		case strings.HasPrefix(source[at:], "{{"):
			at += 2
		case source[at] == '{':
			end, ok := field(source, at+1, nesting)
			if !ok {
				return end, false
			}
			at = end
		default:
			at++
		}
	}
	return len(source), false
}

// field returns the end of a replacement field, after its brace.
func field(source string, at, nesting int) (int, bool) {
	if nesting > maxNesting {
		return at, false
	}
	depth := 0
	for at < len(source) {
		prefix, quoted := stringPrefix(source[at:])
		switch char := source[at]; {
		case quoted:
			next := plain
			if strings.ContainsAny(source[at:at+prefix], "fFtT") {
				next = func(source string, at int) (int, bool) { return formatted(source, at, nesting+1) }
			}
			end, ok := next(source, at+prefix)
			if !ok {
				return end, false
			}
			at = end
		case isNameByte(char):
			for at < len(source) && (isNameByte(source[at]) || isDigit(source[at])) {
				at++
			}
		case char == '(' || char == '[' || char == '{':
			depth++
			at++
		case char == '}' && depth == 0:
			return at + 1, true
		case char == ')' || char == ']' || char == '}':
			depth--
			at++
		case char == ':' && depth <= 0:
			return specification(source, at+1, nesting)
		default:
			at++
		}
	}
	return len(source), false
}

// specification returns the end of a replacement field whose format specification
// starts here.
func specification(source string, at, nesting int) (int, bool) {
	for at < len(source) {
		switch source[at] {
		case '{':
			end, ok := field(source, at+1, nesting+1)
			if !ok {
				return end, false
			}
			at = end
		case '}':
			return at + 1, true
		case '\n':
			return at, false
		default:
			at++
		}
	}
	return len(source), false
}

// numberEnd returns the end of a number; the sign of an exponent is a part of it.
func numberEnd(source string, at int) int {
	hex := strings.HasPrefix(source[at:], "0x") || strings.HasPrefix(source[at:], "0X")
	for ; at < len(source); at++ {
		char := source[at]
		sign := !hex && (char == '+' || char == '-') && (source[at-1] == 'e' || source[at-1] == 'E')
		if !sign && char != '.' && !isDigit(char) && !isNameByte(char) {
			break
		}
	}
	return at
}

// operator returns the length of the operator that text starts with.
func operator(text string) int {
	if len(text) < 2 || !strings.ContainsRune("*/<>=.", rune(text[1])) {
		return 1
	}
	for _, known := range []string{
		"**=", "//=", ">>=", "<<=", "...", "->", ":=", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", "**", "//", "<<", ">>",
	} {
		if strings.HasPrefix(text, known) {
			return len(known)
		}
	}
	return 1
}

func isDigit(char byte) bool { return char >= '0' && char <= '9' }

// isNameByte reports whether a byte can be in a name. Everything outside ASCII counts as
// a letter.
func isNameByte(char byte) bool {
	return char == '_' || char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= utf8.RuneSelf
}
