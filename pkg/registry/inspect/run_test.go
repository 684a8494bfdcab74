package inspect

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func testTarget() Target {
	return Target{
		Namespace: "team", Repository: "registry/team/app", Digest: "sha256:image",
		Layers: []string{"sha256:a", "sha256:b", "sha256:a"}, Timeout: time.Minute,
	}
}

func TestNewRun(t *testing.T) {
	run := newRun(testTarget())
	if run.Labels[manifests.LabelApp] != "" {
		t.Error("it is in the history of an app")
	}
	template := run.Spec.TaskRunTemplate
	if template.ServiceAccountName != manifests.BuildServiceAccount || *template.PodTemplate.AutomountServiceAccountToken {
		t.Errorf("its pod has more than a build's: %+v", template)
	}
	params := run.Spec.Params
	if image := params[0].Value.StringVal; image != "registry/team/app@sha256:image" {
		t.Errorf("the image is %s", image)
	}
	if layers := params[1].Value.ArrayVal; !slices.Equal(layers, []string{"sha256/a", "sha256/b"}) {
		t.Errorf("layers are %q, want each once", layers)
	}
}

func ended(status corev1.ConditionStatus, reason, message string) *tektonv1.PipelineRun {
	run := newRun(testTarget())
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: message})
	return run
}

func TestObserve(t *testing.T) {
	failed := ended(corev1.ConditionFalse, "Failed", "Tasks Completed: 1 (Failed: 1)")
	for name, test := range map[string]struct {
		events []follow.Event
		log    string
		err    string
		advice string
		is     error
		says   string
	}{
		"a listing": {
			events: []follow.Event{
				{Kind: follow.StepStarted, Step: "pull"},
				{Kind: follow.Log, Step: "pull", Text: "chatter"},
				{Kind: follow.StepStarted, Step: "list"},
				{Kind: follow.Log, Step: "list", Text: "ab"},
				{Kind: follow.Log, Step: "list", Text: "cd"},
				{Kind: follow.StepEnded, Step: "list"},
				{Kind: follow.RunEnded, Run: ended(corev1.ConditionTrue, "Succeeded", "")},
			},
			log:  "abcd",
			says: "Pulling the image in the cluster,Listing the image's files",
		},
		"what the step says": {
			events: []follow.Event{
				{Kind: follow.Log, Step: "list", Text: "pyflow: layer x is compressed by zstd, which is not read"},
				{Kind: follow.StepEnded, Step: "list", ExitCode: 1, Reason: "Error"},
				{Kind: follow.RunEnded, Run: failed},
			},
			err: "list the image's files: layer x is compressed by zstd, which is not read",
		},
		"what crane says": {
			events: []follow.Event{
				{Kind: follow.Log, Step: "pull", Text: "Error: pulling: UNAUTHORIZED"},
				{Kind: follow.StepEnded, Step: "pull", ExitCode: 1, Reason: "Error"},
				{Kind: follow.RunEnded, Run: failed},
			},
			err: "list the image's files: Error: pulling: UNAUTHORIZED",
		},
		"nothing said": {
			events: []follow.Event{
				{Kind: follow.StepEnded, Step: "list", ExitCode: 137, Reason: "OOMKilled", Advice: "more memory"},
				{Kind: follow.RunEnded, Run: failed},
			},
			err: "list the image's files: step list exited with code 137 (OOMKilled)", advice: "more memory",
		},
		"no Task": {
			events: []follow.Event{{Kind: follow.RunEnded, Run: ended(corev1.ConditionFalse, "CouldntGetTask", `Pipeline x can't be Run: could not find task: tasks.tekton.dev "pyflow-inspect" not found`)}},
			is:     ErrNoTask, err: ErrNoTask.Error(),
		},
		"refused": {
			events: []follow.Event{{Kind: follow.RunEnded, Run: ended(corev1.ConditionFalse, "Timeout", "too slow"), Advice: "wait"}},
			err:    "list the image's files: Timeout: too slow", advice: "wait",
		},
		"a pod that cannot start": {
			events: []follow.Event{
				{Kind: follow.Waiting, Reason: "Unschedulable", Text: "no node", Advice: "later"},
				{Kind: follow.Waiting, Reason: "Unschedulable", Text: "no node at all", Advice: "a node", Hopeless: true},
			},
			err: "list the image's files: Unschedulable: no node at all", advice: "a node",
			says: "waiting Unschedulable: no node,waiting Unschedulable: no node at all",
		},
		"deleted": {
			events: []follow.Event{{Kind: follow.RunEnded, Run: failed, Err: pipelinerun.ErrDeleted}},
			is:     pipelinerun.ErrDeleted, err: pipelinerun.ErrDeleted.Error(),
		},
		"an endless log": {
			events: []follow.Event{{Kind: follow.Log, Step: "list", Text: strings.Repeat("x", logLimit+1)}},
			is:     ErrListing, err: "the listing of the image cannot be read: its log has more than 16 MiB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			w := watcher{progress: func(text string, waiting bool) {
				if waiting {
					text = "waiting " + text
				}
				said = append(said, text)
			}}
			for _, event := range test.events {
				w.observe(event)
			}
			if w.end == nil {
				t.Fatal("it does not end")
			}
			message, advice := "", ""
			var explained *Error
			if w.end.err != nil {
				message = w.end.err.Error()
			}
			if errors.As(w.end.err, &explained) {
				advice = strings.Join(explained.Advice(), "")
			}
			if message != test.err || advice != test.advice || test.is != nil && !errors.Is(w.end.err, test.is) {
				t.Errorf("error %q, advice %q, want %q, %q", message, advice, test.err, test.advice)
			}
			if w.log.String() != test.log || strings.Join(said, ",") != test.says {
				t.Errorf("log %q, said %q", w.log.String(), said)
			}
		})
	}
}

// TestListCleansUp checks that no run stays, even if the answer to its creation was lost.
func TestListCleansUp(t *testing.T) {
	tekton := tektonfake.NewSimpleClientset()
	broken := errors.New("connection lost")
	tekton.PrependReactor("create", "pipelineruns", func(action clienttesting.Action) (bool, runtime.Object, error) {
		created, ok := action.(clienttesting.CreateAction)
		if !ok {
			return false, nil, nil
		}
		if err := tekton.Tracker().Create(action.GetResource(), created.GetObject(), "team"); err != nil {
			t.Error(err)
		}
		return true, nil, broken
	})
	_, err := List(t.Context(), Clients{Tekton: tekton, Kube: fake.NewClientset()}, testTarget(), nil)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	runs, err := tekton.TektonV1().PipelineRuns("team").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(runs.Items) != 0 {
		t.Errorf("runs %+v stay, %v", runs.Items, err)
	}
}
