// Package app finds the apps that a namespace runs, with their workloads and pods, by the
// labels that a build gives to what it deploys.
package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// App is an app that a namespace runs.
type App struct {
	Name, Namespace string
	// Workloads are sorted by kind and name. There is at least one.
	Workloads []workload.Workload
	// Part reports that Workloads is the one that an argument named.
	Part bool
}

// NotFoundError reports an app that a namespace does not run.
type NotFoundError struct {
	Namespace, Name string
	// Apps are the names of those that it runs, sorted.
	Apps []string
}

func (e *NotFoundError) Error() string {
	if e.Name == "" {
		return "no app runs in namespace " + e.Namespace
	}
	return fmt.Sprintf("no app %q runs in namespace %s", e.Name, e.Namespace)
}

// Advice names the apps that the namespace runs.
func (e *NotFoundError) Advice() []string {
	if len(e.Apps) == 0 {
		return []string{"apps of other namespaces: kubectl pyflow apps --all-namespaces; to deploy one: kubectl pyflow build DIRECTORY"}
	}
	return []string{fmt.Sprintf("apps: %s; all of them: kubectl pyflow apps", strings.Join(e.Apps, ", "))}
}

// AmbiguousError reports that a command line names no app and the namespace runs several.
type AmbiguousError struct {
	Namespace string
	Apps      []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("namespace %s runs %d apps: name one of %s", e.Namespace, len(e.Apps), strings.Join(e.Apps, ", "))
}

// NoWorkloadError reports that an app has no workload of that name.
type NoWorkloadError struct {
	App, Workload string
	// Workloads are those that it has.
	Workloads []string
}

func (e *NoWorkloadError) Error() string {
	return fmt.Sprintf("app %s has no workload %q: it has %s", e.App, e.Workload, strings.Join(e.Workloads, ", "))
}

// List returns the apps of a namespace, sorted by name. It returns an *access.MissingError to a
// user who may not list workloads.
func List(ctx context.Context, client kubernetes.Interface, namespace string) ([]App, error) {
	return list(ctx, client, namespace, manifests.LabelApp)
}

// Find returns the app that an argument names, APP, APP/PROCESS or APP/WORKLOAD: the app then has
// that workload only. Without a name it returns the only app of the namespace. Errors are a
// *NotFoundError, an *AmbiguousError, a *NoWorkloadError, and those of List.
func Find(ctx context.Context, client kubernetes.Interface, namespace, argument string) (App, error) {
	name, wanted, one := strings.Cut(argument, "/")
	var apps []App
	var err error
	if len(validation.IsValidLabelValue(name)) == 0 {
		selector := manifests.LabelApp
		if name != "" {
			selector = labels.Set{manifests.LabelApp: name}.String()
		}
		if apps, err = list(ctx, client, namespace, selector); err != nil {
			return App{}, err
		}
	}
	switch {
	case len(apps) == 1 && !one:
		return apps[0], nil
	case len(apps) == 1:
		return apps[0].only(wanted)
	case len(apps) > 1:
		return App{}, &AmbiguousError{Namespace: namespace, Apps: names(apps)}
	}
	missing := &NotFoundError{Namespace: namespace, Name: name}
	if all, err := List(ctx, client, namespace); err == nil {
		missing.Apps = names(all)
	}
	return App{}, missing
}

// Parts returns the names by which APP/PART names the workloads of the app, in their order: the
// processes, and the workloads that are none.
func (a App) Parts() []string {
	var all []string
	for _, w := range a.Workloads {
		all = append(all, cmp.Or(w.Meta.Labels[manifests.LabelProcess], w.Meta.Name))
	}
	return all
}

// only returns the app with one of its workloads, by its name or that of its process.
func (a App) only(name string) (App, error) {
	at := slices.IndexFunc(a.Workloads, func(w workload.Workload) bool { return w.Meta.Name == name })
	if at < 0 {
		at = slices.Index(a.Parts(), name)
	}
	if at < 0 {
		return App{}, &NoWorkloadError{App: a.Name, Workload: name, Workloads: a.Parts()}
	}
	a.Workloads, a.Part = a.Workloads[at:at+1], true
	return a, nil
}

