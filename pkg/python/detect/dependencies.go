package detect

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// dependencies are what a project needs to run, from the source that is installed.
type dependencies struct {
	Dependencies
	// direct are what the project itself names.
	direct []packaging.Requirement
	// lock is empty for a source without one, and locked are those of its packages that
	// are installed to run the app.
	lock   *packaging.Lock
	locked map[string]packaging.LockedPackage
	// requirements are the files of the kind Requirements, else nil.
	requirements *packaging.Requirements
	notes
}

// dependencySource is one place where dependencies are written down.
type dependencySource struct {
	// file is named when the source is passed over.
	file string
	// exists reports whether the project has the source.
	exists bool
	read   func() (*dependencies, error)
}

// readDependencies reads the first source that the project has, and compares a lock
// with its manifest.
func readDependencies(t *tree, m *manifest) (*dependencies, error) {
	sources := slices.DeleteFunc(dependencySources(t, m), func(one dependencySource) bool { return !one.exists })
	if len(sources) == 0 {
		return withoutDependencies(t, m)
	}
	chosen := sources[0]
	d, err := chosen.read()
	if err != nil {
		return nil, err
	}
	// What is only for other systems is no dependency of an image.
	d.direct = packaging.On(packaging.Linux(), d.direct)
	local, err := localPaths(t, m, d.Dependencies, d.lock, d.direct)
	if err != nil {
		return nil, err
	}
	d.ProjectRoot = namesRoot(d.direct)
	d.Names, d.Local, d.Hashed = packaging.Names(d.direct), pathsOf(local), d.Hashed && len(local) == 0
	d.found("dependencies", d.summary(), strings.Join(d.Files, ", "))
	d.foundOutside(local)
	for _, other := range sources[1:] {
		if !slices.Contains(d.Files, other.file) && !d.isLockOf(other.file) {
			d.warn("%s is passed over for %s", other.file, chosen.file)
		}
	}
	d.warnUnread(t)
	access := d.access(m)
	d.Access = access.Access
	d.add(access.notes)
	return d, nil
}

// withoutDependencies returns the dependencies of a project that names none.
func withoutDependencies(t *tree, m *manifest) (*dependencies, error) {
	if m.IsDynamic("dependencies") {
		return nil, fmt.Errorf("%s: the dependencies are dynamic, and from a place that is not known here: write them into [project] or requirements.txt, or lock them with uv or Poetry",
			m.Find("dynamic"))
	}
	d := &dependencies{lock: &packaging.Lock{}}
	d.found("dependencies", "none", "default")
	d.warnUnread(t)
	return d, nil
}

// dependencySources returns the places where dependencies may be written down, the
// preferred first: the lock of a tool, then requirements with exact versions, then a
// Pipfile without a lock, then pyproject.toml, then others.
func dependencySources(t *tree, m *manifest) []dependencySource {
	pyproject, pipfile := t.has(packaging.PyprojectFile), t.has(packaging.PipfileFile)
	pipenvLocked := pipfile && t.has(packaging.PipfileLockFile)
	uv := m.uvLock()
	declares := pyproject && len(m.Dependencies()) > 0
	file, requirements := firstRequirements(t, requirementsFiles())
	// Requirements that only install the project itself name no dependencies.
	wishes := requirements != nil && (len(requirements.Lines) > 0 || requirements.Self.IsZero())
	exact := wishes && requirements.Exact()
	readFile := func() (*dependencies, error) { return readRequirements(t, m, file, requirements) }
	readPipenv := func() (*dependencies, error) { return readPipenv(t, m, pipenvLocked) }
	return []dependencySource{
		{uv.File, pyproject && t.has(uv.File), func() (*dependencies, error) { return readUV(t, m) }},
		{packaging.PoetryLockFile, pyproject && t.has(packaging.PoetryLockFile), func() (*dependencies, error) { return readPoetry(t, m) }},
		{packaging.PipfileFile, pipenvLocked, readPipenv},
		{file, exact, readFile},
		{packaging.PipfileFile, pipfile && !pipenvLocked, readPipenv},
		{file, wishes && !exact && !declares, readFile},
		{packaging.PyprojectFile, declares, func() (*dependencies, error) { return readPyproject(m) }},
		{file, wishes && !exact && declares, readFile},
		{m.setup.File, m.setup.File != "" && !declares, func() (*dependencies, error) { return readSetup(t, m), nil }},
	}
}

// requirementsFiles returns the names of requirements files for running an app, the
// preferred first.
func requirementsFiles() []string {
	return []string{
		"requirements.txt", "requirements/prod.txt", "requirements/production.txt", "requirements/base.txt", "requirements/main.txt",
		"requirements/common.txt", "requirements-prod.txt", "requirements.in", "requirements/requirements.txt",
	}
}

// firstRequirements reads the first of the files that exists; nil if none does.
func firstRequirements(t *tree, names []string) (string, *packaging.Requirements) {
	for _, name := range names {
		if r, ok := packaging.ReadRequirements(t.read, name); ok {
			return name, r
		}
	}
	return "", nil
}

