// Package detect determines what a Python project is: its app and server, its version
// of Python, its dependencies, and what they need of the system. It reads files and
// runs nothing.
//
// Detection is a row of passes. Each one has its inputs as parameters, and returns its
// result together with the evidence for it and warnings; Read puts the results together.
package detect

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Options are what the user decides; they take precedence over the files of the project.
type Options struct {
	// App is module:attribute, with () for a factory; it has to exist.
	App string
	// Python is major.minor.
	Python string
	// Port is the port that the app listens on.
	Port int
	// Web is the command line of the web process, a hint at the app and its port. WebSource is
	// where it is.
	Web, WebSource string
	// Above is the directory that the project may take files of, and has to be in; empty is
	// the root of its repository, or the home directory.
	Above string
	// AppSource, PythonSource and PortSource are where the user decided so, such as
	// --entrypoint or pyproject.toml:12; empty means the option of that name.
	AppSource, PythonSource, PortSource string
}

// Read determines what the Python project in a directory is. It reads only regular
// files in the directory, and those above it that the project names, up to limits of their
// size and number. A project without a
// web app is not an error: its App is nil.
//
// The error holds ErrNoProject if there is no Python project, or one of *toml.Error,
// *packaging.FileError, *packaging.LockError, *ManyAppsError, *NoSuchAppError,
// *MonorepoError and *PythonError, or ErrContext.
func Read(dir string, options Options) (*Project, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	above, within, err := openAbove(dir, options.Above)
	if err != nil {
		return nil, err
	}
	defer above.Close() //nolint:errcheck // nothing was written through it
	return readFS(source{files: root.FS(), above: above.FS(), within: within, aboveDir: above.Name()}, dir, options)
}

// source are the files of a project.
type source struct {
	files fs.FS
	// above, within and aboveDir are those of a tree.
	above            fs.FS
	within, aboveDir string
}

// readFS is Read for file systems; dir is the project's name in messages.
func readFS(from source, dir string, options Options) (*Project, error) {
	t, err := openTree(from.files, dir)
	if err != nil {
		return nil, err
	}
	t.above, t.within, t.aboveDir = from.above, from.within, from.aboveDir
	project, err := detect(t, options)
	if t.err != nil {
		// A file that cannot be read explains all other errors.
		return nil, t.err
	}
	return project, err
}

// detect runs the passes.
func detect(t *tree, options Options) (*Project, error) {
	manifest, err := readManifest(t)
	if err != nil {
		return nil, err
	}
	dependencies, err := readDependencies(t, manifest)
	if err != nil {
		return nil, err
	}
	dev, err := readDev(t, manifest, dependencies)
	if err != nil {
		return nil, err
	}
	packages := dependencies.installed()
	code := newCode(t, manifest.root(t))
	hints := slices.Concat(webHints(options), findHints(code, manifest))
	app, err := findApp(newResolver(code), manifest, packages, hints, options)
	if err != nil {
		return nil, err
	}
	python, err := choosePython(t, manifest, dependencies.lock, options)
	if err != nil {
		return nil, err
	}
	server := chooseServer(app.App, packages, python.version)
	port := choosePort(hints, options)
	libraries := findLibraries(packages)
	layout := findLayout(code, manifest, app.App, app.root)
	django := findDjango(code, packages, app.App)

	project := &Project{
		Name: manifest.Name(), Python: python.version, Port: port.number, Root: app.root, Code: layout.code, Package: layout.installed,
		Dependencies: dependencies.Dependencies, Dev: dev.Dependencies, Libraries: libraries.Libraries,
		Django: django.Django, Suggestions: suggest(code, packages, django.Django),
	}
	if app.App != nil {
		served := *app.App
		served.Server = server.name
		project.App, project.PassedOver = &served, app.passedOver
	}
	if server.extra != "" {
		project.Extra = []string{server.extra}
	}
	project.Libraries.Build = slices.Compact(slices.Sorted(slices.Values(append(project.Libraries.Build, layout.libraries...))))
	all := notes{warnings: slices.Concat(t.warnings, manifest.warnings)}
	all.add(dependencies.notes, dev.notes, app.notes, python.notes, server.notes, port.notes, libraries.notes, layout.notes, django.notes)
	all = all.printable()
	project.Evidence, project.Warnings = all.evidence, all.warnings
	return project, nil
}
