package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	pep440 "github.com/aquasecurity/go-pep440-version"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
)

// lockedPackage is a package of a lock.
type lockedPackage struct {
	version string
	// needs are the packages that it needs, and by extra those that an extra adds.
	needs  []requirement
	extras map[string][]requirement
	url    string
	// path is where it is in the project, for one that no index has.
	path string
}

// reach returns what is installed for the direct requirements, by name.
func reach(packages map[string]lockedPackage, direct []requirement) map[string]lockedPackage {
	found := map[string]lockedPackage{}
	seen := map[string]bool{}
	queue := slices.Clone(direct)
	for len(queue) > 0 {
		one := queue[0]
		queue = queue[1:]
		locked, ok := packages[one.Name]
		if !ok {
			continue
		}
		if _, known := found[one.Name]; !known {
			found[one.Name] = locked
			queue = append(queue, locked.needs...)
		}
		for _, extra := range one.Extras {
			if key := one.Name + "[" + extra + "]"; !seen[key] {
				seen[key] = true
				queue = append(queue, locked.extras[extra]...)
			}
		}
	}
	return found
}

// uvLock is uv.lock, whose format is that of version 1:
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
	Name  string   `toml:"name"`
	Extra []string `toml:"extra"`
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

// key is what has to be the same in the project and in the lock. Markers are left
// out, as the lock has them rewritten, but for the extra.
func (r requirement) key(extra string) string {
	text := r.Name
	if len(r.Extras) > 0 {
		text += "[" + strings.Join(r.Extras, ",") + "]"
	}
	if r.URL == "" {
		text += canonical(r.Specifier)
	}
	if extra != "" {
		text += " of the extra " + extra
	}
	return text
}

// canonical writes a version specifier in one form.
func canonical(specifier string) string {
	var parts []string
	for _, part := range strings.Split(specifier, ",") {
		part = strings.Join(strings.Fields(part), "")
		version := strings.TrimLeft(part, "<>=!~")
		if parsed, err := pep440.Parse(version); err == nil && !strings.HasPrefix(part, "===") {
			part = part[:len(part)-len(version)] + parsed.String()
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), ",")
}

