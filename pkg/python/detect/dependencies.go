package detect

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// dependencies finds out how dependencies are written down, reads them, and checks
// that a lock is that of the project.
func (f *finder) dependencies() error {
	if err := f.readPipfile(); err != nil {
		return err
	}
	f.direct = f.declared()
	choices := f.choices()
	switch {
	case len(choices) == 0 && slices.Contains(f.manifest.Project.Dynamic, "dependencies"):
		return fmt.Errorf("%s: the dependencies are dynamic, and from a place that is not known here: write them into [project] or requirements.txt, or lock them with uv or Poetry",
			f.lineOf(settings.File, "dynamic"))
	case len(choices) == 0:
		f.found("dependencies", "none", "default")
	default:
		chosen := choices[0]
		if err := chosen.read(); err != nil {
			return err
		}
		d := &f.project.Dependencies
		d.Names = namesOf(f.direct)
		d.Local = f.local(f.direct)
		d.Hashed = d.Hashed && len(d.Local) == 0
		f.found("dependencies", f.summary(), strings.Join(d.Files, ", "))
		for _, other := range choices[1:] {
			// Requirements with all that pyproject.toml asks for are its lock.
			lock := other.file == settings.File && d.Kind == Requirements && !slices.ContainsFunc(d.Names, func(name string) bool { _, ok := f.locked[name]; return !ok })
			if !lock && !slices.Contains(d.Files, other.file) {
				f.warn("%s is passed over for %s", other.file, chosen.file)
			}
		}
	}
	for _, lock := range []struct{ file, how string }{{"pdm.lock", ", as pdm export --prod -o requirements.txt does"}, {"pylock.toml", ""}} {
		if _, err := fs.Stat(f.files, lock.file); err == nil && !f.project.Dependencies.Locked {
			f.warn("%s is not read, so that every build may get other versions: write what it has into requirements.txt%s", lock.file, lock.how)
		}
	}
	return f.dev()
}

// summary is what is said of the dependencies.
func (f *finder) summary() string {
	d := f.project.Dependencies
	text := fmt.Sprintf("%s, %d direct", d.Kind, len(d.Names))
	switch {
	case d.Hashed:
		text += ", locked with hashes"
	case d.Locked && d.Kind == Requirements:
		// Whether all is there that these need, the file does not tell.
		text += ", with exact versions"
	case d.Locked:
		text += ", locked"
	}
	return text
}

// choice is one way in which the dependencies are written down.
type choice struct {
	file string
	read func() error
}

// choices are the ways that are there, the one to take first: a lock of a tool,
// then requirements with exact versions, then a Pipfile without a lock, then
// pyproject.toml, then others.
func (f *finder) choices() []choice {
	var found []choice
	add := func(file string, read func() error) { found = append(found, choice{file, read}) }
	project := f.has(settings.File)
	if project && f.has("uv.lock") {
		add("uv.lock", f.takeUV)
	}
	if project && f.has("poetry.lock") {
		add("poetry.lock", f.takePoetry)
	}
	locked := f.has("Pipfile.lock")
	if f.has("Pipfile") && locked {
		add("Pipfile", f.takePipenv)
	}
	file, requirements, ok := f.requirementsOf([]string{
		"requirements.txt", "requirements/prod.txt", "requirements/production.txt", "requirements/base.txt", "requirements/main.txt", "requirements/common.txt",
		"requirements-prod.txt", "requirements.in", "requirements/requirements.txt",
	})
	take := func() error { return f.takeRequirements(file, requirements) }
	declares := len(f.direct) > 0 && project
	// Requirements that only install the project itself say nothing of their own.
	ok = ok && (len(requirements.all) > 0 || requirements.itself == "")
	if ok && requirements.pinned {
		add(file, take)
	}
	if f.has("Pipfile") && !locked {
		add("Pipfile", f.takePipenv)
	}
	if ok && !requirements.pinned && !declares {
		add(file, take)
	}
	if declares {
		add(settings.File, f.takeProject)
	}
	if ok && !requirements.pinned && declares {
		add(file, take)
	}
	if source, names := f.setup(); source != "" && !declares {
		add(source, func() error {
			f.direct = names
			f.project.Dependencies = Dependencies{Kind: Setuptools, Files: f.present(append(f.setupReads(), "setup.py", "setup.cfg", settings.File)...)}
			return nil
		})
	}
	return found
}

