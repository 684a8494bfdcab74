package release

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// ExportMark is the first line of the kustomization of an Exported: what begins with it may be
// replaced by the next one.
const ExportMark = "# Written by kubectl pyflow build --output-manifests, which replaces it.\n"

// masked takes the place of what a Secret contains.
const masked = "***"

// Exported is a release for another tool to apply.
type Exported struct {
	// Files are a kustomization, by their names.
	Files map[string][]byte
	// Secrets are the Secrets that are left out, kind/name.
	Secrets []string
	// Jobs are the Jobs of the user's manifests, which cannot change, kind/name.
	Jobs []string
}

// Shown returns the manifests for a person to read: without what depends on the run, and with
// three asterisks for each value of a Secret.
func (m *Manifests) Shown() ([]byte, error) {
	var shown []*unstructured.Unstructured
	for _, object := range m.objects {
		object = object.DeepCopy()
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", manifests.AnnotationManifests)
		dropEmpty(object, "annotations")
		if isSecret(object) {
			mask(object)
		}
		shown = append(shown, object)
	}
	return stream(shown)
}

// mask hides what a Secret contains.
func mask(object *unstructured.Unstructured) {
	for _, field := range []string{"data", "stringData"} {
		values, _, _ := unstructured.NestedMap(object.Object, field)
		for key := range values {
			values[key] = masked
		}
		if len(values) > 0 {
			object.Object[field] = values
		}
	}
	// kubectl apply writes the whole object there.
	if annotations := object.GetAnnotations(); annotations["kubectl.kubernetes.io/last-applied-configuration"] != "" {
		annotations["kubectl.kubernetes.io/last-applied-configuration"] = masked
		object.SetAnnotations(annotations)
	}
}

// Export returns the manifests as a kustomization that puts the image repository@digest in the
// place of the app's name. The objects have no namespace, and neither labels nor annotations of
// releases, so that whoever applies them owns them. Secrets are left out. user is who the pods of
// generated objects run as; nil leaves what the manifests say. Equal manifests and images give
// equal bytes.
func (m *Manifests) Export(repository, digest string, user *app.User) (*Exported, error) {
	exported := &Exported{Files: map[string][]byte{}}
	var objects []*unstructured.Unstructured
	for _, object := range m.objects {
		if isSecret(object) {
			exported.Secrets = append(exported.Secrets, id(object))
			continue
		}
		object = object.DeepCopy()
		generated := object.GetLabels()[manifests.LabelGenerated] != ""
		if generated && user != nil {
			runAs(object, *user)
		}
		if isJob(object) {
			unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "labels", manifests.LabelJobOf)
			if generated {
				annotateJob(object)
			} else {
				exported.Jobs = append(exported.Jobs, id(object))
			}
		}
		strip(object)
		objects = append(objects, object)
	}
	resources, err := stream(objects)
	if err != nil {
		return nil, err
	}
	kustomization, err := yaml.Marshal(types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: []string{ResourcesFile},
		Images:    []types.Image{{Name: m.app, NewName: repository, Digest: digest}},
	})
	if err != nil {
		return nil, fmt.Errorf("write the kustomization: %w", err)
	}
	exported.Files[ResourcesFile] = resources
	exported.Files[KustomizationFile] = append([]byte(ExportMark), kustomization...)
	return exported, nil
}

// strip removes what a release adds to the metadata of an object.
func strip(object *unstructured.Unstructured) {
	object.SetNamespace("")
	labels := object.GetLabels()
	for _, label := range []string{manifests.LabelManagedBy, manifests.LabelApp, manifests.LabelGenerated} {
		delete(labels, label)
	}
	object.SetLabels(labels)
	annotations := object.GetAnnotations()
	for _, annotation := range []string{manifests.AnnotationManifests, manifests.AnnotationUser} {
		delete(annotations, annotation)
	}
	object.SetAnnotations(annotations)
	dropEmpty(object, "labels")
	dropEmpty(object, "annotations")
}

// dropEmpty removes an empty mapping from the metadata.
func dropEmpty(object *unstructured.Unstructured, field string) {
	if values, ok, _ := unstructured.NestedMap(object.Object, "metadata", field); ok && len(values) == 0 {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
}

// annotateJob tells Argo CD and Flux to make a Job again when its image changes, as a release
// does: a Job cannot change.
func annotateJob(object *unstructured.Unstructured) {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["argocd.argoproj.io/hook"] = "Sync"
	annotations["argocd.argoproj.io/hook-delete-policy"] = "BeforeHookCreation"
	annotations["argocd.argoproj.io/sync-wave"] = "-1"
	annotations["kustomize.toolkit.fluxcd.io/force"] = "enabled"
	object.SetAnnotations(annotations)
}

// runAs sets the user of an object's pods.
func runAs(object *unstructured.Unstructured, user app.User) {
	for _, path := range podPaths() {
		context := append(slices.Clone(path), "securityContext")
		if settings, ok, err := unstructured.NestedMap(object.Object, context...); err != nil || !ok || settings["runAsUser"] == nil {
			continue
		}
		// The path was just read, and consists of maps.
		_ = unstructured.SetNestedField(object.Object, user.ID, append(context, "runAsUser")...)
		if user.Group < 0 {
			unstructured.RemoveNestedField(object.Object, append(context, "runAsGroup")...)
			continue
		}
		_ = unstructured.SetNestedField(object.Object, user.Group, append(context, "runAsGroup")...)
	}
}

func isSecret(object *unstructured.Unstructured) bool {
	return object.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Secret"}
}

// Generated returns the manifests that a release without manifests of the user's own has, as a
// kustomization that the user can own: file names and their content. Render gives the objects
// back from them. A user whose number is not known is left to the image.
func Generated(options Options) (map[string][]byte, error) {
	objects, err := generate(&options)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	kustomization := types.Kustomization{TypeMeta: types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}}
	for _, object := range objects {
		file := strings.ToLower(object.GetObjectKind().GroupVersionKind().Kind) + "-" + object.GetName() + ".yaml"
		text, err := marshal(object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		owned := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &owned.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		strip(owned)
		if options.UserOfImage || options.User.Name != "" {
			leaveUser(owned)
		}
		if files[file], err = yaml.Marshal(owned.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		kustomization.Resources = append(kustomization.Resources, file)
	}
	if files[KustomizationFile], err = yaml.Marshal(kustomization); err != nil {
		return nil, fmt.Errorf("write the kustomization: %w", err)
	}
	return files, nil
}

// leaveUser leaves the user of an object's pods to the image.
func leaveUser(object *unstructured.Unstructured) {
	for _, path := range podPaths() {
		for _, field := range []string{"runAsUser", "runAsGroup"} {
			unstructured.RemoveNestedField(object.Object, append(slices.Clone(path), "securityContext", field)...)
		}
	}
}
