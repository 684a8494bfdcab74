package env

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// fieldManager is who has set variables.
const fieldManager = "kubectl-pyflow-env"

// Change is what to change in the variables of an app.
type Change struct {
	// Set are values by name. They go into the Secret if Secret is set, otherwise into the
	// ConfigMap, and out of the other one.
	Set    map[string]string
	Secret bool
	// Unset are names.
	Unset []string
}

// names returns the names that change, sorted.
func (c Change) names() []string {
	names := slices.Concat(c.Unset, slices.Collect(maps.Keys(c.Set)))
	slices.Sort(names)
	return slices.Compact(names)
}

// Plain returns the names of the variables that hold a secret and go into the ConfigMap, sorted.
func (c Change) Plain() []string {
	if c.Secret {
		return nil
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Set)), func(name string) bool { return !secret.InVariable(name, c.Set[name]) })
}

// UnreadError reports an app whose workloads do not read the variables.
type UnreadError struct {
	App string
	// Generated reports that the program generated the manifests of the app.
	Generated bool
}

func (e *UnreadError) Error() string {
	return fmt.Sprintf("no container of app %s reads the ConfigMap and the Secret %s", e.App, manifests.EnvName(e.App))
}

// Advice says what to add.
func (e *UnreadError) Advice() []string {
	if e.Generated {
		return []string{"a build adds it: kubectl pyflow build"}
	}
	name := manifests.EnvName(e.App)
	return []string{fmt.Sprintf("add to the container in your manifests, and build: envFrom: [{configMapRef: {name: %s, optional: true}}, {secretRef: {name: %s, optional: true}}]", name, name)}
}

// ShadowedError reports variables that the manifests of an app set, which win.
type ShadowedError struct {
	App string
	// Names are sorted.
	Names []string
}

func (e *ShadowedError) Error() string {
	return fmt.Sprintf("the manifests of app %s set %s, which wins over what env sets", e.App, strings.Join(e.Names, ", "))
}

// Advice says where to change it.
func (e *ShadowedError) Advice() []string {
	return []string{"change it in [tool.kubectl-pyflow.env] of pyproject.toml, or in your manifests, and build; or remove it there first"}
}

// UnknownError reports variables that env has not set.
type UnknownError struct {
	App        string
	Names, Has []string
}

func (e *UnknownError) Error() string {
	has := "nothing"
	if len(e.Has) > 0 {
		has = strings.Join(e.Has, ", ")
	}
	return fmt.Sprintf("env has not set %s of app %s: it has set %s", strings.Join(e.Names, ", "), e.App, has)
}

// ForeignError reports a ConfigMap or a Secret of that name that is not the app's.
type ForeignError struct{ Kind, Name, App string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s %s exists and is not of app %s: rename it, or label it %s=%s", e.Kind, e.Name, e.App, manifests.LabelApp, e.App)
}

// Readers returns the workloads of an app that read the variables that Apply changes. Errors are an
// *UnreadError, and a *ShadowedError for a name that one of them sets itself.
func Readers(of app.App, change Change) ([]workload.Workload, error) {
	name := manifests.EnvName(of.Name)
	var readers []workload.Workload
	generated, shadowed := true, map[string]bool{}
	for _, w := range of.Workloads {
		generated = generated && w.Meta.Labels[manifests.LabelGenerated] == "true"
		reads := false
		for _, container := range w.Template.Spec.Containers {
			if !slices.ContainsFunc(container.EnvFrom, func(from corev1.EnvFromSource) bool {
				return from.ConfigMapRef != nil && from.ConfigMapRef.Name == name || from.SecretRef != nil && from.SecretRef.Name == name
			}) {
				continue
			}
			reads = true
			for _, variable := range container.Env {
				if _, sets := change.Set[variable.Name]; sets {
					shadowed[variable.Name] = true
				}
			}
		}
		if reads {
			readers = append(readers, w)
		}
	}
	switch {
	case len(readers) == 0:
		return nil, &UnreadError{App: of.Name, Generated: generated && len(of.Workloads) > 0}
	case len(shadowed) > 0:
		return nil, &ShadowedError{App: of.Name, Names: slices.Sorted(maps.Keys(shadowed))}
	}
	return readers, nil
}

