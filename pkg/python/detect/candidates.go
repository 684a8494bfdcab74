package detect

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// candidate is an app that a server can be given.
type candidate struct {
	file, name string
	line       int
	*value
}

// key returns file:name of the candidate.
func (c candidate) key() string { return c.file + ":" + c.name }

// candidates returns the apps of a module: what it assigns, and its factories.
func (r *resolver) candidates(file string) []candidate {
	m := r.module(file)
	if m == nil {
		return nil
	}
	var found []candidate
	for _, name := range m.order {
		if strings.HasPrefix(name, "_") {
			continue
		}
		if v := r.lookup(file, name, 0); v != nil && !v.factory {
			found = append(found, candidate{file, name, m.assigned[name][0].line, v})
		}
	}
	for name, function := range m.functions {
		if strings.HasPrefix(name, "_") || len(m.assigned[name]) > 0 {
			continue
		}
		if v := r.lookup(file, name, 0); v != nil && v.factory && !v.arguments {
			found = append(found, candidate{file, name, function.line, v})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return a.line - b.line })
	return found
}

// mountedApps returns the apps that a module puts into others, as file:name.
func mountedApps(r *resolver, m *module) []string {
	var found []string
	for _, call := range m.calls {
		for _, argument := range mountedArguments(call) {
			for i, token := range argument {
				if token.Kind != syntax.Name || i > 0 && argument[i-1].Is(".") {
					continue
				}
				dotted, _ := syntax.Dotted(argument[i:])
				if v := r.resolve(m, m, dotted, 0); v != nil {
					found = append(found, v.seen...)
				}
				found = append(found, m.file+":"+dotted)
			}
		}
	}
	return found
}

// mountedArguments returns the arguments of a call in which apps are that it puts into
// another one.
func mountedArguments(call *syntax.Call) [][]syntax.Token {
	var values [][]syntax.Token
	for _, argument := range call.Arguments {
		values = append(values, argument.Value)
	}
	switch last := lastName(call.Name); last {
	case "Mount":
		return values
	case "DispatcherMiddleware":
		return values[min(1, len(values)):] // the first is the app that holds the others
	case "mount", "include_router", "add_sub_application":
		if last != call.Name {
			return values
		}
	}
	return nil
}

// freeCandidates returns the apps of the code that no other app holds, each under one name.
func freeCandidates(r *resolver) []candidate {
	var all []candidate
	held := map[string]bool{}
	for m := range r.own() {
		all = append(all, r.candidates(m.file)...)
		for _, key := range mountedApps(r, m) {
			held[key] = true
		}
	}
	for _, c := range all {
		for _, key := range c.from {
			held[key] = true
		}
	}
	best := map[string]candidate{}
	for _, c := range all {
		origin := c.value.file + ":" + c.value.name
		if before, ok := best[origin]; !held[c.key()] && (!ok || rank(c) < rank(before)) {
			best[origin] = c
		}
	}
	left := slices.SortedFunc(maps.Values(best), func(a, b candidate) int {
		return strings.Compare(r.objectOf(a), r.objectOf(b))
	})
	// A factory beside an object in its own module is another way to the object.
	return slices.DeleteFunc(slices.Clone(left), func(c candidate) bool {
		return c.factory && slices.ContainsFunc(left, func(o candidate) bool { return !o.factory && o.file == c.file })
	})
}

// objectOf returns module:attribute of a candidate.
func (r *resolver) objectOf(c candidate) string { return objectName(r.rootOf(c.file), c.file, c.name) }

// rank orders the names of one app by how likely a server is given them: objects before
// factories, and the customary modules before others.
func rank(c candidate) int {
	order := 10
	if c.factory {
		order += 100
	}
	base := strings.TrimSuffix(path.Base(c.file), ".py")
	if at := slices.Index([]string{"asgi", "wsgi", "main", "app", "application", "server"}, base); at >= 0 {
		order -= 6 - at
	}
	return order + 20*strings.Count(c.file, "/")/2
}

// completed returns an app as the module has it that imports it and adds routes to it:
// where it is made, it has none of them yet. That is so if there is one such module, and
// the one that makes the app does not import it itself.
func completed(r *resolver, c candidate) candidate {
	if c.factory {
		return c
	}
	var found []candidate
	for m := range r.own() {
		if m.file == c.file {
			continue
		}
		if name, line := addsRoutes(r, m, c.key()); name != "" {
			found = append(found, candidate{m.file, name, line, r.lookup(m.file, name, 0)})
		}
	}
	if len(found) != 1 || importsModule(r, r.module(c.file), found[0].file) {
		return c
	}
	return found[0]
}

// addsRoutes returns the name by which a module adds routes to an app of another one,
// and the line of that; nothing if it does not.
func addsRoutes(r *resolver, m *module, origin string) (name string, line int) {
	for _, call := range m.calls {
		name, method, _ := strings.Cut(call.Name, ".")
		of, ok := m.imports[name]
		if !ok || of.name == "" || !slices.Contains([]string{"include_router", "mount", "register_blueprint"}, method) {
			continue
		}
		if v := r.lookup(m.file, name, 0); v != nil && !v.factory && slices.Contains(v.seen, origin) {
			return name, call.Line
		}
	}
	return "", 0
}

// importsModule reports whether a module imports another one, or a name of it.
func importsModule(r *resolver, m *module, file string) bool {
	return slices.ContainsFunc(m.allImports(), func(of imported) bool {
		whole := of.parent()
		for _, module := range []string{of.module, strings.TrimPrefix(of.module+"."+of.name, ".")} {
			whole.module = module
			if target, ok := r.find(m.file, whole); ok && target == file {
				return true
			}
		}
		return false
	})
}

// factoryWithArguments returns a factory of the code that needs arguments, if there is one
// that makes an app itself; nil otherwise.
func factoryWithArguments(r *resolver) *candidate {
	for m := range r.own() {
		for _, name := range slices.Sorted(maps.Keys(m.functions)) {
			v := r.lookup(m.file, name, 0)
			if v == nil || !v.arguments || strings.HasPrefix(name, "_") {
				continue
			}
			function := m.functions[name]
			// What is given an app makes none.
			takesApp := slices.ContainsFunc(function.parse().Tokens, func(token syntax.Token) bool { return token.Is("app") })
			if !takesApp {
				return &candidate{m.file, name, function.line, v}
			}
		}
	}
	return nil
}

// defaultName returns the attribute that servers take if they are given a module alone;
// nothing if the module has no app.
func defaultName(r *resolver, file, server string) string {
	customary := []string{"application", "app", "api"}
	if server == "gunicorn" {
		customary = customary[:1]
	}
	for _, name := range customary {
		if v := r.lookup(file, name, 0); v != nil && !v.factory {
			return name
		}
	}
	found := r.candidates(file)
	if len(found) == 0 {
		return ""
	}
	return found[0].name
}