// local are the paths of the requirements that are in the directory; of one that
// is not the user is warned, as a build has nothing but the directory.
func (f *finder) local(direct []requirement) []string {
	var found []string
	every := slices.Clone(direct)
	for name, locked := range reach(f.packages, direct) {
		if locked.path != "" {
			every = append(every, requirement{Name: name, URL: locked.path, Source: f.lockFile})
		}
	}
	missing := map[string]bool{}
	for _, one := range every {
		where := one.URL
		for name, source := range f.manifest.Tool.UV.Sources {
			if table, ok := source.(map[string]any); ok && normalize(name) == one.Name && table["workspace"] != true {
				where, _ = table["path"].(string)
			}
		}
		where = strings.TrimPrefix(where, "file:")
		if where == "" || strings.Contains(where, "://") || strings.HasPrefix(where, "git+") {
			continue
		}
		where, _, _ = strings.Cut(where, "#")
		where, _, _ = strings.Cut(where, "[")
		where = path.Clean(where)
		if where == "." {
			continue
		}
		if f.isDir(where) || f.has(where) {
			found = append(found, where)
		} else {
			missing[fmt.Sprintf("%s is a dependency in %s, which is outside of the directory or not there, so that a build does not have it", one.Name, where)] = true
		}
	}
	for _, text := range slices.Sorted(maps.Keys(missing)) {
		f.warn("%s", text)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// present are those of the files that are there, sorted.
func (f *finder) present(names ...string) []string {
	var found []string
	for _, name := range names {
		if f.has(name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// declared are the direct dependencies that pyproject.toml names.
func (f *finder) declared() []requirement {
	var found []requirement
	for _, text := range f.manifest.Project.Dependencies {
		if one, ok := parseRequirement(text); ok {
			one.Source = f.lineOf(settings.File, text)
			found = append(found, one)
		}
	}
	known := namesOf(found)
	for _, one := range poetryRequirements(f.manifest.Tool.Poetry.Dependencies) {
		if !slices.Contains(known, one.Name) {
			one.Source = f.keyLine(settings.File, "tool.poetry.dependencies", one.Name)
			found = append(found, one)
		}
	}
	return found
}

// poetryRequirements reads a table of Poetry's, or of Pipenv's, without python and
// without what is optional.
func poetryRequirements(table map[string]any) []requirement {
	var found []requirement
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if strings.EqualFold(name, "python") {
			continue
		}
		one := requirement{Name: normalize(name)}
		switch value := table[name].(type) {
		case string:
			one.Specifier = poetrySpecifier(value)
		case map[string]any:
			if value["optional"] == true {
				continue // what only an extra installs
			}
			if version, ok := value["version"].(string); ok {
				one.Specifier = poetrySpecifier(version)
			}
			one.Extras = stringsOf(value["extras"])
			for i, extra := range one.Extras {
				one.Extras[i] = normalize(extra)
			}
			if git, ok := value["git"].(string); ok {
				one.URL = "git+" + git
			}
			for _, key := range []string{"path", "url", "file"} {
				if address, ok := value[key].(string); ok {
					one.URL = address
				}
			}
			for _, key := range []string{"markers", "platform", "python", "sys_platform"} {
				if value[key] != nil && value[key] != false {
					one.Marker = key
				}
			}
		default:
			one.Marker = "several"
		}
		found = append(found, one)
	}
	return found
}

// stringsOf are the strings of a list.
func stringsOf(value any) []string {
	list, _ := value.([]any)
	var found []string
	for _, one := range list {
		if text, ok := one.(string); ok {
			found = append(found, text)
		}
	}
	return found
}

// lock takes over what a lock says.
func (f *finder) lock(packages map[string]lockedPackage) {
	f.packages = packages
	for name, one := range reach(packages, f.direct) {
		f.locked[name] = one
	}
}

func (f *finder) takeUV() error {
	packages, err := f.readUV()
	if err != nil {
		return err
	}
	f.lock(packages)
	f.lockFile = "uv.lock"
	f.project.Dependencies = Dependencies{Kind: UV, Files: []string{settings.File, "uv.lock"}, Locked: true, Hashed: true}
	return nil
}

func (f *finder) takePoetry() error {
	packages, err := f.readPoetry()
	if err != nil {
		return err
	}
	f.lock(packages)
	f.lockFile = "poetry.lock"
	f.project.Dependencies = Dependencies{Kind: Poetry, Files: []string{"poetry.lock", settings.File}, Locked: true, Hashed: true}
	return nil
}

// readPipfile reads the Pipfile, if there is one.
func (f *finder) readPipfile() error {
	content, ok := f.read("Pipfile")
	if !ok {
		return nil
	}
	return settings.Decode("Pipfile", content, &f.pipfile)
}

// pipfileLock is Pipfile.lock.
type pipfileLock struct {
	Meta struct {
		Hash struct {
			SHA256 string `json:"sha256"`
		} `json:"hash"`
	} `json:"_meta"`
	Default map[string]pipfileEntry `json:"default"`
	Develop map[string]pipfileEntry `json:"develop"`
}

type pipfileEntry struct {
	Version string   `json:"version"`
	Hashes  []string `json:"hashes"`
	Git     string   `json:"git"`
}

func (f *finder) takePipenv() error {
	f.direct = poetryRequirements(f.pipfile.Packages)
	for i := range f.direct {
		f.direct[i].Source = f.keyLine("Pipfile", "packages", f.direct[i].Name)
	}
	f.project.Dependencies = Dependencies{Kind: Pipenv, Files: []string{"Pipfile"}}
	content, ok := f.read("Pipfile.lock")
	if !ok {
		f.warn("Pipfile has no Pipfile.lock, so that every build may get other versions; run pipenv lock")
		return nil
	}
	var lock pipfileLock
	if err := json.Unmarshal(content, &lock); err != nil {
		return jsonError("Pipfile.lock", content, err)
	}
	hashed := true
	all := map[string]lockedPackage{}
	for _, section := range []map[string]pipfileEntry{lock.Develop, lock.Default} {
		for name, one := range section {
			locked := lockedPackage{version: strings.TrimPrefix(one.Version, "==")}
			if one.Git != "" {
				locked.url = "git+" + one.Git
			}
			all[normalize(name)] = locked
		}
	}
	for name, one := range lock.Default {
		f.locked[normalize(name)] = all[normalize(name)]
		hashed = hashed && len(one.Hashes) > 0
	}
	problem := misfit(append(slices.Clone(f.direct), poetryRequirements(f.pipfile.Dev)...), all)
	if len(f.pipfile.Source) > 0 {
		// Without a source the hash is that of Pipenv's default, which may be changed.
		pip, _ := f.read("Pipfile")
		switch fresh := slices.Contains(pipfileHashes(pip), lock.Meta.Hash.SHA256); {
		case fresh || lock.Meta.Hash.SHA256 == "":
			problem = ""
		case problem == "":
			problem = "it changed since it was locked"
		}
	}
	if problem != "" {
		return &LockError{Project: "Pipfile", Lock: "Pipfile.lock", Problem: problem, Command: "pipenv lock"}
	}
	f.lockFile = "Pipfile.lock"
	f.project.Dependencies = Dependencies{Kind: Pipenv, Files: []string{"Pipfile", "Pipfile.lock"}, Locked: true, Hashed: hashed}
	return nil
}

// jsonError says where a file is not the JSON that it has to be.
func jsonError(file string, content []byte, err error) error {
	failure := &FileError{Path: file, Err: fmt.Errorf("it is not JSON: %w", err)}
	var syntax *json.SyntaxError
	var other *json.UnmarshalTypeError
	offset := int64(-1)
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &other):
		offset = other.Offset
		failure.Err = fmt.Errorf("%s is of the type %s, which is not that of a lock", cmp.Or(other.Field, "all of it"), other.Value)
	}
	if offset >= 0 && offset <= int64(len(content)) {
		failure.Line = 1 + bytes.Count(content[:offset], []byte("\n"))
	}
	return failure
}

// requirementsOf reads the first of the files that is there.
func (f *finder) requirementsOf(names []string) (string, requirementsFile, bool) {
	for _, name := range names {
		if r, ok := f.requirements(name); ok {
			return name, r, true
		}
	}
	return "", requirementsFile{}, false
}

func (f *finder) takeRequirements(file string, r requirementsFile) error {
	if r.err != nil {
		return r.err
	}
	if r.itself != "" {
		f.warn("%s installs the project itself, whose code is copied into the image in place of that", r.itself)
	}
	// A file of a tool's is compared with what it was made of.
	if r.pinned {
		packages := map[string]lockedPackage{}
		for _, one := range r.all {
			packages[one.Name] = lockedPackage{version: one.pinned(), url: one.URL}
		}
		command := "uv pip compile "
		if r.hashed {
			command += "--generate-hashes "
		}
		from, direct := settings.File, f.direct
		in := strings.TrimSuffix(file, ".txt") + ".in"
		if source, ok := f.requirements(in); ok && in != file {
			from, direct = in, source.all
			f.direct = source.all
		} else if len(f.direct) == 0 {
			f.direct = r.direct
		}
		if problem := misfit(direct, packages); problem != "" {
			return &LockError{Project: from, Lock: file, Problem: problem, Command: command + from + " -o " + file}
		}
		for name, one := range packages {
			f.locked[name] = one
		}
		f.lockFile = file
	} else {
		f.direct = r.direct
	}
	f.project.Dependencies = Dependencies{Kind: Requirements, Files: r.files, Locked: r.pinned, Hashed: r.hashed, Itself: r.itself != ""}
	return nil
}

func (f *finder) takeProject() error {
	kind := PEP621
	if len(f.manifest.Project.Dependencies) == 0 && len(f.manifest.Tool.Poetry.Dependencies) > 0 {
		kind = Poetry
	}
	f.project.Dependencies = Dependencies{Kind: kind, Files: []string{settings.File}}
	return f.indexed(f.direct)
}

// indexed is the error that a requirement of pyproject.toml is from elsewhere, which
// only a lock tells pip: from the index it would get somebody else's package.
func (f *finder) indexed(direct []requirement) error {
	for _, one := range direct {
		for name, source := range f.manifest.Tool.UV.Sources {
			if table, ok := source.(map[string]any); normalize(name) != one.Name || ok && table["path"] != nil {
				continue
			}
			file, line, _ := strings.Cut(f.keyLine(settings.File, "tool.uv.sources", one.Name), ":")
			number, _ := strconv.Atoi(line)
			return &FileError{Path: file, Line: number, Err: fmt.Errorf("where %s comes from is read with uv.lock only: run uv lock", one.Name)}
		}
	}
	return nil
}

// setup returns the dependencies of setup.cfg or setup.py, and which of them it is;
// empty when neither is there.
func (f *finder) setup() (string, []requirement) {
	options, lines := f.setupOptions()
	if texts := strings.Split(options["install_requires"], "\n"); options["install_requires"] != "" {
		return "setup.cfg", parseAll(texts, place("setup.cfg", lines["install_requires"]))
	}
	m := f.module("setup.py")
	if m == nil {
		if f.has("setup.cfg") && options["packages"]+options["py_modules"] != "" {
			return "setup.cfg", nil
		}
		return "", nil
	}
	for _, call := range m.calls {
		if call.Name != "setup" && call.Name != "setuptools.setup" {
			continue
		}
		return "setup.py", parseAll(m.literals(call.Argument("install_requires", -1)), place("setup.py", call.Line))
	}
	return "", nil
}

// setupReads are the paths that setup.py and setup.cfg may read something from, such
// as the version or a description: without those files they end with an error.
func (f *finder) setupReads() []string {
	var found []string
	if m := f.module("setup.py"); m != nil {
		for _, call := range m.calls {
			var parts []string
			for _, argument := range call.Arguments {
				if text, ok := syntax.Text(argument.Value); ok && argument.Name == "" {
					parts = append(parts, text)
				}
			}
			// open("README.md"), os.path.join(here, "shop", "version.py")
			found = append(found, path.Join(parts...))
		}
		found = append(found, texts(m.body)...)
	}
	options, _ := f.setupOptions()
	for _, value := range options {
		if files, ok := strings.CutPrefix(value, "file:"); ok {
			found = append(found, strings.FieldsFunc(files, func(char rune) bool { return strings.ContainsRune(", \n", char) })...)
		}
		if attribute, ok := strings.CutPrefix(value, "attr:"); ok {
			attribute = strings.TrimSpace(attribute)
			if file, ok := f.moduleFile(f.defaultRoot(), attribute[:max(strings.LastIndex(attribute, "."), 0)]); ok {
				found = append(found, file)
			}
		}
	}
	return found
}

// texts are the string literals of statements, as here / "README.md" has one.
func texts(body []*syntax.Statement) []string {
	var found []string
	for _, statement := range body {
		for _, token := range statement.Tokens {
			if text, ok := token.Literal(); ok {
				found = append(found, text)
			}
		}
		found = append(found, texts(statement.Body)...)
	}
	return found
}

// setupExtras are the extras of setup.cfg or setup.py.
func (f *finder) setupExtras() map[string][]requirement {
	found := map[string][]requirement{}
	options, lines := f.setupOptions()
	for key, value := range options {
		if name, ok := strings.CutPrefix(key, "options.extras_require."); ok {
			found[name] = parseAll(strings.Split(value, "\n"), place("setup.cfg", lines[key]))
		}
	}
	m := f.module("setup.py")
	if m == nil {
		return found
	}
	for _, call := range m.calls {
		table := call.Argument("extras_require", -1)
		if len(table) == 0 || !table[0].Is("{") {
			continue
		}
		for _, entry := range syntax.Split(inside(table, 0), ",") {
			if pair := syntax.Split(entry, ":"); len(pair) == 2 {
				if name, ok := syntax.Text(pair[0]); ok {
					found[name] = parseAll(m.literals(pair[1]), place("setup.py", call.Line))
				}
			}
		}
	}
	return found
}

// literals are the strings of a list, given as such or by the name of a variable.
func (m *module) literals(tokens []syntax.Token) []string {
	if len(tokens) == 1 && tokens[0].Kind == syntax.Name {
		if values := m.assigned[tokens[0].Text]; len(values) > 0 {
			tokens = values[len(values)-1].value
		}
	}
	var found []string
	for _, part := range syntax.Split(inside(tokens, 0), ",") {
		if text, ok := syntax.Text(part); ok {
			found = append(found, text)
		}
	}
	return found
}

// setupOptions reads the section [options] of setup.cfg; values of several lines
// keep them. It returns the lines of the keys as well.
func (f *finder) setupOptions() (map[string]string, map[string]int) {
	content, _ := f.read("setup.cfg")
	options, lines := map[string]string{}, map[string]int{}
	section, key := "", ""
	for i, line := range strings.Split(string(content), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[':
			section, key = strings.Trim(trimmed, "[]"), ""
		case (line[0] == ' ' || line[0] == '\t') && key != "":
			options[key] += "\n" + trimmed
		default:
			name, value, _ := strings.Cut(trimmed, "=")
			key = strings.TrimSpace(name)
			if section != "options" {
				key = section + "." + key
			}
			options[key], lines[key] = strings.TrimSpace(value), i+1
		}
	}
	return options, lines
}

// group are the requirements of a dependency group, with those that it includes.
func (f *finder) group(name string, within []string) []requirement {
	if slices.Contains(within, normalize(name)) || len(within) > 50 {
		return nil
	}
	within = append(slices.Clone(within), normalize(name))
	var found []requirement
	for key, entries := range f.manifest.Groups {
		if normalize(key) != normalize(name) {
			continue
		}
		for _, entry := range entries {
			switch entry := entry.(type) {
			case string:
				found = append(found, parseAll([]string{entry}, "")...)
			case map[string]any:
				if other, ok := entry["include-group"].(string); ok {
					found = append(found, f.group(other, within)...)
				}
			}
		}
	}
	return found
}

// isDev says whether a group, an extra or a part of a file's name is for tests.
func isDev(name string) bool {
	return slices.Contains([]string{"dev", "develop", "development", "test", "tests", "testing"}, normalize(name))
}

// dev finds what the tests need.
func (f *finder) dev() error {
	d := &f.project.Dev
	main := f.project.Dependencies
	var direct []requirement
	groups := map[string]bool{}
	extras := map[string]bool{}
	if main.Kind != Pipenv {
		for _, name := range slices.Sorted(maps.Keys(f.manifest.Groups)) {
			if isDev(name) {
				groups[name] = true
				direct = append(direct, f.group(name, nil)...)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(f.manifest.Project.Optional)) {
			if isDev(name) {
				extras[name] = true
				direct = append(direct, parseAll(f.manifest.Project.Optional[name], "")...)
			}
		}
		if list := f.manifest.Tool.UV.DevDependencies; len(list) > 0 && main.Kind == UV {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(groups)), func(name string) bool { return normalize(name) == "dev" }) {
				groups["dev"] = true
			}
			direct = append(direct, parseAll(list, "")...)
		}
		for name, one := range f.manifest.Tool.Poetry.Groups {
			if isDev(name) {
				groups[name] = true
				direct = append(direct, poetryRequirements(one.Dependencies)...)
			}
		}
		if table := f.manifest.Tool.Poetry.DevDependencies; len(table) > 0 {
			groups["dev"] = true
			direct = append(direct, poetryRequirements(table)...)
		}
		if main.Kind == Setuptools {
			for name, list := range f.setupExtras() {
				if isDev(name) {
					extras[name] = true
					direct = append(direct, list...)
				}
			}
		}
	} else if len(f.pipfile.Dev) > 0 {
		groups["dev"] = true
		direct = poetryRequirements(f.pipfile.Dev)
	}
	switch _, r, ok := f.requirementsOf([]string{
		"requirements-dev.txt", "dev-requirements.txt", "requirements_dev.txt", "requirements/dev.txt", "requirements/development.txt",
		"requirements/local.txt", "requirements-test.txt", "test-requirements.txt", "requirements_test.txt", "requirements/test.txt", "requirements/tests.txt",
		"requirements-tests.txt",
	}); {
	case main.Kind == UV || main.Kind == Poetry || main.Kind == Pipenv || !ok:
		if len(direct) == 0 {
			return nil
		}
		*d = main
		d.Itself = false
		if main.Kind == None || main.Kind == Requirements {
			*d = Dependencies{Kind: PEP621, Files: []string{settings.File}}
		}
		d.Extras = slices.Sorted(maps.Keys(extras))
		d.Groups = slices.Sorted(maps.Keys(groups))
		if d.Kind == PEP621 || d.Kind == Setuptools {
			d.Groups = slices.Compact(slices.Sorted(slices.Values(append(d.Groups, d.Extras...))))
		}
	default:
		if r.err != nil {
			return r.err
		}
		direct = r.direct
		*d = Dependencies{Kind: Requirements, Files: r.files, Locked: r.pinned, Hashed: r.hashed, Itself: r.itself != ""}
	}
	if d.Kind == PEP621 {
		if err := f.indexed(direct); err != nil {
			return err
		}
	}
	d.Names = namesOf(direct)
	d.Local = f.local(direct)
	d.Hashed = d.Hashed && len(d.Local) == 0
	source := strings.Join(d.Files, ", ")
	f.found("tests", strings.Join(d.Names, ", "), source)
	return nil
}

// installed are the packages that are installed to run the app, by name: the direct
// ones with their extras, and what a lock adds.
func (f *finder) installed() []requirement {
	all := map[string]requirement{}
	for _, one := range f.direct {
		if before, ok := all[one.Name]; ok {
			one.Extras = append(slices.Clone(before.Extras), one.Extras...)
		}
		all[one.Name] = one
	}
	for name, locked := range f.locked {
		one, ok := all[name]
		if !ok {
			one = requirement{Name: name, Source: f.lockFile}
		}
		if locked.url != "" {
			one.URL = locked.url
		}
		all[name] = one
	}
	var found []requirement
	for _, name := range slices.Sorted(maps.Keys(all)) {
		found = append(found, all[name])
	}
	return found
}

// installs says whether a package is among those, or is known to come with one.
func (f *finder) installs(name string) bool {
	return slices.ContainsFunc(f.installed(), func(one requirement) bool { return one.brings(name) })
}

// brings says whether a package is installed with a requirement, as far as that is
// known without a lock.
func (r requirement) brings(name string) bool {
	if r.Name == name {
		return true
	}
	has := func(extras ...string) bool {
		return slices.ContainsFunc(extras, func(extra string) bool { return slices.Contains(r.Extras, extra) })
	}
	switch name {
	case "uvicorn":
		return r.Name == "fastapi" && has("standard", "standard-no-fastapi-cloud-cli", "all") || r.Name == "litestar" && has("standard", "full") ||
			r.Name == "uvicorn-worker" || r.Name == "fastapi-cli" && has("standard")
	case "hypercorn":
		return r.Name == "quart"
	case "gunicorn":
		return r.Name == "uvicorn-worker"
	case "flask", "django":
		return strings.HasPrefix(r.Name, name+"-")
	}
	return false
}

// mentions says whether one of the packages is installed.
func (f *finder) mentions(names ...string) bool {
	return slices.ContainsFunc(names, f.installs)
}

// otherPythons are what Pipfile, a lock, setup.cfg and setup.py say of Python.
func (f *finder) otherPythons() []statement {
	var found []statement
	for _, version := range []string{f.pipfile.Requires.Version, f.pipfile.Requires.Full} {
		if exact := majorMinor(version); exact != "" {
			found = append(found, statement{exact: exact, text: version, source: f.lineOf("Pipfile", version)})
		}
	}
	options, lines := f.setupOptions()
	if wanted := options["python_requires"]; wanted != "" {
		found = append(found, statement{specifier: wanted, text: wanted, source: place("setup.cfg", lines["python_requires"])})
	}
	if m := f.module("setup.py"); m != nil {
		for _, call := range m.calls {
			if wanted, ok := syntax.Text(call.Argument("python_requires", -1)); ok && path.Ext("."+call.Name) == ".setup" {
				found = append(found, statement{specifier: wanted, text: wanted, source: place("setup.py", call.Line)})
			}
		}
	}
	for file, key := range map[string]string{"uv.lock": "requires-python", "poetry.lock": "python-versions"} {
		if f.lockFile != file {
			continue
		}
		content, _ := f.read(file)
		for i, line := range strings.Split(string(content), "\n") {
			// The metadata of poetry.lock are at its end, those of packages before.
			if wanted, ok := strings.CutPrefix(line, key+` = "`); ok {
				wanted = strings.TrimSuffix(strings.TrimSpace(wanted), `"`)
				one := statement{specifier: poetrySpecifier(wanted), text: wanted, source: place(file, i+1)}
				if len(found) > 0 && strings.HasPrefix(found[len(found)-1].source, file) {
					found[len(found)-1] = one
				} else {
					found = append(found, one)
				}
			}
		}
	}
	return found
}

// keyLine is file:line of a key of a table of a TOML file, or the file.
func (f *finder) keyLine(file, table, key string) string {
	content, _ := f.read(file)
	within := false
	for i, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			within = strings.Trim(line, "[] ") == table
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if within && ok && normalize(strings.Trim(strings.TrimSpace(name), `"'`)) == key {
			return place(file, i+1)
		}
	}
	return file
}