// Apply changes the variables of an app. It reports whether anything has changed, as far as the
// user may see it: a Secret that it writes counts as changed. The workloads read them when they
// start. Errors are an *UnknownError, a *ForeignError and an *access.MissingError.
func Apply(ctx context.Context, client kubernetes.Interface, namespace, of string, change Change) (changed bool, err error) {
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		changed, err = apply(ctx, client, namespace, of, change)
		return err
	})
	return changed, err
}

// Stale returns those of the workloads with a pod that was created before the ConfigMap of the app
// was changed last, by the clock of the server. After an interrupted Apply they do not have the
// variables that are set; Apply reports no change then.
func Stale(ctx context.Context, client kubernetes.Interface, namespace, of string, readers []workload.Workload) ([]workload.Workload, error) {
	config, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, manifests.EnvName(of), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, app.Denied(err, permission("get", "configmaps", namespace))
	}
	var changed metav1.Time
	for _, entry := range config.ManagedFields {
		if entry.Time != nil && changed.Before(entry.Time) {
			changed = *entry.Time
		}
	}
	var stale []workload.Workload
	for _, reader := range readers {
		pods, err := app.Pods(ctx, client, reader)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return pod.CreationTimestamp.Before(&changed) }) {
			stale = append(stale, reader)
		}
	}
	return stale, nil
}

func apply(ctx context.Context, client kubernetes.Interface, namespace, of string, change Change) (bool, error) {
	name := manifests.EnvName(of)
	configs := client.CoreV1().ConfigMaps(namespace)
	config, err := configs.Get(ctx, name, metav1.GetOptions{})
	exists := err == nil
	if err != nil && !apierrors.IsNotFound(err) {
		return false, app.Denied(err, permission("get", "configmaps", namespace))
	}
	if !exists {
		config = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	} else if config.Labels[manifests.LabelApp] != of {
		return false, &ForeignError{Kind: "ConfigMap", Name: name, App: of}
	}
	secret, err := secretKeys(ctx, client, namespace, of, config)
	if err != nil {
		return false, err
	}
	if err := checkKnown(of, change, config, secret); err != nil {
		return false, err
	}
	wantedConfig, wantedSecret := map[string]*string{}, map[string]*string{}
	for _, one := range change.names() {
		value, set := change.Set[one]
		wantedConfig[one], wantedSecret[one] = nil, nil
		if set && change.Secret {
			wantedSecret[one] = &value
		} else if set {
			wantedConfig[one] = &value
		}
	}
	wroteSecret, err := writeSecret(ctx, client, namespace, of, secret, wantedSecret)
	if err != nil {
		return false, err
	}
	names := slices.DeleteFunc(slices.Clone(secret), func(key string) bool { _, changes := wantedSecret[key]; return changes })
	for key, value := range wantedSecret {
		if value != nil {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	wroteConfig, err := writeConfig(ctx, client, namespace, of, config, exists, wantedConfig, strings.Join(names, ","))
	return wroteSecret || wroteConfig, err
}

// secretKeys returns the keys of the Secret, or what the ConfigMap says of them to a user who may
// not read it.
func secretKeys(ctx context.Context, client kubernetes.Interface, namespace, of string, config *corev1.ConfigMap) ([]string, error) {
	name := manifests.EnvName(of)
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return secretNames(config), nil
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get secret %s in namespace %s: %w", name, namespace, err)
	case secret.Labels[manifests.LabelApp] != of:
		return nil, &ForeignError{Kind: "Secret", Name: name, App: of}
	}
	return slices.Sorted(maps.Keys(secret.Data)), nil
}

// checkKnown checks that what is unset is set.
func checkKnown(of string, change Change, config *corev1.ConfigMap, secret []string) error {
	has := slices.Concat(slices.Collect(maps.Keys(config.Data)), secret)
	slices.Sort(has)
	unknown := slices.DeleteFunc(slices.Clone(change.Unset), func(name string) bool { return slices.Contains(has, name) })
	if len(unknown) > 0 {
		return &UnknownError{App: of, Names: unknown, Has: slices.Compact(has)}
	}
	return nil
}

// labels are those by which delete finds an object of an app.
func labels(of string) map[string]string {
	return map[string]string{manifests.LabelApp: of, manifests.LabelManagedBy: manifests.FieldManager}
}

// writeSecret writes keys of the Secret; nil removes one. It writes nothing if only keys go that the
// Secret does not have.
func writeSecret(ctx context.Context, client kubernetes.Interface, namespace, of string, has []string, wanted map[string]*string) (bool, error) {
	data, sets := map[string][]byte{}, map[string][]byte{}
	for key, value := range wanted {
		if value != nil {
			data[key], sets[key] = []byte(*value), []byte(*value)
		} else if slices.Contains(has, key) {
			data[key] = nil // null in the patch
		}
	}
	if len(data) == 0 {
		return false, nil
	}
	secrets, name := client.CoreV1().Secrets(namespace), manifests.EnvName(of)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels(of)}, "data": data})
	if err != nil {
		return false, err
	}
	_, err = secrets.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) && len(sets) > 0 {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels(of)}, Data: sets}
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{FieldManager: fieldManager})
		if apierrors.IsAlreadyExists(err) {
			return false, apierrors.NewConflict(corev1.Resource("secrets"), name, err)
		}
		if err != nil {
			return false, app.Denied(err, permission("create", "secrets", namespace))
		}
		return true, nil
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, app.Denied(err, permission("patch", "secrets", namespace))
	}
	return true, nil
}

