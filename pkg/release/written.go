package release

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/chart"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// ErrNoPlaceholder reports that no workload runs the image that is built.
var ErrNoPlaceholder = errors.New("no workload runs the image that is built")

// NoPlaceholderError is an ErrNoPlaceholder of the manifests in a directory.
type NoPlaceholderError struct {
	// Directory has the manifests, App is the image that one of their containers must run.
	Directory, App string
	Kind           source.Kind
	// Images are those that the containers run, sorted.
	Images []string
}

// Error says what to write.
func (e *NoPlaceholderError) Error() string {
	text := fmt.Sprintf("%s: %v: one container needs `image: %s`", e.Directory, ErrNoPlaceholder, e.App)
	if len(e.Images) > 0 {
		text += "; its containers run " + strings.Join(e.Images, ", ")
	}
	return text
}

// Unwrap returns ErrNoPlaceholder.
func (e *NoPlaceholderError) Unwrap() error { return ErrNoPlaceholder }

// build returns the objects of a release, whatever they are made of, in the order of kustomize,
// which sorts what others depend on first. Each of notes is a clause.
func build(options Options) (objects []*unstructured.Unstructured, notes []string, err error) {
	if options.Directory == "" {
		fs, directory, err := generatedDirectory(&options)
		if err != nil {
			return nil, nil, err
		}
		objects, err = kustomize(fs, directory, &tree{}, options)
		return objects, nil, err
	}
	kind, err := source.KindOf(options.Directory)
	if err != nil {
		return nil, nil, err
	}
	if kind != source.Chart && slices.ContainsFunc(options.Values, func(values source.Values) bool { return !values.IsZero() }) {
		return nil, nil, fmt.Errorf("%s: values are for a Helm chart, and there is no Chart.yaml", options.Directory)
	}
	switch kind {
	case source.Kustomization:
		var files tree
		if err := files.walk(options.Directory); err != nil {
			return nil, nil, err
		}
		objects, err = kustomize(filesys.MakeFsOnDisk(), options.Directory, &files, options)
		return objects, nil, err
	case source.Chart:
		return renderChart(options)
	case source.Plain:
	}
	read, notes, err := source.Read(options.Directory, !options.Detected)
	if err != nil {
		return nil, nil, err
	}
	objects, err = arrange(read, options)
	return objects, notes, err
}

// renderChart returns the objects of a chart.
func renderChart(options Options) (objects []*unstructured.Unstructured, notes []string, err error) {
	rendered, err := chart.Render(options.Directory, chart.Options{
		App: options.App, Namespace: options.Namespace, Values: options.Values, Capabilities: options.Capabilities,
	})
	if err != nil {
		return nil, nil, err
	}
	objects, err = arrange(rendered.Objects, options)
	return objects, rendered.Notes, err
}

// kustomize runs kustomize, and takes out of its errors what files has to hide.
func kustomize(fs filesys.FileSystem, directory string, files *tree, options Options) ([]*unstructured.Unstructured, error) {
	settings := krusty.MakeDefaultOptions()
	// The legacy order sorts namespaces, and other objects that objects depend on, first.
	settings.Reorder = krusty.ReorderOptionLegacy
	result, err := krusty.MakeKustomizer(settings).Run(fs, directory)
	if err != nil {
		// The error is not wrapped, because kustomize quotes what it cannot read.
		return nil, fmt.Errorf("kustomize %s: %s", options.Directory, files.redact(err.Error()))
	}
	return convert(result, options)
}

// arrange brings objects into the order of kustomize. It refuses those that are for another
// namespace, with the place where they are.
func arrange(read []source.Object, options Options) ([]*unstructured.Unstructured, error) {
	fs, list, files := filesys.MakeFsInMemory(), "resources:\n", &tree{}
	for i, object := range read {
		if err := checkNamespace(object.Unstructured, options.Namespace); err != nil {
			return nil, &source.Error{File: object.File, Line: object.Line, Err: err}
		}
		text, err := object.MarshalJSON()
		if err != nil {
			return nil, &source.Error{File: object.File, Line: object.Line, Err: errors.New("not a manifest")}
		}
		files.hideManifest(string(text))
		name := fmt.Sprintf("%06d.json", i)
		if err := fs.WriteFile("/"+name, text); err != nil {
			return nil, err
		}
		list += "- " + name + "\n"
	}
	if err := fs.WriteFile("/"+KustomizationFile, []byte(list)); err != nil {
		return nil, err
	}
	return kustomize(fs, "/", files, options)
}

// imagesOf returns the images that containers of the objects run, sorted, each once.
func imagesOf(objects []*unstructured.Unstructured) []string {
	var images []string
	for _, object := range objects {
		for _, path := range podPaths() {
			pod, _, _ := unstructured.NestedMap(object.Object, path...)
			runs(pod, func(image string) bool {
				if image != "" {
					images = append(images, image)
				}
				return false
			})
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}
