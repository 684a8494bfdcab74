package detect

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// local is a file or a directory that is a dependency itself.
type local struct {
	// path is relative to the project.
	path string
	// name is that of the package, and at the place that asks for it.
	name string
	at   packaging.Position
}

// pathsOf returns the paths, sorted, each once.
func pathsOf(all []local) []string {
	var paths []string
	for _, one := range all {
		paths = append(paths, one.path)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// missing returns why a file that requirements include cannot be read; nil if all can.
func missing(t *tree, r *packaging.Requirements) error {
	if r.Missing == nil {
		return nil
	}
	if strings.Contains(r.MissingFile, "://") {
		return &packaging.FileError{Position: r.Missing.Position, Err: errors.New("it includes a file of the network, which is not read here: copy it into the project")}
	}
	return &packaging.FileError{Position: r.Missing.Position, Err: fmt.Errorf("it includes %q, %s", r.MissingFile, cmp.Or(t.explain(r.MissingFile), "which cannot be read"))}
}

// localPaths returns the files and directories that are dependencies, and those that they
// need in turn. An error is about one that a build cannot have.
func localPaths(t *tree, m *manifest, set Dependencies, lock *packaging.Lock, direct []packaging.Requirement) ([]local, error) {
	l := localSet{tree: t, seen: map[string]bool{}}
	for _, one := range direct {
		if err := l.add(localPath(m.Pyproject, one), one); err != nil {
			return nil, err
		}
	}
	for name, one := range lock.Reach(direct) {
		if one.Path != "" {
			if err := l.add(one.Path, packaging.Requirement{Name: name, Position: packaging.Position{File: lock.File}}); err != nil {
				return nil, err
			}
		}
	}
	for next := l.found; !hasAll(set) && len(next) > 0; {
		known := len(l.found)
		for _, one := range next {
			if err := l.needs(one); err != nil {
				return nil, err
			}
		}
		next = l.found[known:]
	}
	slices.SortFunc(l.found, func(a, b local) int { return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.name, b.name)) })
	return l.found, nil
}

// hasAll reports whether the set has a lock that lists what local dependencies need as well.
func hasAll(set Dependencies) bool {
	return set.Locked && slices.Contains([]Kind{UV, Poetry, Pipenv}, set.Kind)
}

// localSet collects local dependencies.
type localSet struct {
	*tree
	found []local
	seen  map[string]bool
}

// add adds the path of a requirement, unless it is empty or the project itself.
func (l *localSet) add(where string, one packaging.Requirement) error {
	if where == "" {
		return nil
	}
	if one.Position.IsZero() {
		one.Position = packaging.Position{File: packaging.PyprojectFile}
	}
	if why := l.explain(where); why != "" {
		return &packaging.FileError{Position: one.Position, Err: fmt.Errorf("%s is a dependency in %q, %s", one.Name, where, why)}
	}
	if where = l.clean(where); where != "." && !l.seen[where] {
		l.seen[where] = true
		l.found = append(l.found, local{where, one.Name, one.Position})
	}
	return nil
}

// needs adds what a local dependency needs of other places. Without a lock its own
// pyproject.toml is all that says so.
func (l *localSet) needs(one local) error {
	file := path.Join(one.path, packaging.PyprojectFile)
	content, ok := l.read(file)
	if !ok {
		return nil
	}
	project, err := packaging.ParsePyprojectAs(file, content)
	if err != nil {
		return err
	}
	for _, need := range packaging.On(packaging.Linux(), project.Dependencies()) {
		if source, ok := project.Source(need.Name); ok {
			return &packaging.FileError{
				Position: source.Position, Err: fmt.Errorf("where %s comes from is read with uv.lock only: run uv lock in the project", need.Name),
			}
		}
		where := localPath(project, need)
		if where != "" && !path.IsAbs(where) {
			where = path.Join(one.path, where)
		}
		if err := l.add(where, need); err != nil {
			return err
		}
	}
	return nil
}

// localPath returns the path of a requirement that is a file or a directory, relative to the
// project that asks for it or absolute; nothing for any other requirement.
func localPath(project *packaging.Pyproject, one packaging.Requirement) string {
	where := one.URL
	if source, ok := project.Source(one.Name); ok && !source.List && !source.Workspace {
		where = source.Path
	}
	for _, own := range ownDirectory() {
		if rest, ok := strings.CutPrefix(where, own); ok {
			where = "./" + rest
		}
	}
	if rest, ok := strings.CutPrefix(where, "file://"); ok {
		where = "/" + strings.TrimLeft(strings.TrimPrefix(rest, "localhost"), "/")
	}
	where = strings.TrimPrefix(where, "file:")
	if where == "" || strings.Contains(where, "://") || strings.HasPrefix(where, "git+") {
		return ""
	}
	where, _, _ = strings.Cut(where, "#")
	where, _, _ = strings.Cut(where, "[")
	return path.Clean(where)
}

// ownDirectory returns how URLs of PDM and of Hatch name the directory of their project.
func ownDirectory() []string {
	return []string{"file:///${PROJECT_ROOT}/", "file://${PROJECT_ROOT}/", "{root:uri}/"}
}

// namesRoot reports whether one of the requirements is beside the directory of the project
// as PDM and Hatch name it.
func namesRoot(requirements []packaging.Requirement) bool {
	return slices.ContainsFunc(requirements, func(one packaging.Requirement) bool {
		return slices.ContainsFunc(ownDirectory(), func(own string) bool { return strings.HasPrefix(one.URL, own) })
	})
}

// foundOutside reports what the installation takes from outside of the project, and why.
func (d *dependencies) foundOutside(all []local) {
	d.evidence = append(d.evidence, outside(d.Dependencies, all)...)
}

// outside returns evidence of what the installation takes from outside of the project.
func outside(d Dependencies, all []local) []Evidence {
	n := notes{}
	for _, file := range d.Files {
		switch file = path.Clean(file); {
		case !isOutside(file):
		case d.Member != "":
			n.found("context", file, "the workspace of "+d.Member)
		default:
			n.found("context", file, d.Files[0])
		}
	}
	for _, one := range all {
		if isOutside(one.path) {
			n.found("context", fmt.Sprintf("%s, the dependency %s", one.path, one.name), one.at.String())
		}
	}
	return n.evidence
}
