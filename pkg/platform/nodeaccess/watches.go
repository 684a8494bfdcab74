package nodeaccess

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// watches keeps the current state of a probe's pods and of the nodes, with one watch
// for each.
type watches struct {
	namespace   string
	pods, nodes cache.SharedIndexInformer

	signal  *watch.Signal
	deleted map[string]bool // deleted pods by key, even if they existed only for a moment
	refused error           // the user may not watch them; final
	failing error           // the latest failure of a watch, which is retried
}

func newWatches(client kubernetes.Interface, namespace, selector string) *watches {
	return &watches{
		namespace: namespace,
		signal:    watch.New(),
		deleted:   map[string]bool{},
		pods: coreinformers.NewFilteredPodInformer(client, namespace, 0, nil, func(options *metav1.ListOptions) {
			options.LabelSelector = selector
		}),
		nodes: coreinformers.NewNodeInformer(client, 0, nil),
	}
}

// start watches until ctx ends. group waits for its goroutines.
func (w *watches) start(ctx context.Context, group *sync.WaitGroup) {
	// Both fail only for an informer that runs or has stopped.
	_, _ = w.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(object any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		w.signal.Update(func() { w.deleted[key] = err == nil })
	}})
	for what, informer := range map[string]cache.SharedIndexInformer{"pods": w.pods, "nodes": w.nodes} {
		_ = informer.SetTransform(essence)
		w.signal.Watch(ctx, group, informer, func(err error) {
			w.fail(fmt.Errorf("watch %s: %w", what, err))
		})
	}
}

// essence returns an object without large fields that nothing reads. A node lists all
// of its images.
func essence(object any) (any, error) {
	switch object := object.(type) {
	case *corev1.Node:
		trimmed := *object
		trimmed.ManagedFields, trimmed.Annotations, trimmed.Status.Images = nil, nil, nil
		return &trimmed, nil
	case *corev1.Pod:
		trimmed := *object
		trimmed.ManagedFields = nil
		return &trimmed, nil
	}
	return object, nil
}

// fail records an error of a watch. The informer retries in any case.
func (w *watches) fail(err error) {
	w.signal.Update(func() {
		if apierrors.IsForbidden(err) {
			w.refused = err
		} else {
			w.failing = err
		}
	})
}

// changed returns a channel that is closed at the next change. Get it before you read
// the state.
func (w *watches) changed() <-chan struct{} { return w.signal.Changed() }

// denied returns the error if the user may not watch, otherwise nil.
func (w *watches) denied() (refused error) {
	w.signal.Read(func() { refused = w.refused })
	return refused
}

// lost returns the latest failure of a watch.
func (w *watches) lost() (failing error) {
	w.signal.Read(func() { failing = w.failing })
	return failing
}

// synced reports whether both watches have read their first list.
func (w *watches) synced() bool { return w.pods.HasSynced() && w.nodes.HasSynced() }

// pod returns the current state of a pod, or nil. gone reports that the pod is deleted
// or being deleted.
func (w *watches) pod(name string) (pod *corev1.Pod, gone bool) {
	key := w.namespace + "/" + name
	pod = watch.Get[corev1.Pod](w.pods, key)
	w.signal.Read(func() { gone = w.deleted[key] || (pod != nil && pod.DeletionTimestamp != nil) })
	return pod, gone
}

// node returns what keeps a node from pulling.
func (w *watches) node(name string) obstacle {
	node := watch.Get[corev1.Node](w.nodes, name)
	if node == nil {
		return obstacle{reason: ReasonNodeGone, message: "the node no longer exists"}
	}
	if message := unready(node); message != "" {
		return obstacle{reason: ReasonNodeNotReady, message: "the node is " + message, again: true}
	}
	return obstacle{}
}
