package detect

import (
	"errors"
	"io/fs"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// maxServices is the number of projects that are searched for an app.
const maxServices = 100

// services returns the projects below the top that have an app.
func services(t *tree) []string {
	var found []string
	for i, dir := range t.projects {
		if i == maxServices {
			break
		}
		if hasApp(t, dir) {
			found = append(found, dir)
		}
	}
	return found
}

// hasApp reports whether an app is found in a project below the top. A file of it that
// cannot be understood is an error of its own build.
func hasApp(t *tree, dir string) bool {
	files, err := fs.Sub(t.files, dir)
	if err != nil {
		return false
	}
	below, err := openTree(files, dir)
	if err != nil {
		return false
	}
	m, err := readManifest(below)
	if err != nil {
		return false
	}
	dependencies, err := readDependencies(below, m)
	if err != nil {
		// Its lock may be above it.
		dependencies = unlocked(PEP621, m.Dependencies(), packaging.PyprojectFile)
	}
	code := newCode(below, m.root(below))
	app, err := findApp(newResolver(code), m, dependencies.installed(), findHints(code, m), Options{})
	return err == nil && app.App != nil || errors.As(err, new(*ManyAppsError))
}
