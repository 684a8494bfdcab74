package detect

import (
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// value is an app, or a function that returns one.
type value struct {
	framework
	// factory reports that it is the function, and arguments that the function cannot be
	// called without some, as the project's code does and a server does not.
	factory, arguments bool
	// file and name are where it is made: for what a function returned, the function.
	file, name string
	// called reports that a function of the project made it.
	called bool
	// from are the apps that it holds, or the functions that made it, and seen the
	// names under which it was found: as file:name.
	from, seen []string
}

// copy returns a value that the caller may change.
func (v *value) copy() *value {
	if v == nil {
		return nil
	}
	other := *v
	return &other
}

// Limits of the search, which follows names through modules and functions.
const (
	maxSteps     = 12
	maxEvaluated = 100_000
)

// resolver finds the apps that names and expressions of the code stand for.
type resolver struct {
	*code
	frameworks map[string]framework
	// values are what lookup found, by file:name, and evaluated counts its steps.
	values    map[string]*value
	evaluated int
}

func newResolver(c *code) *resolver {
	return &resolver{code: c, frameworks: frameworks(), values: map[string]*value{}}
}

// lookup returns the app that a name of a module stands for, or nil.
func (r *resolver) lookup(file, name string, steps int) *value {
	m := r.module(file)
	if m == nil || steps > maxSteps {
		return nil
	}
	key := file + ":" + name
	if known, ok := r.values[key]; ok {
		return known.copy()
	}
	r.values[key] = nil // ends circles
	found := r.define(m, name, steps)
	if found != nil {
		found.seen = append(slices.Clone(found.seen), key)
	}
	r.values[key] = found
	return found.copy()
}

// define is lookup for a name that was not looked up yet.
func (r *resolver) define(m *module, name string, steps int) *value {
	var found *value
	for _, one := range m.assigned[name] {
		if v := r.evaluate(m, m, name, one.value, steps+1); v != nil {
			found = v
		}
	}
	if found != nil {
		return found
	}
	if function, ok := m.functions[name]; ok && !function.wrapped {
		return r.factory(m, function.parse(), name, steps+1)
	}
	if of, ok := m.imports[name]; ok {
		return r.lookupImported(m.file, of, steps+1)
	}
	if len(m.assigned[name]) > 0 {
		return nil
	}
	for _, star := range m.stars {
		if target, ok := r.find(m.file, star); ok {
			if v := r.lookup(target, name, steps+1); v != nil {
				return v
			}
		}
	}
	return nil
}

// lookupImported is lookup for a name that a file imports.
func (r *resolver) lookupImported(file string, of imported, steps int) *value {
	if of.name == "" {
		return nil
	}
	target, ok := r.find(file, of.parent())
	if !ok {
		return nil
	}
	return r.lookup(target, of.name, steps)
}

// evaluate returns the app that an expression makes, or nil; name is the one that it is
// assigned to.
func (r *resolver) evaluate(m *module, scope names, name string, tokens []syntax.Token, steps int) *value {
	if r.evaluated++; steps > maxSteps || r.evaluated > maxEvaluated {
		return nil
	}
	if len(tokens) > 2 && tokens[0].Is("(") && syntax.Close(tokens, 0) == len(tokens)-1 {
		return r.evaluate(m, scope, name, tokens[1:len(tokens)-1], steps+1)
	}
	call, ok := syntax.ParseCall(tokens)
	switch {
	case !ok:
		return r.evaluateName(m, scope, name, tokens, steps)
	case len(call.Rest) > 0 && !call.Rest[0].Is("if"):
		return nil
	}
	return r.evaluateCall(m, scope, name, call, steps)
}

// evaluateName is evaluate for an expression that is a dotted name, other than the one
// that it is assigned to.
func (r *resolver) evaluateName(m *module, scope names, name string, tokens []syntax.Token, steps int) *value {
	dotted, n := syntax.Dotted(tokens)
	switch {
	case n == 0 || n != len(tokens) || dotted == name:
		return nil
	case !strings.Contains(dotted, "."):
		return r.lookup(m.file, dotted, steps+1)
	}
	return r.resolve(m, scope, dotted, steps+1)
}

// evaluateCall is evaluate for a call: of a framework's class, of a function of the
// project that returns an app, or around another app.
func (r *resolver) evaluateCall(m *module, scope names, name string, call *syntax.Call, steps int) *value {
	if isWrapper(call.Name) {
		if v := r.wrapped(m, scope, name, call, steps); v != nil {
			return v
		}
	}
	if of, ok := r.class(m, scope, call.Name, steps+1); ok {
		return &value{framework: of, file: m.file, name: name}
	}
	if made := r.resolve(m, scope, call.Name, steps+1); made != nil && made.factory {
		made.factory, made.arguments, made.called = false, false, true
		return made
	}
	if strings.HasSuffix(call.Name, ".make_wsgi_app") {
		return &value{framework: framework{name: "wsgi"}, file: m.file, name: name}
	}
	return r.wrapped(m, scope, name, call, steps)
}

// isWrapper reports whether the result of a call with an app is an app again.
func isWrapper(callee string) bool {
	last := lastName(callee)
	switch last {
	case "ASGIApp", "WSGIApp", "ProxyFix", "WhiteNoise", "SharedDataMiddleware", "WsgiToAsgi", "AsgiToWsgi", "DispatcherMiddleware":
		return true
	}
	return strings.HasSuffix(last, "Middleware")
}

// wrapperProtocol returns the protocol of what a wrapper makes of an app.
func wrapperProtocol(callee string, asgi bool) bool {
	switch lastName(callee) {
	case "WsgiToAsgi", "ASGIApp", "WSGIMiddleware":
		return true
	case "AsgiToWsgi":
		return false
	}
	return asgi
}

// wrapped is evaluate for a call around another app.
func (r *resolver) wrapped(m *module, scope names, name string, call *syntax.Call, steps int) *value {
	for _, argument := range call.Arguments {
		inner, n := syntax.Dotted(argument.Value)
		if n == 0 || n != len(argument.Value) || inner != name && !isWrapper(call.Name) {
			continue
		}
		var made *value
		if inner == name {
			made = r.before(m, scope, name, call, steps)
		} else {
			made = r.resolve(m, scope, inner, steps+1)
		}
		if made == nil || made.factory {
			continue
		}
		own := m.file + ":" + name
		result := &value{framework: framework{made.framework.name, wrapperProtocol(call.Name, made.asgi)}, file: m.file, name: name}
		result.from = slices.DeleteFunc(append(slices.Clone(made.from), made.seen...), func(key string) bool { return key == own })
		return result
	}
	return nil
}

// before returns the value that a name had before a call with that name was assigned to
// it: that of any other assignment.
func (r *resolver) before(m *module, scope names, name string, call *syntax.Call, steps int) *value {
	for _, one := range m.assigned[name] {
		other, ok := syntax.ParseCall(one.value)
		if !ok || other.Name == call.Name && other.Line == call.Line {
			continue
		}
		if v := r.evaluate(m, scope, name, one.value, steps+1); v != nil {
			return v
		}
	}
	return nil
}

// class returns the framework of a class, by its name in a scope: one of a framework,
// or one of the project that is derived from it.
func (r *resolver) class(m *module, scope names, dotted string, steps int) (framework, bool) {
	if steps > maxSteps {
		return framework{}, false
	}
	if of, rest, ok := absolute(scope, dotted); ok {
		return r.importedClass(m, of, rest, steps)
	}
	if found, ok := r.derivedClass(m, dotted, steps); ok {
		return found, true
	}
	for _, star := range m.stars {
		if found, ok := r.frameworks[star.module+"."+dotted]; ok && star.level == 0 {
			return found, true
		}
	}
	return framework{}, false
}

// importedClass is class for a name whose first part is imported.
func (r *resolver) importedClass(m *module, of imported, rest string, steps int) (framework, bool) {
	full := strings.TrimSuffix(of.dotted()+"."+rest, ".")
	if found, ok := r.frameworks[full]; ok && of.level == 0 {
		return found, true
	}
	if of.name == "" || rest != "" {
		return framework{}, false
	}
	target, ok := r.find(m.file, of.parent())
	if !ok {
		return framework{}, false
	}
	other := r.module(target)
	if other == nil {
		return framework{}, false
	}
	return r.class(other, other, of.name, steps+1)
}

// derivedClass is class for a class of the module itself.
func (r *resolver) derivedClass(m *module, name string, steps int) (framework, bool) {
	header := m.classes[name]
	if len(header) < 3 || !header[2].Is("(") {
		return framework{}, false
	}
	for _, base := range syntax.Split(syntax.Inside(header, 2), ",") {
		dotted, n := syntax.Dotted(base)
		if n == 0 || n != len(base) || dotted == name {
			continue
		}
		if found, ok := r.class(m, m, dotted, steps+1); ok {
			return found, true
		}
	}
	return framework{}, false
}

// resolve returns the app that a dotted name stands for in a scope, or nil.
func (r *resolver) resolve(m *module, scope names, dotted string, steps int) *value {
	if steps > maxSteps {
		return nil
	}
	if local, ok := scope.(*locals); ok {
		if v := r.local(local, dotted, steps+1); v != nil || local.parameters[dotted] {
			return v
		}
	}
	of, rest, ok := absolute(scope, dotted)
	switch {
	case ok && rest != "":
		return r.resolveInModule(m, of, rest, steps)
	case ok:
		return r.lookupImported(m.file, of, steps+1)
	case strings.Contains(dotted, "."):
		return nil
	}
	return r.lookup(m.file, dotted, steps+1)
}

// resolveInModule is resolve for a.b.c, of which all but the last part is a module.
func (r *resolver) resolveInModule(m *module, of imported, rest string, steps int) *value {
	full := of.dotted() + "." + rest
	at := strings.LastIndex(full, ".")
	file, ok := r.find(m.file, imported{level: of.level, module: full[:at]})
	if !ok {
		return nil
	}
	return r.lookup(file, full[at+1:], steps+1)
}
