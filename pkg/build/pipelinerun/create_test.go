package pipelinerun_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
)

type cluster struct {
	tekton *tektonfake.Clientset
	kube   *fake.Clientset
	calls  []string
	// refusal is what Tekton's webhook says to a run.
	refusal error
}

var now = metav1.Date(2026, 7, 1, 9, 30, 0, 0, time.UTC)

// newCluster gives runs a UID and a time, as a server does, stores nothing that is
// only tried, and records the order of calls.
func newCluster() *cluster {
	c := &cluster{tekton: tektonfake.NewSimpleClientset(), kube: fake.NewClientset()}
	record := func(action clienttesting.Action) (bool, runtime.Object, error) {
		verb := action.GetVerb()
		if create, ok := action.(clienttesting.CreateActionImpl); ok {
			run, _ := create.GetObject().(*tektonv1.PipelineRun)
			if run != nil {
				run.UID, run.CreationTimestamp = "uid-1", now
			}
			if run != nil && len(create.CreateOptions.DryRun) > 0 {
				c.calls = append(c.calls, "try pipelineruns")
				return true, run, c.refusal
			}
		}
		c.calls = append(c.calls, verb+" "+action.GetResource().Resource)
		return false, nil, nil
	}
	c.tekton.PrependReactor("*", "*", record)
	c.kube.PrependReactor("*", "*", record)
	return c
}

func (c *cluster) clients() pipelinerun.Clients {
	return pipelinerun.Clients{Tekton: c.tekton, Kube: c.kube}
}

func (c *cluster) left(t *testing.T) (runs, secrets int) {
	t.Helper()
	runList, err := c.tekton.TektonV1().PipelineRuns("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secretList, err := c.kube.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(runList.Items), len(secretList.Items)
}

func TestCreate(t *testing.T) {
	c := newCluster()
	spec := minimal()
	spec.Secrets = buildSecrets()
	run, err := pipelinerun.Create(t.Context(), c.clients(), spec, files())
	if err != nil {
		t.Fatal(err)
	}
	if run.Name != "mountains-x7k2p" || run.UID != "uid-1" || run.Spec.Status != "" {
		t.Errorf("run %s, uid %s, spec.status %q: want the started run as the server has it", run.Name, run.UID, run.Spec.Status)
	}
	if pipelinerun.Abandoned(run, now.Add(time.Hour)) || run.Annotations["pyflow.dev/creation"] != "" {
		t.Errorf("annotations %v, want nothing of an unfinished creation", run.Annotations)
	}
	secret, err := c.kube.CoreV1().Secrets("hiking").Get(t.Context(), "mountains-x7k2p-manifests", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(secret.OwnerReferences) != 1 || secret.OwnerReferences[0].UID != "uid-1" || secret.OwnerReferences[0].Kind != "PipelineRun" {
		t.Errorf("owner references %+v, want the run", secret.OwnerReferences)
	}
	if string(secret.Data["resources.yaml"]) != "x" || secret.Labels["pyflow.dev/app"] != "mountains" {
		t.Errorf("secret data %q, labels %v", secret.Data, secret.Labels)
	}
	secret, err = c.kube.CoreV1().Secrets("hiking").Get(t.Context(), "mountains-x7k2p-build-secrets", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(secret.OwnerReferences) != 1 || len(secret.Data) != 1 || string(secret.Data["token"]) != "hunter2" {
		t.Errorf("owner references %+v, keys %d: want the run's value and none of another Secret", secret.OwnerReferences, len(secret.Data))
	}
	if i := slices.IndexFunc(run.Spec.Params, func(p tektonv1.Param) bool { return p.Name == "sequence" }); i < 0 || run.Spec.Params[i].Value.StringVal != "2026-07-01T09:30:00Z mountains-x7k2p" {
		t.Errorf("params %v, want the sequence by the server's time", run.Spec.Params)
	}
	want := []string{"try pipelineruns", "create pipelineruns", "create secrets", "create secrets", "patch pipelineruns"}
	if len(c.calls) < len(want) || !slices.Equal(c.calls[:len(want)], want) {
		t.Errorf("calls %v, want %v: the run must not start before its Secrets are there", c.calls, want)
	}
}

func files() map[string][]byte { return map[string][]byte{"resources.yaml": []byte("x")} }

func TestCreateMakesNoEmptySecret(t *testing.T) {
	c := newCluster()
	spec := minimal()
	spec.NoDeploy = true
	spec.Secrets = []pipelinerun.BuildSecret{{ID: "npm", Secret: "npm-login", Key: "token"}}
	if _, err := pipelinerun.Create(t.Context(), c.clients(), spec, nil); err != nil {
		t.Fatal(err)
	}
	if runs, secrets := c.left(t); runs != 1 || secrets != 0 {
		t.Errorf("%d runs and %d secrets, want the run alone", runs, secrets)
	}
}

func TestCreateTriesFirst(t *testing.T) {
	c := newCluster()
	c.refusal = apierrors.NewBadRequest("admission webhook denied the request")
	if _, err := pipelinerun.Create(t.Context(), c.clients(), minimal(), files()); !errors.Is(err, c.refusal) {
		t.Fatalf("error %v, want %v", err, c.refusal)
	}
	if !slices.Equal(c.calls, []string{"try pipelineruns"}) {
		t.Errorf("calls %v, want none after the refusal", c.calls)
	}
}

// Tekton's webhook may be on its way to another node.
func TestCreateWaitsForTheWebhook(t *testing.T) {
	c := newCluster()
	tries := 0
	c.tekton.PrependReactor("create", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) {
		tries++
		if tries == 1 {
			return true, nil, apierrors.NewInternalError(errors.New(`failed calling webhook "webhook.pipeline.tekton.dev": connection refused`))
		}
		return false, nil, nil
	})
	if _, err := pipelinerun.Create(t.Context(), c.clients(), minimal(), files()); err != nil || tries != 3 {
		t.Errorf("%d requests and error %v, want one more than the trial and the run", tries, err)
	}
}

func TestCreateLeavesNothingBehind(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		verb, resource string
		err            error
	}{
		"secret refused":    {"create", "secrets", apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s", broken)},
		"start fails":       {"patch", "pipelineruns", broken},
		"connection lost":   {"create", "secrets", broken},
		"run not confirmed": {"create", "pipelineruns", broken},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			ctx, cancel := context.WithCancel(t.Context())
			react := func(action clienttesting.Action) (bool, runtime.Object, error) {
				if create, ok := action.(clienttesting.CreateActionImpl); ok && len(create.CreateOptions.DryRun) > 0 {
					return false, nil, nil
				}
				if test.resource == "pipelineruns" && test.verb == "create" {
					// The object is stored, the answer is lost.
					object := action.(clienttesting.CreateAction).GetObject()
					if err := c.tekton.Tracker().Create(action.GetResource(), object, "hiking"); err != nil {
						t.Error(err)
					}
				}
				cancel()
				return true, nil, test.err
			}
			if test.resource == "secrets" {
				c.kube.PrependReactor(test.verb, test.resource, react)
			} else {
				c.tekton.PrependReactor(test.verb, test.resource, react)
			}
			_, err := pipelinerun.Create(ctx, c.clients(), minimal(), files())
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if runs, secrets := c.left(t); runs != 0 || secrets != 0 {
				t.Errorf("%d runs and %d secrets are left", runs, secrets)
			}
		})
	}
}

