package detect

import (
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// layout is what of a directory an app needs when it runs.
type layout struct {
	// code are files and directories, sorted.
	code []string
	// installed reports that the project has to be installed as a package, and
	// libraries are what that needs to compile.
	installed bool
	libraries []string
	notes
}

// findLayout returns the layout of a project whose app, which may be nil, is imported
// from root.
func findLayout(c *code, m *manifest, app *App, root string) layout {
	l := layout{}
	if why := whyInstalled(c, m, root); why != nil {
		l.installed, l.libraries = true, why.libraries
		l.found("layout", "installed as a package, "+why.reason, why.position.String())
	}
	l.code = []string{root}
	if root != "." {
		for _, name := range runtimeFiles() {
			if c.isDir(name) || c.has(name) {
				l.code = append(l.code, name)
			}
		}
		slices.Sort(l.code)
	}
	source := "default"
	if app != nil {
		source = app.File
	}
	l.found("layout", strings.Join(l.code, ", "), source)
	return l
}

// runtimeFiles returns the names of files and directories beside the code that apps
// read when they run.
func runtimeFiles() []string {
	return []string{
		"alembic", "alembic.ini", "config", "data", "gunicorn.conf.py", "locale", "manage.py", "migrations", "public", "resources", "static", "templates",
	}
}

// installation is why a project has to be installed as a package.
type installation struct {
	reason   string
	position packaging.Position
	// libraries are the Debian packages that it needs to compile.
	libraries []string
}

// compiledBackends returns the build backends that compile code, by the first part of
// their name.
func compiledBackends() map[string]installation {
	return map[string]installation{
		"maturin":           {reason: "compiled by maturin", libraries: []string{compiler, "cargo"}},
		"scikit_build_core": {reason: "compiled by scikit-build-core", libraries: []string{compiler}},
		"mesonpy":           {reason: "compiled by meson-python", libraries: []string{compiler}},
	}
}

// compiledRequirements returns what the packages that compile code need, by the name by
// which [build-system] requires them.
func compiledRequirements() map[string][]string {
	return map[string][]string{
		"setuptools-rust": {compiler, "cargo"}, "cython": {compiler}, "pybind11": {compiler}, "nanobind": {compiler}, "mypy": {compiler}, "cffi": {compiler},
	}
}

// whyInstalled returns why the project has to be installed as a package, or nil.
func whyInstalled(c *code, m *manifest, root string) *installation {
	if m.BuildSystem == nil && !m.setup.HasScript {
		return nil
	}
	if m.BuildSystem != nil {
		declared := m.Find("[build-system]")
		if backend, ok := compiledBackends()[firstName(m.BuildSystem.Backend)]; ok {
			backend.position = declared
			return &backend
		}
		compiling := compiledRequirements()
		for _, one := range packaging.ParseRequirements(m.BuildSystem.Requires, declared) {
			if libraries, ok := compiling[one.Name]; ok {
				return &installation{"compiled with " + one.Name, declared, libraries}
			}
		}
	}
	if len(m.Tool.Setuptools.ExtModules) > 0 {
		return &installation{"it has extensions", m.Find("ext-modules"), []string{compiler}}
	}
	if at := m.setup.Extensions; !at.IsZero() {
		return &installation{"it has extensions", at, []string{compiler}}
	}
	return asksForMetadata(c, m, root)
}

// asksForMetadata returns the first call of the code that asks for the metadata of the
// project itself, which only an installed project has; nil without one.
func asksForMetadata(c *code, m *manifest, root string) *installation {
	name := packaging.NormalizeName(m.Name())
	for module := range c.own() {
		top, _, _ := strings.Cut(strings.TrimPrefix(module.file, root+"/"), "/")
		for full, call := range module.fullCalls() {
			at := packaging.Position{File: module.file, Line: call.Line}
			switch strings.Replace(full, "importlib_metadata.", "importlib.metadata.", 1) {
			case "importlib.metadata.entry_points":
				if len(m.Project.EntryPoints) > 0 {
					return &installation{reason: "its code asks for its entry points", position: at}
				}
			case "importlib.metadata.version", "importlib.metadata.metadata", "importlib.metadata.distribution",
				"pkg_resources.get_distribution", "pkg_resources.require":
				if isProjectName(call.Argument("distribution_name", 0), name, packaging.NormalizeName(top)) {
					return &installation{reason: "its code asks for its version", position: at}
				}
			}
		}
	}
	return nil
}

// isProjectName reports whether an argument is the name of the project, or that of the
// module, whose top package has the project's name.
func isProjectName(argument []syntax.Token, project, top string) bool {
	if text, ok := syntax.Text(argument); ok {
		return packaging.NormalizeName(text) == project
	}
	return len(argument) == 1 && (argument[0].Is("__name__") || argument[0].Is("__package__")) && top == project
}
