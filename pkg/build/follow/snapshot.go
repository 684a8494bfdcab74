package follow

import (
	"context"
	"fmt"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// snapshot is a run with its TaskRuns and pods as they were at one moment.
type snapshot struct {
	pipelineRun *tektonv1.PipelineRun
	taskRuns    map[string]*tektonv1.TaskRun
	pods        map[string]*corev1.Pod
	noPods      error
	never       chan struct{}
}

// newSnapshot reads what refers to something before that: whatever is referred to
// and was not found has been deleted.
func newSnapshot(ctx context.Context, clients Clients, namespace, name string) (*snapshot, error) {
	run, err := clients.Tekton.TektonV1().PipelineRuns(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get pipelinerun %s: %w", name, err)
	}
	s := &snapshot{
		pipelineRun: run,
		taskRuns:    map[string]*tektonv1.TaskRun{},
		pods:        map[string]*corev1.Pod{},
		never:       make(chan struct{}),
	}
	ofRun := metav1.ListOptions{LabelSelector: labels.Set{pipeline.PipelineRunLabelKey: name}.String()}
	taskRuns, err := clients.Tekton.TektonV1().TaskRuns(namespace).List(ctx, ofRun)
	if err != nil {
		return nil, fmt.Errorf("list taskruns of %s: %w", name, err)
	}
	for i, taskRun := range taskRuns.Items {
		if isOf(run.UID, taskRun.OwnerReferences) {
			s.taskRuns[taskRun.Name] = &taskRuns.Items[i]
		}
	}
	pods, err := clients.Kube.CoreV1().Pods(namespace).List(ctx, ofRun)
	switch {
	case apierrors.IsForbidden(err):
		s.noPods = err
	case err != nil:
		return nil, fmt.Errorf("list pods of %s: %w", name, err)
	default:
		for i, pod := range pods.Items {
			s.pods[pod.Name] = &pods.Items[i]
		}
	}
	return s, nil
}

func (s *snapshot) changed() <-chan struct{} { return s.never }

func (s *snapshot) run() (run *tektonv1.PipelineRun, deleted bool) { return s.pipelineRun, false }

func (s *snapshot) listed() bool { return true }

func (s *snapshot) ownTaskRuns() []*tektonv1.TaskRun {
	var own []*tektonv1.TaskRun
	for _, taskRun := range s.taskRuns {
		own = append(own, taskRun)
	}
	return own
}

func (s *snapshot) taskRun(name string) *tektonv1.TaskRun { return s.taskRuns[name] }

func (s *snapshot) pod(name string) (pod *corev1.Pod, gone, unknown bool) {
	pod = s.pods[name]
	return pod, pod == nil && s.noPods == nil, s.noPods != nil
}

func (s *snapshot) trouble() (denied, noPods, lost error) { return nil, s.noPods, nil }
