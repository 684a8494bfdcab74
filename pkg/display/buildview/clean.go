package buildview

import "strings"

// maxLine is the number of bytes that are shown of a line of a log.
const maxLine = 4096

// lastState returns the text that a terminal shows at the end of line: what follows the last
// carriage return, as in progress bars. It returns at most maxLine bytes.
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
