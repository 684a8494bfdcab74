// Package release renders what a user wrote, or the default, as the manifests of a release, and compares releases
// with what the cluster runs.
package release

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/chart"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// The files of a release: a kustomization, and what it lists.
const (
	KustomizationFile = "kustomization.yaml"
	// ResourcesFile has all objects but the Secrets, which are in SecretsFile.
	ResourcesFile = "resources.yaml"
	SecretsFile   = "secrets.yaml"
)

const (

	// maxSize leaves room for metadata below the limit of 1 MiB of a Secret.
	maxSize = 1<<20 - 16<<10
)

// Options determine the manifests of a release.
type Options struct {
	// App is the name of the app, and the image name that stands for the built image.
	App string
	// Namespace is the namespace of all objects.
	Namespace string
	// Directory holds the user's manifests: a kustomization, a Helm chart, or plain YAML. If it
	// is empty, the release is what is generated: a Deployment and a Service, and the objects of
	// Processes.
	// The fields from Port to UserOfImage configure them.
	Directory string
	// Detected reports that the user did not name Directory. Files in it that are no manifests
	// are left out then, and otherwise an error.
	Detected bool
	// Values are those of a chart that the user sets, from the weakest to the strongest. They
	// are an error for other manifests.
	Values []source.Values
	// Capabilities are what a chart sees of the cluster.
	Capabilities chart.Capabilities
	// Port is the port that the app listens on; zero is python.DefaultPort.
	Port int32
	// Replicas is the number of pods, unless Autoscale is set.
	Replicas int32
	// Autoscale leaves the number to an autoscaler, valid by app.Autoscale.Check.
	Autoscale app.Autoscale
	// Route is how clients reach the app by the name of a host.
	Route app.Route
	// NetworkPolicy is who may connect to the app.
	NetworkPolicy app.NetworkPolicy
	// Env are variables of the app. PORT must be equal to Port.
	Env map[string]app.Variable
	// EnvFrom are sources of more variables. Env wins over them, a later one over an earlier
	// one, and over all of them what manifests.EnvName names.
	EnvFrom []app.EnvFrom
	// Requests and Limits are the resources of each pod, valid by app.CheckResources. By
	// default a pod requests 50m of CPU and 128Mi of memory, but no more than Limits.
	Requests, Limits corev1.ResourceList
	// Probes are the health checks of the app.
	Probes app.Probes
	// Expose is the type of the app's Service.
	Expose app.Expose
	// Processes are those beside the web process, and the web process if it has a command of
	// its own, in the order of the objects.
	Processes []app.Process
	// NoWeb leaves out the web process and all that serves it: Processes are all.
	NoWeb bool
	// User is who the pods run as; zero is app.DefaultUser.
	User app.User
	// UserOfImage reports that the run sets the user that the image names, which nothing
	// else can tell.
	UserOfImage bool
	// Key makes the hash of the manifests reveal nothing of a Secret among them to those who do
	// not know the key.
	Key []byte
	// PullSecret is added to the pods that run the built image; empty adds none.
	PullSecret string
}

// Manifests are the objects of one release, with the name of the app in place of the image that
// is not built yet.
type Manifests struct {
	// YAML is a stream of documents in the order in which they must be applied: all but the
	// Secrets, which are in Secrets and come first. Jobs run before what is after them is
	// applied. Equal options and files give equal bytes.
	YAML, Secrets []byte
	// Hash identifies the manifests and Options.Key: 32 hexadecimal digits. Each object has it
	// as the annotation manifests.AnnotationManifests.
	Hash string
	// Objects are all objects, in the order of the source.
	Objects []Object
	// Workloads are the Deployments, StatefulSets and DaemonSets, in that order. At
	// least one of them, or a Job, CronJob or Pod, runs the built image.
	Workloads []Workload
	// Services are the names of the Services, in order.
	Services []string
	// Notes are clauses about what is not as the files of the user say.
	Notes []string

	app     string
	objects []*unstructured.Unstructured
	// files are those of Files, without the kustomization.
	files map[string][]byte
	// secretsElsewhere reports that the Secrets are in none of the fields: they are on record.
	secretsElsewhere bool
}

