package inspect

import (
	"cmp"
	"encoding/csv"
	"path"
	"regexp"
	"slices"
	"strings"
)

// What packages are of.
const (
	Python = "python"
	Debian = "debian"
)

// Package is an installed package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Kind is Python, for a distribution, or Debian.
	Kind string `json:"kind"`
	// Bytes are those of its files that the image shows, unpacked; byte code counts
	// for the package of its source.
	Bytes int64 `json:"bytes"`
}

const (
	dpkg     = "var/lib/dpkg/"
	distInfo = ".dist-info"
)

// owners says which package a file is of.
type owners struct {
	packages []*Package
	files    map[string]*Package
}

// newOwners reads the records of Python's installers (the dist-info directories)
// and of dpkg, also in the form that images without a shell have.
func newOwners(t *tree) *owners {
	o := &owners{files: map[string]*Package{}}
	versions := map[string]string{}
	type record struct {
		name string
		*node
	}
	var records []record
	t.walk(func(name string, file *node) {
		if file.lines != nil {
			records = append(records, record{name, file})
		}
	})
	slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.name, b.name) })
	for _, r := range records {
		if r.name == dpkg+"status" || path.Dir(r.name) == dpkg+"status.d" {
			readStatus(versions, r.lines)
		}
	}
	for _, r := range records {
		switch directory, base := path.Split(r.name); {
		case inCache.MatchString(r.name): // uv keeps there what it has unpacked
		case base == "RECORD" && strings.HasSuffix(directory, distInfo+"/"):
			o.distribution(t, strings.TrimSuffix(directory, "/"), r.lines)
		case directory == dpkg+"info/" && strings.HasSuffix(base, ".list"):
			o.debian(strings.TrimSuffix(base, ".list"), versions, r.lines)
		case directory == dpkg+"status.d/" && strings.HasSuffix(base, ".md5sums"):
			o.debian(strings.TrimSuffix(base, ".md5sums"), versions, r.lines)
		}
	}
	return o
}

// field is the value of a line of a field.
func field(line, name string) (string, bool) {
	value, ok := strings.CutPrefix(line, name+": ")
	return strings.TrimSpace(value), ok
}

func readStatus(versions map[string]string, lines []string) {
	name := ""
	for _, line := range lines {
		if value, ok := field(line, "Package"); ok {
			name = value
		}
		if value, ok := field(line, "Version"); ok {
			versions[name] = value
		}
	}
}

// distribution takes the files over that a RECORD names, by paths from the
// directory that modules are imported from.
func (o *owners) distribution(t *tree, directory string, lines []string) {
	site, base := path.Split(directory)
	name, version, _ := strings.Cut(strings.TrimSuffix(base, distInfo), "-")
	p := &Package{Name: name, Version: version, Kind: Python}
	if metadata := t.find(directory+"/METADATA", false); metadata != nil {
		for _, line := range metadata.lines {
			if value, ok := field(line, "Name"); ok {
				p.Name = value
			}
			if value, ok := field(line, "Version"); ok {
				p.Version = value
			}
		}
	}
	o.packages = append(o.packages, p)
	for _, line := range lines {
		if strings.HasPrefix(line, `"`) {
			fields, err := csv.NewReader(strings.NewReader(line)).Read()
			if err != nil || len(fields) == 0 {
				continue
			}
			line = fields[0]
		}
		if !strings.HasPrefix(line, "/") {
			line = "/" + site + line
		}
		if file, ok := clean(line); ok {
			o.files[file] = p
		}
	}
}

// merged are the directories that are links into /usr in today's Debian, while
// older packages still name them.
var merged = regexp.MustCompile(`^(bin|sbin|lib|lib32|lib64|libx32)/`)

func (o *owners) debian(name string, versions map[string]string, lines []string) {
	name, _, _ = strings.Cut(name, ":")
	p := &Package{Name: name, Version: versions[name], Kind: Debian}
	o.packages = append(o.packages, p)
	for _, line := range lines {
		file, ok := clean(line)
		if !ok {
			continue
		}
		o.files[file] = p
		if merged.MatchString(file) {
			o.files["usr/"+file] = p
		}
	}
}

// of returns the package of a file; nil if it is of none.
func (o *owners) of(name string) *Package {
	if p := o.files[name]; p != nil {
		return p
	}
	if code, ok := parseByteCode(name); ok {
		return o.files[code.source]
	}
	return nil
}

// largestPackages are the packages with files in the image, the largest first.
func (o *owners) largestPackages() []Package {
	packages := []Package{}
	for _, p := range o.packages {
		if p.Bytes > 0 {
			packages = append(packages, *p)
		}
	}
	slices.SortFunc(packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	return packages
}
