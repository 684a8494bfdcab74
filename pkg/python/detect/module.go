package detect

import (
	"path"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// module is a Python file as far as apps need it.
type module struct {
	file string
	// body are all statements of setup.py, which anything may matter of; other modules
	// have none.
	body []*syntax.Statement
	// imports are what names at the top of the module stand for.
	imports map[string]imported
	// stars are the modules that are imported with *.
	stars []imported
	// assigned, functions and classes are the names that the module defines itself;
	// order has the assigned ones in the order of their first assignment.
	assigned  map[string][]assignment
	functions map[string]function
	decorated map[string]bool
	// classes are the headers of classes.
	classes map[string][]syntax.Token
	order   []string
	// calls are those of the functions of isAsked, of setup.py all, wherever in the file.
	calls []*syntax.Call
}

// defines says whether a name may be one of the module's, as far as is seen without
// those that it imports with *.
func (m *module) defines(name string) bool {
	_, imported := m.imports[name]
	_, function := m.functions[name]
	return len(m.assigned[name]) > 0 || imported || function || len(m.stars) > 0
}

// imported is a module, or a name in it.
type imported struct {
	// level is the number of leading dots.
	level  int
	module string
	// name is empty for a module as a whole.
	name string
	// line is where the import is.
	line int
}

// dotted is the absolute name of what was imported.
func (i imported) dotted() string {
	if i.name == "" || i.module == "" {
		return i.module + i.name
	}
	return i.module + "." + i.name
}

// assignment is one value of a name.
type assignment struct {
	line  int
	value []syntax.Token
}

// function is one as text, which takes much less memory than its statements.
type function struct {
	line   int
	source string
}

// read returns the statement.
func (f function) read() *syntax.Statement { return syntax.Parse([]byte(f.source))[0] }

func newModule(file string, body []*syntax.Statement) *module {
	m := &module{
		file:    file,
		imports: map[string]imported{}, assigned: map[string][]assignment{},
		functions: map[string]function{}, decorated: map[string]bool{}, classes: map[string][]syntax.Token{},
	}
	if file == "setup.py" {
		m.body = body
	}
	m.block(body)
	m.collect(body)
	return m
}

// block reads the statements that run when the module is imported.
func (m *module) block(body []*syntax.Statement) {
	decorators := map[string]bool{}
	for _, statement := range body {
		tokens := statement.Tokens
		switch statement.Keyword() {
		case "@", "":
			if tokens[0].Is("@") {
				name, _ := syntax.Dotted(tokens[1:])
				decorators[name[strings.LastIndex(name, ".")+1:]] = true
				continue
			}
		case "import":
			m.importModules(tokens)
		case "from":
			m.importNames(tokens)
		case "def":
			if !tokens[0].Is("async") && len(tokens) > 1 && statement.Source != "" {
				m.functions[tokens[1].Text] = function{statement.Line, statement.Source}
				m.decorated[tokens[1].Text] = decorators["fixture"] || decorators["contextmanager"] || decorators["asynccontextmanager"]
			}
		case "class":
			if len(tokens) > 1 {
				m.classes[tokens[1].Text] = tokens
			}
		case "if", "elif", "else", "try", "except", "finally", "with", "for", "while":
			if !isMain(statement) {
				m.block(statement.Body)
			}
		default:
			m.assign(statement)
		}
		decorators = map[string]bool{}
	}
}

// isMain says whether a block runs only when the file is run as a program.
func isMain(statement *syntax.Statement) bool {
	for _, token := range statement.Tokens {
		if token.Is("__name__") {
			return true
		}
	}
	return false
}

// isAsked says whether calls of a function are asked for, by the last part of its name:
// in a large project all calls are more than there is memory for.
func isAsked(name string) bool {
	switch name[strings.LastIndex(name, ".")+1:] {
	case "run", "Granian", // servers
		"Mount", "mount", "DispatcherMiddleware", "include_router", "add_sub_application", "register_blueprint",
		"version", "metadata", "distribution", "entry_points", "get_distribution", "require",
		"setup", "Extension", "cythonize", "setdefault":
		return true
	}
	return false
}

// collect gathers calls of all statements.
func (m *module) collect(body []*syntax.Statement) {
	for _, statement := range body {
		if keyword := statement.Keyword(); keyword != "def" && keyword != "class" {
			for _, call := range syntax.Calls(statement.Tokens) {
				if of, _, ok := absolute(m, call.Name); m.body != nil || isAsked(call.Name) || ok && isAsked(of.name) {
					m.calls = append(m.calls, call)
				}
			}
		}
		m.collect(statement.Body)
	}
}

// assign reads name = value, name: type = value and a = b = value.
func (m *module) assign(statement *syntax.Statement) {
	for name, value := range assignments(statement.Tokens) {
		if _, known := m.assigned[name]; !known {
			m.order = append(m.order, name)
		}
		m.assigned[name] = append(m.assigned[name], assignment{statement.Line, value})
	}
}

// assignments yields the plain names that a statement assigns, and the value.
func assignments(tokens []syntax.Token) func(yield func(string, []syntax.Token) bool) {
	return func(yield func(string, []syntax.Token) bool) {
		parts := syntax.Split(tokens, "=")
		if len(parts) < 2 {
			return
		}
		value := parts[len(parts)-1]
		for _, target := range parts[:len(parts)-1] {
			if len(target) == 0 || target[0].Kind != syntax.Name || len(target) > 1 && !target[1].Is(":") {
				continue
			}
			if !yield(target[0].Text, value) {
				return
			}
			// The others have the value of the first.
			value = target[:1]
		}
	}
}

// importModules reads import a.b, c as d.
func (m *module) importModules(tokens []syntax.Token) {
	for _, part := range syntax.Split(tokens[1:], ",") {
		name, n := syntax.Dotted(part)
		switch {
		case n == 0:
		case n+1 < len(part) && part[n].Is("as"):
			m.imports[part[n+1].Text] = imported{module: name, line: tokens[0].Line}
		default:
			first, _, _ := strings.Cut(name, ".")
			m.imports[first] = imported{module: first, line: tokens[0].Line}
		}
	}
}

// importNames reads from ..a.b import c as d, e.
func (m *module) importNames(tokens []syntax.Token) {
	from := imported{line: tokens[0].Line}
	at := 1
	for ; at < len(tokens) && (tokens[at].Is(".") || tokens[at].Is("...")); at++ {
		from.level += len(tokens[at].Text)
	}
	if at < len(tokens) && !tokens[at].Is("import") {
		name, n := syntax.Dotted(tokens[at:])
		from.module = name
		at += n
	}
	if at >= len(tokens) || !tokens[at].Is("import") {
		return
	}
	names := tokens[at+1:]
	if len(names) > 0 && names[0].Is("(") {
		names = names[1:]
		if len(names) > 0 && names[len(names)-1].Is(")") {
			names = names[:len(names)-1]
		}
	}
	for _, part := range syntax.Split(names, ",") {
		if len(part) == 0 {
			continue
		}
		if part[0].Is("*") {
			m.stars = append(m.stars, from)
			continue
		}
		one := from
		one.name = part[0].Text
		local := one.name
		if len(part) > 2 && part[1].Is("as") {
			local = part[2].Text
		}
		m.imports[local] = one
	}
}

// find returns the file of a module that another one imports, looked for below the
// places from which the project's modules are imported.
func (t *tree) find(from string, of imported) (string, bool) {
	if of.level > 0 {
		dir := path.Dir(from)
		for range of.level - 1 {
			dir = path.Dir(dir)
		}
		return t.moduleFile(dir, of.module)
	}
	for _, root := range t.rootsOf(from) {
		if file, ok := t.moduleFile(root, of.module); ok {
			return file, true
		}
	}
	return "", false
}

// rootsOf are the directories in which an absolute import of a file may begin: all
// those above it, the nearest last.
func (t *tree) rootsOf(file string) []string {
	roots := []string{"."}
	if t.isDir("src") {
		roots = append(roots, "src")
	}
	parts := strings.Split(path.Dir(file), "/")
	for i := range parts {
		if dir := path.Join(parts[:i+1]...); dir != "." && dir != "src" {
			roots = append(roots, dir)
		}
	}
	return roots
}

// moduleFile returns the file of a module below a directory; that of the directory
// itself for an empty name.
func (t *tree) moduleFile(dir, dotted string) (string, bool) {
	base := path.Join(dir, strings.ReplaceAll(dotted, ".", "/"))
	if dotted != "" && t.has(base+".py") {
		return base + ".py", true
	}
	if file := path.Join(base, "__init__.py"); t.has(file) {
		return file, true
	}
	return "", false
}
