package packaging

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// UVLockFile is the name of uv's lock.
const UVLockFile = "uv.lock"

// uvLock is uv.lock in version 1 of its format:
// https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile.
type uvLock struct {
	RequiresPython string      `toml:"requires-python"`
	Packages       []uvPackage `toml:"package"`
}

type uvPackage struct {
	Name         string                    `toml:"name"`
	Version      string                    `toml:"version"`
	Source       map[string]any            `toml:"source"`
	Dependencies []uvDependency            `toml:"dependencies"`
	Optional     map[string][]uvDependency `toml:"optional-dependencies"`
	Metadata     struct {
		RequiresDist []uvRequirement            `toml:"requires-dist"`
		RequiresDev  map[string][]uvRequirement `toml:"requires-dev"`
	} `toml:"metadata"`
}

type uvDependency struct {
	Name   string   `toml:"name"`
	Extra  []string `toml:"extra"`
	Marker string   `toml:"marker"`
}

type uvRequirement struct {
	Name      string   `toml:"name"`
	Extras    []string `toml:"extras"`
	Specifier string   `toml:"specifier"`
	Marker    string   `toml:"marker"`
	Git       string   `toml:"git"`
	URL       string   `toml:"url"`
	Path      string   `toml:"path"`
	Directory string   `toml:"directory"`
	Editable  any      `toml:"editable"`
	Virtual   string   `toml:"virtual"`
}

// UVLock is where the lock of a project is.
type UVLock struct {
	// File is its path, relative to the project.
	File string
	// Member is the path of the project in the workspace that the lock is for, "." for the
	// root of it or a project without one.
	Member string
}

// ReadUVLock reads uv.lock and compares it with its project. The error holds a
// *toml.Error or a *LockError.
func ReadUVLock(at UVLock, content []byte, project *Pyproject) (*Lock, error) {
	var read uvLock
	if err := toml.Decode(at.File, content, &read); err != nil {
		return nil, err
	}
	lock := &Lock{File: at.File, Packages: map[string]LockedPackage{}, Hashed: true}
	if read.RequiresPython != "" {
		lock.Python = &PythonRange{
			Specifier: PoetrySpecifier(read.RequiresPython), Text: read.RequiresPython,
			Position: findKey(at.File, content, "", "requires-python"),
		}
	}
	var own *uvPackage
	for i := range read.Packages {
		one := &read.Packages[i]
		if one.isProject(at.Member) {
			own = one
			continue
		}
		locked := one.locked(path.Dir(at.File))
		// A package with several versions for several platforms has the needs of all.
		name := NormalizeName(one.Name)
		locked.Needs = append(slices.Clone(lock.Packages[name].Needs), locked.Needs...)
		lock.Packages[name] = locked
	}
	if problem := own.mismatch(project, at.File); problem != "" {
		return nil, &LockError{Manifest: PyprojectFile, Lock: at.File, Problem: problem, Command: "uv lock"}
	}
	return lock, nil
}

// isProject reports whether the package is the member of the workspace at a path.
func (p *uvPackage) isProject(member string) bool {
	return p.Source["virtual"] == member || p.Source["editable"] == member || p.Source["directory"] == member
}

// locked returns the package of a lock in a directory.
func (p *uvPackage) locked(dir string) LockedPackage {
	locked := LockedPackage{Version: p.Version, Needs: uvNeeds(p.Dependencies), Extras: map[string][]Requirement{}}
	for extra, needs := range p.Optional {
		locked.Extras[extra] = uvNeeds(needs)
	}
	if git, ok := p.Source["git"].(string); ok {
		locked.URL = "git+" + git
	}
	for _, kind := range []string{"editable", "directory", "path"} {
		if where, ok := p.Source[kind].(string); ok {
			locked.Path = joinPath(dir, where)
		}
	}
	return locked
}

func uvNeeds(dependencies []uvDependency) []Requirement {
	var needs []Requirement
	for _, one := range dependencies {
		needs = append(needs, Requirement{Name: NormalizeName(one.Name), Extras: one.Extra, Marker: Marker(one.Marker)})
	}
	return needs
}