// summary describes the dependencies to a user.
func (d *dependencies) summary() string {
	text := fmt.Sprintf("%s, %d direct", d.Kind, len(d.Names))
	switch {
	case d.Hashed:
		return text + ", locked with hashes"
	case d.Locked && d.Kind == Requirements:
		// The file does not show whether it has all that the packages need.
		return text + ", with exact versions"
	case d.Locked:
		return text + ", locked"
	}
	return text
}

// isLockOf reports whether the dependencies are requirements with all packages that
// pyproject.toml asks for, and so a lock of it.
func (d *dependencies) isLockOf(file string) bool {
	return file == packaging.PyprojectFile && d.Kind == Requirements && !slices.ContainsFunc(d.Names, func(name string) bool {
		_, ok := d.locked[name]
		return !ok
	})
}

// pdmLockFile is the name of PDM's lock, which is not read.
const pdmLockFile = "pdm.lock"

// warnUnread warns of locks that are not read, unless the dependencies are locked in
// another way.
func (d *dependencies) warnUnread(t *tree) {
	if d.Locked {
		return
	}
	d.warnAbove(t)
	unread := []string{pdmLockFile}
	for _, name := range []string{"pylock.toml", "pylock.*.toml"} {
		found, err := fs.Glob(t.files, name)
		if err == nil {
			unread = append(unread, found...)
		}
	}
	for _, lock := range unread {
		how := ""
		if lock == pdmLockFile {
			how = ", as pdm export --prod -o requirements.txt does"
		}
		if t.exists(lock) {
			d.warn("%s is not read, so that every build may get other versions: write what it has into requirements.txt%s", lock, how)
		}
	}
}

// warnAbove warns of what is above the project, and is not of it: Poetry, PDM and Pipenv read the
// lock beside the nearest manifest, and have no workspaces. So a project with a manifest of its own
// has no lock above, and one without belongs to the project above.
func (d *dependencies) warnAbove(t *tree) {
	if d.Kind == Requirements {
		return
	}
	own := t.present(packaging.PyprojectFile, packaging.PipfileFile)
	for dir := ".."; ; dir = path.Join("..", dir) {
		if files, _ := t.at(dir); files == nil {
			return
		}
		for _, tool := range []struct{ name, manifest, lock string }{
			{"Poetry", packaging.PyprojectFile, packaging.PoetryLockFile},
			{"PDM", packaging.PyprojectFile, pdmLockFile},
			{"Pipenv", packaging.PipfileFile, packaging.PipfileLockFile},
		} {
			manifest, lock := path.Join(dir, tool.manifest), path.Join(dir, tool.lock)
			switch {
			case slices.Contains(own, tool.manifest) && t.exists(lock):
				d.warn("%s is not used: %s reads the lock beside the %s of a project only", lock, tool.name, tool.manifest)
				return
			case len(own) == 0 && d.Kind == "" && t.exists(manifest):
				d.warn("%s is not used: it has the dependencies of the project in %s; build that directory, or write down here what this one needs", manifest, dir)
				return
			}
		}
	}
}

// locked returns the dependencies of a lock whose packages are those that the direct
// ones need.
func locked(kind Kind, direct []packaging.Requirement, lock *packaging.Lock, files ...string) *dependencies {
	reached := lock.Reach(direct)
	return &dependencies{
		Dependencies: Dependencies{Kind: kind, Files: files, Locked: true, Hashed: lock.Hashed && !hasRepository(reached)},
		direct:       direct, lock: lock, locked: reached,
	}
}

// hasRepository reports whether one of the packages is from a repository, which has no hash.
func hasRepository(packages map[string]packaging.LockedPackage) bool {
	for _, one := range packages {
		if one.URL != "" {
			return true
		}
	}
	return false
}

// unlocked returns dependencies without exact versions.
func unlocked(kind Kind, direct []packaging.Requirement, files ...string) *dependencies {
	return &dependencies{Dependencies: Dependencies{Kind: kind, Files: files}, direct: direct, lock: &packaging.Lock{}}
}

func readUV(t *tree, m *manifest) (*dependencies, error) {
	at := m.uvLock()
	content, _ := t.read(at.File)
	lock, err := packaging.ReadUVLock(at, content, m.Pyproject)
	if err != nil {
		return nil, err
	}
	if m.workspace == nil {
		return locked(UV, m.Dependencies(), lock, packaging.PyprojectFile, packaging.UVLockFile), nil
	}
	d := locked(UV, m.Dependencies(), lock, packaging.PyprojectFile, m.workspace.file(packaging.PyprojectFile), at.File)
	d.Dir, d.Member = m.workspace.root, m.Name()
	if t.has(packaging.UVLockFile) {
		d.warn("%s is passed over for %s: uv has one lock for all projects of a workspace", packaging.UVLockFile, at.File)
	}
	return d, nil
}

