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
	appsinformers "k8s.io/client-go/informers/apps/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// news keeps the newest state of one workload, its ReplicaSets and its pods. Its
// informers list again where a watch has expired.
type news struct {
	key                        string
	objects, replicaSets, pods cache.SharedIndexInformer // replicaSets of Deployments only

	mu      sync.Mutex
	wake    chan struct{}
	refusal error
}

func newNews(client kubernetes.Interface, workload release.Workload, namespace string, byName fields.Selector, ofWorkload labels.Selector) *news {
	n := &news{key: namespace + "/" + workload.Name, wake: make(chan struct{})}
	name := func(options *metav1.ListOptions) { options.FieldSelector = byName.String() }
	own := func(options *metav1.ListOptions) { options.LabelSelector = ofWorkload.String() }
	switch workload.Kind {
	case "Deployment":
		n.objects = appsinformers.NewFilteredDeploymentInformer(client, namespace, 0, nil, name)
		n.replicaSets = appsinformers.NewFilteredReplicaSetInformer(client, namespace, 0, nil, own)
	case "StatefulSet":
		n.objects = appsinformers.NewFilteredStatefulSetInformer(client, namespace, 0, nil, name)
	case "DaemonSet":
		n.objects = appsinformers.NewFilteredDaemonSetInformer(client, namespace, 0, nil, name)
	}
	n.pods = coreinformers.NewFilteredPodInformer(client, namespace, 0, nil, own)
	return n
}

// start runs the informers until ctx ends; group waits for all they started.
func (n *news) start(ctx context.Context, group *sync.WaitGroup) {
	touch := func(any) { n.touch(nil) }
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    touch,
		UpdateFunc: func(_, object any) { touch(object) },
		DeleteFunc: touch,
	}
	for _, informer := range []cache.SharedIndexInformer{n.objects, n.replicaSets, n.pods} {
		if informer == nil {
			continue
		}
		// Both fail only once the informer runs or has been stopped.
		_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			// Without its pods a workload can still be watched, less wisely.
			// Everything else is tried again until ctx ends.
			if informer == n.objects && apierrors.IsForbidden(err) {
				n.touch(err)
			}
		})
		_, _ = informer.AddEventHandler(handler)
		group.Go(func() { informer.RunWithContext(ctx) })
	}
	group.Go(func() {
		// An empty list changes nothing that a handler would hear of.
		cache.WaitForCacheSync(ctx.Done(), n.objects.HasSynced)
		n.touch(nil)
	})
}

func (n *news) touch(refusal error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if refusal != nil {
		n.refusal = refusal
	}
	close(n.wake)
	n.wake = make(chan struct{})
}

// changed is closed at the next change. Ask for it before looking at the state.
func (n *news) changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wake
}

// denied is the server's refusal to let the workload be watched.
func (n *news) denied() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refusal
}

// object returns the workload as it is now; missing says that it is not there.
func (n *news) object() (object *current, missing bool) {
	synced := n.objects.HasSynced()
	stored, exists, err := n.objects.GetStore().GetByKey(n.key)
	if err != nil || !exists {
		return nil, synced
	}
	var c current
	switch o := stored.(type) {
	case *appsv1.Deployment:
		c = fromDeployment(o, list[appsv1.ReplicaSet](n.replicaSets))
	case *appsv1.StatefulSet:
		c = fromStatefulSet(o)
	case *appsv1.DaemonSet:
		c = fromDaemonSet(o)
	}
	return &c, false
}

// ownPods returns the pods of the newest revision that are not on their way out.
func (n *news) ownPods(object current) []*corev1.Pod {
	var own []*corev1.Pod
	for _, pod := range list[corev1.Pod](n.pods) {
		if pod.DeletionTimestamp == nil && object.updated(pod) {
			own = append(own, pod)
		}
	}
	return own
}

func list[T any](informer cache.SharedIndexInformer) []*T {
	var all []*T
	for _, object := range informer.GetStore().List() {
		if t, ok := object.(*T); ok {
			all = append(all, t)
		}
	}
	return all
}