// readUV reads uv.lock, and checks that it is the project's.
func (f *finder) readUV() (map[string]lockedPackage, error) {
	content, _ := f.read("uv.lock")
	var lock uvLock
	if err := settings.Decode("uv.lock", content, &lock); err != nil {
		return nil, err
	}
	packages := map[string]lockedPackage{}
	convert := func(from []uvDependency) []requirement {
		var to []requirement
		for _, one := range from {
			to = append(to, requirement{Name: normalize(one.Name), Extras: one.Extra})
		}
		return to
	}
	var own *uvPackage
	for i := range lock.Packages {
		one := &lock.Packages[i]
		if one.Source["virtual"] == "." || one.Source["editable"] == "." || one.Source["directory"] == "." {
			own = one
			continue
		}
		locked := lockedPackage{version: one.Version, needs: convert(one.Dependencies), extras: map[string][]requirement{}}
		for extra, needs := range one.Optional {
			locked.extras[extra] = convert(needs)
		}
		if git, ok := one.Source["git"].(string); ok {
			locked.url = "git+" + git
		}
		for _, kind := range []string{"editable", "directory", "path"} {
			if where, ok := one.Source[kind].(string); ok {
				locked.path = where
			}
		}
		// Of several versions for several platforms the last is kept, with all needs.
		if before, ok := packages[normalize(one.Name)]; ok {
			locked.needs = append(before.needs, locked.needs...)
		}
		packages[normalize(one.Name)] = locked
	}
	if f.manifest.Project.Name == "" {
		return packages, nil
	}
	mismatch := func(problem string) error {
		return &LockError{Project: settings.File, Lock: "uv.lock", Problem: problem, Command: "uv lock"}
	}
	if own == nil || normalize(own.Name) != normalize(f.manifest.Project.Name) {
		return nil, mismatch(fmt.Sprintf("it does not have the project %s", f.manifest.Project.Name))
	}
	want := map[string]bool{}
	if slices.Contains(f.manifest.Project.Dynamic, "dependencies") {
		return packages, nil
	}
	for _, one := range parseAll(f.manifest.Project.Dependencies, "") {
		want[f.sourced(one).key("")] = true
	}
	if !slices.Contains(f.manifest.Project.Dynamic, "optional-dependencies") {
		for extra, texts := range f.manifest.Project.Optional {
			for _, one := range parseAll(texts, "") {
				// An extra that includes another of the project's own is written out.
				if one.Name != normalize(f.manifest.Project.Name) {
					want[f.sourced(one).key(normalize(extra))] = true
				}
			}
		}
	}
	got := map[string]bool{}
	for _, one := range own.Metadata.RequiresDist {
		if normalize(one.Name) != normalize(own.Name) {
			got[one.requirement().key(extraOf(one.Marker))] = true
		}
	}
	if problem := difference(want, got, "uv.lock", settings.File); problem != "" {
		return nil, mismatch(problem)
	}
	groups := slices.Sorted(maps.Keys(f.manifest.Groups))
	isDefault := func(group string) bool { return normalize(group) == "dev" }
	if len(f.manifest.Tool.UV.DevDependencies) > 0 && !slices.ContainsFunc(groups, isDefault) {
		groups = append(groups, "dev")
	}
	for _, group := range groups {
		want, got := map[string]bool{}, map[string]bool{}
		for _, one := range f.group(group, nil) {
			want[f.sourced(one).key("")] = true
		}
		if isDefault(group) {
			for _, one := range parseAll(f.manifest.Tool.UV.DevDependencies, "") {
				want[f.sourced(one).key("")] = true
			}
		}
		for name, list := range own.Metadata.RequiresDev {
			if normalize(name) == normalize(group) {
				for _, one := range list {
					got[one.requirement().key("")] = true
				}
			}
		}
		if problem := difference(want, got, "uv.lock", settings.File+" in the group "+group); problem != "" {
			return nil, mismatch(problem)
		}
	}
	return packages, nil
}

// sourced marks a requirement whose package comes from elsewhere by [tool.uv.sources].
func (f *finder) sourced(one requirement) requirement {
	for name, source := range f.manifest.Tool.UV.Sources {
		if normalize(name) != one.Name {
			continue
		}
		if table, ok := source.(map[string]any); ok && table["index"] != nil {
			continue
		}
		one.URL = "elsewhere"
	}
	return one
}

func (r uvRequirement) requirement() requirement {
	one := requirement{Name: normalize(r.Name), Specifier: r.Specifier, Marker: r.Marker}
	for _, extra := range r.Extras {
		one.Extras = append(one.Extras, normalize(extra))
	}
	slices.Sort(one.Extras)
	if r.Git+r.URL+r.Path+r.Directory+r.Virtual != "" || r.Editable != nil {
		one.URL = "elsewhere"
	}
	return one
}

