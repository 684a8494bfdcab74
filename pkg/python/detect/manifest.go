package detect

import (
	"path"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// manifest is what the files say in which a project declares itself. A file that does
// not exist declares nothing.
type manifest struct {
	*packaging.Pyproject
	pipfile *packaging.Pipfile
	setup   *packaging.Setup
	// workspace is uv's that the project is a member of, nil for none.
	workspace *workspace
	warnings  []string
}

// readManifest reads pyproject.toml, Pipfile, setup.cfg and setup.py.
func readManifest(t *tree) (*manifest, error) {
	content, _ := t.read(packaging.PyprojectFile)
	pyproject, err := packaging.ParsePyproject(content)
	if err != nil {
		return nil, err
	}
	content, _ = t.read(packaging.PipfileFile)
	pipfile, err := packaging.ParsePipfile(content)
	if err != nil {
		return nil, err
	}
	cfg, _ := t.read(packaging.SetupCfgFile)
	script, _ := t.read(packaging.SetupPyFile)
	m := &manifest{Pyproject: pyproject, pipfile: pipfile, setup: packaging.ParseSetup(cfg, script)}
	return m, m.findWorkspace(t)
}

// root returns the directory from which the modules of the project are imported, as
// far as its manifest and its layout show.
func (m *manifest) root(t *tree) string {
	declared := []string{m.Tool.Setuptools.PackageDir[""], findWhere(m.Tool.Setuptools.Packages)}
	for _, one := range m.Tool.Poetry.Packages {
		declared = append(declared, one.From)
	}
	for _, dir := range declared {
		if dir != "" && t.isDir(path.Clean(dir)) {
			return path.Clean(dir)
		}
	}
	if t.isDir("src") && !t.has("src/__init__.py") {
		return "src"
	}
	return "."
}

// findWhere returns the first directory of [tool.setuptools.packages.find].
func findWhere(packages any) string {
	table, _ := packages.(map[string]any)
	find, _ := table["find"].(map[string]any)
	where, _ := find["where"].([]any)
	if len(where) == 0 {
		return ""
	}
	dir, _ := where[0].(string)
	return dir
}

// isWorkspace reports whether the project at the top only holds others.
func (m *manifest) isWorkspace(t *tree) bool {
	return m.Name() == "" && t.has(packaging.PyprojectFile) || m.Tool.UV.Workspace != nil
}