func names(apps []App) []string {
	var all []string
	for _, one := range apps {
		all = append(all, one.Name)
	}
	return all
}

func list(ctx context.Context, client kubernetes.Interface, namespace, selector string) ([]App, error) {
	byName := map[string]*App{}
	for _, kind := range workload.Kinds() {
		found, err := workload.List(ctx, client, kind, namespace, metav1.ListOptions{LabelSelector: selector})
		if err == nil {
			err = meta.EachListItem(found, func(object runtime.Object) error {
				w, err := workload.Of(object)
				if name := w.Meta.Labels[manifests.LabelApp]; err == nil && name != "" {
					if byName[name] == nil {
						byName[name] = &App{Name: name, Namespace: namespace}
					}
					byName[name].Workloads = append(byName[name].Workloads, w)
				}
				return err
			})
		}
		if err != nil && !apierrors.IsNotFound(err) { // a server without the kind has no object of it
			return nil, Denied(err, access.Permission{Verb: "list", Group: "apps", Resource: workload.Resource(kind), Namespace: namespace})
		}
	}
	var apps []App
	for _, one := range byName {
		slices.SortFunc(one.Workloads, func(a, b workload.Workload) int {
			return strings.Compare(a.Kind+"/"+a.Meta.Name, b.Kind+"/"+b.Meta.Name)
		})
		apps = append(apps, *one)
	}
	slices.SortFunc(apps, func(a, b App) int { return strings.Compare(a.Name, b.Name) })
	return apps, nil
}

// Denied returns an error of the API server as an *access.MissingError if that is what the user
// lacks. Every other error names the request.
func Denied(err error, permission access.Permission) error {
	if apierrors.IsForbidden(err) {
		return &access.MissingError{Missing: []access.Permission{permission}}
	}
	return fmt.Errorf("%s: %w", permission, err)
}

// Built returns the container of a workload that runs the image of a repository. path is the
// repository without the host of its registry, which changes with the platform.
func Built(w workload.Workload, path string) (container corev1.Container, ok bool) {
	for _, one := range w.Template.Spec.Containers {
		if _, rest, _ := strings.Cut(one.Image, "/"); strings.HasPrefix(rest, path+"@") {
			return one, true
		}
	}
	return corev1.Container{}, false
}

// BuiltWorkloads returns the workloads of the app that run the image of a repository, as Built
// finds it; all of them if none does, such as those with an image by tag.
func (a App) BuiltWorkloads(path string) []workload.Workload {
	var built []workload.Workload
	for _, w := range a.Workloads {
		if _, ok := Built(w, path); ok {
			built = append(built, w)
		}
	}
	if len(built) == 0 {
		return a.Workloads
	}
	return built
}

// Pods returns the pods of a workload that are not being deleted, the ready ones and among them
// the newest ones first.
func Pods(ctx context.Context, client kubernetes.Interface, w workload.Workload) ([]corev1.Pod, error) {
	return pods(ctx, client, w.Meta.Namespace, metav1.FormatLabelSelector(w.Selector))
}

// PodsOf returns the pods that the labels of a Service select, in the order of Pods.
func PodsOf(ctx context.Context, client kubernetes.Interface, namespace string, selector map[string]string) ([]corev1.Pod, error) {
	return pods(ctx, client, namespace, labels.Set(selector).String())
}

func pods(ctx context.Context, client kubernetes.Interface, namespace, selector string) ([]corev1.Pod, error) {
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, Denied(err, access.Permission{Verb: "list", Resource: "pods", Namespace: namespace})
	}
	living := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
	slices.SortStableFunc(living, func(a, b corev1.Pod) int {
		switch readyA, readyB := Ready(&a), Ready(&b); {
		case readyA && !readyB:
			return -1
		case readyB && !readyA:
			return 1
		}
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	return living, nil
}

// Ready reports whether a pod serves.
func Ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning && podutils.IsPodReady(pod)
}

// Short returns the end of a pod's name, by which a log calls it.
func Short(pod string) string { return pod[strings.LastIndex(pod, "-")+1:] }
