package detect

import (
	"maps"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// installed are the packages that are installed to run an app, sorted by name: the
// direct ones with their extras, and what a lock adds.
type installed []packaging.Requirement

// installed returns the packages that the dependencies install.
func (d *dependencies) installed() installed {
	all := map[string]packaging.Requirement{}
	for _, one := range d.direct {
		if before, ok := all[one.Name]; ok {
			one.Extras = append(slices.Clone(before.Extras), one.Extras...)
		}
		all[one.Name] = one
	}
	for name, locked := range d.locked {
		one, ok := all[name]
		if !ok {
			one = packaging.Requirement{Name: name, Position: packaging.Position{File: d.lock.File}}
		}
		if locked.URL != "" {
			one.URL = locked.URL
		}
		all[name] = one
	}
	found := make(installed, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		found = append(found, all[name])
	}
	return found
}

// find returns a package by its name, or the first that is known to bring it along.
func (i installed) find(name string) (one packaging.Requirement, ok bool) {
	for _, matches := range []func(packaging.Requirement) bool{
		func(one packaging.Requirement) bool { return one.Name == name },
		func(one packaging.Requirement) bool { return brings(one, name) },
	} {
		if at := slices.IndexFunc(i, matches); at >= 0 {
			return i[at], true
		}
	}
	return packaging.Requirement{}, false
}

// has reports whether one of the packages is installed, as far as that is known without
// a lock.
func (i installed) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, ok := i.find(name)
		return ok
	})
}

// bringing is a package that is installed with another one.
type bringing struct {
	// requirement brings the package if one of the extras is asked for; always without
	// extras.
	requirement string
	extras      []string
	name        string
}

// bringings returns what packages of frameworks bring along.
func bringings() []bringing {
	return []bringing{
		{"fastapi", []string{"standard", "standard-no-fastapi-cloud-cli", "all"}, "uvicorn"},
		{"fastapi-cli", []string{"standard"}, "uvicorn"},
		{"litestar", []string{"standard", "full"}, "uvicorn"},
		{"uvicorn-worker", nil, "uvicorn"},
		{"uvicorn-worker", nil, "gunicorn"},
		{"quart", nil, "hypercorn"},
	}
}

// brings reports whether a package is installed with a requirement. Extensions of Flask
// and Django bring the framework.
func brings(r packaging.Requirement, name string) bool {
	if (name == "flask" || name == "django") && strings.HasPrefix(r.Name, name+"-") {
		return true
	}
	return slices.ContainsFunc(bringings(), func(one bringing) bool {
		return one.name == name && one.requirement == r.Name && (len(one.extras) == 0 || r.HasExtra(one.extras...))
	})
}
