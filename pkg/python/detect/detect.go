package detect

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// DefaultPort is where an app listens of which nothing says where.
const DefaultPort = 8000

// Options are what the user says; it wins over what the project's files say.
type Options struct {
	// App is module:attribute, with () for a factory; it has to be there.
	App string
	// Python is major.minor.
	Python string
	// Port is where the app listens.
	Port int
	// AppSource, PythonSource and PortSource are where the user said so, such as
	// --entrypoint or pyproject.toml:12; empty means the option of that name.
	AppSource, PythonSource, PortSource string
}

// Read finds out what the Python project in a directory is. It reads regular files
// in the directory only, of bounded size and number, and runs nothing. A project
// without a web app is no error: its App is nil.
//
// Errors hold project.ErrNoProject when there is no Python project, or one of
// *pyproject.Error, *FileError, *ManyAppsError, *NoSuchAppError, *MonorepoError,
// *PythonError and *LockError.
func Read(dir string, options Options) (*Project, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	return readFS(root.FS(), dir, options)
}

// finder is one reading of a project.
type finder struct {
	*tree
	dir      string
	options  Options
	manifest *manifest
	project  *Project
	// locked are the versions of all packages that are installed to run the app, as
	// far as a lock says them, and direct what the project itself names.
	locked map[string]lockedPackage
	direct []requirement
	// packages are all those of uv's or Poetry's lock.
	packages map[string]lockedPackage
	// lockFile is the lock that was read, or empty.
	lockFile string
	pipfile  pipfile
}

func readFS(files fs.FS, dir string, options Options) (*Project, error) {
	t, err := newTree(files)
	if err != nil {
		return nil, err
	}
	f := &finder{tree: t, dir: dir, options: options, project: &Project{}, manifest: &manifest{}, locked: map[string]lockedPackage{}}
	if content, ok := t.read(settings.File); ok {
		if err := settings.Decode(settings.File, content, f.manifest); err != nil {
			return nil, err
		}
	}
	steps := []func() error{f.dependencies, f.app, f.python, f.server, f.port, f.libraries, f.layout}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
		if f.err != nil {
			return nil, f.err
		}
	}
	f.project.Name = f.manifest.name()
	order := []string{"app", "framework", "server", "python", "dependencies", "tests", "port", "library", "layout"}
	slices.SortStableFunc(f.project.Evidence, func(a, b Evidence) int {
		return slices.Index(order, a.What) - slices.Index(order, b.What)
	})
	for _, warning := range f.warnings {
		f.project.Warnings = append(f.project.Warnings, display.Sanitize(warning))
	}
	for i, one := range f.project.Evidence {
		f.project.Evidence[i] = Evidence{What: one.What, Value: display.Sanitize(one.Value), Source: display.Sanitize(one.Source)}
	}
	return f.project, nil
}

// found adds to the evidence.
func (f *finder) found(what, value, source string) {
	f.project.Evidence = append(f.project.Evidence, Evidence{What: what, Value: value, Source: source})
}

// isPython says whether the top of the directory is a Python project.
func (f *finder) isPython() bool {
	for _, name := range []string{"pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile"} {
		if f.has(name) {
			return true
		}
	}
	return f.isDir("requirements") || slices.ContainsFunc(f.modules, func(file string) bool { return !strings.Contains(file, "/") })
}

// app finds the app, and Root.
func (f *finder) app() error {
	f.project.Root = f.defaultRoot()
	if f.options.App != "" {
		return f.named()
	}
	for _, h := range f.hints(f.manifest) {
		if h.app == "" {
			continue
		}
		if app, root, problem := f.verify(h); app != nil {
			f.keep(app, root, h.source)
			return nil
		} else if problem != "" {
			f.warn("%s names the app %s, which is passed over: %s", h.source, h.app, problem)
		}
	}
	if f.django() {
		return nil
	}
	chosen, err := f.search()
	if err != nil || chosen != nil {
		if chosen != nil {
			f.keepCandidate(*chosen)
		}
		return err
	}
	if len(f.projects) > 0 && (!f.isPython() || f.isWorkspace() || slices.ContainsFunc(f.projects, f.hasApp)) {
		return &MonorepoError{Dir: f.dir, Projects: f.projects}
	}
	if err := f.uncalled(); err != nil {
		return err
	}
	if !f.isPython() {
		return ErrNoProject
	}
	return nil
}

// isWorkspace says whether the project at the top is there to hold others.
func (f *finder) isWorkspace() bool {
	return f.manifest.Project.Name == "" && f.manifest.Tool.Poetry.Name == "" && f.has(settings.File) || len(f.manifest.Tool.UV.Workspace.Members) > 0
}

