package shell

import (
	"encoding/json"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Word is one word of a command.
type Word struct {
	// Text is the word with its quotes removed. Expansions stay as they are written.
	Text string
	// Literal reports whether the word has no expansions: Text is what the program gets.
	Literal bool
	// Start and End are byte offsets in the script, with the quotes.
	Start, End int

	// at are the offsets of the bytes of Text.
	at []int
}

// Tail returns the word's last n bytes of Text as a word of its own, as the value of
// --option=value.
func (w Word) Tail(n int) Word {
	from := max(0, len(w.Text)-n)
	tail := w
	tail.Text = w.Text[from:]
	if n > 0 && len(w.at) == len(w.Text) {
		tail.at, tail.Start = w.at[from:], w.at[from]
	}
	return tail
}

// offset returns where a byte of Text is in the script.
func (w Word) offset(i int) int {
	switch {
	case len(w.at) == 0:
		return w.Start
	case i >= len(w.at):
		return w.at[len(w.at)-1] + 1
	default:
		return w.at[max(i, 0)]
	}
}

// Moved returns the word with its place moved by a number of bytes, for a script that starts
// with something else.
func (w Word) Moved(by int) Word {
	at := make([]int, len(w.at))
	for i := range w.at {
		at[i] = w.at[i] + by
	}
	w.Start, w.End, w.at = w.Start+by, w.End+by, at
	return w
}

// newWord returns a word of a script.
func newWord(script string, word *syntax.Word) Word {
	w := Word{Literal: true, Start: offset(word.Pos()), End: offset(word.End())}
	for _, part := range word.Parts {
		w.part(script, part)
	}
	return w
}

// nodeWord returns an assignment as one word.
func nodeWord(script string, node syntax.Node) Word {
	w := Word{Literal: true, Start: offset(node.Pos()), End: offset(node.End())}
	assign, ok := node.(*syntax.Assign)
	switch {
	case !ok || assign.Name == nil && assign.Value == nil:
		w.raw(script, node)
	case assign.Value == nil || assign.Array != nil || assign.Index != nil:
		w.Literal = assign.Array == nil && assign.Index == nil
		w.raw(script, node)
	default:
		w.copy(script, w.Start, offset(assign.Value.Pos()))
		for _, part := range assign.Value.Parts {
			w.part(script, part)
		}
	}
	return w
}

// part adds a part of a word.
func (w *Word) part(script string, part syntax.WordPart) {
	switch part := part.(type) {
	case *syntax.Lit:
		w.unescape(script, part, func(byte) bool { return true })
	case *syntax.SglQuoted:
		start := offset(part.Left) + 1
		if part.Dollar {
			start++
		}
		w.copy(script, start, offset(part.Right))
	case *syntax.DblQuoted:
		for _, inner := range part.Parts {
			if literal, ok := inner.(*syntax.Lit); ok {
				w.unescape(script, literal, func(next byte) bool { return strings.IndexByte("\\\"$`", next) >= 0 })
				continue
			}
			w.part(script, inner)
		}
	default:
		w.Literal = false
		w.raw(script, part)
	}
}

// raw adds a node as it is written.
func (w *Word) raw(script string, node syntax.Node) {
	w.copy(script, offset(node.Pos()), offset(node.End()))
}

func (w *Word) copy(script string, start, end int) {
	text := slice(script, start, end)
	w.Text += text
	for i := range len(text) {
		w.at = append(w.at, start+i)
	}
}

// unescape adds a literal without the backslashes that escape the byte behind them.
// Lines that a backslash continues are joined.
func (w *Word) unescape(script string, literal *syntax.Lit, escapes func(byte) bool) {
	start, end := offset(literal.Pos()), min(offset(literal.End()), len(script))
	for i := start; i < end; i++ {
		if script[i] == '\\' && i+1 < end {
			if script[i+1] == '\n' {
				i++
				continue
			}
			if escapes(script[i+1]) {
				i++
			}
		}
		w.copy(script, i, i+1)
	}
}

// jsonWords returns the strings of a JSON array, with their places.
func jsonWords(text string) []Word {
	var words []Word
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		word := Word{Literal: true, Start: i}
		for i++; i < len(text) && text[i] != '"'; {
			i += word.jsonChar(text, i)
		}
		word.End = min(i+1, len(text))
		words = append(words, word)
	}
	return words
}

// jsonChar adds the character of a JSON string at an offset, and returns how many bytes
// it takes there.
func (w *Word) jsonChar(text string, at int) int {
	if text[at] != '\\' {
		w.copy(text, at, at+1)
		return 1
	}
	length := 2
	if at+1 < len(text) && text[at+1] == 'u' {
		length = 6
	}
	char := ""
	if err := json.Unmarshal([]byte(`"`+slice(text, at, at+length)+`"`), &char); err != nil || char == "" {
		char, length = slice(text, at+1, at+2), 2
	}
	w.Text += char
	for range len(char) {
		w.at = append(w.at, at)
	}
	return length
}

// offset returns a position as a byte offset.
func offset(at syntax.Pos) int { return int(at.Offset()) }