// Object is the name of an object of a release.
type Object struct {
	schema.GroupVersionKind
	Name string
	// Built reports that the object is a pod, or creates pods, with the image that is built.
	Built bool
}

// Workload is an object whose pods a release replaces.
type Workload struct {
	// Kind is Deployment, StatefulSet or DaemonSet.
	Kind string
	Name string
	// Built reports that its pods run the image that is built.
	Built bool
}

// Files returns the release as a kustomization, file names and their content, for the Secret
// that the deployment reads. With Jobs it has the files BeforeFile and JobsFile.
func (m *Manifests) Files() map[string][]byte {
	files := maps.Clone(m.files)
	list := ""
	for _, file := range []string{SecretsFile, BeforeFile, JobsFile, ResourcesFile} {
		if len(files[file]) > 0 || file == SecretsFile && m.secretsElsewhere {
			list += "- " + file + "\n"
		}
	}
	files[KustomizationFile] = []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n" + list)
	return files
}

// Render renders the manifests of a release. It reads Directory, and the local files that a
// kustomization refers to. It fetches nothing and runs nothing: remote resources, plugins and
// the Helm charts of a kustomization are errors.
//
// Every object gets the namespace, the labels of the app and the annotation with the hash, on
// its own metadata only. The pods that run the built image get PullSecret. Render returns an
// error if an object has another namespace or cannot have one, if no pod runs the built image
// (a *NoPlaceholderError), and if the release is larger than a Secret can be. No error repeats what
// a Secret contains.
func Render(options Options) (*Manifests, error) {
	objects, notes, err := build(options)
	if err != nil {
		return nil, err
	}
	rendered := &Manifests{app: options.App, objects: objects, Notes: notes}
	found := false
	for _, object := range objects {
		place(object, options)
		if isJob(object) {
			if err := prepareJob(object, options.App); err != nil {
				return nil, fmt.Errorf("%s: %w", options.Directory, err)
			}
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
		kind, _ := source.KindOf(options.Directory)
		return nil, &NoPlaceholderError{Directory: options.Directory, Kind: kind, App: options.App, Images: imagesOf(objects)}
	}
	plain, err := stream(objects)
	if err != nil {
		return nil, err
	}
	sum := hmac.New(sha256.New, options.Key)
	_, _ = sum.Write(plain) // Write never fails
	rendered.Hash = hex.EncodeToString(sum.Sum(nil))[:32]
	for _, object := range objects {
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[manifests.AnnotationManifests] = rendered.Hash
		object.SetAnnotations(annotations)
	}
	return rendered, rendered.write()
}

// Recorded returns the manifests of a release on record, by the files that Files returned. If it
// has Secrets, they are not among the files, and Files leaves them out again. The Hash is empty:
// the objects have it.
func Recorded(app string, files map[string]string, secrets bool) (*Manifests, error) {
	m := &Manifests{app: app, secretsElsewhere: secrets}
	// Numbers have the types that unstructured requires, which manifests.Decode does not see to.
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(Stream(files))))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return m, m.write()
		}
		if err != nil {
			return nil, fmt.Errorf("read its manifests: %w", err)
		}
		text, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, fmt.Errorf("read its manifests: %w", err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("read its manifests: %w", err)
		}
		m.objects = append(m.objects, object)
	}
}

// Stream returns the manifests in the files of a release, without the Secrets: a stream of
// documents in the order in which they are applied.
func Stream(files map[string]string) string {
	var parts []string
	for _, file := range []string{BeforeFile, JobsFile, ResourcesFile} {
		if text := files[file]; text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "---\n")
}

