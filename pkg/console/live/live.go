// Package live keeps what the console shows up to date: the runs and apps of the cluster,
// the progress and the log of one run, and the logs of an app's replicas. It watches, so
// that an idle page costs no requests.
package live

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// settle is how long the objects of apps may change before they are read again: a rollout
// changes many at once.
const settle = time.Second

// Cluster is what one scope of a cluster has: a namespace, or all of them. It watches from
// New until its context ends. Its methods are safe for concurrent use.
type Cluster struct {
	clients   *kube.Clients
	namespace string

	runs  cache.SharedIndexInformer
	state *watch.Signal
	soFar soFar
	// The fields below are guarded by state. runsErr is why the runs cannot be read, or are
	// out of date.
	runsErr  error
	apps     []status.App
	appsErr  error
	appsRead bool

	// objects signals changes of what apps are made of.
	objects *watch.Signal
	group   sync.WaitGroup

	followers followers
	platform  platformReader
}

// New starts to watch the runs and apps of a namespace, or of all if it is empty, until ctx
// ends. It sends no request before it returns.
func New(ctx context.Context, clients *kube.Clients, namespace string) (*Cluster, error) {
	objects, err := metadata.NewForConfig(clients.Config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &Cluster{
		clients: clients, namespace: namespace,
		state: watch.New(), objects: watch.New(),
		platform: platformReader{signal: watch.New()},
	}
	c.platform.read = func(ctx context.Context, whole bool) (*status.Report, error) {
		return status.ReadReport(ctx, status.Clients{Kube: clients.Kube, Tekton: clients.Tekton}, status.Options{
			Namespace: namespace, AllNamespaces: whole && namespace == "", Now: time.Now(),
		})
	}
	c.followers.init(ctx, clients)
	c.runs = cache.NewSharedIndexInformer(listRuns(clients.Tekton, namespace, c), &tektonv1.PipelineRun{}, 0, cache.Indexers{})
	c.state.Watch(ctx, &c.group, c.runs, c.report)
	c.group.Go(func() {
		cache.WaitForCacheSync(ctx.Done(), c.runs.HasSynced)
		c.soFar.clear()
	})
	for kind, selector := range appKinds() {
		informer := metadatainformer.NewFilteredMetadataInformer(objects, kind, namespace, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
			options.LabelSelector = selector
		}).Informer()
		_ = informer.SetTransform(trimMeta)
		// Reading the apps says why they cannot be read.
		c.objects.Watch(ctx, &c.group, informer, func(error) {})
	}
	c.group.Go(func() { c.readApps(ctx) })
	return c, nil
}

// Wait returns when everything that New started has ended, after its context has.
func (c *Cluster) Wait() {
	c.group.Wait()
	c.followers.group.Wait()
}

// Namespace is the one that is watched; empty for all.
func (c *Cluster) Namespace() string { return c.namespace }

// Changed returns a channel that is closed when Runs or Apps may return something else. Get
// it before them.
func (c *Cluster) Changed() <-chan struct{} { return c.state.Changed() }

// Runs returns the runs, newest first. ok is false until all of them have been read once: until
// then they are those that have been read so far. err is why they cannot be read, or are out of
// date.
func (c *Cluster) Runs(now time.Time) (runs []status.Run, ok bool, err error) {
	ok = c.runs.HasSynced()
	objects := watch.List[tektonv1.PipelineRun](c.runs)
	if soFar := c.soFar.list(); len(soFar) > len(objects) && !ok {
		objects = soFar
	}
	slices.SortFunc(objects, func(a, b *tektonv1.PipelineRun) int { return pipelinerun.Newer(a, b) })
	runs = make([]status.Run, len(objects))
	for i, object := range objects {
		runs[i] = status.NewRun(object, now)
	}
	c.state.Read(func() { err = c.runsErr })
	return runs, ok, err
}

// Run returns the run of that name without the fields that a list does not show; nil if
// there is none.
func (c *Cluster) Run(namespace, name string) *tektonv1.PipelineRun {
	return watch.Get[tektonv1.PipelineRun](c.runs, namespace+"/"+name)
}

// Apps returns the apps by namespace and name. ok is false until they have been read once,
// and err is why they cannot be read.
func (c *Cluster) Apps() (apps []status.App, ok bool, err error) {
	c.state.Read(func() { apps, ok, err = c.apps, c.appsRead, c.appsErr })
	return apps, ok, err
}

// App returns one app. ok is false if no app of that name is known.
func (c *Cluster) App(namespace, name string) (app status.App, ok bool) {
	apps, _, _ := c.Apps()
	i := slices.IndexFunc(apps, func(app status.App) bool { return app.Namespace == namespace && app.Name == name })
	if i < 0 {
		return status.App{}, false
	}
	return apps[i], true
}

// Unreachable returns why nothing can be read from the API server at the moment; nil if it
// answers.
func (c *Cluster) Unreachable() (err error) {
	c.state.Read(func() { err = c.runsErr })
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// started forgets what an earlier list has read.
func (c *Cluster) started() { c.soFar.clear() }

// found adds a run to those that the first list has read so far.
func (c *Cluster) found(run *tektonv1.PipelineRun) {
	if !c.runs.HasSynced() && c.soFar.add(run) {
		c.state.Update(nil)
	}
}

// report records why the runs cannot be read; nil if they can.
func (c *Cluster) report(err error) {
	known := false
	c.state.Read(func() { known = err == nil && c.runsErr == nil })
	if !known {
		c.state.Update(func() { c.runsErr = err })
	}
}

// readApps reads the apps again whenever their objects have changed.
func (c *Cluster) readApps(ctx context.Context) {
	for ctx.Err() == nil {
		changed := c.objects.Changed()
		apps, err := status.Apps(ctx, status.Clients{Kube: c.clients.Kube, Tekton: c.clients.Tekton}, status.Options{
			Namespace: c.namespace, AllNamespaces: c.namespace == "", Now: time.Now(),
		})
		if ctx.Err() != nil {
			return
		}
		c.state.Update(func() {
			if err == nil || c.apps == nil {
				c.apps = apps
			}
			c.appsErr, c.appsRead = err, true
		})
		watch.Wait(ctx, changed)
		watch.WaitFor(ctx, nil, settle)
	}
}

// appKinds are the kinds of objects that decide how an app is, each with its selector. The
// pods of what a user wrote have no label of ours.
func appKinds() map[schema.GroupVersionResource]string {
	return map[schema.GroupVersionResource]string{
		appsv1.SchemeGroupVersion.WithResource("deployments"):  manifests.LabelApp,
		appsv1.SchemeGroupVersion.WithResource("statefulsets"): manifests.LabelApp,
		appsv1.SchemeGroupVersion.WithResource("daemonsets"):   manifests.LabelApp,
		corev1.SchemeGroupVersion.WithResource("pods"):         "!" + pipeline.TaskRunLabelKey,
	}
}

// trimMeta keeps the name and the version of an object: its change is all that counts.
func trimMeta(object any) (any, error) {
	whole, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: whole.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace: whole.Namespace, Name: whole.Name, UID: whole.UID, ResourceVersion: whole.ResourceVersion,
	}}, nil
}
