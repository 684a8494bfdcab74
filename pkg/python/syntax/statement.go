package syntax

import (
	"iter"
	"strings"
)

// Statement is a simple statement, or the header of a compound one.
type Statement struct {
	// Line is where it starts, from 1.
	Line int
	// Tokens are those of the statement, at least one; for a compound statement those of
	// the header before its colon.
	Tokens []Token
	// Body are the statements of the block below a header.
	Body []*Statement
	// Source is the text of a compound statement with its block, from which Parse returns
	// that statement again; empty for a simple one.
	Source string
}

// Parse returns the statements of a module. else, except and the like are separate
// statements after the one they belong to.
func Parse(source []byte) []*Statement {
	root := &Statement{}
	type block struct {
		indent, begin int
		owner         *Statement
	}
	blocks := []block{{indent: -1, owner: root}}
	lines, text := scan(source)
	end := func(indent, at int) {
		for indent <= blocks[len(blocks)-1].indent {
			ended := blocks[len(blocks)-1]
			ended.owner.Source = text[ended.begin:at]
			blocks = blocks[:len(blocks)-1]
		}
	}
	for _, line := range lines {
		end(line.indent, line.begin)
		owner := blocks[len(blocks)-1].owner
		header, rest, compound := split(line.tokens)
		if !compound {
			owner.Body = append(owner.Body, simple(line.tokens)...)
			// Deeper indentation without a header is not Python, and is ignored.
			continue
		}
		statement := &Statement{Line: header[0].Line, Tokens: header, Body: simple(rest)}
		owner.Body = append(owner.Body, statement)
		blocks = append(blocks, block{line.indent, line.begin, statement})
	}
	end(0, len(text))
	return root.Body
}

// Keyword returns the first word of the statement, without async before "def", "with"
// and "for"; nothing if it starts with another token.
func (s *Statement) Keyword() string {
	first := s.Tokens[0]
	if first.Is("async") && len(s.Tokens) > 1 {
		first = s.Tokens[1]
	}
	if first.Kind != Name {
		return ""
	}
	return first.Text
}

// split separates the header of a compound statement from what follows its colon on the
// same line.
func split(tokens []Token) (header, rest []Token, compound bool) {
	if tokens[0].Kind != Name {
		return nil, nil, false
	}
	switch tokens[0].Text {
	case "if", "elif", "else", "try", "except", "finally", "with", "for", "while", "def", "class", "async":
	case "match", "case":
		// They are names unless the line ends with a colon.
		if last := len(tokens) - 1; last > 1 && tokens[last].Is(":") {
			return tokens[:last], nil, true
		}
		return nil, nil, false
	default:
		return nil, nil, false
	}
	depth, lambdas := 0, 0
	for i, token := range tokens {
		switch {
		case token.Kind == Name && token.Text == "lambda" && depth == 0:
			lambdas++
		case token.Kind != Op:
		case token.Text == "(" || token.Text == "[" || token.Text == "{":
			depth++
		case token.Text == ")" || token.Text == "]" || token.Text == "}":
			depth--
		case token.Text == ":" && depth <= 0 && lambdas > 0:
			lambdas--
		case token.Text == ":" && depth <= 0:
			return tokens[:i], tokens[i+1:], i > 0
		}
	}
	return nil, nil, false
}

// simple splits a line of simple statements at the semicolons.
func simple(tokens []Token) []*Statement {
	var statements []*Statement
	for _, part := range Split(tokens, ";") {
		if len(part) > 0 {
			statements = append(statements, &Statement{Line: part[0].Line, Tokens: part})
		}
	}
	return statements
}

