package detect

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// devDependencies are what the tests of a project need as well.
type devDependencies struct {
	Dependencies
	notes
}

// devRequirementsFiles returns the names of requirements files for development, the
// preferred first.
func devRequirementsFiles() []string {
	return []string{
		"requirements-dev.txt", "dev-requirements.txt", "requirements_dev.txt", "requirements/dev.txt", "requirements/development.txt",
		"requirements/local.txt",
	}
}

// testRequirementsFiles returns the names of requirements files for tests only.
func testRequirementsFiles() []string {
	return []string{
		"requirements-test.txt", "test-requirements.txt", "requirements_test.txt", "requirements/test.txt", "requirements/tests.txt",
		"requirements-tests.txt",
	}
}

// devRequirements returns the requirements file that the tests need, nil if there is none:
// the one for development, but the one for tests if all of it is in that for development.
// What is in the latter only is for developers, such as a linter.
func devRequirements(t *tree) *packaging.Requirements {
	_, dev := firstRequirements(t, devRequirementsFiles())
	_, tests := firstRequirements(t, testRequirementsFiles())
	if dev == nil || tests == nil {
		return cmp.Or(dev, tests)
	}
	all := packaging.Names(dev.Direct())
	for _, name := range packaging.Names(tests.Direct()) {
		if !slices.Contains(all, name) {
			return dev
		}
	}
	return tests
}

// isDev reports whether a group or an extra is for tests, by its name.
func isDev(name string) bool {
	return slices.Contains([]string{"dev", "develop", "development", "test", "tests", "testing"}, packaging.NormalizeName(name))
}

// readDev reads what the tests need: a requirements file for them, unless a tool locks
// the project, else its groups and extras. It has no files if the project does not say.
func readDev(t *tree, m *manifest, main *dependencies) (*devDependencies, error) {
	d := &devDependencies{}
	var direct []packaging.Requirement
	requirements := devRequirements(t)
	if main.Kind == UV || main.Kind == Poetry || main.Kind == Pipenv {
		requirements = nil // a tool has them
	}
	if requirements != nil {
		if err := missing(t, requirements); err != nil {
			return nil, err
		}
		direct = requirements.Direct()
		d.warnings = invalidLines(requirements)
		d.Dependencies = Dependencies{
			Kind: Requirements, Files: requirements.Files, Locked: requirements.Exact(), Hashed: requirements.Hashed(),
			Itself: !requirements.Self.IsZero(),
		}
	} else {
		groups := readDevGroups(m, main.Kind)
		if direct = groups.requirements; len(direct) == 0 {
			return d, nil
		}
		d.Dependencies = groups.dependencies(main.Dependencies)
	}
	direct = packaging.On(packaging.Linux(), direct)
	if d.Kind == PEP621 {
		if err := checkSources(m, direct); err != nil {
			return nil, err
		}
	}
	local, err := localPaths(t, m, d.Dependencies, main.lock, direct)
	if err != nil {
		return nil, err
	}
	d.ProjectRoot = namesRoot(direct)
	d.Names, d.Local, d.Hashed = packaging.Names(direct), pathsOf(local), d.Hashed && len(local) == 0
	d.found("tests", strings.Join(d.Names, ", "), strings.Join(d.Files, ", "))
	d.evidence = append(d.evidence, outside(d.Dependencies, local)...)
	lock := main.lock
	if requirements != nil {
		lock = &packaging.Lock{}
	} else {
		d.Hashed = d.Hashed && !hasRepository(lock.Reach(direct))
	}
	access := d.access(m, direct, lock, requirements)
	d.Access = access.Access
	d.add(access.notes)
	d.notes = d.without(main.notes)
	return d, nil
}

// devGroups are the groups and extras that are for tests.
type devGroups struct {
	groups, extras map[string]bool
	requirements   []packaging.Requirement
}

func (g *devGroups) add(names map[string]bool, name string, requirements []packaging.Requirement) {
	names[name] = true
	g.requirements = append(g.requirements, requirements...)
}

// readDevGroups returns the groups and extras for tests that the tool of a kind reads.
func readDevGroups(m *manifest, kind Kind) devGroups {
	g := devGroups{groups: map[string]bool{}, extras: map[string]bool{}}
	if kind == Pipenv {
		if dev := m.pipfile.DevDependencies(); len(dev) > 0 {
			g.add(g.groups, "dev", dev)
		}
		return g
	}
	for _, name := range devNames(m.Groups) {
		g.add(g.groups, name, m.Group(name))
	}
	for _, name := range devNames(m.Project.Optional) {
		g.add(g.extras, name, m.Extra(name))
	}
	for _, name := range devNames(m.Tool.Poetry.Groups) {
		g.add(g.groups, name, m.PoetryGroup(name))
	}
	if table := m.Tool.Poetry.DevDependencies; len(table) > 0 {
		g.add(g.groups, "dev", m.PoetryDev())
	}
	if len(m.Tool.UV.DevDependencies) > 0 && kind == UV {
		g.addUVDev(m.UVDev())
	}
	if kind == Setuptools {
		for _, name := range devNames(m.setup.Extras) {
			g.add(g.extras, name, m.setup.Extras[name])
		}
	}
	return g
}

// addUVDev adds uv's former list of development dependencies, which is a part of the
// group dev.
func (g *devGroups) addUVDev(requirements []packaging.Requirement) {
	name := "dev"
	for group := range g.groups {
		if packaging.NormalizeName(group) == name {
			name = group
		}
	}
	g.add(g.groups, name, requirements)
}

// devNames returns the keys that are for tests, sorted.
func devNames[V any](table map[string]V) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(table)), func(name string) bool { return !isDev(name) })
}

// dependencies returns the set of the groups, which is installed as the main one is.
func (g *devGroups) dependencies(main Dependencies) Dependencies {
	d := main
	d.Itself, d.Access = false, Access{}
	if main.Kind == None || main.Kind == Requirements {
		d = Dependencies{Kind: PEP621, Files: []string{packaging.PyprojectFile}}
	}
	d.Groups, d.Extras = slices.Sorted(maps.Keys(g.groups)), slices.Sorted(maps.Keys(g.extras))
	if d.Kind == PEP621 || d.Kind == Setuptools {
		// pip installs both by the same syntax.
		d.Groups = slices.Compact(slices.Sorted(slices.Values(append(d.Groups, d.Extras...))))
	}
	return d
}
