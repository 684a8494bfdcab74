package follow

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektoninformers "github.com/tektoncd/pipeline/pkg/client/informers/externalversions/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// watches keeps the newest state of a run, its TaskRuns and their pods. Its
// informers list again where a watch has expired, so that reading the state
// after every change misses no end.
type watches struct {
	namespace, name string
	uid             types.UID

	runs, taskRuns, pods cache.SharedIndexInformer

	mu      sync.Mutex
	wake    chan struct{}
	denied  error // runs or TaskRuns can not be watched: the end
	noPods  error // pods can not be watched: less to tell
	lost    error // the latest failure of a watch that is being retried
	sawPods map[string]bool
}

func newWatches(clients Clients, run *tektonv1.PipelineRun) *watches {
	w := &watches{
		namespace: run.Namespace,
		name:      run.Name,
		uid:       run.UID,
		wake:      make(chan struct{}),
		sawPods:   map[string]bool{},
	}
	byName := func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", run.Name).String()
	}
	ofRun := func(options *metav1.ListOptions) {
		options.LabelSelector = labels.Set{pipeline.PipelineRunLabelKey: run.Name}.String()
	}
	w.runs = tektoninformers.NewFilteredPipelineRunInformer(clients.Tekton, run.Namespace, 0, nil, byName)
	w.taskRuns = tektoninformers.NewFilteredTaskRunInformer(clients.Tekton, run.Namespace, 0, nil, ofRun)
	w.pods = coreinformers.NewFilteredPodInformer(clients.Kube, run.Namespace, 0, nil, ofRun)
	return w
}

// start runs the informers until ctx ends; group waits for all they started.
func (w *watches) start(ctx context.Context, group *sync.WaitGroup) {
	touch := func(any) { w.touch(nil) }
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    touch,
		UpdateFunc: func(_, object any) { touch(object) },
		DeleteFunc: touch,
	}
	for informer, failed := range map[cache.SharedIndexInformer]*error{w.runs: &w.denied, w.taskRuns: &w.denied, w.pods: &w.noPods} {
		// Both fail only once the informer runs or has been stopped.
		_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			w.failed(err, failed)
		})
		_, _ = informer.AddEventHandler(handler)
		group.Go(func() { informer.RunWithContext(ctx) })
		group.Go(func() {
			// An empty list changes nothing that a handler would hear of.
			cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
			w.touch(nil)
		})
	}
}

// failed takes note of an error of a watch, which is tried again in any case.
func (w *watches) failed(err error, denied *error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		// Ends of a watch that belong to its life.
	case apierrors.IsForbidden(err):
		w.touch(func() { *denied = err })
	default:
		w.touch(func() { w.lost = err })
	}
}

// touch changes the state and wakes whoever waits for that.
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

func get[T any](informer cache.SharedIndexInformer, namespace, name string) *T {
	object, exists, err := informer.GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return nil
	}
	result, _ := object.(*T)
	return result
}

// run returns the run as it is now; deleted says that it is there no longer.
func (w *watches) run() (run *tektonv1.PipelineRun, deleted bool) {
	run = get[tektonv1.PipelineRun](w.runs, w.namespace, w.name)
	if run != nil && run.UID != w.uid {
		return nil, true
	}
	return run, run == nil && w.runs.HasSynced()
}

func (w *watches) taskRun(name string) *tektonv1.TaskRun {
	return get[tektonv1.TaskRun](w.taskRuns, w.namespace, name)
}

// ownTaskRuns returns the TaskRuns of this run, in no order.
func (w *watches) ownTaskRuns() []*tektonv1.TaskRun {
	var own []*tektonv1.TaskRun
	for _, object := range w.taskRuns.GetStore().List() {
		taskRun, ok := object.(*tektonv1.TaskRun)
		if ok && slices.ContainsFunc(taskRun.OwnerReferences, func(owner metav1.OwnerReference) bool { return owner.UID == w.uid }) {
			own = append(own, taskRun)
		}
	}
	return own
}

// pod returns a pod as it is now. When there is none, gone says that there was
// one, and unknown that pods can not be watched.
func (w *watches) pod(name string) (pod *corev1.Pod, gone, unknown bool) {
	pod = get[corev1.Pod](w.pods, w.namespace, name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if pod != nil {
		w.sawPods[name] = true
		return pod, false, false
	}
	return nil, w.sawPods[name], w.noPods != nil
}

// trouble returns what went wrong with watching: denied is final, noPods and
// lost are not.
func (w *watches) trouble() (denied, noPods, lost error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.denied, w.noPods, w.lost
}
