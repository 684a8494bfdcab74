package project

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
)

const (
	procfile = "Procfile"
	// maxProcfile limits how much of a Procfile is read.
	maxProcfile = 64 << 10
)

// process is a line of a Procfile that starts a process type.
var process = regexp.MustCompile(`^([A-Za-z0-9_-]+):\s*\S`)

// droppedProcesses returns a warning for each process type of a Procfile other than web,
// such as worker and release: a build deploys the web application alone.
func droppedProcesses(dir string) []string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	info, err := root.Stat(procfile)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := root.Open(procfile)
	if err != nil {
		return nil
	}
	defer file.Close() //nolint:errcheck // nothing was written to it
	content, err := io.ReadAll(io.LimitReader(file, maxProcfile))
	if err != nil {
		return nil
	}
	var warnings []string
	lines := bufio.NewScanner(bytes.NewReader(content))
	for number := 1; lines.Scan(); number++ {
		if match := process.FindStringSubmatch(lines.Text()); match != nil && match[1] != "web" {
			warnings = append(warnings, fmt.Sprintf("%s:%d: the process %s is not deployed: only web is", procfile, number, match[1]))
		}
	}
	return warnings
}
