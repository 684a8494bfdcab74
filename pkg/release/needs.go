package release

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// Needs returns the Secrets and ConfigMaps, and the keys of them, that the release
// cannot do without, sorted: those that containers, volumes and the TLS of Ingresses name and that
// are neither optional nor objects of the release.
func (m *Manifests) Needs() []app.Source {
	var all []app.Source
	for _, object := range m.objects {
		all = append(all, certificates(object)...)
		for _, path := range podPaths() {
			fields, ok, err := unstructured.NestedMap(object.Object, path...)
			pod := corev1.PodSpec{}
			if err == nil && ok && runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &pod) == nil {
				all = append(all, needsOf(&pod)...)
			}
		}
	}
	all = slices.DeleteFunc(all, func(source app.Source) bool { return source.Name == "" || m.has(source) })
	slices.SortFunc(all, func(a, b app.Source) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}

// has reports whether a Secret or a ConfigMap is an object of the release.
func (m *Manifests) has(source app.Source) bool {
	return slices.ContainsFunc(m.objects, func(object *unstructured.Unstructured) bool {
		return object.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: string(source.Kind)}) && object.GetName() == source.Name
	})
}

// needs collects sources.
type needs []app.Source

// add adds keys of an object, or the whole object if there are none, unless it is optional.
func (n *needs) add(optional *bool, kind app.SourceKind, name string, keys ...string) {
	if optional != nil && *optional {
		return
	}
	if len(keys) == 0 {
		keys = []string{""}
	}
	for _, key := range keys {
		*n = append(*n, app.Source{Kind: kind, Name: name, Key: key})
	}
}

// needsOf returns what the containers and the volumes of a pod name.
func needsOf(pod *corev1.PodSpec) []app.Source {
	var found needs
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, from := range container.EnvFrom {
			if from.SecretRef != nil {
				found.add(from.SecretRef.Optional, app.SourceSecret, from.SecretRef.Name)
			}
			if from.ConfigMapRef != nil {
				found.add(from.ConfigMapRef.Optional, app.SourceConfigMap, from.ConfigMapRef.Name)
			}
		}
		for _, variable := range container.Env {
			if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
				found.add(from.SecretKeyRef.Optional, app.SourceSecret, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
			} else if from != nil && from.ConfigMapKeyRef != nil {
				found.add(from.ConfigMapKeyRef.Optional, app.SourceConfigMap, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
			}
		}
	}
	for _, volume := range pod.Volumes {
		found.volume(volume.Secret, volume.ConfigMap)
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if from := source.Secret; from != nil {
				found.add(from.Optional, app.SourceSecret, from.Name, keysOf(from.Items)...)
			}
			if from := source.ConfigMap; from != nil {
				found.add(from.Optional, app.SourceConfigMap, from.Name, keysOf(from.Items)...)
			}
		}
	}
	return found
}

// volume adds what a volume names.
func (n *needs) volume(secret *corev1.SecretVolumeSource, config *corev1.ConfigMapVolumeSource) {
	if secret != nil {
		n.add(secret.Optional, app.SourceSecret, secret.SecretName, keysOf(secret.Items)...)
	}
	if config != nil {
		n.add(config.Optional, app.SourceConfigMap, config.Name, keysOf(config.Items)...)
	}
}

func keysOf(items []corev1.KeyToPath) []string {
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}
