package release

import (
	"embed"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// defaults holds the objects that generators start from, with what does not depend on the app.
//
//go:embed defaults/*.yaml
var defaults embed.FS

// object is a typed object of a release. Its apiVersion and kind are set.
type object interface {
	runtime.Object
	metav1.Object
}

// generators returns the functions that make the objects of an app without manifests of its
// own. Each returns those of one purpose, none if the options do not ask for them.
func generators(options *Options) []func(*Options) ([]object, error) {
	if options.NoWeb {
		return []func(*Options) ([]object, error){processes, disruptionBudgets, networkPolicies}
	}
	return []func(*Options) ([]object, error){web, service, processes, ingress, httpRoute, autoscaler, disruptionBudgets, networkPolicies}
}

// generate returns the objects of an app without manifests of its own. Each has
// manifests.LabelGenerated on its own metadata.
func generate(options *Options) ([]object, error) {
	var all []object
	for _, of := range generators(options) {
		objects, err := of(options)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			labels := map[string]string{manifests.LabelGenerated: "true"}
			for key, value := range object.GetLabels() {
				labels[key] = value
			}
			object.SetLabels(labels)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// generatedDirectory returns the kustomization of those objects, in a file system of its own.
func generatedDirectory(options *Options) (filesys.FileSystem, string, error) {
	objects, err := generate(options)
	if err != nil {
		return nil, "", err
	}
	fs := filesys.MakeFsInMemory()
	kustomization := types.Kustomization{TypeMeta: types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}}
	for _, object := range objects {
		file := strings.ToLower(object.GetObjectKind().GroupVersionKind().Kind) + "-" + object.GetName() + ".yaml"
		text, err := marshal(object)
		if err == nil {
			err = fs.WriteFile("/"+file, text)
		}
		if err != nil {
			return nil, "", fmt.Errorf("built-in manifests, %s: %w", file, err)
		}
		kustomization.Resources = append(kustomization.Resources, file)
	}
	text, err := yaml.Marshal(kustomization)
	if err == nil {
		err = fs.WriteFile("/"+KustomizationFile, text)
	}
	if err != nil {
		return nil, "", fmt.Errorf("built-in manifests, %s: %w", KustomizationFile, err)
	}
	return fs, "/", nil
}

// template reads an object of defaults.
func template(file string, into runtime.Object) error {
	text, err := defaults.ReadFile("defaults/" + file)
	if err == nil {
		err = yaml.UnmarshalStrict(text, into)
	}
	if err != nil {
		return fmt.Errorf("built-in manifests, %s: %w", file, err)
	}
	return nil
}

// marshal leaves out empty fields that the types always write.
func marshal(object runtime.Object) ([]byte, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	delete(fields, "status")
	if strategy, ok, _ := unstructured.NestedMap(fields, "spec", "strategy"); ok && len(strategy) == 0 {
		unstructured.RemoveNestedField(fields, "spec", "strategy")
	}
	return yaml.Marshal(fields)
}
