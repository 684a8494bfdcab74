package detect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// ErrContext reports a build context that does not have the project.
var ErrContext = errors.New("the project has to be inside of the build context")

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
	// with slashes, sorted. Services are those of them that have an app.
	Dir                string
	Projects, Services []string
}

// Error lists them, and shows how to build one.
func (e *MonorepoError) Error() string {
	if len(e.Projects) == 1 {
		return fmt.Sprintf("%s holds the project %s, build that: %s", e.Dir, e.Projects[0], e.command(e.Projects[0]))
	}
	var others []string
	for _, project := range e.Projects {
		if !slices.Contains(e.Services, project) {
			others = append(others, project)
		}
	}
	switch len(e.Services) {
	case 0:
		return fmt.Sprintf("%s holds %d projects, and no app was found in one of them; to build one, name its app: %s: %s",
			e.Dir, len(e.Projects), e.command(e.Projects[0], "--entrypoint", "MODULE:ATTRIBUTE"), strings.Join(e.Projects, ", "))
	case 1:
		return fmt.Sprintf("%s holds %d projects, and one of them has an app, build that: %s (without an app: %s)",
			e.Dir, len(e.Projects), e.command(e.Services[0]), display.JoinMax(others, maxShown))
	}
	text := fmt.Sprintf("%s holds %d projects with an app, build one of them:", e.Dir, len(e.Services))
	for _, service := range e.Services {
		text += "\n  " + e.command(service)
	}
	if len(others) > 0 {
		text += "\nwithout an app: " + display.JoinMax(others, maxShown)
	}
	return text
}

// maxShown is the number of projects without an app that an error names.
const maxShown = 10

// command returns the command that builds a project.
func (e *MonorepoError) command(project string, more ...string) string {
	return display.QuoteCommand(append([]string{"kubectl", "pyflow", "build", join(e.Dir, project)}, more...)...)
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