// hasApp says whether there is an app in a project below the top.
func (f *finder) hasApp(dir string) bool {
	return slices.ContainsFunc(f.modules, func(file string) bool {
		return strings.HasPrefix(file, dir+"/") && !aside(file) && len(f.candidates(file)) > 0
	})
}

// named takes the app that the user named.
func (f *finder) named() error {
	source := f.options.AppSource
	if source == "" {
		source = "--entrypoint"
	}
	h := hint{app: strings.TrimSuffix(f.options.App, "()"), factory: strings.HasSuffix(f.options.App, "()")}
	module, attribute, ok := strings.Cut(h.app, ":")
	if !ok || !isDotted(module) || !isDotted(attribute) {
		return &NoSuchAppError{App: f.options.App, Source: source, Problem: "it has to be module:attribute, such as main:app"}
	}
	app, root, problem := f.verify(h)
	if app == nil {
		return &NoSuchAppError{App: f.options.App, Source: source, Problem: problem}
	}
	f.keep(app, root, source)
	return nil
}

// isDotted says whether the text is a name such as a.b.c.
func isDotted(text string) bool {
	for _, part := range strings.Split(text, ".") {
		if part == "" || strings.ContainsAny(part[:1], "0123456789") {
			return false
		}
		for _, char := range part {
			if char != '_' && char < 0x80 && !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", char) {
				return false
			}
		}
	}
	return true
}

// verify looks up what a hint names, and returns it with its root, or what is wrong
// with it.
func (f *finder) verify(h hint) (*App, string, string) {
	module, attribute, ok := strings.Cut(h.app, ":")
	if !isDotted(module) || ok && !isDotted(attribute) {
		return nil, "", "it is not module:attribute"
	}
	roots := []string{f.project.Root, ".", "src"}
	if h.dir != "" && h.dir != "." && fs.ValidPath(path.Clean(h.dir)) {
		roots = append([]string{path.Clean(h.dir)}, roots...)
	}
	for _, dir := range f.dirs {
		if !strings.Contains(dir, "/") {
			roots = append(roots, dir)
		}
	}
	top := len(roots)
	for _, dir := range f.dirs {
		if strings.Contains(dir, "/") && !aside(dir+"/") {
			roots = append(roots, dir)
		}
	}
	first, _, _ := strings.Cut(attribute, ".")
	file, root := "", ""
	for i, one := range roots {
		found, there := f.moduleFile(one, module)
		// Deep down a directory is one from which the search would import the file.
		if !there || i >= top && f.rootOf(found) != one {
			continue
		}
		defines := ok && f.module(found).defines(first)
		if file == "" || defines {
			file, root = found, one
		}
		if defines || !ok {
			break
		}
	}
	if file == "" {
		return nil, "", fmt.Sprintf("there is no module %s", module)
	}
	if !ok {
		attribute = f.attribute(file, h)
		if attribute == "" {
			return nil, "", fmt.Sprintf("%s has no app", file)
		}
	}
	v := f.lookup(file, attribute, 0)
	if v == nil {
		if first, _, _ = strings.Cut(attribute, "."); !f.module(file).defines(first) {
			return nil, "", fmt.Sprintf("%s does not define %s", file, attribute)
		}
		v = &value{framework: "asgi", asgi: true, factory: h.factory}
		if h.server == "gunicorn" || h.server == "" && f.mentions("flask", "django", "gunicorn") {
			v = &value{framework: "wsgi", factory: h.factory}
		}
	}
	if v.factory && v.arguments {
		return nil, "", needsArguments(attribute)
	}
	app := f.describe(v, file, object(root, file, attribute), v.factory || h.factory)
	if v.asgi && h.server == "hypercorn" {
		app.Server = h.server
	}
	return app, root, ""
}

func needsArguments(function string) string {
	return fmt.Sprintf("a server calls %s without arguments, and it needs some: assign what it returns to a name, such as app = %s(...), and use that", function, function)
}

// uncalled is the error that all that the code has is a factory that needs arguments.
func (f *finder) uncalled() error {
	for _, file := range f.modules {
		if aside(file) || f.below(file) != "" {
			continue
		}
		m := f.module(file)
		if m == nil {
			continue
		}
		functions := m.functions
		for _, name := range slices.Sorted(maps.Keys(functions)) {
			// What is given an app makes none.
			v := f.lookup(file, name, 0)
			if v == nil || !v.arguments || strings.HasPrefix(name, "_") || slices.ContainsFunc(functions[name].read().Tokens, func(t syntax.Token) bool { return t.Is("app") }) {
				continue
			}
			return &NoSuchAppError{
				App: object(f.rootOf(file), file, name), Source: place(file, functions[name].line), Problem: needsArguments(name),
			}
		}
	}
	return nil
}

