package detect

import (
	"fmt"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// ManyAppsError reports a project with several apps, none of which is more likely than
// the others.
type ManyAppsError struct {
	// Apps are module:attribute, sorted, and Files where each is.
	Apps, Files []string
}

// Error lists the apps.
func (e *ManyAppsError) Error() string {
	lines := make([]string, len(e.Apps))
	for i := range e.Apps {
		lines[i] = fmt.Sprintf("%s (%s)", e.Apps[i], e.Files[i])
	}
	return fmt.Sprintf("there are %d apps, name one with --entrypoint: %s", len(e.Apps), strings.Join(lines, ", "))
}

// NoSuchAppError reports an app that is named and cannot be served.
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

// MonorepoError reports a directory that holds several projects, each of which is built
// by itself.
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

// PythonError reports a version of Python that there is no base image of.
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

// join returns a path below a directory as the user named it.
func join(dir, name string) string {
	if dir == "" || dir == "." {
		return name
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}
