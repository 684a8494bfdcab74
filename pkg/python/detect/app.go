package detect

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// foundApp is the app of a project; App is nil if it has none.
type foundApp struct {
	*App
	// root is the directory from which its module is imported.
	root string
	// passedOver are the sources of the hints at apps that do not exist.
	passedOver []string
	notes
}

// findApp returns the app that the user names, else the one that a file of the project
// names, else that of a Django project, else the only one of the code.
func findApp(r *resolver, m *manifest, packages installed, hints []hint, options Options) (*foundApp, error) {
	if options.App != "" {
		return namedApp(r, packages, options)
	}
	found, passedOver, warnings := hintedApp(r, packages, hints)
	if found == nil {
		c, err := searchApp(r, packages)
		if err != nil {
			return nil, err
		}
		if found = takeCandidate(r, c); found == nil {
			if err := explainNoApp(r, m); err != nil {
				return nil, err
			}
			found = &foundApp{root: r.root}
		}
	}
	found.passedOver, found.warnings = passedOver, append(warnings, found.warnings...)
	return found, nil
}

// newFoundApp returns an app with the evidence of it.
func newFoundApp(app *App, root, source string) *foundApp {
	found := &foundApp{App: app, root: root}
	text := app.Object
	if app.Factory {
		text += "()"
	}
	found.found("app", text, source)
	found.found("framework", app.Framework, app.File)
	return found
}

// newApp returns the app of a value, with the server for its protocol.
func newApp(v *value, file, object string, factory bool) *App {
	app := &App{Object: object, Factory: factory, Framework: v.framework.name, File: file, Server: "gunicorn"}
	if v.asgi {
		app.Server = "uvicorn"
	}
	return app
}

// takeCandidate returns the app of a candidate; nil for nil.
func takeCandidate(r *resolver, c *candidate) *foundApp {
	if c == nil {
		return nil
	}
	root := r.rootOf(c.file)
	app := newApp(c.value, c.file, objectName(root, c.file, c.name), c.factory)
	return newFoundApp(app, root, place(c.file, c.line))
}

// namedApp returns the app that the user names.
func namedApp(r *resolver, packages installed, options Options) (*foundApp, error) {
	source := cmp.Or(options.AppSource, "--entrypoint")
	h := hint{}
	h.setApp(options.App)
	module, attribute, ok := strings.Cut(h.app, ":")
	if !ok || !isDotted(module) || !isDotted(attribute) {
		return nil, &NoSuchAppError{App: options.App, Source: source, Problem: "it has to be module:attribute, such as main:app"}
	}
	app, root, problem := verify(r, packages, h)
	if problem != "" {
		return nil, &NoSuchAppError{App: options.App, Source: source, Problem: problem}
	}
	return newFoundApp(app, root, source), nil
}

// hintedApp returns the first app that a hint names and that exists, or nil, and the sources
// of the others with warnings.
func hintedApp(r *resolver, packages installed, hints []hint) (found *foundApp, passedOver, warnings []string) {
	n := notes{}
	for _, h := range hints {
		if h.app == "" {
			continue
		}
		app, root, problem := verify(r, packages, h)
		if problem == "" {
			return newFoundApp(app, root, h.source), passedOver, n.warnings
		}
		passedOver = append(passedOver, h.source)
		n.warn("%s names the app %s, which is passed over: %s", h.source, h.app, problem)
	}
	return nil, passedOver, n.warnings
}

// searchApp returns the app of a Django project, or the only app of the code; nil if
// there is none.
func searchApp(r *resolver, packages installed) (*candidate, error) {
	if c := djangoApp(r, packages); c != nil {
		return c, nil
	}
	switch left := freeCandidates(r); len(left) {
	case 0:
		return nil, nil //nolint:nilnil // a project without an app is no error
	case 1:
		c := completed(r, left[0])
		return &c, nil
	default:
		failure := &ManyAppsError{}
		for _, c := range left {
			failure.Apps = append(failure.Apps, r.objectOf(c))
			failure.Files = append(failure.Files, place(c.file, c.line))
		}
		return nil, failure
	}
}

