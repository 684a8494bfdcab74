package rollout

import (
	"context"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// watches holds the newest state of one workload, its ReplicaSets and its pods.
type watches struct {
	key                        string
	objects, replicaSets, pods cache.SharedIndexInformer // replicaSets of Deployments only

	signal  *watch.Signal
	refusal error
}

func newWatches(client kubernetes.Interface, watched release.Workload, namespace string, selector labels.Selector) *watches {
	w := &watches{key: namespace + "/" + watched.Name, signal: watch.New()}
	own := func(options *metav1.ListOptions) { options.LabelSelector = selector.String() }
	w.objects = workload.NewInformer(client, watched.Kind, namespace, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", watched.Name).String()
	})
	if watched.Kind == workload.Deployment {
		w.replicaSets = appsinformers.NewFilteredReplicaSetInformer(client, namespace, 0, nil, own)
	}
	w.pods = coreinformers.NewFilteredPodInformer(client, namespace, 0, nil, own)
	return w
}

// start watches until ctx ends; group waits for all goroutines.
func (w *watches) start(ctx context.Context, group *sync.WaitGroup) {
	for _, informer := range []cache.SharedIndexInformer{w.objects, w.replicaSets, w.pods} {
		if informer == nil {
			continue
		}
		w.signal.Watch(ctx, group, informer, func(err error) {
			// Without its pods the watch knows less about a workload. Every other error is
			// retried until ctx ends.
			if informer == w.objects && apierrors.IsForbidden(err) {
				w.signal.Update(func() { w.refusal = err })
			}
		})
	}
}

// denied returns the error of a user who may not watch the workload.
func (w *watches) denied() (refusal error) {
	w.signal.Read(func() { refusal = w.refusal })
	return refusal
}

// object returns the workload; missing reports that it does not exist.
func (w *watches) object() (object *workload.Workload, missing bool) {
	synced := w.objects.HasSynced()
	stored, exists, err := w.objects.GetStore().GetByKey(w.key)
	if err != nil || !exists {
		return nil, synced
	}
	typed, ok := stored.(runtime.Object)
	if !ok {
		return nil, false
	}
	now, err := workload.Of(typed)
	if err != nil {
		return nil, false
	}
	return &now, false
}

// sets returns the ReplicaSets that the selector of a Deployment selects.
func (w *watches) sets() []*appsv1.ReplicaSet {
	if w.replicaSets == nil {
		return nil
	}
	return watch.List[appsv1.ReplicaSet](w.replicaSets)
}

// allPods returns the pods that the selector of the workload selects.
func (w *watches) allPods() []*corev1.Pod { return watch.List[corev1.Pod](w.pods) }
