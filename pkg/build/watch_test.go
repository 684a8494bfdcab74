package build

import (
	"context"
	"errors"
	"slices"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
)

// testRun returns a run that deploys nothing; ended gives it a condition.
func testRun(ended *apis.Condition) *tektonv1.PipelineRun {
	object := pipelinerun.New(pipelinerun.Build{
		Meta:   pipelinerun.Meta{App: "shop", Namespace: "team", Name: "shop-1"},
		Engine: installed.Engine(), NoDeploy: true,
	})
	if ended != nil {
		ended.Type = apis.ConditionSucceeded
		object.Status.SetCondition(ended)
	}
	return object
}

// testClients returns the clients of a cluster that has the run. writes returns the verbs of
// the requests that were to change something.
func testClients(object *tektonv1.PipelineRun) (clients follow.Clients, writes func() []string) {
	tekton := tektonfake.NewSimpleClientset(object)
	kube := kubefake.NewClientset()
	return follow.Clients{Tekton: tekton, Kube: kube}, func() []string {
		var verbs []string
		for _, action := range append(tekton.Actions(), kube.Actions()...) {
			if !slices.Contains([]string{"get", "list", "watch"}, action.GetVerb()) {
				verbs = append(verbs, action.GetVerb())
			}
		}
		return verbs
	}
}

// TestWatchLeavesTheRunAlone checks that watching changes nothing if its context ends: a
// closed browser tab does not cancel a build.
func TestWatchLeavesTheRunAlone(t *testing.T) {
	object := testRun(nil)
	clients, writes := testClients(object)
	closed := errors.New("the tab was closed")
	ctx, leave := context.WithCancelCause(t.Context())
	defer leave(nil)
	recorder := track.NewRecorder("shop", "team", func(e event.Event) {
		if e.Type == event.PhaseStarted {
			leave(closed)
		}
	})
	result, err := Watch(ctx, clients, Existing(object), recorder, WatchOptions{FailFast: true})
	if !errors.Is(err, closed) || pipelinerun.Verdict(result.Object).Done {
		t.Errorf("got %+v, %v", result, err)
	}
	if got := writes(); len(got) > 0 {
		t.Errorf("watching sent %q", got)
	}
}

// TestWatchEnds checks the result of watching runs that have ended.
func TestWatchEnds(t *testing.T) {
	for name, test := range map[string]struct {
		ended *apis.Condition
		is    func(error) bool
	}{
		"succeeded": {&apis.Condition{Status: corev1.ConditionTrue, Reason: "Succeeded"}, func(err error) bool { return err == nil }},
		"failed": {&apis.Condition{Status: corev1.ConditionFalse, Reason: "Failed"}, func(err error) bool {
			var failure *event.Failure
			return errors.As(err, &failure) && !failure.Terminal
		}},
	} {
		t.Run(name, func(t *testing.T) {
			object := testRun(test.ended)
			clients, writes := testClients(object)
			recorder := track.NewRecorder("shop", "team", func(event.Event) {})
			result, err := Watch(t.Context(), clients, Existing(object), recorder, WatchOptions{})
			if !test.is(err) || !pipelinerun.Verdict(result.Object).Done || len(writes()) > 0 {
				t.Errorf("got %+v, %v after %q", result, err, writes())
			}
		})
	}
}

// TestReplayDoesNotWait checks that the replay of a running run returns, and that one of a
// cluster that does not answer fails.
func TestReplayDoesNotWait(t *testing.T) {
	object := testRun(nil)
	clients, writes := testClients(object)
	recorder := track.NewRecorder("shop", "team", func(event.Event) {})
	result, err := Replay(t.Context(), clients, Existing(object), recorder)
	if err != nil || result.Object == nil || pipelinerun.Verdict(result.Object).Done || len(writes()) > 0 {
		t.Errorf("got %+v, %v after %q", result, err, writes())
	}
	broken := errors.New("no route to host")
	clients.Tekton.(*tektonfake.Clientset).PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, broken
	})
	if _, err := Replay(t.Context(), clients, Existing(object), recorder); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}
