// Package chart renders a local Helm chart as helm template does, by Helm's own library: on this
// machine, and without a release of Helm in the cluster.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	helmchart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// Options determine what a chart renders.
type Options struct {
	// App is the name of the release, and the image that stands for the built one.
	App string
	// Namespace is that of the release.
	Namespace string
	// Values are what the user sets, from the weakest to the strongest.
	Values []source.Values
	// Capabilities are those of the cluster; zero are DefaultKubeVersion and the APIs of that
	// version.
	Capabilities Capabilities
}

// Rendered is what a chart makes.
type Rendered struct {
	// Objects are all objects but tests. Their File is that of the template, with a remark.
	Objects []source.Object
	// Notes are clauses about what is not as the chart says.
	Notes []string
}

// Render renders the chart in a directory. It reads the directory and files of values, and
// fetches nothing: what the chart depends on must be in its charts directory, and lookup finds
// nothing.
//
// A Job that is a pre-install or pre-upgrade hook becomes a Job of the release. Those of a
// release run at the same time: two of different weights are an error. Tests are left out, and
// other hooks are errors, too. If no container runs the app, and the chart has the value
// image.repository, which the user does not set, Render sets it to the name of the app and
// notes that.
//
// No error repeats a value that the user sets.
func Render(dir string, o Options) (*Rendered, error) {
	loaded, err := load(dir)
	if err != nil {
		return nil, err
	}
	values, err := merge(o.Values)
	if err != nil {
		return nil, err
	}
	r := &renderer{dir: dir, options: o, hide: hidden(values)}
	rendered, err := r.render(loaded, values)
	if err != nil {
		return nil, err
	}
	if !runs(rendered.Objects, o.App) {
		if with := r.withImage(values); with != nil {
			rendered = with
		}
	}
	rendered.Notes = append(rendered.Notes, r.notes...)
	if r.varies(values) {
		rendered.Notes = append(rendered.Notes, "the chart renders differently each time, such as with random passwords: each build deploys it again")
	}
	return rendered, nil
}

// load reads a chart, and checks that it can be rendered.
func load(dir string) (*helmchart.Chart, error) {
	loaded, err := loader.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: read the chart: %w", dir, err)
	}
	if loaded.Metadata.Type == "library" {
		return nil, fmt.Errorf("%s is a library chart, which renders nothing: name a chart that uses it", dir)
	}
	var missing []string
	for _, wanted := range loaded.Metadata.Dependencies {
		has := slices.ContainsFunc(loaded.Dependencies(), func(one *helmchart.Chart) bool { return one.Name() == wanted.Name })
		if !has {
			missing = append(missing, wanted.Name)
		}
	}
	if len(missing) > 0 {
		return nil, &MissingError{Dir: dir, Charts: missing}
	}
	for _, crd := range loaded.CRDObjects() {
		return nil, fmt.Errorf("%s: CustomResourceDefinitions belong to no namespace, and a release goes to one only: let an administrator apply them, and take them out of the chart", filepath.Join(dir, crd.Name))
	}
	return loaded, nil
}

// MissingError reports charts that a chart depends on and does not have.
type MissingError struct {
	Dir string
	// Charts are their names.
	Charts []string
}

// Error names the charts.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: Chart.yaml depends on %s, which charts/ does not have", e.Dir, strings.Join(e.Charts, ", "))
}

// renderer renders one chart, perhaps more than once.
type renderer struct {
	dir     string
	options Options
	// hide are texts that no error may have.
	hide  []string
	notes []string
	// first is what the templates render with the values of the user.
	first map[string]string
}

// render makes objects of what the templates render. It changes loaded.
func (r *renderer) render(loaded *helmchart.Chart, values map[string]any) (*Rendered, error) {
	text, err := r.templates(loaded, values)
	if err != nil {
		return nil, r.redact(err)
	}
	if r.first == nil {
		r.first = text
	}
	rendered := &Rendered{}
	var tests []string
	var jobs []hookJob
	for _, name := range slices.Sorted(maps.Keys(text)) {
		if path.Base(name) == "NOTES.txt" {
			continue
		}
		// A name begins with that of the chart, which need not be that of the directory.
		_, within, _ := strings.Cut(name, "/")
		file := filepath.Join(r.dir, filepath.FromSlash(within)) + " (rendered)"
		objects, err := source.Parse(file, []byte(text[name]))
		if err != nil {
			return nil, r.redact(err)
		}
		for _, object := range objects {
			hook, err := takeHook(object)
			switch {
			case err != nil:
				return nil, err
			case hook.test:
				tests = append(tests, object.String())
				continue
			case hook.job != nil:
				jobs = append(jobs, *hook.job)
			}
			rendered.Objects = append(rendered.Objects, object)
		}
	}
	notes, err := notesOf(jobs)
	if err != nil {
		return nil, err
	}
	rendered.Notes = append(rendered.Notes, notes...)
	if len(tests) > 0 {
		rendered.Notes = append(rendered.Notes, "the tests of the chart are left out: "+strings.Join(tests, ", "))
	}
	if len(rendered.Objects) == 0 {
		return nil, fmt.Errorf("%s: the chart renders no object", r.dir)
	}
	return rendered, source.Check(rendered.Objects)
}

