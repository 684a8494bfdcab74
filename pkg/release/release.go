// Package release renders what is delivered: a kustomization in, manifests out.
package release

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const (
	resourcesFile     = "resources.yaml"
	kustomizationFile = "kustomization.yaml"

	// maxSize leaves room for metadata below the 1 MiB that a Secret may take.
	maxSize = 1<<20 - 16<<10
)

// ErrNoPlaceholder says that no workload runs the image that is built.
var ErrNoPlaceholder = errors.New("no workload runs the image that is built")

// Options are everything that a release's manifests depend on.
type Options struct {
	// App is the app's name, and the image name that stands for the built image.
	App string
	// Namespace is where everything goes.
	Namespace string
	// Directory holds the user's kustomization; empty takes a Deployment and a
	// Service of our own, which the fields from Port to Expose are for.
	Directory string
	// Port is the port that the app listens on; zero is python.DefaultPort.
	Port int32
	// Replicas is the number of pods.
	Replicas int32
	// Env are variables of the app, literally; PORT among them has to be Port.
	Env map[string]string
	// Requests and Limits are the resources of each pod, which go together as
	// app.CheckResources says. What Requests do not name of 50m of CPU and 128Mi of
	// memory is requested all the same, but no more than Limits.
	Requests, Limits corev1.ResourceList
	// Probes say how the app is asked whether it runs.
	Probes app.Probes
	// Expose is what leads to the app.
	Expose app.Expose
	// Key makes the hash of the manifests one that says nothing of a Secret among
	// them to those who do not know the key.
	Key []byte
	// PullSecret is added to the pods that run the built image; empty adds none.
	PullSecret string
}

// Manifests are the objects of one release, with the app's name in place of the
// image that is still to be built.
type Manifests struct {
	// YAML is a stream of documents, sorted as they have to be applied; equal
	// options and files give equal bytes.
	YAML []byte
	// Hash stands for all of YAML and Options.Key, and each object has it as the annotation
	// manifests.AnnotationManifests: 32 hexadecimal digits.
	Hash string
	// Objects are all of them, in that stream's order.
	Objects []Object
	// Workloads are the Deployments, StatefulSets and DaemonSets, in that stream's
	// order; at least one of them, or a Job, CronJob or Pod, runs the built image.
	Workloads []Workload
	// Services are the names of the Services, in order.
	Services []string
}

// Object names one of the objects.
type Object struct {
	schema.GroupVersionKind
	Name string
	// Built says that it is a pod, or makes pods, that run the image that is built.
	Built bool
}

// Workload is an object whose pods are replaced when a release is delivered.
type Workload struct {
	// Kind is Deployment, StatefulSet or DaemonSet.
	Kind string
	Name string
	// Built says that its pods run the image that is built.
	Built bool
}

// Files returns the release as a kustomization: file names and their content, for
// the Secret that the delivery reads.
func (m *Manifests) Files() map[string][]byte {
	return map[string][]byte{
		resourcesFile:     m.YAML,
		kustomizationFile: []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- " + resourcesFile + "\n"),
	}
}

// Render builds a release's manifests. It reads Directory, and what the
// kustomization there refers to on this machine; it fetches nothing and runs
// nothing: remote resources, plugins and Helm charts are errors.
//
// Every object gets the namespace, the app's labels and the annotation with the
// hash (on its metadata, not on selectors or pods), and the pods that run the built image get PullSecret. It is
// an error when an object asks for another namespace or has none by nature, when
// no pod runs the built image (ErrNoPlaceholder), and when the whole is larger
// than a Secret can be. No error repeats what a Secret contains.
func Render(options Options) (*Manifests, error) {
	objects, err := build(options)
	if err != nil {
		return nil, err
	}
	rendered := &Manifests{}
	found := false
	for _, object := range objects {
		if err := place(object, options); err != nil {
			return nil, err
		}
		built := usePullSecret(object, options)
		found = found || built
		switch object.GetKind() {
		case "Deployment", "StatefulSet", "DaemonSet":
			rendered.Workloads = append(rendered.Workloads, Workload{Kind: object.GetKind(), Name: object.GetName(), Built: built})
		case "Service":
			if object.GetAPIVersion() == "v1" {
				rendered.Services = append(rendered.Services, object.GetName())
			}
		}
		rendered.Objects = append(rendered.Objects, Object{object.GroupVersionKind(), object.GetName(), built})
	}
	if !found {
		return nil, fmt.Errorf("%s: %w: one container needs `image: %s`", options.Directory, ErrNoPlaceholder, options.App)
	}
	plain, err := stream(objects)
	if err != nil {
		return nil, err
	}
	sum := hmac.New(sha256.New, options.Key)
	_, _ = sum.Write(plain) // never fails
	rendered.Hash = hex.EncodeToString(sum.Sum(nil))[:32]
	for _, object := range objects {
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[manifests.AnnotationManifests] = rendered.Hash
		object.SetAnnotations(annotations)
	}
	if rendered.YAML, err = stream(objects); err != nil {
		return nil, err
	}
	if len(rendered.YAML) > maxSize {
		return nil, fmt.Errorf("the manifests take %d KiB, and a release can hold %d", len(rendered.YAML)>>10, maxSize>>10)
	}
	return rendered, nil
}