// Split splits tokens at an operator outside brackets. Parts may be empty; no tokens
// have no parts.
func Split(tokens []Token, at string) [][]Token {
	if len(tokens) == 0 {
		return nil
	}
	var parts [][]Token
	depth, begin := 0, 0
	for i, token := range tokens {
		if token.Kind != Op {
			continue
		}
		switch token.Text {
		case at:
			if depth == 0 {
				parts = append(parts, tokens[begin:i])
				begin = i + 1
			}
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
	}
	return append(parts, tokens[begin:])
}

// Close returns the index of the bracket that closes the one at tokens[open], or
// -1.
func Close(tokens []Token, open int) int {
	depth := 0
	for i := open; i < len(tokens); i++ {
		if tokens[i].Kind != Op {
			continue
		}
		switch tokens[i].Text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// Inside returns the tokens between the bracket at open and the one that closes it;
// none if it is not closed.
func Inside(tokens []Token, open int) []Token {
	end := Close(tokens, open)
	if end < 0 {
		return nil
	}
	return tokens[open+1 : end]
}

// Assignments yields the plain names that a statement assigns, each with the tokens of
// its value: those of a = 1, a: int = 1 and a = b = 1. In the last one a has the value
// 1, and b has the value a.
func Assignments(tokens []Token) iter.Seq2[string, []Token] {
	return func(yield func(string, []Token) bool) {
		parts := Split(tokens, "=")
		if len(parts) < 2 {
			return
		}
		value := parts[len(parts)-1]
		for _, target := range parts[:len(parts)-1] {
			if len(target) == 0 || target[0].Kind != Name || len(target) > 1 && !target[1].Is(":") {
				continue
			}
			if !yield(target[0].Text, value) {
				return
			}
			value = parts[0][:1]
		}
	}
}

// Dotted returns the name such as a.b.c at the start of tokens, and the number of its
// tokens; both are zero without a name.
func Dotted(tokens []Token) (name string, count int) {
	if len(tokens) == 0 || tokens[0].Kind != Name {
		return "", 0
	}
	names := []string{tokens[0].Text}
	for count = 1; count+1 < len(tokens) && tokens[count].Is(".") && tokens[count+1].Kind == Name; count += 2 {
		names = append(names, tokens[count+1].Text)
	}
	return strings.Join(names, "."), count
}

// Argument is one argument of a call.
type Argument struct {
	// Name is the keyword, or empty for a positional argument.
	Name string
	// Value are the tokens of its value.
	Value []Token
}

// Call is a call of a dotted name.
type Call struct {
	// Name is what is called, such as uvicorn.run.
	Name string
	// Line is where the name is.
	Line int
	// Arguments are in their order; those with * are left out.
	Arguments []Argument
	// Rest are the tokens after the call.
	Rest []Token
}

// Argument returns the value of a keyword argument, or of the positional one at
// that index when it is not negative; nil when the call has none.
func (c *Call) Argument(name string, index int) []Token {
	for i, argument := range c.Arguments {
		if name != "" && argument.Name == name || i == index && argument.Name == "" {
			return argument.Value
		}
	}
	return nil
}

// ParseCall reads a call of a dotted name at the start of tokens.
func ParseCall(tokens []Token) (*Call, bool) {
	name, n := Dotted(tokens)
	if n == 0 || n >= len(tokens) || !tokens[n].Is("(") {
		return nil, false
	}
	return call(tokens, name, n, Close(tokens, n))
}

func call(tokens []Token, name string, open, end int) (*Call, bool) {
	if end < 0 {
		return nil, false
	}
	return &Call{Name: name, Line: tokens[0].Line, Arguments: arguments(tokens[open+1 : end]), Rest: tokens[end+1:]}, true
}

// maxDepth is how deep in brackets Calls looks, so that its time is linear; Python's own
// limit is 200.
const maxDepth = 200

// Calls returns all calls of dotted names in tokens, in their order, including those in
// the arguments of others.
func Calls(tokens []Token) []*Call {
	closing, depths := pairs(tokens)
	var calls []*Call
	for i, token := range tokens {
		if token.Kind != Name || i > 0 && tokens[i-1].Is(".") || depths[i] > maxDepth {
			continue
		}
		name, n := Dotted(tokens[i:])
		if i+n >= len(tokens) || !tokens[i+n].Is("(") || closing[i+n] < 0 {
			continue
		}
		if found, ok := call(tokens[i:], name, n, closing[i+n]-i); ok {
			calls = append(calls, found)
		}
	}
	return calls
}

// pairs returns for each token the index of the bracket that closes it, or -1, and
// how many brackets are open before it.
func pairs(tokens []Token) (closing, depths []int) {
	closing, depths = make([]int, len(tokens)), make([]int, len(tokens))
	var open []int
	for i, token := range tokens {
		closing[i], depths[i] = -1, len(open)
		if token.Kind != Op {
			continue
		}
		switch token.Text {
		case "(", "[", "{":
			open = append(open, i)
		case ")", "]", "}":
			if len(open) > 0 {
				closing[open[len(open)-1]] = i
				open = open[:len(open)-1]
			}
		}
	}
	return closing, depths
}

func arguments(tokens []Token) []Argument {
	var found []Argument
	for _, part := range Split(tokens, ",") {
		switch {
		case len(part) == 0 || part[0].Is("*") || part[0].Is("**"):
		case len(part) > 2 && part[0].Kind == Name && part[1].Is("="):
			found = append(found, Argument{Name: part[0].Text, Value: part[2:]})
		default:
			found = append(found, Argument{Value: part})
		}
	}
	return found
}

// Text returns the value of tokens that are all string literals, which Python joins; ok
// is false for any other tokens.
func Text(tokens []Token) (text string, ok bool) {
	if len(tokens) == 0 {
		return "", false
	}
	for _, token := range tokens {
		part, ok := token.Literal()
		if !ok {
			return "", false
		}
		text += part
	}
	return text, true
}
