package project

import (
	"os"
	"path/filepath"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// resolveManifests decides the directory of manifests, and the name of the app where only the
// manifests tell it: they run the project's name and not the folder's.
func resolveManifests(p *Project, options *Options) error {
	names := []string{p.Name.Value}
	if own := projectName(p.Dir); p.Name.Origin.Kind == Default && own != "" && own != names[0] {
		names = append(names, own)
	}
	p.Manifests = flag("manifests", options.Manifests)
	if p.Manifests.IsSet() {
		nameAfter(p, source.Named(p.Manifests.Value, names...), p.Manifests.Value)
		return nil
	}
	if options.NoDeploy && len(names) == 1 {
		return nil
	}
	found, err := source.Find(p.Dir, names...)
	if err != nil && options.NoDeploy {
		return nil // the name stays the folder's
	}
	if err != nil {
		return err
	}
	nameAfter(p, found.Name, found.Dir)
	if !options.NoDeploy {
		p.warnings = append(p.warnings, found.Notes...)
		p.Manifests = valueIf(found.Dir != "", filepath.Join(p.Dir, filepath.FromSlash(found.Dir)), Origin{Detected, found.Dir + "/"})
	}
	return nil
}

// nameAfter names the app after the project if the manifests in a directory do.
func nameAfter(p *Project, name, dir string) {
	if name != "" && name != p.Name.Value {
		p.Name = Value[string]{name, Origin{Detected, "name in " + settings.File + ", image in " + dir}}
	}
}

// projectName returns the name in pyproject.toml as that of an app; empty if there is none.
func projectName(dir string) string {
	content, err := os.ReadFile(filepath.Join(dir, packaging.PyprojectFile))
	if err != nil {
		return ""
	}
	manifest, err := packaging.ParsePyproject(content)
	if err != nil {
		return ""
	}
	name := manifest.Project.Name
	if name == "" {
		name = manifest.Tool.Poetry.Name
	}
	if name == "" {
		return ""
	}
	return appname.FromDir(name)
}