// write makes the files of the objects.
func (m *Manifests) write() error {
	m.files = map[string][]byte{}
	var secrets []*unstructured.Unstructured
	texts, size := map[string]string{}, 0
	for when, objects := range m.parts() {
		var others []*unstructured.Unstructured
		for _, object := range objects {
			if object.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: "Secret"}) {
				secrets = append(secrets, object)
			} else {
				others = append(others, object)
			}
		}
		text, err := stream(others)
		if err != nil {
			return err
		}
		if file := [...]string{BeforeFile, JobsFile, ResourcesFile}[when]; len(text) > 0 {
			m.files[file], texts[file] = text, string(text)
		}
		size += len(text)
	}
	var err error
	if m.Secrets, err = stream(secrets); err != nil {
		return err
	}
	if len(m.Secrets) > 0 {
		m.files[SecretsFile] = m.Secrets
	}
	m.YAML = []byte(Stream(texts))
	if size += len(m.Secrets); size > maxSize {
		return fmt.Errorf("the manifests take %d KiB, and a release can hold %d", size>>10, maxSize>>10)
	}
	return nil
}

// stream returns objects as a stream of documents.
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

func convert(result resmap.ResMap, options Options) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, item := range result.Resources() {
		object, err := decode(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %s/%s is not a manifest", options.Directory, item.GetKind(), item.GetName())
		}
		if err := checkNamespace(object, options.Namespace); err != nil {
			return nil, fmt.Errorf("%s: %w", options.Directory, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// decode converts through JSON, where numbers have the types that unstructured requires.
func decode(item *resource.Resource) (*unstructured.Unstructured, error) {
	text, err := item.MarshalJSON()
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(text)
}

// checkNamespace refuses an object of another namespace, or of none.
func checkNamespace(object *unstructured.Unstructured, namespace string) error {
	kind := object.GroupVersionKind()
	if resid.NewGvk(kind.Group, kind.Version, kind.Kind).IsClusterScoped() {
		return fmt.Errorf("%s belongs to no namespace: a release goes to namespace %s only", id(object), namespace)
	}
	if other := object.GetNamespace(); other != "" && other != namespace {
		return fmt.Errorf("%s is for namespace %s: a release goes to namespace %s only", id(object), other, namespace)
	}
	return nil
}

// place sets the namespace and the labels of an object.
func place(object *unstructured.Unstructured, options Options) {
	object.SetNamespace(options.Namespace)
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[manifests.LabelManagedBy] = manifests.FieldManager
	labels[manifests.LabelApp] = options.App
	object.SetLabels(labels)
}

// usePullSecret reports whether the pods of an object run the built image, and gives those the
// pull secret.
func usePullSecret(object *unstructured.Unstructured, options Options) bool {
	for _, path := range podPaths() {
		pod, ok, err := unstructured.NestedMap(object.Object, path...)
		if err != nil || !ok || !runs(pod, func(image string) bool { return source.Repository(image) == options.App }) {
			continue
		}
		secrets, _, _ := unstructured.NestedSlice(pod, "imagePullSecrets")
		has := slices.ContainsFunc(secrets, func(secret any) bool {
			reference, _ := secret.(map[string]any)
			return reference["name"] == options.PullSecret
		})
		if options.PullSecret != "" && !has {
			secrets = append(secrets, map[string]any{"name": options.PullSecret})
			// The path was just read, and consists of maps.
			_ = unstructured.SetNestedSlice(object.Object, secrets, append(slices.Clone(path), "imagePullSecrets")...)
		}
		return true
	}
	return false
}

// podPaths returns where the objects of each kind have their pod.
func podPaths() [][]string {
	return [][]string{
		{"spec"}, // a Pod
		{"spec", "template", "spec"},
		{"spec", "jobTemplate", "spec", "template", "spec"}, // a CronJob
	}
}

// Runs reports whether a container of an object's pods runs exactly that image.
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

func id(object *unstructured.Unstructured) string {
	return object.GetKind() + "/" + object.GetName()
}
