package dockerfile

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultNames returns the names of a Dockerfile that is built without being named, in the
// order of precedence: that of docker, then that of podman.
func DefaultNames() []string { return []string{"Dockerfile", "dockerfile", "Containerfile"} }

// DefaultName returns the first of DefaultNames that dir has, or the first of them.
func DefaultName(dir string) string {
	for _, name := range DefaultNames() {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return name
		}
	}
	return DefaultNames()[0]
}

// IgnoreFiles returns the names of the ignore file that belongs to a Dockerfile, in the order
// of precedence: one for this Dockerfile alone, then that of the directory. Of a
// Containerfile, podman's name comes first.
func IgnoreFiles(name string) []string {
	suffixes := []string{".dockerignore", ".containerignore"}
	if strings.Contains(strings.ToLower(path.Base(name)), "containerfile") {
		slices.Reverse(suffixes)
	}
	names := make([]string, 0, 2*len(suffixes))
	for _, prefix := range []string{name, ""} {
		for _, suffix := range suffixes {
			names = append(names, prefix+suffix)
		}
	}
	return names
}

// maxOthers is the number of Dockerfiles that Others returns.
const maxOthers = 5

// Others returns the Dockerfiles of a directory other than used, with slashes, sorted, at
// most five: those of the directory, and with below those of the directories in it, too.
func Others(dir, used string, below bool) []string {
	var found []string
	collect := func(parent string) []fs.DirEntry {
		entries, err := os.ReadDir(filepath.Join(dir, parent))
		if err != nil {
			return nil // whoever packs the directory reports it
		}
		for _, entry := range entries {
			name := path.Join(parent, entry.Name())
			if !entry.IsDir() && isName(entry.Name()) && !sameFile(dir, name, used) {
				found = append(found, name)
			}
		}
		return entries
	}
	for _, entry := range collect("") {
		if below && entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && entry.Name() != "node_modules" {
			collect(entry.Name())
		}
	}
	slices.Sort(found)
	return found[:min(len(found), maxOthers)]
}

// sameFile reports whether two names in a directory are one file, as on a file system that
// ignores case.
func sameFile(dir, a, b string) bool {
	if a == b || b == "" {
		return a == b
	}
	first, err := os.Stat(filepath.Join(dir, a))
	if err != nil {
		return false
	}
	second, err := os.Stat(filepath.Join(dir, b))
	return err == nil && os.SameFile(first, second)
}

// isName reports whether a file is called like a Dockerfile: Dockerfile, Containerfile,
// Dockerfile.prod, api.dockerfile.
func isName(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasSuffix(lower, "ignore") {
		return false
	}
	for _, word := range []string{"dockerfile", "containerfile"} {
		if lower == word || strings.HasPrefix(lower, word+".") || strings.HasSuffix(lower, "."+word) {
			return true
		}
	}
	return false
}
