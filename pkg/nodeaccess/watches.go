package nodeaccess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// watches keeps the newest state of a probe's pods and of the nodes: one watch each.
type watches struct {
	namespace   string
	pods, nodes cache.SharedIndexInformer

	mu      sync.Mutex
	wake    chan struct{}
	deleted map[string]bool // pods by key, also such that were there only for a moment
	refused error           // they can not be watched: the end
	failing error           // the latest failure of a watch that is being retried
}

func newWatches(client kubernetes.Interface, namespace, selector string) *watches {
	return &watches{
		namespace: namespace,
		wake:      make(chan struct{}),
		deleted:   map[string]bool{},
		pods: coreinformers.NewFilteredPodInformer(client, namespace, 0, nil, func(options *metav1.ListOptions) {
			options.LabelSelector = selector
		}),
		nodes: coreinformers.NewNodeInformer(client, 0, nil),
	}
}

// start runs the informers until ctx ends; group waits for all they started.
func (w *watches) start(ctx context.Context, group *sync.WaitGroup) {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.touch(nil) },
		UpdateFunc: func(_, _ any) { w.touch(nil) },
		DeleteFunc: func(object any) {
			key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
			w.touch(func() { w.deleted[key] = err == nil })
		},
	}
	for what, informer := range map[string]cache.SharedIndexInformer{"pods": w.pods, "nodes": w.nodes} {
		// All three fail only once the informer runs or has been stopped.
		_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			w.failed(fmt.Errorf("watch %s: %w", what, err))
		})
		_ = informer.SetTransform(essence)
		_, _ = informer.AddEventHandler(handler)
		group.Go(func() { informer.RunWithContext(ctx) })
		group.Go(func() {
			// An empty list changes nothing that a handler would hear of.
			cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
			w.touch(nil)
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
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		// Ends of a watch that belong to its life.
	case apierrors.IsForbidden(err):
		w.touch(func() { w.refused = err })
	default:
		w.touch(func() { w.failing = err })
	}
}

// touch changes the state and wakes all who wait for that.
func (w *watches) touch(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if change != nil {
		change()
	}
	close(w.wake)
	w.wake = make(chan struct{})
}

// changed is closed at the next change. Ask for it before looking at the state.
func (w *watches) changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wake
}

// denied is why there is nothing to be watched, if that is so.
func (w *watches) denied() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

// lost is the latest failure of a watch.
func (w *watches) lost() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failing
}

// synced says that all is known that there was when the watches were started.
func (w *watches) synced() bool { return w.pods.HasSynced() && w.nodes.HasSynced() }

// pod returns a pod as it is now, or nil; gone says that it is deleted, or about to
// be.
func (w *watches) pod(name string) (pod *corev1.Pod, gone bool) {
	key := w.namespace + "/" + name
	object, _, _ := w.pods.GetStore().GetByKey(key)
	pod, _ = object.(*corev1.Pod)
	w.mu.Lock()
	defer w.mu.Unlock()
	return pod, w.deleted[key] || (pod != nil && pod.DeletionTimestamp != nil)
}

// node is what keeps a node from pulling.
func (w *watches) node(name string) trouble {
	object, _, _ := w.nodes.GetStore().GetByKey(name)
	node, ok := object.(*corev1.Node)
	if !ok {
		return trouble{reason: ReasonNodeGone, message: "the node is not there any more"}
	}
	if message := unready(node); message != "" {
		return trouble{reason: ReasonNodeNotReady, message: "the node is " + message, again: true}
	}
	return trouble{}
}
