// Package display formats text for a person at a terminal: it makes untrusted text safe to
// print, shortens it, quotes commands, and prints tables, steps and prompts. It is a leaf
// that knows no cluster, so every package may use it.
package display

import (
	"fmt"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Ellipsis marks where Truncate cut a text.
const Ellipsis = "…"

// OneLine returns text as one line that is safe to print: it sanitizes the text and
// replaces each run of white space by one space.
func OneLine(text string) string {
	return strings.Join(strings.Fields(Sanitize(text)), " ")
}

// Truncate returns text with at most limit characters. The last character of a text that
// was cut is an ellipsis.
func Truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:max(limit-1, 0)]) + Ellipsis
}

// JoinMax lists at most limit items and the number of the others: "a, b, c and 4 more".
func JoinMax(items []string, limit int) string {
	if len(items) <= limit {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:limit], ", "), len(items)-limit)
}

// QuoteCommand returns a command that a person can paste into a shell. It quotes the
// arguments that a shell would not take as they are. No program takes an argument with a
// NUL byte, so it drops those.
func QuoteCommand(args ...string) string {
	quoted := make([]string, 0, len(args))
	for _, arg := range args {
		// A flag keeps its name readable: only its value needs quotes.
		flag := flagName.FindString(arg)
		quoted = append(quoted, flag+quote(arg[len(flag):], flag != ""))
	}
	return strings.Join(quoted, " ")
}

// flagName matches the beginning of --flag=value, which no shell takes for anything else.
var flagName = regexp.MustCompile(`^--[a-z][a-z0-9-]*=`)

// quote quotes a text as a shell's word, or as the rest of one. The rest may be empty.
func quote(text string, rest bool) string {
	if rest && text == "" {
		return ""
	}
	word, err := syntax.Quote(strings.ReplaceAll(text, "\x00", ""), syntax.LangBash)
	if err != nil {
		return fmt.Sprintf("%q", text)
	}
	return word
}
