package detect

import (
	"fmt"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// ManyAppsError says that a project has several apps, and none of them is the one.
type ManyAppsError struct {
	// Apps are module:attribute, sorted, and Files where each is.
	Apps, Files []string
}

// Error lists them.
func (e *ManyAppsError) Error() string {
	lines := make([]string, len(e.Apps))
	for i := range e.Apps {
		lines[i] = fmt.Sprintf("%s (%s)", e.Apps[i], e.Files[i])
	}
	return fmt.Sprintf("there are %d apps, name one with --entrypoint: %s", len(e.Apps), strings.Join(lines, ", "))
}

// NoSuchAppError says that the app that was named is not there.
type NoSuchAppError struct {
	// App is module:attribute as it was given, and Source where; it may be empty.
	App, Source string
	// Problem is what is wrong with it, as a clause.
	Problem string
}

// Error names the app and the problem.
func (e *NoSuchAppError) Error() string {
	text := fmt.Sprintf("the app %q: %s", e.App, e.Problem)
	if e.Source != "" {
		text = e.Source + ": " + text
	}
	return text
}

// MonorepoError says that the directory holds projects, each of which is built by
// itself.
type MonorepoError struct {
	// Dir is the directory as it was given, Projects those below it: relative to it,
	// with slashes, sorted.
	Dir      string
	Projects []string
}

// Error lists them, and shows how to name one.
func (e *MonorepoError) Error() string {
	if len(e.Projects) == 1 {
		return fmt.Sprintf("%s holds the project %s, build that: %s", e.Dir, e.Projects[0], e.command())
	}
	return fmt.Sprintf("%s holds %d projects, build one of them, such as %s: %s",
		e.Dir, len(e.Projects), e.command(), strings.Join(e.Projects, ", "))
}

// command returns the command that builds the first project.
func (e *MonorepoError) command() string {
	return display.QuoteCommand("kubectl", "pyflow", "build", join(e.Dir, e.Projects[0]))
}

// PythonError says that there is no image for the Python that a project wants.
type PythonError struct {
	// Source is where the project says so, as file:line, and Wanted what it says.
	Source, Wanted string
	// Available are the versions that there are, ascending.
	Available []string
}

// Error names the place and the versions.
func (e *PythonError) Error() string {
	return fmt.Sprintf("%s: there is no image of Python %s, only of the newest releases of %s", e.Source, e.Wanted, strings.Join(e.Available, ", "))
}

// LockError says that a lock is not that of its project.
type LockError struct {
	// Project and Lock are the two files.
	Project, Lock string
	// Problem is the first difference, as a clause.
	Problem string
	// Command makes the lock anew.
	Command string
}

// Error names both files, the difference and the command.
func (e *LockError) Error() string {
	return fmt.Sprintf("%s does not match %s: %s; run %s", e.Lock, e.Project, e.Problem, e.Command)
}

// FileError says that a file can not be understood.
type FileError struct {
	// Path is the file, and Line where, from 1, or 0.
	Path string
	Line int
	// Err is what is wrong.
	Err error
}

// Error is path:line: and the cause.
func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }
