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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// watches keeps the newest state of one workload, its ReplicaSets and its pods.
type watches struct {
	key                        string
	objects, replicaSets, pods cache.SharedIndexInformer // replicaSets of Deployments only

	news    *watch.News
	refusal error
}

func newWatches(client kubernetes.Interface, workload release.Workload, namespace string, byName fields.Selector, ofWorkload labels.Selector) *watches {
	w := &watches{key: namespace + "/" + workload.Name, news: watch.New()}
	name := func(options *metav1.ListOptions) { options.FieldSelector = byName.String() }
	own := func(options *metav1.ListOptions) { options.LabelSelector = ofWorkload.String() }
	switch workload.Kind {
	case "Deployment":
		w.objects = appsinformers.NewFilteredDeploymentInformer(client, namespace, 0, nil, name)
		w.replicaSets = appsinformers.NewFilteredReplicaSetInformer(client, namespace, 0, nil, own)
	case "StatefulSet":
		w.objects = appsinformers.NewFilteredStatefulSetInformer(client, namespace, 0, nil, name)
	case "DaemonSet":
		w.objects = appsinformers.NewFilteredDaemonSetInformer(client, namespace, 0, nil, name)
	}
	w.pods = coreinformers.NewFilteredPodInformer(client, namespace, 0, nil, own)
	return w
}

// start watches until ctx ends; group waits for all that was started.
func (w *watches) start(ctx context.Context, group *sync.WaitGroup) {
	for _, informer := range []cache.SharedIndexInformer{w.objects, w.replicaSets, w.pods} {
		if informer == nil {
			continue
		}
		w.news.Watch(ctx, group, informer, func(err error) {
			// Without its pods a workload can still be watched, less wisely.
			// Everything else is tried again until ctx ends.
			if informer == w.objects && apierrors.IsForbidden(err) {
				w.news.Change(func() { w.refusal = err })
			}
		})
	}
}

// denied is the server's refusal to let the workload be watched.
func (w *watches) denied() (refusal error) {
	w.news.Read(func() { refusal = w.refusal })
	return refusal
}

// object returns the workload as it is now; missing says that it is not there.
func (w *watches) object() (object *current, missing bool) {
	synced := w.objects.HasSynced()
	stored, exists, err := w.objects.GetStore().GetByKey(w.key)
	if err != nil || !exists {
		return nil, synced
	}
	var c current
	switch o := stored.(type) {
	case *appsv1.Deployment:
		c = fromDeployment(o, watch.List[appsv1.ReplicaSet](w.replicaSets))
	case *appsv1.StatefulSet:
		c = fromStatefulSet(o)
	case *appsv1.DaemonSet:
		c = fromDaemonSet(o)
	}
	return &c, false
}

// ownPods returns the pods of the newest revision that are not on their way out.
func (w *watches) ownPods(object current) []*corev1.Pod {
	var own []*corev1.Pod
	for _, pod := range watch.List[corev1.Pod](w.pods) {
		if pod.DeletionTimestamp == nil && object.updated(pod) {
			own = append(own, pod)
		}
	}
	return own
}
