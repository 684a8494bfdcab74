package detect

import (
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// locals are the names of a function.
type locals struct {
	module  *module
	imports *module
	values  map[string][]syntax.Token
	// parameters are names of which only a call of the function knows the value.
	parameters map[string]bool
	// returned are the expressions that the function returns.
	returned [][]syntax.Token
}

func (l *locals) importOf(name string) (imported, bool) {
	if of, ok := l.imports.imports[name]; ok {
		return of, true
	}
	return l.module.importOf(name)
}

// add adds the names of the statements of a function.
func (l *locals) add(body []*syntax.Statement) {
	for _, statement := range body {
		switch statement.Keyword() {
		case "def", "class":
			continue
		case "import":
			l.imports.addImport(statement.Tokens)
		case "from":
			l.imports.addFromImport(statement.Tokens)
		case "return":
			l.returned = append(l.returned, statement.Tokens[1:])
		default:
			for name, value := range syntax.Assignments(statement.Tokens) {
				if _, known := l.values[name]; !known {
					l.values[name] = value
				}
			}
		}
		l.add(statement.Body)
	}
}

// local returns the app that a name of a function holds, or nil.
func (r *resolver) local(l *locals, name string, steps int) *value {
	tokens, ok := l.values[name]
	if !ok || steps > maxSteps {
		return nil
	}
	return r.evaluate(l.module, l, name, tokens, steps+1)
}

// factory returns the value of a function that returns an app, as its annotation or its
// body shows, or nil.
func (r *resolver) factory(m *module, function *syntax.Statement, name string, steps int) *value {
	if steps > maxSteps || function.Tokens[0].Is("async") {
		return nil
	}
	open := slices.IndexFunc(function.Tokens, func(token syntax.Token) bool { return token.Is("(") })
	if open < 0 {
		return nil
	}
	parameters, required := parametersOf(syntax.Inside(function.Tokens, open))
	made := &value{factory: true, arguments: required, file: m.file, name: name}
	if of, ok := r.annotated(m, function.Tokens, open, steps); ok {
		made.framework = of
		return made
	}
	scope := &locals{module: m, imports: newModule(m.file, nil), values: map[string][]syntax.Token{}, parameters: parameters}
	scope.add(function.Body)
	for _, tokens := range scope.returned {
		v := r.returned(m, scope, tokens, steps)
		if v == nil || v.factory {
			continue
		}
		made.framework, made.from = v.framework, slices.Clone(v.from)
		if v.called {
			made.from = append(made.from, v.file+":"+v.name)
		}
		return made
	}
	return nil
}

// annotated returns the framework of the class that a function is annotated to return.
func (r *resolver) annotated(m *module, header []syntax.Token, open, steps int) (framework, bool) {
	end := syntax.Close(header, open)
	if end < 0 || end+2 >= len(header) || !header[end+1].Is("->") {
		return framework{}, false
	}
	annotation := header[end+2:]
	dotted, n := syntax.Dotted(annotation)
	if text, ok := syntax.Text(annotation); ok {
		dotted, n = text, len(annotation)
	}
	if n != len(annotation) {
		return framework{}, false
	}
	return r.class(m, m, dotted, steps+1)
}

// returned returns the app of an expression that a function returns, or nil.
func (r *resolver) returned(m *module, scope *locals, tokens []syntax.Token, steps int) *value {
	dotted, n := syntax.Dotted(tokens)
	if n == 0 || n != len(tokens) {
		return r.evaluate(m, scope, "", tokens, steps+1)
	}
	if v := r.local(scope, dotted, steps+1); v != nil || strings.Contains(dotted, ".") || scope.parameters[dotted] {
		return v
	}
	return r.lookup(m.file, dotted, steps+1)
}

// parametersOf returns the names of a function's parameters, and whether one of them
// has no default.
func parametersOf(tokens []syntax.Token) (names map[string]bool, required bool) {
	names = map[string]bool{}
	for _, part := range syntax.Split(tokens, ",") {
		several := len(part) > 0 && part[0].Kind == syntax.Op // *, *args, **kwargs and /
		if several {
			part = part[1:]
		}
		if len(part) > 0 {
			names[part[0].Text] = true
			required = required || !several && len(syntax.Split(part, "=")) < 2
		}
	}
	return names, required
}