// explainNoApp returns why a project without an app cannot be built, or nil if it is
// only a project without one.
func explainNoApp(r *resolver, m *manifest) error {
	hasApp := func(dir string) bool {
		return slices.ContainsFunc(r.modules, func(file string) bool {
			return strings.HasPrefix(file, dir+"/") && !isAside(file) && len(r.candidates(file)) > 0
		})
	}
	isProject := r.isProject()
	if len(r.projects) > 0 && (!isProject || m.isWorkspace(r.tree) || slices.ContainsFunc(r.projects, hasApp)) {
		return &MonorepoError{Dir: r.dir, Projects: r.projects, Services: services(r.tree)}
	}
	if c := factoryWithArguments(r); c != nil {
		return &NoSuchAppError{App: r.objectOf(*c), Source: place(c.file, c.line), Problem: withoutArguments(c.name)}
	}
	if !isProject {
		return ErrNoProject
	}
	return nil
}

// withoutArguments explains why a server cannot call a function.
func withoutArguments(function string) string {
	return fmt.Sprintf("a server calls %s without arguments, and it needs some: assign what it returns to a name, such as app = %s(...), and use that", function, function)
}

// verify returns the app that a hint names with its root, or a problem.
func verify(r *resolver, packages installed, h hint) (app *App, root, problem string) {
	module, attribute, ok := strings.Cut(h.app, ":")
	if !isDotted(module) || ok && !isDotted(attribute) {
		return nil, "", "it is not module:attribute"
	}
	file, root := hintedModule(r, module, attribute, h.dir)
	if file == "" {
		return nil, "", fmt.Sprintf("there is no module %s", module)
	}
	if !ok {
		if attribute = defaultName(r, file, h.server); attribute == "" {
			return nil, "", fmt.Sprintf("%s has no app", file)
		}
	}
	v := r.lookup(file, attribute, 0)
	if v == nil {
		if !r.module(file).defines(firstName(attribute)) {
			return nil, "", fmt.Sprintf("%s does not define %s", file, attribute)
		}
		v = &value{framework: assumedFramework(packages, h.server), factory: h.factory}
	}
	if v.factory && v.arguments {
		return nil, "", withoutArguments(attribute)
	}
	app = newApp(v, file, objectName(root, file, attribute), v.factory || h.factory)
	if v.asgi && h.server == "hypercorn" {
		app.Server = h.server
	}
	return app, root, ""
}

// assumedFramework returns the framework of an app that is named and whose code does not
// show one.
func assumedFramework(packages installed, server string) framework {
	if server == "gunicorn" || server == "" && packages.has("flask", "django", "gunicorn") {
		return framework{name: "wsgi"}
	}
	return framework{name: "asgi", asgi: true}
}

// hintedModule returns the file of a module that a hint names, and the directory from
// which it is imported: the first that defines the attribute, else the first with such
// a module. It returns nothing if there is none.
func hintedModule(r *resolver, module, attribute, dir string) (file, root string) {
	defines := func(file string) bool { return attribute == "" || r.module(file).defines(firstName(attribute)) }
	top, below := hintedRoots(r, dir)
	for i, one := range slices.Concat(top, below) {
		found, ok := r.moduleFile(one, module)
		// Far below the top, only a directory counts from which the search would import
		// the file.
		if !ok || i >= len(top) && r.rootOf(found) != one {
			continue
		}
		if defines(found) {
			return found, one
		}
		if file == "" {
			file, root = found, one
		}
	}
	return file, root
}

// hintedRoots returns the directories from which the module of a hint may be imported:
// those at the top, and those below.
func hintedRoots(r *resolver, dir string) (top, below []string) {
	if clean := path.Clean(dir); dir != "" && clean != "." && fs.ValidPath(clean) {
		top = append(top, clean)
	}
	top = append(top, r.root, ".", "src")
	for _, one := range r.dirs {
		switch {
		case !strings.Contains(one, "/"):
			top = append(top, one)
		case !isAside(one + "/"):
			below = append(below, one)
		}
	}
	return top, below
}

// firstName returns the first part of a dotted name.
func firstName(dotted string) string {
	first, _, _ := strings.Cut(dotted, ".")
	return first
}

// isDotted reports whether a text is a name such as a.b.c.
func isDotted(text string) bool {
	return !slices.ContainsFunc(strings.Split(text, "."), func(part string) bool { return !isIdentifier(part) })
}

// isIdentifier reports whether a text is a name of Python. Every character outside of
// ASCII counts as a letter.
func isIdentifier(text string) bool {
	if text == "" || text[0] >= '0' && text[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(text, func(char rune) bool {
		isLetter := char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= utf8.RuneSelf
		return !isLetter && char != '_' && (char < '0' || char > '9')
	})
}
