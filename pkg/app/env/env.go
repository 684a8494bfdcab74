// Package env lists the variables of an app, and sets those that it reads from a ConfigMap and a
// Secret of its own, which outlive builds. It prints and returns no value of a variable.
package env

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Variable is where a variable of an app comes from.
type Variable struct {
	// Name is the name; it ends with * for all keys of an object that the user may not read.
	Name string `json:"name"`
	// Kind is value, secret, configmap or field: of what is in the manifests of the app, or in an
	// object.
	Kind string `json:"kind"`
	// Object and Key are those of a Secret or a ConfigMap.
	Object string `json:"object,omitempty"`
	Key    string `json:"key,omitempty"`
	// Settable reports that the object is the app's own: Apply changes it.
	Settable bool `json:"settable"`
	// Overridden reports that another source of the same name wins.
	Overridden bool `json:"overridden"`
	// Workloads are kind/name of those that have the variable.
	Workloads []string `json:"workloads"`
}

// The kinds of variables.
const (
	Value     = "value"
	Secret    = "secret"
	ConfigMap = "configmap"
	Field     = "field"
)

// From returns the source in a word: value, field, or secret/NAME:KEY.
func (v Variable) From() string {
	if v.Object == "" {
		return v.Kind
	}
	text := v.Kind + "/" + v.Object
	if v.Key != "" {
		text += ":" + v.Key
	}
	return text
}

// List returns the variables of the containers that run the image of a repository, sorted by name
// and source. path is the repository as app.Built takes it.
func List(ctx context.Context, client kubernetes.Interface, of app.App, path string) ([]Variable, error) {
	reader := &reader{client: client, namespace: of.Namespace, own: manifests.EnvName(of.Name), keys: map[string][]string{}}
	byID := map[string]*Variable{}
	for _, w := range of.BuiltWorkloads(path) {
		found, err := reader.variables(ctx, container(w, path))
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			id := fmt.Sprintf("%s\x00%s\x00%t", one.Name, one.From(), one.Overridden)
			if byID[id] == nil {
				byID[id] = &one
			}
			byID[id].Workloads = append(byID[id].Workloads, strings.ToLower(w.Kind)+"/"+w.Meta.Name)
		}
	}
	all := []Variable{}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		all = append(all, *byID[id])
	}
	return all, nil
}

// container returns the container of a workload that runs the image, or else the first.
func container(w workload.Workload, path string) corev1.Container {
	if one, ok := app.Built(w, path); ok || len(w.Template.Spec.Containers) == 0 {
		return one
	}
	return w.Template.Spec.Containers[0]
}

// reader reads the keys of objects, each once.
type reader struct {
	client         kubernetes.Interface
	namespace, own string
	keys           map[string][]string
}

// variables returns the variables of a container. Those of env win over those of envFrom, and there
// a later one over an earlier one.
func (r *reader) variables(ctx context.Context, container corev1.Container) ([]Variable, error) {
	var all []Variable
	for i := len(container.Env) - 1; i >= 0; i-- {
		all = append(all, variable(container.Env[i]))
	}
	for i := len(container.EnvFrom) - 1; i >= 0; i-- {
		from := container.EnvFrom[i]
		one := Variable{Kind: ConfigMap}
		switch {
		case from.SecretRef != nil:
			one.Kind, one.Object = Secret, from.SecretRef.Name
		case from.ConfigMapRef != nil:
			one.Object = from.ConfigMapRef.Name
		default:
			continue
		}
		keys, err := r.read(ctx, one.Kind, one.Object)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			one.Name, one.Key, one.Settable = from.Prefix+key, key, one.Object == r.own
			if key == anyKey {
				one.Key = ""
			}
			all = append(all, one)
		}
	}
	seen := map[string]bool{}
	for i := range all {
		all[i].Overridden = seen[all[i].Name] && !strings.HasSuffix(all[i].Name, anyKey)
		seen[all[i].Name] = true
	}
	return all, nil
}

// anyKey stands for keys that the user may not read.
const anyKey = "*"

// variable returns a variable of a container.
func variable(one corev1.EnvVar) Variable {
	v := Variable{Name: one.Name, Kind: Value}
	switch from := one.ValueFrom; {
	case from == nil:
	case from.SecretKeyRef != nil:
		v.Kind, v.Object, v.Key = Secret, from.SecretKeyRef.Name, from.SecretKeyRef.Key
	case from.ConfigMapKeyRef != nil:
		v.Kind, v.Object, v.Key = ConfigMap, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key
	default:
		v.Kind = Field
	}
	return v
}

// read returns the keys of an object, sorted; none if it does not exist, and anyKey if the user may
// not read it. Those of the app's own Secret are also on its ConfigMap.
func (r *reader) read(ctx context.Context, kind, name string) ([]string, error) {
	id := kind + "/" + name
	if keys, ok := r.keys[id]; ok {
		return keys, nil
	}
	keys, err := keysOf(ctx, r.client, r.namespace, kind, name)
	switch {
	case apierrors.IsNotFound(err):
		keys, err = nil, nil
	case apierrors.IsForbidden(err) && kind == Secret && name == r.own:
		var config *corev1.ConfigMap
		if config, err = r.client.CoreV1().ConfigMaps(r.namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			keys = secretNames(config)
		} else if apierrors.IsNotFound(err) {
			err = nil
		}
	}
	if apierrors.IsForbidden(err) {
		keys, err = []string{anyKey}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s %s in namespace %s: %w", kind, name, r.namespace, err)
	}
	r.keys[id] = keys
	return keys, nil
}

func keysOf(ctx context.Context, client kubernetes.Interface, namespace, kind, name string) ([]string, error) {
	if kind == Secret {
		secret, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return slices.Sorted(maps.Keys(secret.Data)), nil
	}
	config, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(config.Data)), nil
}

// secretNames returns the names of the variables in the Secret of a ConfigMap, sorted.
func secretNames(config *corev1.ConfigMap) []string {
	text := config.Annotations[manifests.AnnotationSecretVariables]
	if text == "" {
		return nil
	}
	names := strings.Split(text, ",")
	slices.Sort(names)
	return names
}
