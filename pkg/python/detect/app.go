package detect

import (
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// value is an app, or a function that returns one.
type value struct {
	framework string
	// asgi says which of the two protocols it speaks.
	asgi bool
	// factory says that it is the function, and arguments that the function can not be
	// called without some, which the project's code does and a server does not.
	factory, arguments bool
	// file and name are where it is made: for what a function returned, the function.
	file, name string
	// called says that a function of the project made it.
	called bool
	// from are the apps that it holds, or the functions that made it, and seen the
	// names that it was found by: as file:name.
	from, seen []string
}

// copy lets the caller change what it got.
func (v *value) copy() *value {
	if v == nil {
		return nil
	}
	other := *v
	return &other
}

// kindOf knows the classes and functions that make an app, by the name under which they
// are imported.
func kindOf(dotted string) (framework string, asgi, ok bool) {
	switch dotted {
	case "fastapi.FastAPI", "fastapi.applications.FastAPI":
		return "fastapi", true, true
	case "starlette.applications.Starlette":
		return "starlette", true, true
	case "litestar.Litestar", "litestar.app.Litestar":
		return "litestar", true, true
	case "quart.Quart", "quart.app.Quart":
		return "quart", true, true
	case "flask.Flask", "flask.app.Flask", "apiflask.APIFlask", "flask_openapi3.OpenAPI":
		return "flask", false, true
	case "django.core.wsgi.get_wsgi_application":
		return "django", false, true
	case "django.core.asgi.get_asgi_application", "channels.routing.ProtocolTypeRouter":
		return "django", true, true
	case "falcon.asgi.App", "blacksheep.Application", "sanic.Sanic",
		"connexion.App", "connexion.AsyncApp", "connexion.FlaskApp", //nolint:misspell // a framework's name
		"socketio.ASGIApp", "fasthtml.common.FastHTML", "fasthtml.FastHTML", "esmerald.Esmerald":
		return "asgi", true, true
	case "falcon.App", "bottle.Bottle", "socketio.WSGIApp":
		return "wsgi", false, true
	}
	return "", false, false
}

// wraps says whether a call of that name around an app is an app again.
func wraps(callee string) bool {
	last := callee[strings.LastIndex(callee, ".")+1:]
	switch last {
	case "ASGIApp", "WSGIApp", "ProxyFix", "WhiteNoise", "SharedDataMiddleware", "WsgiToAsgi", "AsgiToWsgi", "DispatcherMiddleware":
		return true
	}
	return strings.HasSuffix(last, "Middleware")
}

// maxSteps is how many modules and functions a name is followed through.
const maxSteps = 12

// maxEvaluated is how many expressions are looked into at all.
const maxEvaluated = 100_000

// lookup returns the app that a name of a module stands for.
func (t *tree) lookup(file, name string, steps int) *value {
	m := t.module(file)
	if m == nil || steps > maxSteps {
		return nil
	}
	key := file + ":" + name
	if known, ok := t.values[key]; ok {
		return known.copy()
	}
	t.values[key] = nil
	found := t.define(m, file, name, steps)
	if found != nil {
		found.seen = append(slices.Clone(found.seen), key)
	}
	t.values[key] = found
	return found.copy()
}

// define is lookup for a name that was not looked up yet.
func (t *tree) define(m *module, file, name string, steps int) *value {
	var found *value
	for _, one := range m.assigned[name] {
		if v := t.evaluate(m, m, name, one.value, steps+1); v != nil {
			found = v
		}
	}
	if found != nil {
		return found
	}
	if function, ok := m.functions[name]; ok && !m.decorated[name] {
		return t.factory(m, function.read(), name, steps+1)
	}
	if of, ok := m.imports[name]; ok {
		return t.lookupImported(file, of, steps+1)
	}
	if len(m.assigned[name]) == 0 {
		for _, star := range m.stars {
			if target, ok := t.find(file, star); ok {
				if v := t.lookup(target, name, steps+1); v != nil {
					return v
				}
			}
		}
	}
	return nil
}

// lookupImported is lookup for a name that a file imports.
func (t *tree) lookupImported(file string, of imported, steps int) *value {
	if of.name == "" {
		return nil
	}
	target, ok := t.find(file, imported{level: of.level, module: of.module})
	if !ok {
		return nil
	}
	return t.lookup(target, of.name, steps)
}

// names are those that a scope knows: a module's, or a function's own before them.
type names interface {
	stands(name string) (imported, bool)
}

func (m *module) stands(name string) (imported, bool) {
	of, ok := m.imports[name]
	return of, ok
}

// evaluate returns the app that an expression makes; name is the one that it is
// assigned to.
func (t *tree) evaluate(m *module, scope names, name string, tokens []syntax.Token, steps int) *value {
	if t.evaluated++; steps > maxSteps || t.evaluated > maxEvaluated {
		return nil
	}
	if len(tokens) > 2 && tokens[0].Is("(") && syntax.Close(tokens, 0) == len(tokens)-1 {
		return t.evaluate(m, scope, name, tokens[1:len(tokens)-1], steps+1)
	}
	call, ok := syntax.ParseCall(tokens)
	if !ok {
		dotted, n := syntax.Dotted(tokens)
		switch {
		case n == 0 || n != len(tokens) || dotted == name:
			return nil
		case !strings.Contains(dotted, "."):
			return t.lookup(m.file, dotted, steps+1)
		}
		return t.resolve(m, scope, dotted, steps+1)
	}
	if len(call.Rest) > 0 && !call.Rest[0].Is("if") {
		return nil
	}
	if wraps(call.Name) {
		if v := t.wrapped(m, scope, name, call, steps); v != nil {
			return v
		}
	}
	if framework, asgi, ok := t.class(m, scope, call.Name, steps+1); ok {
		return &value{framework: framework, asgi: asgi, file: m.file, name: name}
	}
	if made := t.resolve(m, scope, call.Name, steps+1); made != nil && made.factory {
		made.factory, made.arguments, made.called = false, false, true
		return made
	}
	if strings.HasSuffix(call.Name, ".make_wsgi_app") {
		return &value{framework: "wsgi", file: m.file, name: name}
	}
	return t.wrapped(m, scope, name, call, steps)
}

// wrapped is evaluate for a call around another app.
func (t *tree) wrapped(m *module, scope names, name string, call *syntax.Call, steps int) *value {
	for _, argument := range call.Arguments {
		inner, n := syntax.Dotted(argument.Value)
		if n == 0 || n != len(argument.Value) || inner != name && !wraps(call.Name) {
			continue
		}
		var made *value
		if inner == name {
			// The value that it had before, which is any other assignment of the name.
			for _, before := range m.assigned[name] {
				if outer, ok := syntax.ParseCall(before.value); !ok || outer.Name == call.Name && outer.Line == call.Line {
					continue
				}
				if v := t.evaluate(m, scope, name, before.value, steps+1); v != nil {
					made = v
					break
				}
			}
		} else {
			made = t.resolve(m, scope, inner, steps+1)
		}
		if made == nil || made.factory {
			continue
		}
		result := &value{framework: made.framework, asgi: made.asgi, file: m.file, name: name}
		for _, key := range append(slices.Clone(made.from), made.seen...) {
			if key != m.file+":"+name {
				result.from = append(result.from, key)
			}
		}
		switch last := call.Name[strings.LastIndex(call.Name, ".")+1:]; last {
		case "WsgiToAsgi", "ASGIApp", "WSGIMiddleware":
			result.asgi = true
		case "AsgiToWsgi":
			result.asgi = false
		}
		return result
	}
	return nil
}

// absolute returns the full name of a dotted name in a module.
func absolute(scope names, dotted string) (imported, string, bool) {
	first, rest, _ := strings.Cut(dotted, ".")
	of, ok := scope.stands(first)
	return of, rest, ok
}

// class says what a call of that name makes: an app of a framework's class, or of a
// class of the project that is derived from one.
func (t *tree) class(m *module, scope names, dotted string, steps int) (string, bool, bool) {
	if steps > maxSteps {
		return "", false, false
	}
	if of, rest, ok := absolute(scope, dotted); ok {
		full := of.dotted()
		if rest != "" {
			full += "." + rest
		}
		if of.level == 0 {
			if framework, asgi, ok := kindOf(full); ok {
				return framework, asgi, true
			}
		}
		if of.name == "" || rest != "" {
			return "", false, false
		}
		target, ok := t.find(m.file, imported{level: of.level, module: of.module})
		if !ok {
			return "", false, false
		}
		if other := t.module(target); other != nil {
			return t.class(other, other, of.name, steps+1)
		}
		return "", false, false
	}
	if header := m.classes[dotted]; len(header) > 2 && header[2].Is("(") {
		for _, base := range syntax.Split(inside(header, 2), ",") {
			name, n := syntax.Dotted(base)
			if n == 0 || n != len(base) || name == dotted {
				continue
			}
			if framework, asgi, ok := t.class(m, m, name, steps+1); ok {
				return framework, asgi, true
			}
		}
	}
	for _, star := range m.stars {
		if framework, asgi, ok := kindOf(star.module + "." + dotted); ok && star.level == 0 {
			return framework, asgi, true
		}
	}
	return "", false, false
}

// inside are the tokens between the bracket at open and the one that closes it.
func inside(tokens []syntax.Token, open int) []syntax.Token {
	end := syntax.Close(tokens, open)
	if end < 0 {
		return nil
	}
	return tokens[open+1 : end]
}

// resolve returns the app that a dotted name stands for in a module.
func (t *tree) resolve(m *module, scope names, dotted string, steps int) *value {
	if steps > maxSteps {
		return nil
	}
	if local, ok := scope.(*locals); ok {
		if v := local.value(t, dotted, steps+1); v != nil || local.parameters[dotted] {
			return v
		}
	}
	if !strings.Contains(dotted, ".") {
		if of, ok := scope.stands(dotted); ok {
			return t.lookupImported(m.file, of, steps+1)
		}
		return t.lookup(m.file, dotted, steps+1)
	}
	of, rest, ok := absolute(scope, dotted)
	if !ok {
		return nil
	}
	// The longest part of the name that is a module; what follows is in it.
	parts := append(strings.Split(of.dotted(), "."), strings.Split(rest, ".")...)
	for i := len(parts) - 1; i > 0; i-- {
		if file, ok := t.find(m.file, imported{level: of.level, module: strings.Join(parts[:i], ".")}); ok && i == len(parts)-1 {
			return t.lookup(file, parts[i], steps+1)
		}
	}
	return nil
}

// locals are the names of a function.
type locals struct {
	module  *module
	imports *module
	values  map[string][]syntax.Token
	// parameters are names of which only a call of the function knows the value.
	parameters map[string]bool
}

func (l *locals) stands(name string) (imported, bool) {
	if of, ok := l.imports.imports[name]; ok {
		return of, true
	}
	return l.module.stands(name)
}

// value is the app that a local name holds.
func (l *locals) value(t *tree, name string, steps int) *value {
	tokens, ok := l.values[name]
	if !ok || steps > maxSteps {
		return nil
	}
	return t.evaluate(l.module, l, name, tokens, steps+1)
}

// factory returns the value of a function that returns an app.
func (t *tree) factory(m *module, function *syntax.Statement, name string, steps int) *value {
	if steps > maxSteps || function.Tokens[0].Is("async") {
		return nil
	}
	open := slices.IndexFunc(function.Tokens, func(token syntax.Token) bool { return token.Is("(") })
	if open < 0 {
		return nil
	}
	parameters, arguments := parametersOf(inside(function.Tokens, open))
	result := func(framework string, asgi bool) *value {
		return &value{framework: framework, asgi: asgi, factory: true, arguments: arguments, file: m.file, name: name}
	}
	if end := syntax.Close(function.Tokens, open); end >= 0 && end+2 < len(function.Tokens) && function.Tokens[end+1].Is("->") {
		annotation := function.Tokens[end+2:]
		dotted, n := syntax.Dotted(annotation)
		if text, ok := syntax.Text(annotation); ok {
			dotted, n = text, len(annotation)
		}
		if n == len(annotation) {
			if framework, asgi, ok := t.class(m, m, dotted, steps+1); ok {
				return result(framework, asgi)
			}
		}
	}
	scope := &locals{module: m, imports: newModule(m.file, nil), values: map[string][]syntax.Token{}, parameters: parameters}
	var returned [][]syntax.Token
	var walk func(body []*syntax.Statement)
	walk = func(body []*syntax.Statement) {
		for _, statement := range body {
			switch statement.Keyword() {
			case "def", "class":
				continue
			case "import":
				scope.imports.importModules(statement.Tokens)
			case "from":
				scope.imports.importNames(statement.Tokens)
			case "return":
				returned = append(returned, statement.Tokens[1:])
			default:
				for name, value := range assignments(statement.Tokens) {
					if _, known := scope.values[name]; !known {
						scope.values[name] = value
					}
				}
			}
			walk(statement.Body)
		}
	}
	walk(function.Body)
	for _, tokens := range returned {
		dotted, n := syntax.Dotted(tokens)
		var v *value
		if n > 0 && n == len(tokens) {
			if v = scope.value(t, dotted, steps+1); v == nil && !strings.Contains(dotted, ".") && !parameters[dotted] {
				v = t.lookup(m.file, dotted, steps+1)
			}
		} else {
			v = t.evaluate(m, scope, "", tokens, steps+1)
		}
		if v != nil && !v.factory {
			made := result(v.framework, v.asgi)
			made.from = slices.Clone(v.from)
			if v.called {
				made.from = append(made.from, v.file+":"+v.name)
			}
			return made
		}
	}
	return nil
}

// parametersOf are the names of a function's parameters, and whether one of them has
// no default.
func parametersOf(tokens []syntax.Token) (names map[string]bool, arguments bool) {
	names = map[string]bool{}
	for _, part := range syntax.Split(tokens, ",") {
		several := len(part) > 0 && part[0].Kind == syntax.Op // *, *args, **kwargs and /
		if several {
			part = part[1:]
		}
		if len(part) > 0 {
			names[part[0].Text] = true
			arguments = arguments || !several && len(syntax.Split(part, "=")) < 2
		}
	}
	return names, arguments
}

// candidate is an app that servers can be told of.
type candidate struct {
	file, name string
	line       int
	value      *value
}

// candidates are the apps of a module: what it assigns, and its factories.
func (t *tree) candidates(file string) []candidate {
	m := t.module(file)
	if m == nil {
		return nil
	}
	var found []candidate
	for _, name := range m.order {
		if strings.HasPrefix(name, "_") {
			continue
		}
		if v := t.lookup(file, name, 0); v != nil && !v.factory {
			found = append(found, candidate{file, name, m.assigned[name][0].line, v})
		}
	}
	for name, function := range m.functions {
		if strings.HasPrefix(name, "_") || len(m.assigned[name]) > 0 {
			continue
		}
		if v := t.lookup(file, name, 0); v != nil && v.factory && !v.arguments {
			found = append(found, candidate{file, name, function.line, v})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return a.line - b.line })
	return found
}

// mounted are the apps that others hold, as file:name.
func (t *tree) mounted(file string) []string {
	m := t.module(file)
	if m == nil {
		return nil
	}
	var found []string
	for _, call := range m.calls {
		last := call.Name[strings.LastIndex(call.Name, ".")+1:]
		switch last {
		case "Mount", "DispatcherMiddleware":
		case "mount", "include_router", "add_sub_application":
			if last == call.Name {
				continue
			}
		default:
			continue
		}
		for i, argument := range call.Arguments {
			if last == "DispatcherMiddleware" && i == 0 {
				continue
			}
			for j, token := range argument.Value {
				if token.Kind != syntax.Name || j > 0 && argument.Value[j-1].Is(".") {
					continue
				}
				dotted, _ := syntax.Dotted(argument.Value[j:])
				if v := t.resolve(m, m, dotted, 0); v != nil {
					found = append(found, v.seen...)
				}
				found = append(found, file+":"+dotted)
			}
		}
	}
	return found
}

// object is module:attribute of a name in a file, from a directory on Python's path.
func object(root, file, name string) string {
	relative := strings.TrimSuffix(file, ".py")
	if root != "." {
		relative = strings.TrimPrefix(relative, root+"/")
	}
	if path.Base(relative) == "__init__" {
		relative = path.Dir(relative)
	}
	return strings.ReplaceAll(relative, "/", ".") + ":" + name
}