// mismatch returns a clause about the first difference between the project in the
// lock, which may be nil, and its pyproject.toml.
func (p *uvPackage) mismatch(project *Pyproject, file string) string {
	switch {
	case project.Project.Name == "":
		return ""
	case p == nil || NormalizeName(p.Name) != NormalizeName(project.Project.Name):
		return fmt.Sprintf("it does not have the project %s", project.Project.Name)
	case project.IsDynamic("dependencies"):
		return ""
	}
	if problem := difference(uvDeclared(project), p.requiresDist(), file, PyprojectFile); problem != "" {
		return problem
	}
	for _, group := range uvGroups(project) {
		problem := difference(uvDeclaredGroup(project, group), p.requiresDev(group), file, PyprojectFile+" in the group "+group)
		if problem != "" {
			return problem
		}
	}
	return ""
}

// requiresDist returns the keys of the requirements that the project had when it was
// locked.
func (p *uvPackage) requiresDist() map[string]bool {
	keys := map[string]bool{}
	for _, one := range p.Metadata.RequiresDist {
		if NormalizeName(one.Name) != NormalizeName(p.Name) {
			keys[uvKey(one.requirement(), Marker(one.Marker).Extra())] = true
		}
	}
	return keys
}

// requiresDev is requiresDist for a dependency group.
func (p *uvPackage) requiresDev(group string) map[string]bool {
	keys := map[string]bool{}
	for name, list := range p.Metadata.RequiresDev {
		if NormalizeName(name) != NormalizeName(group) {
			continue
		}
		for _, one := range list {
			keys[uvKey(one.requirement(), "")] = true
		}
	}
	return keys
}

// uvDeclared returns the keys of the requirements of a project and its extras.
func uvDeclared(project *Pyproject) map[string]bool {
	keys := map[string]bool{}
	for _, one := range ParseRequirements(project.Project.Dependencies, Position{}) {
		keys[uvKey(fromSource(project, one), "")] = true
	}
	if project.IsDynamic("optional-dependencies") {
		return keys
	}
	for extra := range project.Project.Optional {
		for _, one := range project.Extra(extra) {
			// uv resolves an extra that includes another one of the project.
			if one.Name != NormalizeName(project.Project.Name) {
				keys[uvKey(fromSource(project, one), NormalizeName(extra))] = true
			}
		}
	}
	return keys
}

// isUVDev reports whether a group is the one that uv's former list of development
// dependencies belongs to.
func isUVDev(group string) bool { return NormalizeName(group) == "dev" }

// uvGroups returns the dependency groups of a project.
func uvGroups(project *Pyproject) []string {
	groups := slices.Sorted(maps.Keys(project.Groups))
	if len(project.Tool.UV.DevDependencies) > 0 && !slices.ContainsFunc(groups, isUVDev) {
		groups = append(groups, "dev")
	}
	return groups
}

// uvDeclaredGroup returns the keys of the requirements of a dependency group.
func uvDeclaredGroup(project *Pyproject, group string) map[string]bool {
	requirements := project.Group(group)
	if isUVDev(group) {
		requirements = append(requirements, project.UVDev()...)
	}
	keys := map[string]bool{}
	for _, one := range requirements {
		keys[uvKey(fromSource(project, one), "")] = true
	}
	return keys
}

// elsewhere stands for any URL: the lock writes URLs in another form than the project.
const elsewhere = "elsewhere"

// fromSource returns the requirement with a URL if [tool.uv.sources] gives it one.
func fromSource(project *Pyproject, one Requirement) Requirement {
	if source, ok := project.Source(one.Name); ok && !source.Index {
		one.URL = elsewhere
	}
	return one
}

func (r uvRequirement) requirement() Requirement {
	one := Requirement{
		Name: NormalizeName(r.Name), Extras: normalizeNames(r.Extras), Specifier: Specifier(r.Specifier), Marker: Marker(r.Marker),
	}
	if r.Git+r.URL+r.Path+r.Directory+r.Virtual != "" || r.Editable != nil {
		one.URL = elsewhere
	}
	return one
}

// uvKey returns what a requirement has to have in common with that of the lock. uv
// rewrites markers, so only the extra counts.
func uvKey(r Requirement, extra string) string {
	text := r.Name
	if len(r.Extras) > 0 {
		text += "[" + strings.Join(r.Extras, ",") + "]"
	}
	if r.URL == "" {
		text += string(r.Specifier.Canonical())
	}
	if extra != "" {
		text += " of the extra " + extra
	}
	return text
}
