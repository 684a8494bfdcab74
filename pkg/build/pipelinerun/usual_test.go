package pipelinerun_test

import (
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
)

func TestUsual(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	took := func(name string, created, seconds int, status corev1.ConditionStatus, spec pipelinerun.Spec) *tektonv1.PipelineRun {
		run := pipelinerun.New(spec)
		run.Name = name
		run.CreationTimestamp = metav1.NewTime(start.Add(time.Duration(created) * time.Hour))
		run.Status.StartTime = &run.CreationTimestamp
		run.Status.CompletionTime = &metav1.Time{Time: run.CreationTimestamp.Add(time.Duration(seconds) * time.Second)}
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status})
		return run
	}
	c := newCluster()
	for _, run := range []*tektonv1.PipelineRun{
		took("a", 1, 500, corev1.ConditionTrue, minimal()), // the sixth newest
		took("b", 2, 30, corev1.ConditionTrue, minimal()),
		took("c", 3, 40, corev1.ConditionTrue, minimal()),
		took("d", 4, 50, corev1.ConditionTrue, minimal()),
		took("e", 5, 60, corev1.ConditionTrue, minimal()),
		took("f", 6, 20, corev1.ConditionTrue, minimal()),
		took("failed", 7, 1, corev1.ConditionFalse, minimal()),
		took("tested", 8, 1, corev1.ConditionTrue, testedBuild()),
		took("deploys", 9, 1, corev1.ConditionTrue, deploy()),
	} {
		if err := c.tekton.Tracker().Add(run); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		spec pipelinerun.Spec
		want time.Duration
	}{
		"the median of five":   {minimal(), 40 * time.Second},
		"the one with a stage": {testedBuild(), time.Second},
		"none with a command":  {testedBeside(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pipelinerun.Usual(t.Context(), c.tekton, pipelinerun.New(test.spec))
			if err != nil || got != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}