func TestCreateKeepsAnotherRunOfThatName(t *testing.T) {
	c := newCluster()
	if err := c.tekton.Tracker().Add(pipelinerun.New(minimal())); err != nil {
		t.Fatal(err)
	}
	if err := c.kube.Tracker().Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "hiking", Name: "mountains-x7k2p-manifests"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := pipelinerun.Create(t.Context(), c.clients(), minimal(), files()); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("error %v, want already exists", err)
	}
	if runs, secrets := c.left(t); runs != 1 || secrets != 1 {
		t.Errorf("%d runs and %d secrets are left, want the one that was there", runs, secrets)
	}
}

func TestCancel(t *testing.T) {
	running, done := pipelinerun.New(minimal()), pipelinerun.New(minimal())
	done.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
	for name, test := range map[string]struct {
		run     *tektonv1.PipelineRun
		refused bool
		wantErr bool
	}{
		"running":                  {running, false, false},
		"ended":                    {done, true, false},
		"refused":                  {running, true, true},
		"gone":                     {nil, false, true},
		"gone, asked with refusal": {nil, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			if test.run != nil {
				if err := c.tekton.Tracker().Add(test.run.DeepCopy()); err != nil {
					t.Fatal(err)
				}
			}
			if test.refused {
				c.tekton.PrependReactor("patch", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewBadRequest("admission webhook denied the request")
				})
			}
			err := pipelinerun.Cancel(t.Context(), c.tekton, "hiking", "mountains-x7k2p", pipelinerun.Ending{Reason: "Unschedulable", Message: "0/1 nodes:\nno memory"})
			if (err != nil) != test.wantErr {
				t.Fatalf("Cancel() = %v, want an error: %t", err, test.wantErr)
			}
			if test.run == nil || test.refused {
				return
			}
			run, err := c.tekton.TektonV1().PipelineRuns("hiking").Get(t.Context(), "mountains-x7k2p", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if run.Spec.Status != tektonv1.PipelineRunSpecStatusCancelled {
				t.Errorf("spec.status %q, want Cancelled", run.Spec.Status)
			}
			if got := pipelinerun.EndingOf(run); got != (pipelinerun.Ending{Reason: "Unschedulable", Message: "0/1 nodes: no memory"}) {
				t.Errorf("it is on record as %+v", got)
			}
		})
	}
}
