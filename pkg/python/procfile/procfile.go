// Package procfile reads Procfiles: the processes of an app, with a command line for each.
package procfile

import (
	"regexp"
	"strings"
)

// Name is the name of the file.
const Name = "Procfile"

// Process is a process of an app.
type Process struct {
	// Name has letters, digits, hyphens and underscores.
	Name string
	// Command is a command line for a shell. It is not empty.
	Command string
	// Line is where it is, from 1.
	Line int
}

// Parse returns the processes in the order of the file. It passes over every line that is not
// of the form NAME: COMMAND, such as a comment.
func Parse(content []byte) []Process {
	line := regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*:\s*(\S.*?)\s*$`)
	var found []Process
	for i, text := range strings.Split(string(content), "\n") {
		if match := line.FindStringSubmatch(text); match != nil {
			found = append(found, Process{Name: match[1], Command: match[2], Line: i + 1})
		}
	}
	return found
}