// attribute is what servers take when a module is named alone.
func (f *finder) attribute(file string, h hint) string {
	for _, name := range []string{"application", "app", "api"} {
		if h.server == "gunicorn" && name != "application" {
			break
		}
		if v := f.lookup(file, name, 0); v != nil && !v.factory {
			return name
		}
	}
	if found := f.candidates(file); len(found) > 0 {
		return found[0].name
	}
	return ""
}

// describe makes the result of a value.
func (f *finder) describe(v *value, file, object string, factory bool) *App {
	app := &App{Object: object, Factory: factory, Framework: v.framework, File: file, Server: "gunicorn"}
	if v.asgi {
		app.Server = "uvicorn"
	}
	return app
}

func (f *finder) keep(app *App, root, source string) {
	f.project.App, f.project.Root = app, root
	text := app.Object
	if app.Factory {
		text += "()"
	}
	f.found("app", text, source)
	f.found("framework", app.Framework, app.File)
}

func (f *finder) keepCandidate(c candidate) {
	root := f.rootOf(c.file)
	f.keep(f.describe(c.value, c.file, object(root, c.file, c.name), c.value.factory), root, place(c.file, c.line))
}

// search finds the one app in the project's code, if there is one.
func (f *finder) search() (*candidate, error) {
	var all []candidate
	held := map[string]bool{}
	for _, file := range f.modules {
		if aside(file) || f.below(file) != "" {
			continue
		}
		all = append(all, f.candidates(file)...)
		for _, key := range f.mounted(file) {
			held[key] = true
		}
	}
	for _, c := range all {
		for _, key := range c.value.from {
			held[key] = true
		}
	}
	// What another name stands for counts once: as the name that a server is most
	// likely given.
	best := map[string]candidate{}
	for _, c := range all {
		own := c.file + ":" + c.name
		origin := c.value.file + ":" + c.value.name
		if held[own] {
			continue
		}
		if before, ok := best[origin]; !ok || rank(c) < rank(before) {
			best[origin] = c
		}
	}
	var left []candidate
	for _, c := range best {
		left = append(left, c)
	}
	if slices.ContainsFunc(left, func(c candidate) bool { return !c.value.factory }) {
		// A factory beside an object in its own module is another way to the object.
		left = slices.DeleteFunc(left, func(c candidate) bool {
			return c.value.factory && slices.ContainsFunc(left, func(o candidate) bool { return !o.value.factory && o.file == c.file })
		})
	}
	switch len(left) {
	case 0:
		return nil, nil //nolint:nilnil // no app is no error
	case 1:
		c := f.completed(left[0])
		return &c, nil
	}
	slices.SortFunc(left, func(a, b candidate) int {
		return strings.Compare(object(f.rootOf(a.file), a.file, a.name), object(f.rootOf(b.file), b.file, b.name))
	})
	failure := &ManyAppsError{}
	for _, c := range left {
		failure.Apps = append(failure.Apps, object(f.rootOf(c.file), c.file, c.name))
		failure.Files = append(failure.Files, place(c.file, c.line))
	}
	return nil, failure
}

// completed is an app as the module has it that imports it and adds routes to it:
// where it is made, it has none of them yet. That is so for one such module, which
// the first one does not import itself.
func (f *finder) completed(c candidate) candidate {
	origin := c.file + ":" + c.name
	var found []candidate
	for _, file := range f.modules {
		m := f.module(file)
		if m == nil || file == c.file || c.value.factory || aside(file) || f.below(file) != "" {
			continue
		}
		for _, call := range m.calls {
			name, method, _ := strings.Cut(call.Name, ".")
			if !slices.Contains([]string{"include_router", "mount", "register_blueprint"}, method) {
				continue
			}
			of, ok := m.imports[name]
			if v := f.lookup(file, name, 0); ok && of.name != "" && v != nil && !v.factory && slices.Contains(v.seen, origin) {
				found = append(found, candidate{file, name, call.Line, v})
				break
			}
		}
	}
	if len(found) != 1 {
		return c
	}
	for _, of := range f.module(c.file).allImports() {
		whole := imported{level: of.level, module: of.module}
		if file, ok := f.find(c.file, whole); ok && file == found[0].file {
			return c
		}
		whole.module = strings.TrimPrefix(of.module+"."+of.name, ".")
		if file, ok := f.find(c.file, whole); ok && file == found[0].file {
			return c
		}
	}
	return found[0]
}

// rank orders the names of one app: objects before factories, and the customary
// modules before others.
func rank(c candidate) int {
	order := 10
	if c.value.factory {
		order += 100
	}
	base := strings.TrimSuffix(path.Base(c.file), ".py")
	if at := slices.Index([]string{"asgi", "wsgi", "main", "app", "application", "server"}, base); at >= 0 {
		order -= 6 - at
	}
	return order + 20*strings.Count(c.file, "/")/2
}
