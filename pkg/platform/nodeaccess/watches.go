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

// watches keeps the newest state of a probe's pods and of the nodes: one watch each.
type watches struct {
	namespace   string
	pods, nodes cache.SharedIndexInformer

	signal  *watch.Signal
	deleted map[string]bool // pods by key, also such that were there only for a moment
	refused error           // they can not be watched: the end
	failing error           // the latest failure of a watch that is being retried
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

// start watches until ctx ends; group waits for all that was started.
func (w *watches) start(ctx context.Context, group *sync.WaitGroup) {
	// Handler and transform fail only once the informer runs or has been stopped.
	_, _ = w.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(object any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		w.signal.Update(func() { w.deleted[key] = err == nil })
	}})
	for what, informer := range map[string]cache.SharedIndexInformer{"pods": w.pods, "nodes": w.nodes} {
		_ = informer.SetTransform(essence)
		w.signal.Watch(ctx, group, informer, func(err error) {
			w.failed(fmt.Errorf("watch %s: %w", what, err))
		})
	}
}

// essence is an object without what is large and not looked at: a node lists all of
// its images.
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

// failed takes note of an error of a watch, which is tried again in any case.
func (w *watches) failed(err error) {
	w.signal.Update(func() {
		if apierrors.IsForbidden(err) {
			w.refused = err
		} else {
			w.failing = err
		}
	})
}

// changed is closed at the next change. Ask for it before looking at the state.
func (w *watches) changed() <-chan struct{} { return w.signal.Changed() }

// denied is why there is nothing to be watched, if that is so.
func (w *watches) denied() (refused error) {
	w.signal.Read(func() { refused = w.refused })
	return refused
}

// lost is the latest failure of a watch.
func (w *watches) lost() (failing error) {
	w.signal.Read(func() { failing = w.failing })
	return failing
}

// synced says that all is known that there was when the watches were started.
func (w *watches) synced() bool { return w.pods.HasSynced() && w.nodes.HasSynced() }

// pod returns a pod as it is now, or nil; gone says that it is deleted, or about to
// be.
func (w *watches) pod(name string) (pod *corev1.Pod, gone bool) {
	key := w.namespace + "/" + name
	pod = watch.Get[corev1.Pod](w.pods, key)
	w.signal.Read(func() { gone = w.deleted[key] || (pod != nil && pod.DeletionTimestamp != nil) })
	return pod, gone
}

// node is what keeps a node from pulling.
func (w *watches) node(name string) obstacle {
	node := watch.Get[corev1.Node](w.nodes, name)
	if node == nil {
		return obstacle{reason: ReasonNodeGone, message: "the node is not there any more"}
	}
	if message := unready(node); message != "" {
		return obstacle{reason: ReasonNodeNotReady, message: "the node is " + message, again: true}
	}
	return obstacle{}
}