// stream writes objects as a stream of documents.
func stream(objects []*unstructured.Unstructured) ([]byte, error) {
	var out bytes.Buffer
	for _, object := range objects {
		document, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, fmt.Errorf("render %s: not a manifest", id(object))
		}
		if out.Len() > 0 {
			out.WriteString("---\n")
		}
		out.Write(document)
	}
	return out.Bytes(), nil
}

// build runs kustomize.
func build(options Options) ([]*unstructured.Unstructured, error) {
	fs, directory := filesys.MakeFsOnDisk(), options.Directory
	var files tree
	if directory == "" {
		var err error
		if fs, directory, err = appDirectory(options); err != nil {
			return nil, err
		}
	} else {
		if info, err := os.Stat(directory); err != nil {
			return nil, fmt.Errorf("manifests: %w", err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("manifests: %s is not a directory", directory)
		}
		if err := files.walk(directory); err != nil {
			return nil, err
		}
	}
	kustomize := krusty.MakeDefaultOptions()
	// Namespaced things that others need come first.
	kustomize.Reorder = krusty.ReorderOptionLegacy
	result, err := krusty.MakeKustomizer(kustomize).Run(fs, directory)
	if err != nil {
		// Not wrapped: kustomize quotes what it can not read.
		return nil, fmt.Errorf("kustomize %s: %s", options.Directory, files.redact(err.Error()))
	}
	return convert(result, options)
}

func convert(result resmap.ResMap, options Options) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, item := range result.Resources() {
		name := item.GetKind() + "/" + item.GetName()
		if item.GetGvk().IsClusterScoped() {
			return nil, fmt.Errorf("%s: %s belongs to no namespace: a release goes to namespace %s only", options.Directory, name, options.Namespace)
		}
		object, err := decode(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %s is not a manifest", options.Directory, name)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// decode goes by JSON, where numbers have the types that unstructured wants.
func decode(item *resource.Resource) (*unstructured.Unstructured, error) {
	text, err := item.MarshalJSON()
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(text)
}

// place puts an object where it belongs.
func place(object *unstructured.Unstructured, options Options) error {
	if namespace := object.GetNamespace(); namespace != "" && namespace != options.Namespace {
		return fmt.Errorf("%s: %s is for namespace %s: a release goes to namespace %s only", options.Directory, id(object), namespace, options.Namespace)
	}
	object.SetNamespace(options.Namespace)
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[manifests.LabelManagedBy] = manifests.FieldManager
	labels[manifests.LabelApp] = options.App
	object.SetLabels(labels)
	return nil
}

// usePullSecret says whether an object's pods run the built image, and lets them
// pull it.
func usePullSecret(object *unstructured.Unstructured, options Options) bool {
	for _, path := range podPaths() {
		pod, ok, err := unstructured.NestedMap(object.Object, path...)
		if err != nil || !ok || !runs(pod, func(image string) bool { return repository(image) == options.App }) {
			continue
		}
		secrets, _, _ := unstructured.NestedSlice(pod, "imagePullSecrets")
		has := slices.ContainsFunc(secrets, func(secret any) bool {
			reference, _ := secret.(map[string]any)
			return reference["name"] == options.PullSecret
		})
		if options.PullSecret != "" && !has {
			secrets = append(secrets, map[string]any{"name": options.PullSecret})
			// The path was just read, and is made of maps.
			_ = unstructured.SetNestedSlice(object.Object, secrets, append(slices.Clone(path), "imagePullSecrets")...)
		}
		return true
	}
	return false
}

// podPaths are where an object of one kind or another has its pod.
func podPaths() [][]string {
	return [][]string{
		{"spec"}, // a Pod
		{"spec", "template", "spec"},
		{"spec", "jobTemplate", "spec", "template", "spec"}, // a CronJob
	}
}

// Runs says whether a container of an object's pods runs exactly that image.
func Runs(object *unstructured.Unstructured, image string) bool {
	return slices.ContainsFunc(podPaths(), func(path []string) bool {
		pod, ok, err := unstructured.NestedMap(object.Object, path...)
		return err == nil && ok && runs(pod, func(other string) bool { return other == image })
	})
}

func runs(pod map[string]any, wanted func(image string) bool) bool {
	for _, field := range []string{"initContainers", "containers"} {
		containers, _ := pod[field].([]any)
		for _, item := range containers {
			container, _ := item.(map[string]any)
			if image, _ := container["image"].(string); wanted(image) {
				return true
			}
		}
	}
	return false
}

// repository is an image reference without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		return image[:colon]
	}
	return image
}

func id(object *unstructured.Unstructured) string {
	return object.GetKind() + "/" + object.GetName()
}
