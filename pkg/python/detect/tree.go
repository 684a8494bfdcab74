package detect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// Limits of what is read: a larger project is read in part.
const (
	maxFile    = 1 << 20
	maxLock    = 64 << 20
	maxModules = 4000
	maxEntries = 50_000
	maxDepth   = 12
)

// tree is the directory of a project: the names of its code, and the contents of its
// files, each read once.
type tree struct {
	files fs.FS
	// above is the directory that the project may take files of, nil for none but its own;
	// within is the project's path in it, and aboveDir its name in messages.
	above            fs.FS
	within, aboveDir string
	// dir is the directory as the user named it.
	dir string
	// modules are the Python files in which an app may be, and dirs the directories
	// that were walked; both are sorted.
	modules, dirs []string
	// projects are the directories below the top that are projects themselves, sorted.
	projects []string
	// contents are the files that were read; nil for one that does not exist.
	contents map[string][]byte
	warnings []string
	// err is about the first file that exists and cannot be read.
	err error
}

// openTree walks a directory; dir is its name as the user gave it.
func openTree(files fs.FS, dir string) (*tree, error) {
	t := &tree{files: files, dir: dir, contents: map[string][]byte{}}
	entries := 0
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch entries++; {
		case err != nil && name == ".":
			return err
		case err != nil:
			t.warn("%s cannot be read and is left out", name)
			return fs.SkipDir
		case entries > maxEntries:
			t.warn("the directory has more than %d entries, the others were not looked at", maxEntries)
			return fs.SkipAll
		}
		return t.visit(name, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	slices.Sort(t.projects)
	t.projects = slices.Compact(t.projects)
	return t, nil
}

// visit takes one entry of the directory.
func (t *tree) visit(name string, entry fs.DirEntry) error {
	switch {
	case name == ".":
	case entry.IsDir():
		if isGenerated(entry.Name()) || strings.Count(name, "/") >= maxDepth {
			return fs.SkipDir
		}
		t.dirs = append(t.dirs, name)
	case strings.HasSuffix(name, ".py") && entry.Type().IsRegular() && len(t.modules) < maxModules:
		t.modules = append(t.modules, name)
	}
	if dir := path.Dir(name); dir != "." && !entry.IsDir() && isProjectFile(entry.Name()) && path.Base(dir) != "requirements" && !isAside(dir+"/main.py") {
		t.projects = append(t.projects, dir)
	}
	return nil
}

// isGenerated reports whether a directory has no code of the project: what tools
// install or write, and hidden directories.
func isGenerated(name string) bool {
	switch name {
	case "venv", "env", "node_modules", "__pycache__", "__pypackages__", "site-packages", "build", "dist", "htmlcov":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".egg-info")
}

// isAside reports whether a file is beside the service itself, by its path: tests,
// examples, documentation, scripts, migrations.
func isAside(file string) bool {
	dir, base := path.Split(file)
	return slices.ContainsFunc(strings.Split(dir, "/"), isAsideDir) || strings.HasPrefix(base, "test_") || strings.HasSuffix(base, "_test.py") ||
		slices.Contains([]string{"tests.py", "conftest.py", "setup.py", "noxfile.py", "tasks.py", "fabfile.py"}, base)
}

func isAsideDir(dir string) bool {
	dir = strings.ToLower(dir)
	switch dir {
	case "test", "tests", "e2e", "testing", "example", "examples", "doc", "docs", "script", "scripts", "bench", "benchmark", "benchmarks",
		"sample", "samples", "demo", "demos", "notebooks", "tools", "hack", "ci", "alembic", "migrations", "versions":
		return true
	}
	return strings.HasSuffix(dir, "_tests") || strings.HasSuffix(dir, "-tests")
}

// projectFiles returns the names of the files that make a directory a project.
func projectFiles() []string {
	return []string{packaging.PyprojectFile, packaging.SetupPyFile, packaging.SetupCfgFile, "requirements.txt", packaging.PipfileFile}
}

func isProjectFile(name string) bool { return slices.Contains(projectFiles(), name) }

// isProject reports whether the top of the directory is a Python project.
func (t *tree) isProject() bool {
	return slices.ContainsFunc(projectFiles(), t.has) || t.isDir("requirements") ||
		slices.ContainsFunc(t.modules, func(file string) bool { return !strings.Contains(file, "/") })
}

// isOwn reports whether a file is code of the service: it is not aside, and not in a
// project below the top.
func (t *tree) isOwn(file string) bool { return !isAside(file) && !t.isBelow(file) }

// isBelow reports whether a file is in a project below the top.
func (t *tree) isBelow(file string) bool {
	return slices.ContainsFunc(t.projects, func(dir string) bool { return strings.HasPrefix(file, dir+"/") })
}

// read returns the content of a file as packaging.Text returns it; ok is false for a
// file that does not exist, is not a regular one, is too large, or is a link that
// leaves the directory.
func (t *tree) read(name string) (content []byte, ok bool) {
	content, known := t.contents[name]
	if !known {
		content = t.load(name)
		t.contents[name] = content
	}
	return content, content != nil
}

// sizeLimit returns the size up to which a file is read.
func sizeLimit(name string) int64 {
	if strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".txt") {
		return maxLock
	}
	return maxFile
}

