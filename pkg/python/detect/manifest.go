package detect

import (
	"slices"
	"strings"
)

// manifest is what is read of pyproject.toml.
type manifest struct {
	Project struct {
		Name           string              `toml:"name"`
		RequiresPython string              `toml:"requires-python"`
		Dependencies   []string            `toml:"dependencies"`
		Optional       map[string][]string `toml:"optional-dependencies"`
		Dynamic        []string            `toml:"dynamic"`
		EntryPoints    map[string]any      `toml:"entry-points"`
	} `toml:"project"`
	BuildSystem *struct {
		Requires []string `toml:"requires"`
		Backend  string   `toml:"build-backend"`
	} `toml:"build-system"`
	// Groups hold strings, and tables that include another group.
	Groups map[string][]any `toml:"dependency-groups"`
	Tool   struct {
		FastAPI struct {
			Entrypoint string `toml:"entrypoint"`
		} `toml:"fastapi"`
		Poetry poetryTable `toml:"poetry"`
		UV     struct {
			DevDependencies []string       `toml:"dev-dependencies"`
			DefaultGroups   any            `toml:"default-groups"`
			Sources         map[string]any `toml:"sources"`
			Workspace       struct {
				Members []string `toml:"members"`
			} `toml:"workspace"`
		} `toml:"uv"`
		Setuptools struct {
			PackageDir map[string]string `toml:"package-dir"`
			ExtModules []any             `toml:"ext-modules"`
			Packages   any               `toml:"packages"`
		} `toml:"setuptools"`
	} `toml:"tool"`
}

// poetryTable is [tool.poetry].
type poetryTable struct {
	Name            string         `toml:"name"`
	Dependencies    map[string]any `toml:"dependencies"`
	DevDependencies map[string]any `toml:"dev-dependencies"`
	Groups          map[string]struct {
		Optional     bool           `toml:"optional"`
		Dependencies map[string]any `toml:"dependencies"`
	} `toml:"group"`
	Packages []struct {
		Include string `toml:"include"`
		From    string `toml:"from"`
	} `toml:"packages"`
	Build any `toml:"build"`
}

// name is the project's.
func (m *manifest) name() string {
	if m.Project.Name != "" {
		return m.Project.Name
	}
	return m.Tool.Poetry.Name
}

// normalize is the form of a package's name that PEP 503 compares.
func normalize(name string) string {
	return strings.ToLower(strings.Join(strings.FieldsFunc(name, func(char rune) bool { return char == '-' || char == '_' || char == '.' }), "-"))
}

// requirement is one dependency as PEP 508 writes it.
type requirement struct {
	// Name is normalized, and so are the extras, which are sorted.
	Name   string
	Extras []string
	// Specifier is the version's, such as >=1,<2, or empty; URL is what comes after @.
	Specifier, URL string
	// Marker is the condition.
	Marker string
	// Source is where it is written.
	Source string
}

// parseRequirement reads a PEP 508 requirement; ok is false when it is none.
func parseRequirement(text string) (requirement, bool) {
	r := requirement{}
	text = strings.TrimSpace(text)
	end := 0
	for end < len(text) && (text[end] == '-' || text[end] == '_' || text[end] == '.' || isAlphanumeric(text[end])) {
		end++
	}
	if end == 0 || !isAlphanumeric(text[0]) {
		return r, false
	}
	r.Name = normalize(text[:end])
	rest := strings.TrimSpace(text[end:])
	if strings.HasPrefix(rest, "[") {
		inner, after, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return r, false
		}
		for _, extra := range strings.Split(inner, ",") {
			if extra = normalize(strings.TrimSpace(extra)); extra != "" {
				r.Extras = append(r.Extras, extra)
			}
		}
		slices.Sort(r.Extras)
		r.Extras = slices.Compact(r.Extras)
		rest = strings.TrimSpace(after)
	}
	if strings.HasPrefix(rest, "@") {
		r.URL, r.Marker, _ = strings.Cut(strings.TrimSpace(rest[1:]), " ;")
		r.URL, r.Marker = strings.TrimSpace(r.URL), strings.TrimSpace(r.Marker)
		return r, true
	}
	specifier, marker, _ := strings.Cut(rest, ";")
	r.Specifier = strings.Trim(strings.TrimSpace(specifier), "()")
	r.Marker = strings.TrimSpace(marker)
	if r.Specifier != "" && !strings.ContainsAny(r.Specifier[:1], "<>=!~") {
		return r, false
	}
	return r, true
}

func isAlphanumeric(char byte) bool {
	return char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= '0' && char <= '9'
}

// pinned is the exact version that the requirement asks for, or nothing.
func (r requirement) pinned() string {
	version, ok := strings.CutPrefix(r.Specifier, "==")
	if !ok || strings.ContainsAny(version, ",*") {
		return ""
	}
	return strings.TrimSpace(strings.TrimPrefix(version, "="))
}

// parseAll reads requirements, without those that are none.
func parseAll(texts []string, source string) []requirement {
	var found []requirement
	for _, text := range texts {
		if r, ok := parseRequirement(text); ok {
			r.Source = source
			found = append(found, r)
		}
	}
	return found
}

// namesOf are the normalized names, sorted.
func namesOf(requirements []requirement) []string {
	var names []string
	for _, r := range requirements {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
