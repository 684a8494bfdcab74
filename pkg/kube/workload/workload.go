// Package workload reports the state of Deployments, StatefulSets and DaemonSets as one kind
// of object.
package workload

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// The kinds of a workload.
const (
	Deployment  = "Deployment"
	StatefulSet = "StatefulSet"
	DaemonSet   = "DaemonSet"
)

// Kinds returns the kinds of a workload.
func Kinds() []string { return []string{Deployment, StatefulSet, DaemonSet} }

// IsKind reports whether kind is one of group apps that has a rollout.
func IsKind(kind string) bool { return slices.Contains(Kinds(), kind) }

// Resource returns the resource of a kind in group apps: "deployments".
func Resource(kind string) string { return strings.ToLower(kind) + "s" }

// Workload is a Deployment, a StatefulSet or a DaemonSet at one moment. The zero value is
// none.
type Workload struct {
	Kind     string
	Meta     metav1.ObjectMeta
	Selector *metav1.LabelSelector
	Template corev1.PodTemplateSpec
	// State is the state of the rollout.
	State State
	// newest reports whether a pod of the workload belongs to the newest revision.
	newest func(*corev1.Pod, []*appsv1.ReplicaSet) bool
	// refused is nil for a kind that reports by Events only that it cannot create pods.
	refused func([]*appsv1.ReplicaSet) string
}

// Of reads an object of one of the Kinds, which may be unstructured.
func Of(object runtime.Object) (Workload, error) {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return ofDeployment(o), nil
	case *appsv1.StatefulSet:
		return ofStatefulSet(o), nil
	case *appsv1.DaemonSet:
		return ofDaemonSet(o), nil
	case *unstructured.Unstructured:
		return ofUnstructured(o)
	}
	return Workload{}, fmt.Errorf("%T has no rollout", object)
}

// Status returns the rollout state of an object of one of the Kinds. It is pure: it makes no
// requests. It follows the rules of kubectl rollout status (k8s.io/kubectl/pkg/polymorphichelpers):
// a rollout is not done before the controller has observed the spec, whatever the status says.
func Status(object runtime.Object) (State, error) {
	w, err := Of(object)
	return w.State, err
}

func ofUnstructured(object *unstructured.Unstructured) (Workload, error) {
	typed := map[string]runtime.Object{
		Deployment: &appsv1.Deployment{}, StatefulSet: &appsv1.StatefulSet{}, DaemonSet: &appsv1.DaemonSet{},
	}[object.GetKind()]
	if typed == nil || object.GroupVersionKind().Group != appsv1.GroupName {
		return Workload{}, fmt.Errorf("kind %s has no rollout", object.GetKind())
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return Workload{}, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return Of(typed)
}

// Get reads a workload from the API server.
func Get(ctx context.Context, client kubernetes.Interface, kind, namespace, name string) (Workload, error) {
	apps, options := client.AppsV1(), metav1.GetOptions{}
	var object runtime.Object
	var err error
	switch kind {
	case Deployment:
		object, err = apps.Deployments(namespace).Get(ctx, name, options)
	case StatefulSet:
		object, err = apps.StatefulSets(namespace).Get(ctx, name, options)
	case DaemonSet:
		object, err = apps.DaemonSets(namespace).Get(ctx, name, options)
	default:
		return Workload{}, fmt.Errorf("kind %s has no rollout", kind)
	}
	if err != nil {
		return Workload{}, err
	}
	return Of(object)
}

// List lists the objects of a kind. Of reads the items of the list.
func List(ctx context.Context, client kubernetes.Interface, kind, namespace string, options metav1.ListOptions) (runtime.Object, error) {
	apps := client.AppsV1()
	switch kind {
	case Deployment:
		return apps.Deployments(namespace).List(ctx, options)
	case StatefulSet:
		return apps.StatefulSets(namespace).List(ctx, options)
	case DaemonSet:
		return apps.DaemonSets(namespace).List(ctx, options)
	}
	return nil, fmt.Errorf("kind %s has no rollout", kind)
}

// NewInformer returns an informer of the objects of a kind, or nil if it is not one of the
// Kinds.
func NewInformer(client kubernetes.Interface, kind, namespace string, tweak func(*metav1.ListOptions)) cache.SharedIndexInformer {
	switch kind {
	case Deployment:
		return appsinformers.NewFilteredDeploymentInformer(client, namespace, 0, nil, tweak)
	case StatefulSet:
		return appsinformers.NewFilteredStatefulSetInformer(client, namespace, 0, nil, tweak)
	case DaemonSet:
		return appsinformers.NewFilteredDaemonSetInformer(client, namespace, 0, nil, tweak)
	}
	return nil
}

// Containers returns the init containers and the containers of the pod template.
func (w Workload) Containers() []corev1.Container {
	return slices.Concat(w.Template.Spec.InitContainers, w.Template.Spec.Containers)
}

// Runs reports whether a container of the pod template has that image.
func (w Workload) Runs(image string) bool {
	return slices.ContainsFunc(w.Containers(), func(container corev1.Container) bool { return container.Image == image })
}

// Newest returns the pods of the newest revision that are not being deleted. sets are the
// ReplicaSets in the namespace, which only a Deployment needs.
func (w Workload) Newest(pods []*corev1.Pod, sets []*appsv1.ReplicaSet) []*corev1.Pod {
	var own []*corev1.Pod
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && w.newest(pod, sets) {
			own = append(own, pod)
		}
	}
	return own
}

// Refused returns the reason why the controller of a Deployment cannot create pods, or an
// empty string. sets are the ReplicaSets in the namespace; without them Refused reads the
// status of the Deployment. The controllers of the other kinds report it by Events only.
func (w Workload) Refused(sets []*appsv1.ReplicaSet) string {
	if w.refused == nil {
		return ""
	}
	return w.refused(sets)
}
