package status

import (
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// TestEndings compares what Tekton says of a run, and what is on record, with what is shown.
func TestEndings(t *testing.T) {
	const superseded, unschedulable = "Superseded: run web-2, which started later, was deployed in place of this one", "Unschedulable: 0/1 nodes: Insufficient memory"
	for name, test := range map[string]struct {
		condition           apis.Condition
		canceled            bool
		ending, rollout     string
		state               RunState
		ends, reason, wants string
	}{
		"canceled by another tool": {apis.Condition{Status: "False", Reason: "Cancelled", Message: "was cancelled"}, true, "", "", RunCanceled, "Canceled", "Canceled", "was cancelled"},
		"canceled": {
			apis.Condition{Status: "False", Reason: "Cancelled", Message: "was cancelled"},
			true, "Canceled: by kubectl pyflow cancel", "",
			RunCanceled, "Canceled", "Canceled", "by kubectl pyflow cancel",
		},
		"given up":               {apis.Condition{Status: "False", Reason: "Cancelled"}, true, unschedulable, "", RunCanceled, "Canceled (Unschedulable)", "Unschedulable", "0/1 nodes: Insufficient memory"},
		"refused by the cluster": {apis.Condition{Status: "False", Reason: "Failed"}, false, superseded, "", RunSuperseded, "Superseded", "Superseded", superseded[12:]},
		"replaced in the rollout": {
			apis.Condition{Status: "True", Reason: "Succeeded"}, false, superseded, "", RunSuperseded, "Superseded", "Superseded", superseded[12:],
		},
		"failed":         {apis.Condition{Status: "False", Reason: "Failed", Message: "why"}, false, "", "", RunFailed, "Failed", "Failed", "why"},
		"rollout failed": {apis.Condition{Status: "True", Reason: "Succeeded"}, false, "", "CrashLoopBackOff: exit code 1", RunFailed, "Failed (CrashLoopBackOff)", "CrashLoopBackOff", "exit code 1"},
		"faster than its cancellation": {
			apis.Condition{Status: "True", Reason: "Succeeded", Message: "done"}, true, unschedulable, "", RunSucceeded, "Succeeded", "Succeeded", "done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.condition.Type = apis.ConditionSucceeded
			finished := metav1.NewTime(testNow)
			run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Annotations: map[string]string{}}}
			if test.ending != "" {
				run.Annotations[manifests.AnnotationEnding] = test.ending
			}
			if test.rollout != "" {
				run.Annotations[manifests.AnnotationRolloutFailed] = test.rollout
			}
			if test.canceled {
				run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled
			}
			run.Status.Status = duckv1.Status{Conditions: duckv1.Conditions{test.condition}}
			run.Status.StartTime, run.Status.CompletionTime = &finished, &finished
			if got := NewRun(run, testNow); got.State != test.state || got.Ending() != test.ends || got.Reason != test.reason || got.Message != test.wants {
				t.Errorf("got %s, %s, %s: %s", got.State, got.Ending(), got.Reason, got.Message)
			}
		})
	}
}
