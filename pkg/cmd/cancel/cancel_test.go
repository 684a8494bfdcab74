package cancel

import (
	"errors"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// cluster has the running runs web-1 and web-2 and the ended run web-0 of the app web, and
// the ended run old-0 of the app old. Its Tekton ends a canceled run at once, unless it is
// down.
func cluster(t *testing.T, down bool) *tektonfake.Clientset {
	t.Helper()
	client := tektonfake.NewSimpleClientset()
	for _, name := range []string{"web-0", "web-1", "web-2", "old-0"} {
		app, number, _ := strings.Cut(name, "-")
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{manifests.LabelApp: app}}}
		if number == "0" {
			run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"})
		}
		if err := client.Tracker().Add(run); err != nil {
			t.Fatal(err)
		}
	}
	client.PrependReactor("patch", "pipelineruns", func(action clienttesting.Action) (bool, runtime.Object, error) {
		resource := tektonv1.SchemeGroupVersion.WithResource("pipelineruns")
		object, err := client.Tracker().Get(resource, "demo", action.(clienttesting.PatchAction).GetName())
		if err != nil {
			return true, nil, err
		}
		run := object.(*tektonv1.PipelineRun).DeepCopy()
		run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled
		if !down {
			run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: string(tektonv1.PipelineRunReasonCancelled)})
		}
		return true, run, client.Tracker().Update(resource, run, "demo")
	})
	return client
}

// clients adds a cluster that is set up, with the namespace demo.
func clients(tekton *tektonfake.Clientset) pipelinerun.Clients {
	return pipelinerun.Clients{Tekton: tekton, Kube: kubefake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "demo"}},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: manifests.SystemNamespace},
			Data:       map[string]string{manifests.ConfigKey: "namespaces: [demo]"},
		},
	)}
}

// TestRunWithoutNamespace checks that a missing namespace is one error for all names.
func TestRunWithoutNamespace(t *testing.T) {
	o := &Options{Clients: clients(cluster(t, false)), Streams: genericiooptions.NewTestIOStreamsDiscard(), Namespace: "typo", Runs: []string{"web", "old"}, Timeout: time.Hour}
	if err := o.Run(t.Context()); err == nil || err.Error() != `namespace "typo" does not exist` {
		t.Errorf("got %v", err)
	}
}

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		runs     []string
		options  Options
		down     bool
		want     string
		wantErrs []string
	}{
		"several":            {[]string{"web-1", "web-2"}, Options{Wait: true}, false, "run web-1 canceled\nrun web-2 canceled\n", nil},
		"names":              {[]string{"web-1"}, Options{Wait: true, Names: true}, false, "pipelinerun.tekton.dev/web-1\n", nil},
		"as names print":     {[]string{"pipelinerun.tekton.dev/web-1"}, Options{Wait: true}, false, "run web-1 canceled\n", nil},
		"no wait":            {[]string{"web-1"}, Options{}, true, "run web-1 is being canceled\n", nil},
		"one has ended":      {[]string{"web-0", "web-1"}, Options{Wait: true}, false, "run web-1 canceled\n", []string{"run web-0 has ended already: Succeeded"}},
		"one is unknown":     {[]string{"web-9", "web-1"}, Options{Wait: true}, false, "run web-1 canceled\n", []string{`no run and no app "web-9" in namespace demo`}},
		"an app":             {[]string{"web"}, Options{Wait: true}, false, "run web-2 canceled\nrun web-1 canceled\n", nil},
		"an app and its run": {[]string{"web-1", "web"}, Options{Wait: true}, false, "run web-1 canceled\nrun web-2 canceled\n", nil},
		"an idle app":        {[]string{"old", "web-1"}, Options{Wait: true}, false, "run web-1 canceled\n", []string{"no run of app old is running in namespace demo"}},
		"Tekton is down":     {[]string{"web-1"}, Options{Wait: true, Timeout: time.Nanosecond}, true, "", []string{"web-1", "not canceled within 1ns"}},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, out, _ := genericiooptions.NewTestIOStreams()
			o := test.options
			o.Clients, o.Streams, o.Namespace, o.Runs = clients(cluster(t, test.down)), streams, "demo", test.runs
			if o.Timeout == 0 {
				o.Timeout = time.Hour
			}
			err := o.Run(t.Context())
			if (err != nil) != (len(test.wantErrs) > 0) {
				t.Fatalf("error %v", err)
			}
			for _, want := range test.wantErrs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
			if out.String() != test.want {
				t.Errorf("got %q, want %q", out, test.want)
			}
		})
	}
}

// TestRunThatEndsFirst checks that a run that succeeds before Tekton cancels it is not
// reported as canceled.
func TestRunThatEndsFirst(t *testing.T) {
	client := cluster(t, true)
	client.PrependReactor("patch", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) {
		resource := tektonv1.SchemeGroupVersion.WithResource("pipelineruns")
		object, err := client.Tracker().Get(resource, "demo", "web-1")
		if err != nil {
			return true, nil, err
		}
		run := object.(*tektonv1.PipelineRun).DeepCopy()
		run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Completed"})
		return true, run, client.Tracker().Update(resource, run, "demo")
	})
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	o := &Options{Clients: clients(client), Streams: streams, Namespace: "demo", Runs: []string{"web-1"}, Wait: true, Timeout: time.Hour}
	var ended *pipelinerun.EndedError
	if err := o.Run(t.Context()); !errors.As(err, &ended) || ended.Reason != "Completed" || out.Len() > 0 {
		t.Errorf("got %v, %q", err, out)
	}
}

func TestFlags(t *testing.T) {
	for want, flags := range map[string]*Flags{
		"--output is name":          {Output: "json", Timeout: time.Minute},
		"--timeout 0s is not posit": {},
	} {
		streams, _, _, _ := genericiooptions.NewTestIOStreams()
		if _, err := flags.ToOptions(streams, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
