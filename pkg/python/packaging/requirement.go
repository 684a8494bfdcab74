package packaging

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// NormalizeName returns the form of a package name that PEP 503 compares: lower case,
// with one hyphen for each run of hyphens, underscores and dots.
func NormalizeName(name string) string {
	separator := func(char rune) bool { return char == '-' || char == '_' || char == '.' }
	return strings.ToLower(strings.Join(strings.FieldsFunc(name, separator), "-"))
}

// Requirement is one dependency.
type Requirement struct {
	// Name is normalized. It may be empty for one that only has a URL.
	Name string
	// Extras are normalized and sorted.
	Extras []string
	// Specifier is the range of versions.
	Specifier Specifier
	// URL is a direct reference: an archive, a repository such as
	// git+https://host/path@commit, or a path.
	URL string
	// Marker is the condition under which the requirement counts.
	Marker Marker
	// Position is where the requirement is written.
	Position Position
}

// The forms of a requirement.
var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*`)
	commitPattern = regexp.MustCompile(`@[0-9a-f]{40}\b`)
	remotePattern = regexp.MustCompile(`^(?:git|hg|svn|bzr)\+`)
	schemePattern = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*://|file:|git\+)`)
)

// ParseRequirement parses a requirement of PEP 508; ok is false for any other text,
// such as an option, a path or an archive.
func ParseRequirement(text string) (r Requirement, ok bool) {
	text = strings.TrimSpace(text)
	name := namePattern.FindString(text)
	if name == "" || isArchive(name) {
		return Requirement{}, false
	}
	r.Name = NormalizeName(name)
	rest := strings.TrimSpace(text[len(name):])
	if strings.HasPrefix(rest, "[") {
		extras, after, closed := strings.Cut(rest[1:], "]")
		if !closed {
			return Requirement{}, false
		}
		r.Extras = normalizeNames(strings.Split(extras, ","))
		rest = strings.TrimSpace(after)
	}
	if url, ok := strings.CutPrefix(rest, "@"); ok {
		url, marker, _ := strings.Cut(strings.TrimSpace(url), " ;")
		r.URL, r.Marker = strings.TrimSpace(url), Marker(strings.TrimSpace(marker))
		return r, true
	}
	specifier, marker, _ := strings.Cut(rest, ";")
	specifier = strings.Trim(strings.TrimSpace(specifier), "()")
	if specifier != "" && !strings.ContainsAny(specifier[:1], clauseOperators) {
		return Requirement{}, false
	}
	r.Specifier, r.Marker = Specifier(specifier), Marker(strings.TrimSpace(marker))
	return r, true
}

// ParseRequirements parses requirements that are written at one place. It leaves out
// what is not of PEP 508.
func ParseRequirements(texts []string, at Position) []Requirement {
	var found []Requirement
	for _, text := range texts {
		if r, ok := ParseRequirement(text); ok {
			r.Position = at
			found = append(found, r)
		}
	}
	return found
}

// ParseURLRequirement parses a requirement that is a URL or a path alone, as pip takes
// it on its command line and in requirements files. The name is that of the fragment
// #egg=NAME, else the one that the last part of the path starts with.
func ParseURLRequirement(text string) (Requirement, bool) {
	if !strings.Contains(text, "/") && !isArchive(text) {
		return Requirement{}, false
	}
	address, fragment, _ := strings.Cut(text, "#")
	name := eggName(fragment)
	if name == "" {
		name, _, _ = strings.Cut(strings.TrimSuffix(path.Base(address), ".git"), "@")
		name, _, _ = strings.Cut(name, "[")
		if wheel, ok := strings.CutSuffix(name, ".whl"); ok {
			name, _, _ = strings.Cut(wheel, "-")
		}
		name = strings.TrimSuffix(name, ".git")
	}
	r := Requirement{Name: NormalizeName(name), URL: text}
	return r, r.Name != ""
}

// eggName returns the name in a URL's fragment, or nothing.
func eggName(fragment string) string {
	for part := range strings.SplitSeq(fragment, "&") {
		if egg, ok := strings.CutPrefix(part, "egg="); ok {
			egg, _, _ = strings.Cut(egg, "[")
			return egg
		}
	}
	return ""
}

// Exact returns the one version that the specifier asks for, or nothing.
func (r Requirement) Exact() string { return r.Specifier.Exact() }

// Pinned reports whether the requirement always installs the same code: one version,
// an archive, or one commit of a repository. A path is not pinned.
func (r Requirement) Pinned() bool {
	switch {
	case r.URL == "":
		return r.Exact() != ""
	case r.IsRepository():
		return commitPattern.MatchString(r.URL)
	}
	return !r.IsPath()
}

// IsRepository reports whether the requirement is a repository of a version control
// system.
func (r Requirement) IsRepository() bool { return remotePattern.MatchString(r.URL) }

// IsPath reports whether the requirement is a file or a directory beside the project.
func (r Requirement) IsPath() bool { return r.URL != "" && !schemePattern.MatchString(r.URL) }

// HasExtra reports whether one of the extras is asked for.
func (r Requirement) HasExtra(extras ...string) bool {
	return slices.ContainsFunc(extras, func(extra string) bool { return slices.Contains(r.Extras, extra) })
}

// Names returns the names of requirements, sorted, each once.
func Names(requirements []Requirement) []string {
	var names []string
	for _, r := range requirements {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// normalizeNames returns the normalized names, sorted, each once.
func normalizeNames(names []string) []string {
	var normalized []string
	for _, name := range names {
		if name = NormalizeName(strings.TrimSpace(name)); name != "" {
			normalized = append(normalized, name)
		}
	}
	slices.Sort(normalized)
	return slices.Compact(normalized)
}

// isArchive reports whether a name is that of a distribution file.
func isArchive(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{".whl", ".tar.gz", ".zip"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
