package detect

import (
	"fmt"
	"path"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// workspace is one of uv: several projects with one lock.
type workspace struct {
	// root is the directory of the lock, relative to the project, such as "../..".
	root string
	// member is the path of the project in it.
	member string
}

// file returns the path of a file of the root, relative to the project.
func (w *workspace) file(name string) string { return path.Join(w.root, name) }

// findWorkspace finds the workspace that the project is a member of. As for uv, the first
// directory above with a pyproject.toml decides.
func (m *manifest) findWorkspace(t *tree) error {
	uv := m.Tool.UV
	if !t.has(packaging.PyprojectFile) || uv.Workspace != nil || uv.Managed != nil && !*uv.Managed {
		return nil
	}
	root := ".."
	for ; !t.has(path.Join(root, packaging.PyprojectFile)); root = path.Join("..", root) {
		if files, _ := t.at(root); files == nil {
			return nil
		}
	}
	file := path.Join(root, packaging.PyprojectFile)
	content, _ := t.read(file)
	found, err := packaging.ParsePyprojectAs(file, content)
	if err != nil {
		return err
	}
	member := t.below(root)
	if table := found.Tool.UV.Workspace; table == nil || !table.Includes(member) {
		if lock := path.Join(root, packaging.UVLockFile); t.has(lock) && !t.has(packaging.UVLockFile) {
			m.warnings = append(m.warnings, fmt.Sprintf("%s is not used: %s is no member of the workspace there, as %s has it", lock, member, file))
		}
		return nil
	}
	if lock := path.Join(root, packaging.UVLockFile); !t.has(lock) && t.has(packaging.UVLockFile) {
		m.warnings = append(m.warnings, fmt.Sprintf("%s is used, as %s does not exist: uv itself has one lock for all projects of a workspace, which uv lock writes", packaging.UVLockFile, lock))
		return nil
	}
	m.workspace = &workspace{root: root, member: member}
	m.Join(found, root)
	return nil
}

// below returns the path of the project below a directory such as "../..".
func (t *tree) below(up string) string {
	names := strings.Split(t.within, "/")
	return strings.Join(names[max(0, len(names)-strings.Count(up, "..")):], "/")
}

// uvLock returns where the lock of uv is for the project: that of its workspace, if it is in
// one.
func (m *manifest) uvLock() packaging.UVLock {
	if m.workspace == nil {
		return packaging.UVLock{File: packaging.UVLockFile, Member: "."}
	}
	return packaging.UVLock{File: m.workspace.file(packaging.UVLockFile), Member: m.workspace.member}
}
