package detect

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// module is a Python file, as far as finding apps needs it.
type module struct {
	file string
	// imports are what names at the top of the module stand for.
	imports map[string]imported
	// stars are the modules that are imported with *.
	stars []imported
	// assigned, functions and classes are the names that the module defines itself;
	// order lists the assigned ones in the order of their first assignment.
	assigned  map[string][]assignment
	functions map[string]function
	order     []string
	// classes are the headers of classes.
	classes map[string][]syntax.Token
	// calls are the calls that isRelevant selects, wherever they are in the file.
	calls []*syntax.Call
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

// dotted returns the absolute name of what was imported.
func (i imported) dotted() string {
	if i.name == "" || i.module == "" {
		return i.module + i.name
	}
	return i.module + "." + i.name
}

// parent returns the module in which the name is.
func (i imported) parent() imported { return imported{level: i.level, module: i.module} }

// assignment is one value of a name.
type assignment struct {
	line  int
	value []syntax.Token
}

// function is a function as text, which takes much less memory than its statements.
type function struct {
	line   int
	source string
	// wrapped reports a decorator whose result is not what the function returns.
	wrapped bool
}

// parse returns the statement of the function.
func (f function) parse() *syntax.Statement { return syntax.Parse([]byte(f.source))[0] }

// newModule reads the statements of a file.
func newModule(file string, body []*syntax.Statement) *module {
	m := &module{
		file: file, imports: map[string]imported{}, assigned: map[string][]assignment{},
		functions: map[string]function{}, classes: map[string][]syntax.Token{},
	}
	m.addBlock(body)
	m.addCalls(body)
	return m
}

// defines reports whether a name may be one of the module's, as far as that shows
// without the names that it imports with *.
func (m *module) defines(name string) bool {
	_, imported := m.imports[name]
	_, function := m.functions[name]
	return len(m.assigned[name]) > 0 || imported || function || len(m.stars) > 0
}

// addBlock adds the statements that run when the module is imported.
func (m *module) addBlock(body []*syntax.Statement) {
	var decorators []string
	for _, statement := range body {
		tokens := statement.Tokens
		if tokens[0].Is("@") {
			name, _ := syntax.Dotted(tokens[1:])
			decorators = append(decorators, lastName(name))
			continue
		}
		switch statement.Keyword() {
		case "import":
			m.addImport(tokens)
		case "from":
			m.addFromImport(tokens)
		case "def":
			m.addFunction(statement, decorators)
		case "class":
			if len(tokens) > 1 {
				m.classes[tokens[1].Text] = tokens
			}
		case "if", "elif", "else", "try", "except", "finally", "with", "for", "while":
			if !isMain(statement) {
				m.addBlock(statement.Body)
			}
		default:
			m.addAssignment(statement)
		}
		decorators = nil
	}
}

// addFunction adds a function that a server could call, which a coroutine is not.
func (m *module) addFunction(statement *syntax.Statement, decorators []string) {
	tokens := statement.Tokens
	if tokens[0].Is("async") || len(tokens) < 2 || statement.Source == "" {
		return
	}
	wrapped := slices.ContainsFunc(decorators, func(name string) bool {
		return name == "fixture" || name == "contextmanager" || name == "asynccontextmanager"
	})
	m.functions[tokens[1].Text] = function{statement.Line, statement.Source, wrapped}
}

// isMain reports whether a block runs only when the file is run as a program.
func isMain(statement *syntax.Statement) bool {
	return slices.ContainsFunc(statement.Tokens, func(token syntax.Token) bool { return token.Is("__name__") })
}

// isRelevant reports whether the calls of a function matter, by its name: in a large
// project all calls are more than there is memory for.
func isRelevant(name string) bool {
	switch lastName(name) {
	case "run", "Granian", // servers
		"Mount", "mount", "DispatcherMiddleware", "include_router", "add_sub_application", "register_blueprint",
		"version", "metadata", "distribution", "entry_points", "get_distribution", "require",
		"setdefault":
		return true
	}
	return false
}

// addCalls adds the relevant calls of all statements.
func (m *module) addCalls(body []*syntax.Statement) {
	for _, statement := range body {
		if keyword := statement.Keyword(); keyword != "def" && keyword != "class" {
			for _, call := range syntax.Calls(statement.Tokens) {
				if of, _, ok := absolute(m, call.Name); isRelevant(call.Name) || ok && isRelevant(of.name) {
					m.calls = append(m.calls, call)
				}
			}
		}
		m.addCalls(statement.Body)
	}
}

// addAssignment adds the names that a statement assigns.
func (m *module) addAssignment(statement *syntax.Statement) {
	for name, value := range syntax.Assignments(statement.Tokens) {
		if _, known := m.assigned[name]; !known {
			m.order = append(m.order, name)
		}
		m.assigned[name] = append(m.assigned[name], assignment{statement.Line, value})
	}
}

// addImport adds the names of import a.b, c as d.
func (m *module) addImport(tokens []syntax.Token) {
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

// addFromImport adds the names of from ..a.b import c as d, e.
func (m *module) addFromImport(tokens []syntax.Token) {
	from, names, ok := parseFrom(tokens)
	if !ok {
		return
	}
	for _, part := range syntax.Split(names, ",") {
		switch {
		case len(part) == 0:
		case part[0].Is("*"):
			m.stars = append(m.stars, from)
		default:
			one := from
			one.name = part[0].Text
			local := one.name
			if len(part) > 2 && part[1].Is("as") {
				local = part[2].Text
			}
			m.imports[local] = one
		}
	}
}

// parseFrom returns the module of a from statement, and the tokens of the names that it
// imports, without brackets.
func parseFrom(tokens []syntax.Token) (from imported, names []syntax.Token, ok bool) {
	from.line = tokens[0].Line
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
		return from, nil, false
	}
	names = tokens[at+1:]
	if len(names) > 0 && names[0].Is("(") {
		names = names[1:]
		if len(names) > 0 && names[len(names)-1].Is(")") {
			names = names[:len(names)-1]
		}
	}
	return from, names, true
}

// allImports returns the imports of a module in the order of the file.
func (m *module) allImports() []imported {
	all := append(slices.Collect(maps.Values(m.imports)), m.stars...)
	slices.SortFunc(all, func(a, b imported) int {
		return cmp.Or(a.line-b.line, strings.Compare(a.dotted(), b.dotted()))
	})
	return all
}

// fullCalls yields the relevant calls with the absolute names of what they call.
func (m *module) fullCalls() iter.Seq2[string, *syntax.Call] {
	return func(yield func(string, *syntax.Call) bool) {
		for _, call := range m.calls {
			full := call.Name
			if of, rest, ok := absolute(m, call.Name); ok {
				full = strings.TrimSuffix(of.dotted()+"."+rest, ".")
			}
			if !yield(full, call) {
				return
			}
		}
	}
}

// lastName returns the last part of a dotted name.
func lastName(dotted string) string { return dotted[strings.LastIndex(dotted, ".")+1:] }

// names are those that a scope knows: a module's, or a function's own before them.
type names interface {
	importOf(name string) (imported, bool)
}

func (m *module) importOf(name string) (imported, bool) {
	of, ok := m.imports[name]
	return of, ok
}

// absolute returns what the first part of a dotted name was imported as, and the rest
// of the name.
func absolute(scope names, dotted string) (of imported, rest string, ok bool) {
	first, rest, _ := strings.Cut(dotted, ".")
	of, ok = scope.importOf(first)
	return of, rest, ok
}
