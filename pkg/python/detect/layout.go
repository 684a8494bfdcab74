package detect

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// defaultRoot is where the project's modules are imported from when no app says
// otherwise.
func (f *finder) defaultRoot() string {
	if dir, ok := f.manifest.Tool.Setuptools.PackageDir[""]; ok && f.isDir(path.Clean(dir)) {
		return path.Clean(dir)
	}
	if packages, ok := f.manifest.Tool.Setuptools.Packages.(map[string]any); ok {
		if find, ok := packages["find"].(map[string]any); ok {
			if where, ok := find["where"].([]any); ok && len(where) > 0 {
				if dir, ok := where[0].(string); ok && f.isDir(path.Clean(dir)) {
					return path.Clean(dir)
				}
			}
		}
	}
	for _, one := range f.manifest.Tool.Poetry.Packages {
		if one.From != "" && f.isDir(path.Clean(one.From)) {
			return path.Clean(one.From)
		}
	}
	if f.isDir("src") && !f.has("src/__init__.py") {
		return "src"
	}
	return "."
}

// rootOf is the directory from which a file with an app is imported.
func (f *finder) rootOf(file string) string {
	m := f.module(file)
	dir := path.Dir(file)
	if dir == "." {
		return "."
	}
	// A program's directory is on Python's path, and this one is Django's.
	for above := dir; above != "."; above = path.Dir(above) {
		if f.has(path.Join(above, "manage.py")) {
			return above
		}
	}
	root := f.packageRoot(dir)
	if root == "" && strings.HasPrefix(file, f.project.Root+"/") {
		root = f.project.Root
	}
	root = cmp.Or(root, ".")
	if m == nil {
		return root
	}
	// Absolute imports of the project's own modules show where the path begins.
	roots := f.rootsOf(file)
	slices.Reverse(roots)
	for _, of := range m.allImports() {
		if of.level > 0 || of.module == "" {
			continue
		}
		if f.hasModule(root, of.module) {
			return root
		}
		for _, one := range roots {
			if f.hasModule(one, of.module) {
				return one
			}
		}
	}
	return root
}

// packageRoot is the directory with the package in which a directory is, or nothing:
// the first one above it without an __init__.py.
func (f *finder) packageRoot(dir string) string {
	root := ""
	for ; dir != "."; dir = path.Dir(dir) {
		if f.has(dir + "/__init__.py") {
			root = path.Dir(dir)
		} else if root != "" {
			break
		}
	}
	return root
}

// allImports are the imports of a module in the order of the file.
func (m *module) allImports() []imported {
	var all []imported
	for _, of := range m.imports {
		all = append(all, of)
	}
	all = append(all, m.stars...)
	slices.SortFunc(all, func(a, b imported) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return strings.Compare(a.dotted(), b.dotted())
	})
	return all
}

// hasModule says whether a module is below a directory, or a package without
// __init__.py.
func (f *finder) hasModule(root, module string) bool {
	if _, ok := f.moduleFile(root, module); ok {
		return true
	}
	dir := path.Join(root, strings.ReplaceAll(module, ".", "/"))
	return slices.ContainsFunc(f.modules, func(file string) bool { return path.Dir(file) == dir })
}

// own says why the project itself has to be installed, and where that is seen;
// nothing when it does not have to be.
func (f *finder) own() (reason, source string, libraries []string) {
	backend := ""
	var requires []requirement
	if f.manifest.BuildSystem != nil {
		backend = f.manifest.BuildSystem.Backend
		requires = parseAll(f.manifest.BuildSystem.Requires, "")
	}
	setup := f.module("setup.py")
	if f.manifest.BuildSystem == nil && setup == nil {
		return "", "", nil
	}
	declared := f.lineOf("pyproject.toml", "[build-system]")
	first, _, _ := strings.Cut(backend, ".")
	switch first {
	case "maturin":
		return "compiled by maturin", declared, []string{compiler, "cargo"}
	case "scikit_build_core":
		return "compiled by scikit-build-core", declared, []string{compiler}
	case "mesonpy":
		return "compiled by meson-python", declared, []string{compiler}
	}
	for _, one := range requires {
		switch one.Name {
		case "setuptools-rust":
			return "compiled with " + one.Name, declared, []string{compiler, "cargo"}
		case "cython", "pybind11", "nanobind", "mypy", "cffi":
			return "compiled with " + one.Name, declared, []string{compiler}
		}
	}
	if len(f.manifest.Tool.Setuptools.ExtModules) > 0 {
		return "it has extensions", f.lineOf("pyproject.toml", "ext-modules"), []string{compiler}
	}
	if setup != nil {
		for _, call := range setup.calls {
			switch last := call.Name[strings.LastIndex(call.Name, ".")+1:]; {
			case last == "Extension", last == "cythonize", last == "setup" && call.Argument("ext_modules", -1) != nil:
				return "it has extensions", place("setup.py", call.Line), []string{compiler}
			}
		}
	}
	reason, source = f.askedFor()
	return reason, source, nil
}

// askedFor finds code that asks for the metadata of the project itself, which only
// an installed project has.
func (f *finder) askedFor() (reason, source string) {
	name := normalize(f.manifest.name())
	for _, file := range f.modules {
		if aside(file) || f.below(file) != "" {
			continue
		}
		m := f.module(file)
		if m == nil {
			continue
		}
		for _, call := range m.calls {
			full := call.Name
			if of, rest, ok := absolute(m, call.Name); ok {
				full = strings.TrimSuffix(of.dotted()+"."+rest, ".")
			}
			full = strings.Replace(full, "importlib_metadata.", "importlib.metadata.", 1)
			switch full {
			case "importlib.metadata.version", "importlib.metadata.metadata", "importlib.metadata.distribution",
				"pkg_resources.get_distribution", "pkg_resources.require":
			case "importlib.metadata.entry_points":
				if len(f.manifest.Project.EntryPoints) > 0 {
					return "its code asks for its entry points", place(file, call.Line)
				}
				continue
			default:
				continue
			}
			asked := call.Argument("distribution_name", 0)
			text, ok := syntax.Text(asked)
			top, _, _ := strings.Cut(strings.TrimPrefix(file, f.project.Root+"/"), "/")
			switch {
			case ok && normalize(text) == name,
				len(asked) == 1 && (asked[0].Is("__name__") || asked[0].Is("__package__")) && normalize(top) == name:
				return "its code asks for its version", place(file, call.Line)
			}
		}
	}
	return "", ""
}

// layout finds Code and Package.
func (f *finder) layout() error {
	if reason, source, libraries := f.own(); reason != "" {
		f.project.Package = true
		f.found("layout", "installed as a package, "+reason, source)
		f.project.Libraries.Build = slices.Compact(slices.Sorted(slices.Values(append(f.project.Libraries.Build, libraries...))))
	}
	if f.project.Root == "." {
		f.project.Code = []string{"."}
	} else {
		f.project.Code = []string{f.project.Root}
		for _, name := range []string{
			"alembic", "alembic.ini", "config", "data", "gunicorn.conf.py", "locale", "manage.py", "migrations", "public", "resources", "static", "templates",
		} {
			if f.isDir(name) || f.has(name) {
				f.project.Code = append(f.project.Code, name)
			}
		}
		slices.Sort(f.project.Code)
	}
	source := "default"
	if f.project.App != nil {
		source = f.project.App.File
	}
	f.found("layout", strings.Join(f.project.Code, ", "), source)
	return nil
}
