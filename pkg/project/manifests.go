package project

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

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
	if set := p.Settings.Manifests; set != "" {
		set = filepath.Join(p.Dir, filepath.FromSlash(set))
		p.Manifests = setting(p.Settings, "manifests", set)
	}
	p.Manifests = first(flag("manifests", options.Manifests), p.Manifests)
	if p.Manifests.IsSet() {
		nameAfter(p, source.Named(p.Manifests.Value, names...), p.Manifests.Value)
		if options.NoDeploy {
			p.Manifests = Value[string]{}
			return nil
		}
		if _, err := source.KindOf(p.Manifests.Value); err != nil && p.Manifests.Origin.Kind == Setting {
			return p.Manifests.Origin.wrap("manifests", err)
		}
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

// resolveValues decides the values of the chart. Files of settings are relative to the folder.
func resolveValues(p *Project, options *Options) error {
	helm := p.Settings.Helm
	set := source.Values{}
	for _, file := range helm.Values {
		set.Files = append(set.Files, filepath.Join(p.Dir, filepath.FromSlash(file)))
	}
	for _, key := range slices.Sorted(maps.Keys(helm.Set)) {
		set.Set = append(set.Set, key+"="+helm.Set[key])
	}
	for _, values := range []source.Values{set, options.Values} {
		if !values.IsZero() {
			p.Values = append(p.Values, values)
		}
	}
	if len(p.Values) == 0 {
		return nil
	}
	if p.Manifests.IsSet() {
		if kind, err := source.KindOf(p.Manifests.Value); err != nil || kind == source.Chart {
			return err
		}
	}
	switch {
	case !options.Values.IsZero():
		return optionErrorf("--values and --set are for a Helm chart, and %s deploys none: name it with --manifests", p.Dir)
	case !set.IsZero():
		return Origin{Setting, p.Settings.Where("helm")}.wrap("helm", fmt.Errorf("%s deploys no Helm chart: name it with the setting manifests, or remove helm", p.Dir))
	}
	return nil
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
