package detect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// Bounds of what is read: a project with more is no less a project, what is beyond
// is not looked at.
const (
	maxFile    = 1 << 20
	maxLock    = 64 << 20
	maxModules = 4000
	maxEntries = 50_000
	maxDepth   = 12
)

// tree is a project's directory.
type tree struct {
	files fs.FS
	// modules are the Python files in which an app may be, and dirs the directories
	// that were walked, both sorted.
	modules, dirs []string
	// projects are the directories of projects below the top.
	projects []string
	contents map[string][]byte
	parsed   map[string]*module
	// values are what lookup found, by file:name, and evaluated counts its steps.
	values    map[string]*value
	evaluated int
	warnings  []string
	// err is the first file that is there and can not be read.
	err error
}

// passed are the directories without a project's own code, beside those that start
// with a dot.
func passed(name string) bool {
	switch name {
	case "venv", "env", "node_modules", "__pycache__", "__pypackages__", "site-packages", "build", "dist", "htmlcov":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".egg-info")
}

// aside are directories and files whose apps are not the project's.
func aside(file string) bool {
	parts := strings.Split(file, "/")
	for _, dir := range parts[:len(parts)-1] {
		dir = strings.ToLower(dir)
		if strings.HasSuffix(dir, "_tests") || strings.HasSuffix(dir, "-tests") {
			return true
		}
		switch dir {
		case "test", "tests", "e2e", "testing", "example", "examples", "doc", "docs", "script", "scripts", "bench", "benchmark", "benchmarks",
			"sample", "samples", "demo", "demos", "notebooks", "tools", "hack", "ci", "alembic", "migrations", "versions":
			return true
		}
	}
	base := parts[len(parts)-1]
	return strings.HasPrefix(base, "test_") || strings.HasSuffix(base, "_test.py") ||
		base == "tests.py" || base == "conftest.py" || base == "setup.py" || base == "noxfile.py" || base == "tasks.py" || base == "fabfile.py"
}

// newTree walks the directory.
func newTree(files fs.FS) (*tree, error) {
	t := &tree{files: files, contents: map[string][]byte{}, parsed: map[string]*module{}, values: map[string]*value{}}
	entries := 0
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch entries++; {
		case err != nil && name == ".":
			return err
		case err != nil:
			t.warn("%s can not be read and is left out", name)
			return fs.SkipDir
		case entries > maxEntries:
			t.warn("the directory has more than %d entries, the others were not looked at", maxEntries)
			return fs.SkipAll
		case name == ".":
		case entry.IsDir():
			if passed(entry.Name()) || strings.Count(name, "/") >= maxDepth {
				return fs.SkipDir
			}
			t.dirs = append(t.dirs, name)
		case strings.HasSuffix(name, ".py") && entry.Type().IsRegular() && len(t.modules) < maxModules:
			t.modules = append(t.modules, name)
		}
		if isProjectFile(entry.Name()) && !entry.IsDir() && strings.Contains(name, "/") && !aside(path.Dir(name)+"/main.py") {
			t.projects = append(t.projects, path.Dir(name))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	slices.Sort(t.projects)
	t.projects = slices.Compact(t.projects)
	t.projects = slices.DeleteFunc(t.projects, func(dir string) bool {
		return path.Base(dir) == "requirements"
	})
	return t, nil
}

// isProjectFile says whether a file makes its directory a project's.
func isProjectFile(name string) bool {
	switch name {
	case "pyproject.toml", "requirements.txt", "setup.cfg", "setup.py", "Pipfile":
		return true
	}
	return false
}

// below returns the project below the top in which a file is, or nothing.
func (t *tree) below(file string) string {
	for _, dir := range t.projects {
		if strings.HasPrefix(file, dir+"/") {
			return dir
		}
	}
	return ""
}

// read returns a file's content; a file that is not there, is not a regular one, or
// is a link that leaves the directory has none.
func (t *tree) read(name string) ([]byte, bool) {
	if content, known := t.contents[name]; known {
		return content, content != nil
	}
	content := t.load(name)
	t.contents[name] = content
	return content, content != nil
}

func (t *tree) load(name string) []byte {
	if !fs.ValidPath(name) {
		return nil
	}
	limit := int64(maxFile)
	if strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".txt") {
		limit = maxLock
	}
	info, err := fs.Stat(t.files, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		t.fail(fmt.Errorf("read %s: %w", name, err))
		return nil
	case err != nil:
		if linked, lerr := fs.Lstat(t.files, name); lerr == nil && linked.Mode()&fs.ModeSymlink != 0 {
			t.warn("%s is a link out of the directory, or to nothing, and is not read", name)
		}
		return nil
	case !info.Mode().IsRegular():
		return nil
	case info.Size() > limit:
		t.warn("%s has more than %d MiB and is not read", name, limit>>20)
		return nil
	}
	file, err := t.files.Open(name)
	if err != nil {
		t.fail(fmt.Errorf("read %s: %w", name, err))
		return nil
	}
	defer file.Close() //nolint:errcheck // nothing was written
	content, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		t.fail(fmt.Errorf("read %s: %w", name, err))
		return nil
	}
	return decoded(content)
}

// decoded is a text without its byte order mark, in UTF-8 if the mark says UTF-16, as
// PowerShell writes.
func decoded(content []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(content, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(content, []byte("\ufeff"))
	}
	var units []uint16
	for i := 2; i+1 < len(content); i += 2 {
		units = append(units, order.Uint16(content[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

// has says whether a file is there and can be read.
func (t *tree) has(name string) bool {
	_, ok := t.read(name)
	return ok
}

// isDir says whether a directory is there.
func (t *tree) isDir(name string) bool {
	info, err := fs.Stat(t.files, name)
	return err == nil && info.IsDir()
}

func (t *tree) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *tree) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

// module returns a Python file, read; nil when it is not there.
func (t *tree) module(file string) *module {
	if m, known := t.parsed[file]; known {
		return m
	}
	t.parsed[file] = nil
	content, ok := t.read(file)
	if !ok {
		return nil
	}
	m := newModule(file, syntax.Parse(content))
	t.parsed[file] = m
	// It is there, and not needed again.
	t.contents[file] = []byte{}
	return m
}

// lineOf returns file:line of the first line that holds the text, or the file.
func (t *tree) lineOf(file, text string) string {
	content, _ := t.read(file)
	if at := strings.Index(string(content), text); at >= 0 && text != "" {
		return place(file, 1+strings.Count(string(content[:at]), "\n"))
	}
	return file
}

// place is file:line.
func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// join is a path below the directory as the user named it.
func join(dir, name string) string {
	if dir == "" || dir == "." {
		return name
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}
