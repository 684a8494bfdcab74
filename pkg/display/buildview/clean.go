package buildview

import (
	"strings"
	"unicode/utf8"
)

// maxLine is how many bytes of one line of somebody else's are shown at most.
const maxLine = 4096

// lastState returns what a terminal would show at the end of a line in which a
// carriage return begins it anew, as progress bars do, and of that at most
// maxLine bytes.
func lastState(line string) string {
	line = strings.TrimRight(line, "\r\n")
	if at := strings.LastIndexByte(line, '\r'); at >= 0 {
		line = line[at+1:]
	}
	if len(line) > maxLine {
		// The copy lets the rest go.
		line = strings.Clone(line[:maxLine])
	}
	return line
}

// clean takes from a line of somebody else's all that could move the cursor or
// change the terminal; colors stay when they are wanted. A tab becomes spaces.
func clean(line string, colors bool) string {
	if plainText(line) {
		return line
	}
	var text strings.Builder
	column, colored := 0, false
	for len(line) > 0 {
		if line[0] == '\x1b' {
			size, color := escape(line)
			if color && colors {
				text.WriteString(line[:size])
				colored = true
			}
			line = line[size:]
			continue
		}
		r, size := utf8.DecodeRuneInString(line)
		line = line[size:]
		switch {
		case r == '\t':
			gap := 8 - column%8
			text.WriteString(strings.Repeat(" ", gap))
			column += gap
		case invisible(r):
		default:
			text.WriteRune(r)
			column++
		}
	}
	if colored {
		text.WriteString("\x1b[m")
	}
	return text.String()
}

func plainText(line string) bool {
	for i := range len(line) {
		if line[i] < ' ' || line[i] > '~' {
			return false
		}
	}
	return true
}

// invisible are the control characters, and those that change the direction in
// which what follows is written.
func invisible(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// escape returns the length of the control sequence that line begins with, and
// whether all that it does is to color, or to make bold, what follows. One that
// does not end takes the rest of the line with it.
func escape(line string) (size int, color bool) {
	if len(line) == 1 {
		return 1, false
	}
	switch line[1] {
	case '[':
		end := 2
		for end < len(line) && line[end] >= ' ' && line[end] <= '?' {
			end++
		}
		if end == len(line) {
			return end, false
		}
		if line[end] < '@' || line[end] > '~' {
			return end, false
		}
		return end + 1, line[end] == 'm' && strings.Trim(line[2:end], "0123456789;:") == ""
	case ']', 'P', '_', '^', 'X':
		for end := 2; end < len(line); end++ {
			if line[end] == '\a' {
				return end + 1, false
			}
			if line[end] == '\x1b' {
				if end+1 < len(line) && line[end+1] == '\\' {
					end++
				}
				return end + 1, false
			}
		}
		return len(line), false
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
