package detect

import (
	"cmp"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/syntax"
)

// code is the Python code of a project: its modules, each parsed once, and the
// directories from which they import one another.
type code struct {
	*tree
	// root is where modules are imported from if their imports do not show another
	// place.
	root   string
	parsed map[string]*module
}

func newCode(t *tree, root string) *code {
	return &code{tree: t, root: root, parsed: map[string]*module{}}
}

// module returns a Python file, or nil if it does not exist.
func (c *code) module(file string) *module {
	if m, known := c.parsed[file]; known {
		return m
	}
	c.parsed[file] = nil
	content, ok := c.read(file)
	if !ok {
		return nil
	}
	m := newModule(file, syntax.Parse(content))
	c.parsed[file] = m
	c.forget(file)
	return m
}

// own yields the modules of the service itself.
func (c *code) own() iter.Seq[*module] {
	return func(yield func(*module) bool) {
		for _, file := range c.modules {
			if !c.isOwn(file) {
				continue
			}
			if m := c.module(file); m != nil && !yield(m) {
				return
			}
		}
	}
}

// moduleFile returns the file of a module below a directory; that of the directory
// itself for an empty name.
func (t *tree) moduleFile(dir, dotted string) (file string, ok bool) {
	base := path.Join(dir, strings.ReplaceAll(dotted, ".", "/"))
	if dotted != "" && t.has(base+".py") {
		return base + ".py", true
	}
	if file := path.Join(base, "__init__.py"); t.has(file) {
		return file, true
	}
	return "", false
}

// find returns the file of a module that another file imports.
func (c *code) find(from string, of imported) (file string, ok bool) {
	if of.level > 0 {
		dir := path.Dir(from)
		for range of.level - 1 {
			dir = path.Dir(dir)
		}
		return c.moduleFile(dir, of.module)
	}
	for _, root := range c.rootsAbove(from) {
		if file, ok := c.moduleFile(root, of.module); ok {
			return file, true
		}
	}
	return "", false
}

// rootsAbove returns the directories from which a file may import modules by absolute
// names: all those above it, the nearest last.
func (c *code) rootsAbove(file string) []string {
	roots := []string{"."}
	if c.isDir("src") {
		roots = append(roots, "src")
	}
	parts := strings.Split(path.Dir(file), "/")
	for i := range parts {
		if dir := path.Join(parts[:i+1]...); dir != "." && dir != "src" {
			roots = append(roots, dir)
		}
	}
	return roots
}

// rootOf returns the directory from which a file is imported when it runs.
func (c *code) rootOf(file string) string {
	dir := path.Dir(file)
	if dir == "." {
		return "."
	}
	// Python puts the directory of a program on its path, and manage.py is Django's.
	for above := dir; above != "."; above = path.Dir(above) {
		if c.has(path.Join(above, "manage.py")) {
			return above
		}
	}
	root := c.packageRoot(dir)
	if root == "" && strings.HasPrefix(file, c.root+"/") {
		root = c.root
	}
	root = cmp.Or(root, ".")
	m := c.module(file)
	if m == nil {
		return root
	}
	return cmp.Or(c.importRoot(m, root), root)
}

// importRoot returns the directory in which the first absolute import of a module is
// found, the preferred one before those above the file; nothing if none is.
func (c *code) importRoot(m *module, preferred string) string {
	roots := c.rootsAbove(m.file)
	slices.Reverse(roots)
	roots = append([]string{preferred}, roots...)
	for _, of := range m.allImports() {
		if of.level > 0 || of.module == "" {
			continue
		}
		found := slices.IndexFunc(roots, func(root string) bool { return c.hasModule(root, of.module) })
		if found >= 0 {
			return roots[found]
		}
	}
	return ""
}

// packageRoot returns the directory with the package in which a directory is: the first
// one above it without an __init__.py; nothing if the directory is in no package.
func (c *code) packageRoot(dir string) string {
	root := ""
	for ; dir != "."; dir = path.Dir(dir) {
		if c.has(dir + "/__init__.py") {
			root = path.Dir(dir)
		} else if root != "" {
			break
		}
	}
	return root
}

// hasModule reports whether a module, or a package without __init__.py, is below a
// directory.
func (c *code) hasModule(root, module string) bool {
	if _, ok := c.moduleFile(root, module); ok {
		return true
	}
	dir := path.Join(root, strings.ReplaceAll(module, ".", "/"))
	return slices.ContainsFunc(c.modules, func(file string) bool { return path.Dir(file) == dir })
}

// objectName returns module:attribute of a name in a file, as it is imported from root.
func objectName(root, file, name string) string {
	relative := strings.TrimSuffix(file, ".py")
	if root != "." {
		relative = strings.TrimPrefix(relative, root+"/")
	}
	if path.Base(relative) == "__init__" {
		relative = path.Dir(relative)
	}
	return strings.ReplaceAll(relative, "/", ".") + ":" + name
}