// templates returns what each template renders. It changes loaded.
func (r *renderer) templates(loaded *helmchart.Chart, values map[string]any) (map[string]string, error) {
	values = clone(values)
	capabilities, err := r.options.Capabilities.forHelm()
	if err != nil {
		return nil, err
	}
	if wanted := loaded.Metadata.KubeVersion; wanted != "" && !chartutil.IsCompatibleRange(wanted, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("the chart requires Kubernetes %s, and this is %s", wanted, capabilities.KubeVersion.Version)
	}
	if err := chartutil.ProcessDependencies(loaded, values); err != nil {
		return nil, err
	}
	remote := hasRemoteSchema(loaded)
	release := common.ReleaseOptions{Name: r.options.App, Namespace: r.options.Namespace, Revision: 1, IsInstall: true}
	top, err := util.ToRenderValuesWithSchemaValidation(loaded, values, release, capabilities, remote)
	if err != nil {
		return nil, err
	}
	if remote {
		r.note("the values are not checked: values.schema.json refers to a URL, and nothing is fetched")
	}
	if usesLookup(loaded) {
		r.note("templates of the chart use lookup, which finds nothing, as in helm template")
	}
	return engine.Render(loaded, top)
}

// note adds a note once.
func (r *renderer) note(text string) {
	if !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// withImage renders the chart with the app as its image; nil if the chart has no value for that,
// or the user sets it, or that is not the image of a container.
func (r *renderer) withImage(values map[string]any) *Rendered {
	loaded, err := load(r.dir)
	if err != nil {
		return nil
	}
	image, _ := loaded.Values["image"].(map[string]any)
	before, isText := image["repository"].(string)
	if set, ok := values["image"].(map[string]any); ok && set["repository"] != nil || !isText {
		return nil
	}
	changed := map[string]any{"repository": r.options.App}
	if _, ok := image["registry"].(string); ok {
		changed["registry"] = ""
	}
	rendered, err := r.render(loaded, loader.MergeMaps(values, map[string]any{"image": changed}))
	if err != nil || !runs(rendered.Objects, r.options.App) {
		return nil
	}
	rendered.Notes = append(rendered.Notes, fmt.Sprintf("the chart's value image.repository is %s instead of %q, so that it runs the image that is built; write it into the values to keep it", r.options.App, before))
	return rendered
}

// varies reports whether the chart renders differently each time.
func (r *renderer) varies(values map[string]any) bool {
	loaded, err := load(r.dir)
	if err != nil {
		return true
	}
	text, err := r.templates(loaded, values)
	return err != nil || !maps.Equal(text, r.first)
}

var (
	lookupCall   = regexp.MustCompile(`{{[^}]*\blookup\s+["$(.]`)
	remoteSchema = regexp.MustCompile(`"\$ref"\s*:\s*"https?://`)
)

// usesLookup reports whether a template of the chart, or of one that it depends on, calls
// lookup.
func usesLookup(loaded *helmchart.Chart) bool {
	return slices.ContainsFunc(loaded.Templates, func(file *common.File) bool { return lookupCall.Match(file.Data) }) ||
		slices.ContainsFunc(loaded.Dependencies(), usesLookup)
}

// hasRemoteSchema reports whether Helm would fetch what a schema of values refers to.
func hasRemoteSchema(loaded *helmchart.Chart) bool {
	return remoteSchema.Match(loaded.Schema) || slices.ContainsFunc(loaded.Dependencies(), hasRemoteSchema)
}

// runs reports whether an object names the app as an image.
func runs(objects []source.Object, app string) bool {
	return slices.ContainsFunc(objects, func(object source.Object) bool {
		return slices.ContainsFunc(images(object.Object), func(image string) bool { return source.Repository(image) == app })
	})
}

// images returns the images of all containers below a field, at any depth.
func images(field any) []string {
	var found []string
	switch value := field.(type) {
	case map[string]any:
		for key, inner := range value {
			if text, ok := inner.(string); ok && key == "image" {
				found = append(found, text)
				continue
			}
			found = append(found, images(inner)...)
		}
	case []any:
		for _, inner := range value {
			found = append(found, images(inner)...)
		}
	}
	return found
}

// location is how Helm writes where a template is, by the name of the chart.
var location = regexp.MustCompile(`\(?[\w.-]+/((?:charts/[\w.-]+/)*templates/[^\s:]+:\d+)(:\d+)?\)?`)

// redact returns an error that begins with the place of the template as the user knows it, or
// else with the directory, without what the user sets. The error of a parser of ours stays what
// it is.
func (r *renderer) redact(err error) error {
	text := err.Error()
	for _, secret := range r.hide {
		text = strings.ReplaceAll(text, secret, "…")
	}
	if errors.As(err, new(*source.Error)) {
		if text == err.Error() {
			return err
		}
		return errors.New(text)
	}
	text = location.ReplaceAllString(text, filepath.Join(strings.ReplaceAll(r.dir, "$", "$$"), "$1"))
	text = strings.Join(strings.Fields(strings.TrimPrefix(strings.TrimPrefix(text, "execution error at "), "parse error at ")), " ")
	if !strings.HasPrefix(text, r.dir) {
		text = r.dir + ": " + text
	}
	return errors.New(text)
}

// clone returns a copy of values.
func clone(values map[string]any) map[string]any {
	copied := map[string]any{}
	for key, value := range values {
		if inner, ok := value.(map[string]any); ok {
			value = clone(inner)
		}
		copied[key] = value
	}
	return copied
}

// readValues reads a file of values.
func readValues(text []byte) (map[string]any, error) {
	return loader.LoadValues(bytes.NewReader(text))
}
