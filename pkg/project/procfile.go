package project

import (
	"fmt"
	"io"
	"os"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/procfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// maxProcfile limits how much of a Procfile is read.
const maxProcfile = 64 << 10

// procfileProcess is a process of the Procfile of a folder.
type procfileProcess struct{ procfile.Process }

// where returns the place of the process.
func (p procfileProcess) where() string { return fmt.Sprintf("%s:%d", procfile.Name, p.Line) }

// readProcfile returns the processes of the Procfile of a folder; none if it has no such file
// that can be read.
func readProcfile(dir string) []procfileProcess {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	info, err := root.Stat(procfile.Name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := root.Open(procfile.Name)
	if err != nil {
		return nil
	}
	defer file.Close() //nolint:errcheck // nothing was written to it
	content, err := io.ReadAll(io.LimitReader(file, maxProcfile))
	if err != nil {
		return nil
	}
	var found []procfileProcess
	for _, process := range procfile.Parse(content) {
		found = append(found, procfileProcess{process})
	}
	return found
}

// droppedProcesses returns a warning for each process of a Procfile that manifests leave out.
func droppedProcesses(dir, manifests string) []string {
	var warnings []string
	for _, process := range readProcfile(dir) {
		if process.Name != app.WebProcess {
			warnings = append(warnings, fmt.Sprintf("%s: the process %s is not deployed: %s has the manifests", process.where(), process.Name, manifests))
		}
	}
	return warnings
}
