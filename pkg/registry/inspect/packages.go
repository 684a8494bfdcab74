package inspect

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// The kinds of packages.
const (
	Python = "python"
	Debian = "debian"
	Alpine = "alpine"
)

// Package is an installed package.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Kind is Python for a distribution, Debian or Alpine.
	Kind string `json:"kind"`
	// Bytes is the unpacked size of its files that are visible in the image. Bytecode counts
	// for the package of its source.
	Bytes int64 `json:"bytes"`
}

// dpkg is the directory of Debian's package manager, apk the database of Alpine's.
const (
	dpkg = "var/lib/dpkg/"
	apk  = "lib/apk/db/installed"
)

// owner is a package with what only an inventory has of it.
type owner struct {
	Package
	architecture, license string
	requires              []string
}

// owners maps the files of an image to the packages that installed them.
type owners struct {
	packages []*owner
	files    map[string]*owner
}

// newOwners reads the records of Python's installers (the dist-info directories), of apk, and of
// dpkg, which images without a shell keep in another form.
func newOwners(t *tree) *owners {
	o := &owners{files: map[string]*owner{}}
	known := map[string]owner{}
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
			readStatus(known, r.lines)
		}
	}
	for _, r := range records {
		switch directory, base := path.Split(r.name); {
		case inCache.MatchString(r.name): // uv keeps unpacked packages there
		case base == "RECORD" && packaging.IsDistInfo(path.Clean(directory)):
			o.distribution(t, strings.TrimSuffix(directory, "/"), r.lines)
		case directory == dpkg+"info/" && strings.HasSuffix(base, ".list"):
			o.debian(strings.TrimSuffix(base, ".list"), known, r.lines)
		case r.name == apk || r.name == "usr/"+apk:
			o.alpine(r.lines)
		case directory == dpkg+"status.d/" && strings.HasSuffix(base, ".md5sums"):
			o.debian(strings.TrimSuffix(base, ".md5sums"), known, r.lines)
		}
	}
	return o
}

// field returns the value of a line such as "Version: 1.0".
func field(line, name string) (string, bool) {
	value, ok := strings.CutPrefix(line, name+": ")
	return strings.TrimSpace(value), ok
}

// readStatus reads the versions and the architectures of packages from dpkg's status.
func readStatus(known map[string]owner, lines []string) {
	name := ""
	for _, line := range lines {
		if value, ok := field(line, "Package"); ok {
			name = value
		}
		p := known[name]
		if value, ok := field(line, "Version"); ok {
			p.Version = value
		}
		if value, ok := field(line, "Architecture"); ok {
			p.architecture = value
		}
		known[name] = p
	}
}

// distribution adds a Python package. RECORD names its files relative to the directory that
// modules are imported from.
func (o *owners) distribution(t *tree, directory string, lines []string) {
	var metadata []string
	if file := t.find(directory+"/METADATA", false); file != nil {
		metadata = file.lines
	}
	found := packaging.ParseDistInfo(directory, metadata)
	p := &owner{Package: Package{Name: found.Name, Version: found.Version, Kind: Python}}
	p.license, p.requires = about(metadata)
	o.packages = append(o.packages, p)
	for _, line := range lines {
		name, ok := packaging.ParseRecord(line)
		if !ok {
			continue
		}
		if !strings.HasPrefix(name, "/") {
			name = "/" + path.Dir(directory) + "/" + name
		}
		if file, ok := clean(name); ok {
			o.files[file] = p
		}
	}
}

// merged matches the directories that are links into /usr in current Debian. Older packages
// still name them.
var merged = regexp.MustCompile(`^(bin|sbin|lib|lib32|lib64|libx32)/`)

// debian adds a Debian package with the files that it lists.
func (o *owners) debian(name string, known map[string]owner, lines []string) {
	name, _, _ = strings.Cut(name, ":")
	p := &owner{Package: Package{Name: name, Version: known[name].Version, Kind: Debian}, architecture: known[name].architecture}
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

// alpine adds the packages in the database of apk: P, V and A are the name, the version and the
// architecture of the package whose files follow, F a directory and R a file in it.
func (o *owners) alpine(lines []string) {
	var p *owner
	directory := ""
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ":")
		if key == "P" {
			p = &owner{Package: Package{Name: value, Kind: Alpine}}
			o.packages = append(o.packages, p)
		}
		if p == nil {
			continue
		}
		switch key {
		case "V":
			p.Version = value
		case "A":
			p.architecture = value
		case "F":
			directory = value
		case "R":
			if file, ok := clean(directory + "/" + value); ok {
				o.files[file] = p
			}
		}
	}
}

// of returns the package that installed a file, or nil.
func (o *owners) of(name string) *owner {
	if p := o.files[name]; p != nil {
		return p
	}
	if code, ok := parseByteCode(name); ok {
		return o.files[code.source]
	}
	return nil
}

// largestPackages returns the packages that have files in the image, the largest first.
func (o *owners) largestPackages() []Package {
	packages := []Package{}
	for _, p := range o.packages {
		if p.Bytes > 0 {
			packages = append(packages, p.Package)
		}
	}
	slices.SortFunc(packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	return packages
}