// writeConfig writes keys of the ConfigMap, where nil removes one, and the names of those of the
// Secret. It fails with a conflict if it has changed since it was read.
func writeConfig(ctx context.Context, client kubernetes.Interface, namespace, of string, config *corev1.ConfigMap, exists bool, wanted map[string]*string, names string) (bool, error) {
	changes := map[string]*string{}
	for key, value := range wanted {
		if now, has := config.Data[key]; has != (value != nil) || has && now != *value {
			changes[key] = value
		}
	}
	same := config.Annotations[manifests.AnnotationSecretVariables] == names
	if len(changes) == 0 && same {
		return false, nil
	}
	configs := client.CoreV1().ConfigMaps(namespace)
	if !exists {
		config.Labels, config.Data = labels(of), map[string]string{}
		config.Annotations = map[string]string{manifests.AnnotationSecretVariables: names}
		for key, value := range changes {
			config.Data[key] = *value
		}
		_, err := configs.Create(ctx, config, metav1.CreateOptions{FieldManager: fieldManager})
		if apierrors.IsAlreadyExists(err) {
			return false, apierrors.NewConflict(corev1.Resource("configmaps"), config.Name, err)
		}
		if err != nil {
			return false, app.Denied(err, permission("create", "configmaps", namespace))
		}
		return len(changes) > 0, nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": config.ResourceVersion, "labels": labels(of),
			"annotations": map[string]string{manifests.AnnotationSecretVariables: names},
		},
		"data": changes,
	})
	if err != nil {
		return false, err
	}
	_, err = configs.Patch(ctx, config.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsConflict(err) {
		return false, err
	}
	if err != nil {
		return false, app.Denied(err, permission("patch", "configmaps", namespace))
	}
	return len(changes) > 0, nil
}

func permission(verb, resource, namespace string) access.Permission {
	return access.Permission{Verb: verb, Resource: resource, Namespace: namespace}
}
