package follow

import (
	"context"
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

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// watches keeps the newest state of a run, its TaskRuns and their pods.
type watches struct {
	namespace, name string
	uid             types.UID

	runs, taskRuns, pods cache.SharedIndexInformer

	signal  *watch.Signal
	denied  error // runs or TaskRuns cannot be watched: following ends
	noPods  error // pods cannot be watched: fewer reasons are known
	lost    error // the latest failure of a watch that is being retried
	sawPods map[string]bool
}

func newWatches(clients Clients, run *tektonv1.PipelineRun) *watches {
	w := &watches{
		namespace: run.Namespace,
		name:      run.Name,
		uid:       run.UID,
		signal:    watch.New(),
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

// start watches until ctx ends; group waits for all that was started.
func (w *watches) start(ctx context.Context, group *sync.WaitGroup) {
	for informer, denied := range map[cache.SharedIndexInformer]*error{w.runs: &w.denied, w.taskRuns: &w.denied, w.pods: &w.noPods} {
		w.signal.Watch(ctx, group, informer, func(err error) {
			w.signal.Update(func() {
				if apierrors.IsForbidden(err) {
					*denied = err
				} else {
					w.lost = err
				}
			})
		})
	}
}

func (w *watches) changed() <-chan struct{} { return w.signal.Changed() }

func (w *watches) run() (run *tektonv1.PipelineRun, deleted bool) {
	run = watch.Get[tektonv1.PipelineRun](w.runs, w.namespace+"/"+w.name)
	if run != nil && run.UID != w.uid {
		return nil, true
	}
	return run, run == nil && w.runs.HasSynced()
}

func (w *watches) listed() bool { return w.taskRuns.HasSynced() }

func (w *watches) taskRun(name string) *tektonv1.TaskRun {
	return watch.Get[tektonv1.TaskRun](w.taskRuns, w.namespace+"/"+name)
}

// ownTaskRuns leaves out those of another run that had the same name.
func (w *watches) ownTaskRuns() []*tektonv1.TaskRun {
	return slices.DeleteFunc(watch.List[tektonv1.TaskRun](w.taskRuns), func(taskRun *tektonv1.TaskRun) bool {
		return !isOf(w.uid, taskRun.OwnerReferences)
	})
}

func isOf(uid types.UID, owners []metav1.OwnerReference) bool {
	return slices.ContainsFunc(owners, func(owner metav1.OwnerReference) bool { return owner.UID == uid })
}

func (w *watches) pod(name string) (pod *corev1.Pod, gone, unknown bool) {
	pod = watch.Get[corev1.Pod](w.pods, w.namespace+"/"+name)
	w.signal.Read(func() {
		if pod != nil {
			w.sawPods[name] = true
			return
		}
		gone, unknown = w.sawPods[name], w.noPods != nil
	})
	return pod, gone, unknown
}

func (w *watches) trouble() (denied, noPods, lost error) {
	w.signal.Read(func() { denied, noPods, lost = w.denied, w.noPods, w.lost })
	return denied, noPods, lost
}
