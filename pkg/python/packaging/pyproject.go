package packaging

import (
	"maps"
	"path"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// PyprojectFile is the name of the manifest that PEP 621 defines.
const PyprojectFile = "pyproject.toml"

// Pyproject is a pyproject.toml: the tables of PEP 518, 621 and 735, and those of
// tools that say something about dependencies or the layout of the code.
type Pyproject struct {
	// Project is PEP 621's table.
	Project struct {
		Name           string              `toml:"name"`
		RequiresPython string              `toml:"requires-python"`
		Dependencies   []string            `toml:"dependencies"`
		Optional       map[string][]string `toml:"optional-dependencies"`
		Dynamic        []string            `toml:"dynamic"`
		EntryPoints    map[string]any      `toml:"entry-points"`
	} `toml:"project"`
	// BuildSystem is PEP 518's table, nil without one.
	BuildSystem *struct {
		Requires []string `toml:"requires"`
		Backend  string   `toml:"build-backend"`
	} `toml:"build-system"`
	// Groups are PEP 735's: strings, and tables that include another group.
	Groups map[string][]any `toml:"dependency-groups"`
	Tool   struct {
		FastAPI struct {
			Entrypoint string `toml:"entrypoint"`
		} `toml:"fastapi"`
		Poetry PoetryTable `toml:"poetry"`
		UV     struct {
			DevDependencies []string       `toml:"dev-dependencies"`
			DefaultGroups   any            `toml:"default-groups"`
			Sources         map[string]any `toml:"sources"`
			Indexes         []IndexTable   `toml:"index"`
			IndexURL        string         `toml:"index-url"`
			ExtraIndexURL   []string       `toml:"extra-index-url"`
			// Workspace is that of the root of a workspace, nil for any other project.
			Workspace *UVWorkspace `toml:"workspace"`
			// Managed is false for a project that uv leaves alone, nil if it does not say.
			Managed *bool `toml:"managed"`
		} `toml:"uv"`
		PDM struct {
			Sources []IndexTable `toml:"source"`
		} `toml:"pdm"`
		Setuptools struct {
			PackageDir map[string]string `toml:"package-dir"`
			ExtModules []any             `toml:"ext-modules"`
			Packages   any               `toml:"packages"`
		} `toml:"setuptools"`
	} `toml:"tool"`

	content []byte
	// file is the path of the file.
	file string
	// root is the pyproject.toml of the workspace that the project is a member of, in the
	// directory dir; nil without one.
	root *Pyproject
	dir  string
}

// PoetryTable is [tool.poetry].
type PoetryTable struct {
	Name            string                 `toml:"name"`
	Dependencies    map[string]any         `toml:"dependencies"`
	DevDependencies map[string]any         `toml:"dev-dependencies"`
	Groups          map[string]PoetryGroup `toml:"group"`
	Sources         []IndexTable           `toml:"source"`
	Packages        []struct {
		Include string `toml:"include"`
		From    string `toml:"from"`
	} `toml:"packages"`
	Build any `toml:"build"`
}

// PoetryGroup is [tool.poetry.group.NAME].
type PoetryGroup struct {
	Optional     bool           `toml:"optional"`
	Dependencies map[string]any `toml:"dependencies"`
}

// ParsePyproject parses a pyproject.toml; no content is a file without tables. The
// error holds a *toml.Error.
func ParsePyproject(content []byte) (*Pyproject, error) {
	return ParsePyprojectAs(PyprojectFile, content)
}

// ParsePyprojectAs is ParsePyproject for one in another directory: positions and errors have
// its path.
func ParsePyprojectAs(file string, content []byte) (*Pyproject, error) {
	p := &Pyproject{content: content, file: file}
	if err := toml.Decode(file, content, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Join makes the project a member of a workspace of uv, whose root has this pyproject.toml in
// a directory relative to the project: the sources and indexes of the root count for its
// members as well.
func (p *Pyproject) Join(root *Pyproject, dir string) { p.root, p.dir = root, dir }

// Name returns the name of the project as it is written, in [project] or in Poetry's
// table.
func (p *Pyproject) Name() string {
	if p.Project.Name != "" {
		return p.Project.Name
	}
	return p.Tool.Poetry.Name
}

// IsDynamic reports whether [project] leaves a field to the build backend.
func (p *Pyproject) IsDynamic(field string) bool { return slices.Contains(p.Project.Dynamic, field) }

// Find returns the position of the first line that contains text.
func (p *Pyproject) Find(text string) Position { return FindText(p.file, p.content, text) }

// FindKey returns the position of a key of a table; the key is normalized.
func (p *Pyproject) FindKey(table, key string) Position {
	return findKey(p.file, p.content, table, key)
}

// Dependencies returns what the project needs to run: the dependencies of [project],
// and those of Poetry's table that are not among them.
func (p *Pyproject) Dependencies() []Requirement {
	var found []Requirement
	for _, text := range p.Project.Dependencies {
		found = append(found, ParseRequirements([]string{text}, p.Find(text))...)
	}
	known := Names(found)
	for _, one := range tableRequirements(p.Tool.Poetry.Dependencies) {
		if !slices.Contains(known, one.Name) {
			one.Position = p.FindKey("tool.poetry.dependencies", one.Name)
			found = append(found, one)
		}
	}
	return found
}

// Extra returns the requirements of an extra, by its name as it is written.
func (p *Pyproject) Extra(name string) []Requirement {
	return ParseRequirements(p.Project.Optional[name], Position{})
}

// Group returns the requirements of a dependency group with those that it includes.
func (p *Pyproject) Group(name string) []Requirement { return p.group(NormalizeName(name), nil) }

// maxGroups is how deep groups may include one another.
const maxGroups = 50

func (p *Pyproject) group(name string, within []string) []Requirement {
	if slices.Contains(within, name) || len(within) > maxGroups {
		return nil
	}
	within = append(slices.Clone(within), name)
	var found []Requirement
	for _, key := range slices.Sorted(maps.Keys(p.Groups)) {
		if NormalizeName(key) != name {
			continue
		}
		for _, entry := range p.Groups[key] {
			switch entry := entry.(type) {
			case string:
				found = append(found, ParseRequirements([]string{entry}, Position{})...)
			case map[string]any:
				if other, ok := entry["include-group"].(string); ok {
					found = append(found, p.group(NormalizeName(other), within)...)
				}
			}
		}
	}
	return found
}

// PoetryGroup returns the requirements of one of Poetry's groups, by its name as it is
// written.
func (p *Pyproject) PoetryGroup(name string) []Requirement {
	return tableRequirements(p.Tool.Poetry.Groups[name].Dependencies)
}

// PoetryDev returns the requirements of Poetry 1's table of development dependencies.
func (p *Pyproject) PoetryDev() []Requirement {
	return tableRequirements(p.Tool.Poetry.DevDependencies)
}

// UVDev returns the requirements of uv's former list of development dependencies.
func (p *Pyproject) UVDev() []Requirement {
	return ParseRequirements(p.Tool.UV.DevDependencies, Position{})
}

// Source is an entry of [tool.uv.sources]: where a package comes from instead of the
// default index.
type Source struct {
	// Path is that of a local file or directory; empty for any other source.
	Path string
	// Index reports that the package comes from another index.
	Index bool
	// Workspace reports that the package is a member of the workspace.
	Workspace bool
	// List reports that there are several, each with a marker; the other fields are
	// empty then, but Index if all of them are indexes.
	List bool
	// Position is where the source is written.
	Position Position
}

// Source returns where a package comes from, by its normalized name; ok is false if
// that is the default index. Of a member of a workspace, the root's sources follow its own.
func (p *Pyproject) Source(name string) (source Source, ok bool) {
	if source, ok = p.ownSource(name); ok || p.root == nil {
		return source, ok
	}
	if source, ok = p.root.ownSource(name); ok && source.Path != "" && !path.IsAbs(source.Path) {
		source.Path = path.Join(p.dir, source.Path)
	}
	return source, ok
}

func (p *Pyproject) ownSource(name string) (source Source, ok bool) {
	for key, value := range p.Tool.UV.Sources {
		if NormalizeName(key) != name {
			continue
		}
		table, ok := value.(map[string]any)
		local, _ := table["path"].(string)
		return Source{
			Path: local, Index: table["index"] != nil || ofIndexes(value), Workspace: table["workspace"] == true, List: !ok,
			Position: p.FindKey("tool.uv.sources", name),
		}, true
	}
	return Source{}, false
}

// ofIndexes reports whether a source is a list of indexes.
func ofIndexes(value any) bool {
	list, _ := value.([]any)
	return len(list) > 0 && !slices.ContainsFunc(list, func(entry any) bool {
		table, _ := entry.(map[string]any)
		return table["index"] == nil
	})
}

// tableRequirements reads a table of dependencies as Poetry and Pipenv have it. It
// leaves out python, and what only an extra installs.
func tableRequirements(table map[string]any) []Requirement {
	var found []Requirement
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if one, ok := tableRequirement(name, table[name]); ok && one.Name != "python" {
			found = append(found, one)
		}
	}
	return found
}

// tableRequirement reads one entry; ok is false for an optional one.
func tableRequirement(name string, value any) (r Requirement, ok bool) {
	r.Name = NormalizeName(name)
	switch value := value.(type) {
	case string:
		r.Specifier = PoetrySpecifier(value)
		return r, true
	case map[string]any:
		if value["optional"] == true {
			return r, false
		}
		version, _ := value["version"].(string)
		r.Specifier = PoetrySpecifier(version)
		r.Extras = normalizeNames(stringsOf(value["extras"]))
		r.URL = tableURL(value)
		r.Marker = tableMarker(value)
		return r, true
	}
	// A list has one entry for each marker.
	r.Marker = "several"
	return r, true
}

// tableMarker returns the condition of an entry. Poetry's platform is a value of
// sys_platform, and Pipenv's keys are variables with a comparison. A range of versions of
// Python, which no marker can hold as it is written, has the name of its key.
func tableMarker(entry map[string]any) Marker {
	var markers []Marker
	add := func(key, before, after string) {
		if text, ok := entry[key].(string); ok && text != "" {
			markers = append(markers, Marker(before+text+after))
		}
	}
	add("markers", "", "")
	add("platform", "sys_platform == '", "'")
	for _, variable := range []string{"sys_platform", "platform_system", "os_name", "python_version"} {
		add(variable, variable+" ", "")
	}
	if len(markers) == 0 && entry["python"] != nil {
		return "python"
	}
	return joinMarkers(markers, " and ")
}

// tableURL returns the direct reference of an entry, or nothing.
func tableURL(entry map[string]any) string {
	for _, key := range []string{"file", "url", "path"} {
		if url, ok := entry[key].(string); ok {
			return url
		}
	}
	if git, ok := entry["git"].(string); ok {
		return "git+" + git
	}
	return ""
}

// stringsOf returns the strings of a list.
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
