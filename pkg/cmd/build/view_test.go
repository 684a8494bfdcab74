package build

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/rollout"
)

var dockerfile = &project.Dockerfile{
	Path: "Dockerfile",
	Instructions: []project.Instruction{
		{Line: 1, Text: "FROM python:3.13-slim"},
		{Line: 4, Text: "RUN exit 3"},
	},
}

func finished(status corev1.ConditionStatus, message string) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: message})
	return run
}

func play(events ...follow.Event) (v *view, output string) {
	var out bytes.Buffer
	v = newView(&out, dockerfile)
	v.beginRun("app-abcde")
	for _, event := range events {
		v.show(event)
	}
	return v, regexp.MustCompile(`\d+\.\ds`).ReplaceAllString(out.String(), "TIME")
}

func TestViewOfASuccess(t *testing.T) {
	v, got := play(
		follow.Event{Kind: follow.TaskStarted, Task: "build"},
		follow.Event{Kind: follow.Waiting, Task: "build", Reason: "Unschedulable", Text: "0/1 nodes are available"},
		follow.Event{Kind: follow.StepStarted, Task: "build", Step: "fetch"},
		follow.Event{Kind: follow.StepEnded, Task: "build", Step: "fetch"},
		follow.Event{Kind: follow.StepStarted, Task: "build", Step: "build"},
		follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: `time="x" level=info msg="FROM python:3.13-slim"`},
		follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: "of a command"},
		follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build"},
		follow.Event{Kind: follow.TaskEnded, Task: "build", Succeeded: true},
		follow.Event{Kind: follow.StepStarted, Task: "deploy", Step: "apply"},
		follow.Event{Kind: follow.Log, Task: "deploy", Step: "apply", Text: "deployment.apps/app serverside-applied"},
		follow.Event{Kind: follow.TaskEnded, Task: "deploy", Succeeded: true},
		follow.Event{Kind: follow.RunEnded, Run: finished(corev1.ConditionTrue, "")},
	)
	const want = `Run app-abcde
  waiting: Unschedulable: 0/1 nodes are available
✓ Build started  TIME
  [build] FROM python:3.13-slim
  [build] of a command
✓ Image built and pushed  TIME
  [apply] deployment.apps/app serverside-applied
✓ Manifests applied  TIME
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if spent := strings.Join(v.spent, " "); !regexp.MustCompile(`^queue \S+ build \S+ deliver \S+$`).MatchString(spent) {
		t.Errorf("times are of %q, want queue, build and deliver", spent)
	}
}

func TestViewOfAFailure(t *testing.T) {
	const message = "Tasks Completed: 1 (Failed: 1)"
	for name, test := range map[string]struct {
		events  []follow.Event
		outcome pipelinerun.Outcome
		want    []string
	}{
		"a Dockerfile's line": {
			[]follow.Event{
				{Kind: follow.Log, Task: "build", Step: "build", Text: `time="x" level=info msg="RUN exit 3"`},
				{Kind: follow.Log, Task: "build", Step: "build", Text: "FROM python:3.13-slim"},
				{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 1, Reason: "Error"},
			},
			pipelinerun.Outcome{Done: true, Message: message},
			[]string{"app-abcde", "Dockerfile:4: RUN exit 3", "exit code 1"},
		},
		"a registry without room": {
			[]follow.Event{
				{Kind: follow.Log, Task: "build", Step: "build", Text: `time="x" level=info msg="FROM python:3.13-slim"`},
				{Kind: follow.Log, Task: "build", Step: "build", Text: "error pushing image: failed to push to destination r/app:1: PATCH https://r/v2/app/blobs/uploads/1: UNKNOWN: unknown error; write /var/lib/registry/data: no space left on device"},
				{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 1, Reason: "Error"},
			},
			pipelinerun.Outcome{Done: true, Message: message},
			[]string{"app-abcde", "step build", registry.ErrFull.Error()},
		},
		"a command without room": {
			[]follow.Event{
				{Kind: follow.Log, Task: "build", Step: "build", Text: `time="x" level=info msg="RUN exit 3"`},
				{Kind: follow.Log, Task: "build", Step: "build", Text: "dd: write error: no space left on device"},
				{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 1, Reason: "Error"},
			},
			pipelinerun.Outcome{Done: true, Message: message},
			[]string{"Dockerfile:4: RUN exit 3"},
		},
		"a step outside of the Dockerfile": {
			[]follow.Event{{Kind: follow.StepEnded, Task: "deploy", Step: "apply", ExitCode: 2, Reason: "Error"}},
			pipelinerun.Outcome{Done: true, Message: message},
			[]string{"task deploy, step apply", "exit code 2"},
		},
		"a pod that never ran": {
			[]follow.Event{{Kind: follow.Waiting, Task: "build", Reason: "ImagePullBackOff", Text: "no such image"}},
			pipelinerun.Outcome{Done: true, Message: message},
			[]string{"ImagePullBackOff: no such image", message},
		},
		"Tekton's own reason": {nil, pipelinerun.Outcome{Done: true, Message: message}, []string{message}},
		"canceled elsewhere":  {nil, pipelinerun.Outcome{Done: true, Canceled: true}, []string{"was canceled"}},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := play(append(test.events, follow.Event{Kind: follow.RunEnded, Run: finished(corev1.ConditionFalse, message)})...)
			err := v.failure("app-abcde", test.outcome)
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to contain %q", err, want)
				}
			}
		})
	}
}

func TestViewCountsReplicas(t *testing.T) {
	v, _ := play()
	for _, name := range []string{"web", "worker"} {
		workload := release.Workload{Kind: "Deployment", Name: name}
		v.rolling(rollout.Update{Workload: workload, State: rollout.State{Ready: 0, Desired: 3}})
		v.rolling(rollout.Update{Workload: workload, State: rollout.State{Ready: 3, Desired: 3}})
	}
	if got, want := v.rolledOut(), "Rolled out, 6 of 6 replicas ready"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestViewOfALostRun(t *testing.T) {
	_, got := play(follow.Event{Kind: follow.RunEnded, Err: errors.New("deleted")})
	if !strings.Contains(got, "✗") {
		t.Errorf("got %q, want a stage that failed", got)
	}
}