// extraOf returns the extra of a marker such as "extra == 'test'", or nothing.
func extraOf(marker string) string {
	_, rest, ok := strings.Cut(marker, "extra == ")
	if !ok || len(rest) < 2 {
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	return normalize(name)
}

// difference is the first thing, by name, that one set has and the other has not.
func difference(want, got map[string]bool, lock, project string) string {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !got[key] {
			return fmt.Sprintf("%s is in %s only", key, project)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if !want[key] {
			return fmt.Sprintf("%s is in %s only", key, lock)
		}
	}
	return ""
}

// poetryLock is poetry.lock.
type poetryLock struct {
	Packages []struct {
		Name         string              `toml:"name"`
		Version      string              `toml:"version"`
		Category     string              `toml:"category"`
		Groups       []string            `toml:"groups"`
		Dependencies map[string]any      `toml:"dependencies"`
		Extras       map[string][]string `toml:"extras"`
		Source       struct {
			Type string `toml:"type"`
			URL  string `toml:"url"`
		} `toml:"source"`
	} `toml:"package"`
	Metadata struct {
		ContentHash string `toml:"content-hash"`
	} `toml:"metadata"`
}

// readPoetry reads poetry.lock, and checks that it is the project's.
func (f *finder) readPoetry() (map[string]lockedPackage, error) {
	content, _ := f.read("poetry.lock")
	var lock poetryLock
	if err := settings.Decode("poetry.lock", content, &lock); err != nil {
		return nil, err
	}
	packages := map[string]lockedPackage{}
	for _, one := range lock.Packages {
		locked := lockedPackage{version: one.Version, extras: map[string][]requirement{}}
		if one.Source.Type == "git" {
			locked.url = "git+" + one.Source.URL
		}
		optional := map[string]requirement{}
		for name, value := range one.Dependencies {
			need := requirement{Name: normalize(name)}
			var tables []map[string]any
			switch value := value.(type) {
			case map[string]any:
				tables = append(tables, value)
			case []any:
				for _, entry := range value {
					if table, ok := entry.(map[string]any); ok {
						tables = append(tables, table)
					}
				}
			}
			isOptional := len(tables) > 0
			for _, table := range tables {
				need.Extras = append(need.Extras, stringsOf(table["extras"])...)
				isOptional = isOptional && table["optional"] == true
			}
			if isOptional {
				optional[need.Name] = need
			} else {
				locked.needs = append(locked.needs, need)
			}
		}
		for extra, texts := range one.Extras {
			for _, need := range parseAll(texts, "") {
				if known, ok := optional[need.Name]; ok {
					need = known
				}
				locked.extras[normalize(extra)] = append(locked.extras[normalize(extra)], need)
			}
		}
		packages[normalize(one.Name)] = locked
	}
	project, _ := f.read(settings.File)
	if lock.Metadata.ContentHash == "" || slices.Contains(poetryHashes(project), lock.Metadata.ContentHash) {
		return packages, nil
	}
	// The hash says that they differ, not where: the first direct dependency that is
	// missing or does not fit is named.
	problem := "they changed since it was locked"
	every := slices.Clone(f.direct)
	for _, group := range slices.Sorted(maps.Keys(f.manifest.Tool.Poetry.Groups)) {
		every = append(every, poetryRequirements(f.manifest.Tool.Poetry.Groups[group].Dependencies)...)
	}
	every = append(every, poetryRequirements(f.manifest.Tool.Poetry.DevDependencies)...)
	if first := misfit(every, packages); first != "" {
		problem = first
	}
	return nil, &LockError{Project: settings.File, Lock: "poetry.lock", Problem: problem, Command: "poetry lock"}
}

// misfit says which requirement a set of locked packages does not satisfy.
func misfit(direct []requirement, packages map[string]lockedPackage) string {
	for _, one := range direct {
		locked, ok := packages[one.Name]
		switch {
		case !ok && one.Marker == "":
			return fmt.Sprintf("%s is not in it", one.Name)
		case ok && one.URL == "" && !satisfies(locked.version, one.Specifier):
			return fmt.Sprintf("it has %s %s, which is not %s", one.Name, locked.version, one.Specifier)
		}
	}
	return ""
}

// satisfies says whether a version fits; what can not be understood does.
func satisfies(version, specifier string) bool {
	if specifier == "" || version == "" {
		return true
	}
	parsed, err := pep440.Parse(version)
	if err != nil {
		return true
	}
	specifiers, err := pep440.NewSpecifiers(specifier, pep440.WithPreRelease(true))
	return err != nil || specifiers.Check(parsed)
}

// poetryHashes are the content hashes of a pyproject.toml: that of Poetry from 2.3,
// which has the dependency groups, and that of earlier versions, which is also that
// of Poetry 1 for a project without [project].
func poetryHashes(content []byte) []string {
	var document map[string]any
	if err := settings.Decode(settings.File, content, &document); err != nil {
		return nil
	}
	project, _ := document["project"].(map[string]any)
	groups, _ := document["dependency-groups"].(map[string]any)
	tool, _ := document["tool"].(map[string]any)
	poetry, _ := tool["poetry"].(map[string]any)
	var hashes []string
	for _, withGroups := range []bool{true, false} {
		own := map[string]any{}
		for _, key := range []string{"requires-python", "dependencies", "optional-dependencies"} {
			if value := project[key]; value != nil {
				own[key] = value
			}
		}
		hasGroups := withGroups && len(groups) > 0
		table := map[string]any{}
		for _, key := range []string{"dependencies", "source", "extras", "dev-dependencies", "group"} {
			value := poetry[key]
			if value == nil && (key == "group" || len(own) > 0 || hasGroups) {
				continue
			}
			table[key] = value
		}
		relevant := table
		if len(own) > 0 || hasGroups {
			relevant = map[string]any{"tool": map[string]any{"poetry": table}}
			if len(own) > 0 {
				relevant["project"] = own
			}
			if hasGroups {
				relevant["dependency-groups"] = groups
			}
		}
		hashes = append(hashes, digest(pythonJSON(relevant, ", ", ": ")))
	}
	return hashes
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// pythonJSON writes a value as json.dumps does with sort_keys and these separators.
func pythonJSON(value any, comma, colon string) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(value)
	case int64:
		return strconv.FormatInt(value, 10)
	case float64:
		text := strconv.FormatFloat(value, 'g', -1, 64)
		if !strings.ContainsAny(text, ".enI") {
			text += ".0"
		}
		return text
	case string:
		return pythonString(value)
	case []any:
		parts := make([]string, len(value))
		for i, one := range value {
			parts[i] = pythonJSON(one, comma, colon)
		}
		return "[" + strings.Join(parts, comma) + "]"
	case map[string]any:
		parts := make([]string, 0, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			parts = append(parts, pythonString(key)+colon+pythonJSON(value[key], comma, colon))
		}
		return "{" + strings.Join(parts, comma) + "}"
	}
	return pythonString(fmt.Sprint(value))
}