func readPoetry(t *tree, m *manifest) (*dependencies, error) {
	content, _ := t.read(packaging.PoetryLockFile)
	lock, err := packaging.ReadPoetryLock(content, m.Pyproject)
	if err != nil {
		return nil, err
	}
	return locked(Poetry, m.Dependencies(), lock, packaging.PoetryLockFile, packaging.PyprojectFile), nil
}

func readPipenv(t *tree, m *manifest, hasLock bool) (*dependencies, error) {
	direct := m.pipfile.Dependencies()
	if !hasLock {
		d := unlocked(Pipenv, direct, packaging.PipfileFile)
		d.warn("Pipfile has no Pipfile.lock, so that every build may get other versions; run pipenv lock")
		return d, nil
	}
	content, _ := t.read(packaging.PipfileLockFile)
	lock, err := packaging.ReadPipfileLock(content, m.pipfile)
	if err != nil {
		return nil, err
	}
	d := locked(Pipenv, direct, lock, packaging.PipfileFile, packaging.PipfileLockFile)
	// Pipenv installs all packages that are not only for development.
	d.locked = maps.Clone(lock.Packages)
	maps.DeleteFunc(d.locked, func(_ string, one packaging.LockedPackage) bool { return one.Dev })
	return d, nil
}

// readRequirements takes the dependencies of a requirements file, which is a lock if
// all of them have exact versions.
func readRequirements(t *tree, m *manifest, file string, r *packaging.Requirements) (*dependencies, error) {
	if err := missing(t, r); err != nil {
		return nil, err
	}
	d := unlocked(Requirements, r.Direct(), r.Files...)
	d.requirements = r
	d.warnings = invalidLines(r)
	if d.Itself = !r.Self.IsZero(); d.Itself {
		d.warn("%s installs the project itself, whose code is copied into the image in place of that", r.Self)
	}
	if !r.Exact() {
		return d, nil
	}
	d.Locked, d.Hashed = true, r.Hashed()
	d.lock, d.locked = requirementsLock(file, r), map[string]packaging.LockedPackage{}
	maps.Copy(d.locked, d.lock.Packages)
	from, declared := packaging.PyprojectFile, m.Dependencies()
	source := strings.TrimSuffix(file, ".txt") + ".in"
	if in, ok := packaging.ReadRequirements(t.read, source); ok && source != file {
		from, declared = source, in.All()
		d.direct = declared
		d.warnings = append(d.warnings, invalidLines(in)...)
	} else if len(declared) > 0 {
		d.direct = declared
	}
	if problem := d.lock.Unmet(declared); problem != "" {
		command := "uv pip compile "
		if d.Hashed {
			command += "--generate-hashes "
		}
		return nil, &packaging.LockError{Manifest: from, Lock: file, Problem: problem, Command: command + from + " -o " + file}
	}
	return d, nil
}

// requirementsLock returns requirements with exact versions as a lock.
func requirementsLock(file string, r *packaging.Requirements) *packaging.Lock {
	lock := &packaging.Lock{File: file, Packages: map[string]packaging.LockedPackage{}}
	for _, one := range packaging.On(packaging.Linux(), r.All()) {
		lock.Packages[one.Name] = packaging.LockedPackage{Version: one.Exact(), URL: one.URL}
	}
	return lock
}

// invalidLines returns warnings of the lines of a requirements file that are no
// requirements.
func invalidLines(r *packaging.Requirements) []string {
	n := notes{}
	for _, line := range r.Invalid {
		n.warn("%s is no requirement that can be understood: %q", line.Position, line.Text)
	}
	return n.warnings
}

func readPyproject(m *manifest) (*dependencies, error) {
	kind := PEP621
	if len(m.Project.Dependencies) == 0 && len(m.Tool.Poetry.Dependencies) > 0 {
		kind = Poetry
	}
	d := unlocked(kind, m.Dependencies(), packaging.PyprojectFile)
	return d, checkSources(m, d.direct)
}

func readSetup(t *tree, m *manifest) *dependencies {
	reads := slices.Clone(m.setup.Paths)
	for _, module := range m.setup.Modules {
		if file, ok := t.moduleFile(m.root(t), module); ok {
			reads = append(reads, file)
		}
	}
	reads = append(reads, packaging.SetupPyFile, packaging.SetupCfgFile, packaging.PyprojectFile)
	return unlocked(Setuptools, m.setup.Dependencies, t.present(reads...)...)
}

// checkSources returns an error if [tool.uv.sources] takes a requirement from elsewhere.
// pip does not read that table: it would install the package of that name that the
// default index has, which may be another one.
func checkSources(m *manifest, direct []packaging.Requirement) error {
	for _, one := range direct {
		if source, ok := m.Source(one.Name); ok && source.Path == "" {
			return &packaging.FileError{
				Position: source.Position, Err: fmt.Errorf("where %s comes from is read with uv.lock only: run uv lock", one.Name),
			}
		}
	}
	return nil
}
