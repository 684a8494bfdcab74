package build

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// pod returns the pod of a task of a run.
func pod(run, task string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: run + "-" + task, Namespace: "team",
		Labels: map[string]string{"tekton.dev/pipelineRun": run, "tekton.dev/pipelineTask": task},
	}}
}

// sum is the SHA-256 of the lines "FROM scratch" and "COPY . /".
const sum = "0837162982057d16f6c2363c396d2811f9839aeb2480f977ad955788e8c73e36"

// TestConfirm checks that the pod that fetched gets the sum of the Dockerfile, and no other pod.
func TestConfirm(t *testing.T) {
	client := kubefake.NewClientset(pod("shop-1", pipelinerun.FetchTask), pod("shop-1", pipelinerun.BuildTask), pod("shop-2", pipelinerun.FetchTask))
	busy := true
	client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		defer func() { busy = false }()
		return busy, nil, apierrors.NewInternalError(errors.New("the server is restarting"))
	})
	if err := Confirm(t.Context(), client, "team", "shop-1", "FROM scratch\r\nCOPY . /\r\n"); err != nil {
		t.Fatal(err)
	}
	pods, err := client.CoreV1().Pods("team").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		want := ""
		if pod.Name == "shop-1-fetch" {
			want = sum
		}
		if got := pod.Annotations[manifests.AnnotationChecked]; got != want {
			t.Errorf("%s is marked with %q, want %q", pod.Name, got, want)
		}
	}
}

// TestConfirmDenied checks that the error names the run, and that what cannot help is not tried
// again.
func TestConfirmDenied(t *testing.T) {
	client := kubefake.NewClientset(pod("shop-1", pipelinerun.FetchTask))
	attempts := 0
	client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		attempts++
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "shop-1-fetch", errors.New("no"))
	})
	err := Confirm(t.Context(), client, "team", "shop-1", "FROM scratch\n")
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "run shop-1") || attempts != 1 {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := Confirm(ended, client, "team", "shop-1", "FROM scratch\n"); err == nil {
		t.Error("nothing was confirmed, and there is no error")
	}
}

// TestCheckFetched checks that only a Dockerfile is confirmed that the engine builds as it is
// written, and only by a caller that asks for it.
func TestCheckFetched(t *testing.T) {
	for name, test := range map[string]struct {
		text            string
		confirm, marked bool
		reason          string
	}{
		"as it is written":  {text: "FROM scratch\nCOPY . /", confirm: true, marked: true},
		"to be rewritten":   {text: "FROM scratch\nCOPY <<EOF /x\ny\nEOF", confirm: true, reason: "DockerfileUnsupported"},
		"by a log's reader": {text: "FROM scratch\nCOPY . /"},
		"not printed":       {confirm: true, reason: "DockerfileUnsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			object := pipelinerun.New(pipelinerun.Build{
				Meta:   pipelinerun.Meta{App: "shop", Namespace: "team", Name: "shop-1"},
				Engine: installed.Engine(), NoDeploy: true, Git: &pipelinerun.Git{URL: "https://example.com/shop.git"},
			})
			client := kubefake.NewClientset(pod("shop-1", pipelinerun.FetchTask))
			recorder := track.NewRecorder("shop", "team", func(event.Event) {})
			run := Existing(object)
			tracker := track.NewTracker(recorder, installed.Engine(), pipelinerun.Parse(object), nil)
			if test.text != "" {
				for line := range strings.SplitSeq(test.text, "\n") {
					tracker.Handle(follow.Event{Kind: follow.Log, Task: pipelinerun.FetchTask, Step: "clone", Text: manifests.AnnotationDockerfile + " " + line})
				}
			}
			tracker.Handle(follow.Event{Kind: follow.StepEnded, Task: pipelinerun.FetchTask, Step: "clone"})
			err := checkFetched(t.Context(), follow.Clients{Kube: client}, run, tracker, WatchOptions{Confirm: test.confirm})
			var failure *event.Failure
			if (err == nil) != (test.reason == "") || errors.As(err, &failure) && failure.Reason != test.reason {
				t.Errorf("the error is %v, want %q", err, test.reason)
			}
			got, err := client.CoreV1().Pods("team").Get(t.Context(), "shop-1-fetch", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if marked := got.Annotations[manifests.AnnotationChecked]; (marked == sum) != test.marked {
				t.Errorf("the pod is marked with %q", marked)
			}
		})
	}
}
