package session

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// TestCancel checks which runs are canceled after watching them has ended: those that the
// user interrupts and those that cannot succeed, if they have not ended.
func TestCancel(t *testing.T) {
	terminal := &event.Failure{Message: "no node fits", Terminal: true}
	for name, test := range map[string]struct {
		ended       bool
		interrupted bool
		err         error
		want        decision
		notice      string
	}{
		"success":                               {want: leaveAlone, ended: true},
		"the build failed":                      {want: leaveAlone, ended: true, err: &event.Failure{Message: "exit code 1"}},
		"the connection failed":                 {want: leaveAlone, err: errors.New("connection refused")},
		"a rollout failed":                      {want: leaveAlone, ended: true, err: terminal},
		"a failure that is not terminal":        {want: leaveAlone, err: &event.Failure{Message: "not ready"}},
		"waiting cannot help":                   {want: giveUp, err: terminal},
		"the user interrupts":                   {want: interrupt, interrupted: true, err: context.Canceled, notice: "Canceling run web-1"},
		"the user interrupts after the end":     {want: leaveAlone, interrupted: true, ended: true, err: context.Canceled},
		"waiting cannot help, then interrupted": {want: giveUp, interrupted: true, err: terminal},
	} {
		t.Run(name, func(t *testing.T) {
			object := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "demo"}}
			client := tektonfake.NewSimpleClientset(object)
			seen := object.DeepCopy()
			if test.ended {
				seen.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
			}
			run, result := build.Existing(object), build.Result{Object: seen}
			if got := decide(run, result, test.interrupted, test.err); got != test.want {
				t.Errorf("the decision is %d, want %d", got, test.want)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if test.interrupted {
				stop()
			}
			notice := ""
			recorder := track.NewRecorder("web", "demo", func(e event.Event) { notice += e.Message })
			s := Session{Streams: genericiooptions.NewTestIOStreamsDiscard(), Clients: &kube.Clients{Tekton: client}}
			s.cancel(ctx, run, result, recorder, test.err)
			after, err := client.TektonV1().PipelineRuns("demo").Get(t.Context(), "web-1", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if after.IsCancelled() != (test.want != leaveAlone) || notice != test.notice {
				t.Errorf("spec.status is %q, the notice %q", after.Spec.Status, notice)
			}
		})
	}
}

// TestCancelWithoutRun checks that a build that needs no run has nothing to cancel.
func TestCancelWithoutRun(t *testing.T) {
	if got := decide(&build.Run{}, build.Result{}, true, context.Canceled); got != leaveAlone {
		t.Errorf("the decision is %d", got)
	}
}

func TestWriteJUnit(t *testing.T) {
	existing := func(test *pipelinerun.Test) *build.Run {
		return build.Existing(pipelinerun.New(pipelinerun.Build{Meta: pipelinerun.Meta{App: "shop"}, Engine: installed.Engine(), Test: test}))
	}
	pytest := &pipelinerun.Test{Command: []string{"pytest"}}
	for name, test := range map[string]struct {
		run     *build.Run
		results string
		written string
		says    string
	}{
		"whole":          {existing(pytest), "<testsuite>\n</testsuite>\n", "<testsuite>\n</testsuite>\n", ""},
		"cut off":        {existing(pytest), "<testsuite>\n", "<testsuite>\n", "r.xml is not JUnit XML, or is cut off"},
		"none":           {existing(pytest), "", "", "wrote no JUnit XML"},
		"nothing to do":  {&build.Run{}, "", "", "Nothing was tested"},
		"nothing tested": {existing(nil), "", "", "Nothing was tested"},
	} {
		t.Run(name, func(t *testing.T) {
			said := ""
			recorder := track.NewRecorder("shop", "team", func(e event.Event) { said += e.Message })
			s := Session{JUnit: filepath.Join(t.TempDir(), "r.xml")}
			if err := s.writeJUnit(recorder, test.run, []byte(test.results)); err != nil {
				t.Fatal(err)
			}
			written, err := os.ReadFile(s.JUnit)
			if string(written) != test.written || (err == nil) != (test.written != "") || !strings.Contains(said, test.says) || test.says == "" && said != "" {
				t.Errorf("written is %q, %v, said %q", written, err, said)
			}
		})
	}
}
