package live

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// ReleaseFollower follows the records of the releases of one app. The Changed of its Cluster
// signals their changes.
type ReleaseFollower struct {
	cluster         *Cluster
	namespace, name string
	records         cache.SharedIndexInformer
	// err is guarded by the state of the cluster.
	err error
}

// FollowReleases returns the follower of the releases of an app, which is deployed or not. The
// caller calls done when it looks at it no longer.
func (c *Cluster) FollowReleases(namespace, name string) (f *ReleaseFollower, done func()) {
	s := &c.followers
	return s.releases.take(namespace+"/"+name, func() (*ReleaseFollower, context.CancelFunc) {
		ctx, stop := context.WithCancel(s.ctx)
		f := &ReleaseFollower{cluster: c, namespace: namespace, name: name}
		f.records = cache.NewSharedIndexInformer(listRecords(s.clients.Kube, namespace, name, f.report), &corev1.ConfigMap{}, 0, cache.Indexers{})
		c.state.Watch(ctx, &s.group, f.records, f.report)
		return f, stop
	})
}

// Releases returns the releases on record with their states, the newest first. ok is false until
// they have been read once. err is why they cannot be read, or are out of date.
func (f *ReleaseFollower) Releases() (releases []status.Release, ok bool, err error) {
	ok = f.records.HasSynced()
	f.cluster.state.Read(func() { err = f.err })
	records := record.Parse(watch.List[corev1.ConfigMap](f.records))
	apps, _, _ := f.cluster.Apps()
	failures := status.FailedReleases{}
	for _, one := range records {
		if run := f.cluster.Run(one.Namespace, one.Run); run != nil {
			failures.Add(run)
		}
	}
	return status.NewReleases(records, apps, failures), ok, err
}

// report records why the records cannot be read; nil if they can.
func (f *ReleaseFollower) report(err error) {
	known := false
	f.cluster.state.Read(func() { known = err == nil && f.err == nil })
	if known {
		return
	}
	if err != nil {
		err = app.Denied(err, access.Permission{Verb: "list", Resource: "configmaps", Namespace: f.namespace})
	}
	f.cluster.state.Update(func() { f.err = err })
}

// listRecords lists and watches the ConfigMaps with the records of an app. report is called with
// the error of each list and of each start of a watch, also nil.
func listRecords(client kubernetes.Interface, namespace, name string, report func(error)) *cache.ListWatch {
	records := client.CoreV1().ConfigMaps(namespace)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = record.Selector(name)
			list, err := records.List(ctx, options)
			report(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			options.LabelSelector = record.Selector(name)
			watch, err := records.Watch(ctx, options)
			report(err)
			return watch, err
		},
	}
}
