package display

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tabStop is the distance of the columns at which a tab ends.
const tabStop = 8

// Sanitize returns text from an untrusted source as one line that is safe to print.
// Line breaks and tabs become spaces. Control sequences, other control characters and
// invisible format characters, such as those that reverse the direction of the text, are
// removed.
func Sanitize(text string) string {
	if printableASCII(text) {
		return text
	}
	return sanitize(text, sanitizer{})
}

// SanitizeLog returns one line of a log that is safe to print. It does what Sanitize does,
// and expands tabs. With colors it keeps the sequences that set colors and styles, and
// resets them at the end of the line.
func SanitizeLog(line string, colors bool) string {
	if printableASCII(line) {
		return line
	}
	return sanitize(line, sanitizer{tabs: true, colors: colors})
}

// sanitizer selects what sanitize keeps of a line.
type sanitizer struct {
	tabs, colors bool
}

func sanitize(line string, keep sanitizer) string {
	var text strings.Builder
	column, colored := 0, false
	for len(line) > 0 {
		if line[0] == '\x1b' {
			size, color := escape(line)
			if color && keep.colors {
				text.WriteString(line[:size])
				colored = true
			}
			line = line[size:]
			continue
		}
		r, size := utf8.DecodeRuneInString(line)
		line = line[size:]
		shown := keep.visible(r, column)
		text.WriteString(shown)
		column += utf8.RuneCountInString(shown)
	}
	if colored {
		text.WriteString("\x1b[m")
	}
	return text.String()
}

// visible returns what is printed in place of r, which is at that column of its line.
func (s sanitizer) visible(r rune, column int) string {
	switch {
	case r == '\t' && s.tabs:
		return strings.Repeat(" ", tabStop-column%tabStop)
	case r >= '\t' && r <= '\r', unicode.In(r, unicode.Zl, unicode.Zp):
		return " "
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
		return ""
	}
	return string(r)
}

func printableASCII(line string) bool {
	for i := range len(line) {
		if line[i] < ' ' || line[i] > '~' {
			return false
		}
	}
	return true
}

// escape returns the length of the control sequence that line begins with, and reports
// whether the sequence only sets colors and styles. A sequence without an end takes the
// rest of the line.
func escape(line string) (size int, color bool) {
	if len(line) == 1 {
		return 1, false
	}
	switch line[1] {
	case '[':
		return controlSequence(line)
	case ']', 'P', '_', '^', 'X':
		return stringSequence(line), false
	}
	end := 1
	for end < len(line) && line[end] >= ' ' && line[end] <= '/' {
		end++
	}
	if end < len(line) && line[end] > ' ' && line[end] < utf8.RuneSelf {
		end++
	}
	return end, false
}

// controlSequence measures a sequence that starts with ESC [, such as one that moves the
// cursor or sets a color. It stops before a character that cannot be part of one.
func controlSequence(line string) (size int, color bool) {
	end := 2
	for end < len(line) && line[end] >= ' ' && line[end] <= '?' {
		end++
	}
	if end == len(line) || line[end] < '@' || line[end] > '~' {
		return end, false
	}
	return end + 1, line[end] == 'm' && strings.Trim(line[2:end], "0123456789;:") == ""
}

// stringSequence measures a sequence that carries a text, such as the title of the window.
// A bell, or ESC \, ends it.
func stringSequence(line string) int {
	for end := 2; end < len(line); end++ {
		switch {
		case line[end] == '\a':
			return end + 1
		case line[end] == '\x1b' && strings.HasPrefix(line[end+1:], `\`):
			return end + 2
		case line[end] == '\x1b':
			return end + 1
		}
	}
	return len(line)
}