// load is read for a file that is not kept; nil if it is not read.
func (t *tree) load(name string) []byte {
	files, inside := t.at(name)
	if files == nil {
		return nil
	}
	limit := sizeLimit(name)
	info, err := fs.Stat(files, inside)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return t.fail(name, err)
	case err != nil:
		if linked, lerr := fs.Lstat(files, inside); lerr == nil && linked.Mode()&fs.ModeSymlink != 0 {
			t.warn("%s is a link out of the directory, or to nothing, and is not read", name)
		}
		return nil
	case !info.Mode().IsRegular():
		return nil
	case info.Size() > limit:
		t.warn("%s has more than %d MiB and is not read", name, limit>>20)
		return nil
	}
	file, err := files.Open(inside)
	if err != nil {
		return t.fail(name, err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	content, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return t.fail(name, err)
	}
	if content = packaging.Text(content); content == nil {
		content = []byte{} // it exists
	}
	return content
}

// forget frees the content of a file, which still exists.
func (t *tree) forget(name string) { t.contents[name] = []byte{} }

// has reports whether a file exists and can be read.
func (t *tree) has(name string) bool {
	_, ok := t.read(name)
	return ok
}

// present returns those of the files that exist, sorted, each once.
func (t *tree) present(names ...string) []string {
	var found []string
	for _, name := range names {
		if t.has(name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// isDir reports whether a directory exists.
func (t *tree) isDir(name string) bool {
	info, err := t.stat(name)
	return err == nil && info.IsDir()
}

// exists reports whether there is anything of that name, readable or not.
func (t *tree) exists(name string) bool {
	_, err := t.stat(name)
	return err == nil
}

func (t *tree) stat(name string) (fs.FileInfo, error) {
	files, inside := t.at(name)
	if files == nil {
		return nil, fs.ErrNotExist
	}
	return fs.Stat(files, inside)
}

// at returns the file system that has a path, and the path in it; nil for a path that is
// outside of what the project may read.
func (t *tree) at(name string) (files fs.FS, inside string) {
	if path.IsAbs(name) {
		return nil, ""
	}
	if name = t.clean(name); fs.ValidPath(name) {
		return t.files, name
	}
	if full := path.Join(t.within, name); t.above != nil && fs.ValidPath(full) {
		return t.above, full
	}
	return nil, ""
}

// clean returns a path relative to the project in its shortest form: one that leads out of
// the project and back into it becomes one inside.
func (t *tree) clean(name string) string {
	name = path.Clean(name)
	if t.above == nil || !isOutside(name) || t.within == "." {
		return name
	}
	full := path.Join(t.within, name)
	if full == t.within {
		return "."
	}
	if inside, ok := strings.CutPrefix(full, t.within+"/"); ok {
		return inside
	}
	return name
}

// isOutside reports whether a clean path leads out of the project.
func isOutside(name string) bool { return name == ".." || strings.HasPrefix(name, "../") }

// fail keeps the first error, and returns the content of a file that was not read.
func (t *tree) fail(name string, err error) []byte {
	if t.err == nil {
		t.err = fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (t *tree) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

// place returns the position of a line of a file as text.
func place(file string, line int) string { return packaging.Position{File: file, Line: line}.String() }