// pythonString is a JSON string in ASCII.
func pythonString(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, char := range text {
		switch {
		case char == '"' || char == '\\':
			out.WriteByte('\\')
			out.WriteRune(char)
		case char == '\n':
			out.WriteString(`\n`)
		case char == '\r':
			out.WriteString(`\r`)
		case char == '\t':
			out.WriteString(`\t`)
		case char == '\b':
			out.WriteString(`\b`)
		case char == '\f':
			out.WriteString(`\f`)
		case char < 0x20:
			fmt.Fprintf(&out, `\u%04x`, char)
		case char <= 0x7f:
			out.WriteRune(char)
		case char > 0xffff:
			high, low := utf16.EncodeRune(char)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, char)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// pipfile is what is read of a Pipfile.
type pipfile struct {
	Source   []any          `toml:"source"`
	Packages map[string]any `toml:"packages"`
	Dev      map[string]any `toml:"dev-packages"`
	Requires struct {
		Version string `toml:"python_version"`
		Full    string `toml:"python_full_version"`
	} `toml:"requires"`
}

// pipfileHashes are the hashes of a Pipfile: that of Pipenv with names as they are
// written, and that of later versions with normalized names.
func pipfileHashes(content []byte) []string {
	var document map[string]any
	if err := settings.Decode("Pipfile", content, &document); err != nil {
		return nil
	}
	var hashes []string
	for _, normalized := range []bool{true, false} {
		section := func(value any) any {
			table, ok := value.(map[string]any)
			if !ok {
				return map[string]any{}
			}
			if !normalized {
				return table
			}
			result := map[string]any{}
			for name, one := range table {
				result[normalize(name)] = one
			}
			return result
		}
		requires := document["requires"]
		if requires == nil {
			requires = map[string]any{}
		}
		data := map[string]any{
			"_meta":   map[string]any{"sources": document["source"], "requires": requires},
			"default": section(document["packages"]),
			"develop": section(document["dev-packages"]),
		}
		for name, value := range document {
			switch name {
			case "source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop":
			default:
				data[name] = section(value)
			}
		}
		hashes = append(hashes, digest(pythonJSON(data, ",", ":")))
	}
	return hashes
}
