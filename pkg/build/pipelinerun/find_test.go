package pipelinerun_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// aged is a run of an app, created some minutes after testStart.
func aged(app, name string, minutes int, change func(*tektonv1.PipelineRun)) *tektonv1.PipelineRun {
	spec := minimal()
	spec.App, spec.Name = app, name
	run := pipelinerun.New(spec)
	run.UID = types.UID("uid-" + name)
	run.CreationTimestamp = metav1.NewTime(testStart.Add(time.Duration(minutes) * time.Minute))
	if change != nil {
		change(run)
	}
	return run
}

func ended(status corev1.ConditionStatus, reason string) func(*tektonv1.PipelineRun) {
	return func(run *tektonv1.PipelineRun) {
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason})
	}
}

func TestFind(t *testing.T) {
	c := newCluster()
	foreign := aged("x", "foreign-1", 9, nil)
	foreign.Labels = nil
	elsewhere := aged("web", "web-elsewhere", 10, nil)
	elsewhere.Namespace = "other"
	for _, run := range []*tektonv1.PipelineRun{
		aged("web", "web-1", 1, nil), aged("web", "web-2", 2, nil), aged("api", "api-1", 3, nil),
		// Within one second the greater name is the newer, as for deliveries.
		aged("web", "web-b", 2, nil), foreign, elsewhere,
		// An app of the name that one of another's runs has.
		aged("web-1", "web-1-1", 0, nil),
	} {
		if err := c.tekton.Tracker().Add(run); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"":                             "api-1",
		"web":                          "web-b",
		"api":                          "api-1",
		"web-2":                        "web-2",
		"web-1":                        "web-1-1",
		"pipelinerun.tekton.dev/web-1": "web-1",
		"pr/web-2":                     "web-2",
	} {
		run, err := pipelinerun.Find(t.Context(), c.tekton, "hiking", name)
		if err != nil || run.Name != want {
			t.Errorf("Find(%q) = %v, %v, want %s", name, run.GetName(), err, want)
		}
	}
	for _, name := range []string{"nothing", "foreign-1", "web-elsewhere", "pipelinerun/web", "../secrets/x", "Web", "a b", "deployment/web"} {
		_, err := pipelinerun.Find(t.Context(), c.tekton, "hiking", name)
		var missing *pipelinerun.NotFoundError
		if !errors.As(err, &missing) {
			t.Errorf("Find(%q): error %v", name, err)
			continue
		}
		want := &pipelinerun.NotFoundError{
			Namespace: "hiking", Name: name, Apps: []string{"api", "web", "web-1"},
			Runs: []string{"api-1", "web-b", "web-2", "web-1", "web-1-1"},
		}
		if !reflect.DeepEqual(missing, want) {
			t.Errorf("Find(%q): got %+v, want %+v", name, missing, want)
		}
	}
	_, err := pipelinerun.Find(t.Context(), c.tekton, "empty", "")
	var missing *pipelinerun.NotFoundError
	if !errors.As(err, &missing) || !strings.Contains(missing.Advice()[0], "pyflow build") || err.Error() != "there are no runs in namespace empty" {
		t.Errorf("an empty namespace: %v", err)
	}
}

func TestFindDenied(t *testing.T) {
	c := newCluster()
	c.tekton.PrependReactor("list", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pipelineruns"}, "", errors.New("no"))
	})
	if _, err := pipelinerun.Find(t.Context(), c.tekton, "hiking", "web"); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
}

func TestPrune(t *testing.T) {
	good, bad := ended(corev1.ConditionTrue, "Succeeded"), ended(corev1.ConditionFalse, "Failed")
	// repeats reads the Secrets of another run.
	repeats := func(of string, end func(*tektonv1.PipelineRun)) func(*tektonv1.PipelineRun) {
		return func(run *tektonv1.PipelineRun) {
			if end != nil {
				end(run)
			}
			run.Spec.Workspaces[1].Secret.SecretName = of + "-manifests"
		}
	}
	// held is on hold: by the client that creates it, or by a queue.
	held := func(creation string) func(*tektonv1.PipelineRun) {
		return func(run *tektonv1.PipelineRun) {
			run.Spec.Status = tektonv1.PipelineRunSpecStatusPending
			run.Annotations["pyflow.dev/creation"] = creation
		}
	}
	for name, test := range map[string]struct {
		keep int
		runs []*tektonv1.PipelineRun
		want string
	}{
		"abandoned":   {9, []*tektonv1.PipelineRun{aged("web", "a", 1, held("x")), aged("web", "b", 2, held("")), aged("web", "c", 4, good)}, "a"},
		"not started": {9, []*tektonv1.PipelineRun{aged("web", "a", 4, held("x")), aged("web", "b", 4, good)}, ""},
		"two of four": {2, []*tektonv1.PipelineRun{
			aged("web", "a", 1, good), aged("web", "b", 2, good), aged("web", "c", 3, good), aged("web", "d", 4, good),
		}, "a b"},
		"fewer than may stay":  {5, []*tektonv1.PipelineRun{aged("web", "a", 1, good), aged("web", "b", 2, bad)}, ""},
		"the last that worked": {1, []*tektonv1.PipelineRun{aged("web", "a", 1, good), aged("web", "b", 2, good), aged("web", "c", 3, bad), aged("web", "d", 4, bad)}, "a c"},
		"none is to stay":      {0, []*tektonv1.PipelineRun{aged("web", "a", 1, good), aged("web", "b", 2, good), aged("web", "c", 3, bad)}, "a c"},
		"at work":              {0, []*tektonv1.PipelineRun{aged("web", "a", 1, nil), aged("web", "b", 2, ended(corev1.ConditionUnknown, "Running")), aged("web", "c", 3, bad)}, "c"},
		"others":               {0, []*tektonv1.PipelineRun{aged("api", "a", 1, bad), aged("web", "b", 2, bad)}, "b"},
		"labeled by others": {0, []*tektonv1.PipelineRun{aged("web", "a", 1, func(run *tektonv1.PipelineRun) {
			bad(run)
			delete(run.Labels, manifests.LabelManagedBy)
		})}, ""},
		"repeated by one that stays": {1, []*tektonv1.PipelineRun{
			aged("web", "a", 1, bad), aged("web", "b", 2, bad), aged("web", "c", 3, repeats("a", bad)),
		}, "b"},
		"repeated twice": {1, []*tektonv1.PipelineRun{
			aged("web", "a", 1, bad), aged("web", "b", 2, repeats("a", bad)), aged("web", "c", 3, repeats("a", bad)),
		}, "b"},
		"repeated by one at work": {0, []*tektonv1.PipelineRun{aged("web", "a", 1, bad), aged("web", "b", 2, repeats("a", nil))}, ""},
		"repeated by one that goes": {1, []*tektonv1.PipelineRun{
			aged("web", "a", 1, bad), aged("web", "b", 2, repeats("a", bad)), aged("web", "c", 3, bad),
		}, "a b"},
		"build secrets": {1, []*tektonv1.PipelineRun{
			aged("web", "a", 1, bad), aged("web", "b", 2, func(run *tektonv1.PipelineRun) {
				bad(run)
				run.Spec.Workspaces = append(run.Spec.Workspaces, tektonv1.WorkspaceBinding{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
					{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "a-build-secrets"}}},
				}}})
			}),
		}, ""},
		"a Secret that all share": {1, []*tektonv1.PipelineRun{
			aged("web", "a", 1, bad), aged("web", "b", 2, func(run *tektonv1.PipelineRun) {
				bad(run)
				run.Spec.Workspaces[0].Secret.SecretName = "git-login"
			}),
		}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			for _, run := range test.runs {
				if err := c.tekton.Tracker().Add(run); err != nil {
					t.Fatal(err)
				}
			}
			removed, err := pipelinerun.Prune(t.Context(), c.clients(), "hiking", "web", test.keep)
			if err != nil || strings.Join(removed, " ") != test.want {
				t.Errorf("removed %v, %v, want %s", removed, err, test.want)
			}
			for _, run := range test.runs {
				_, err := c.tekton.TektonV1().PipelineRuns("hiking").Get(t.Context(), run.Name, metav1.GetOptions{})
				if gone := apierrors.IsNotFound(err); gone != slices.Contains(removed, run.Name) {
					t.Errorf("run %s is gone: %t", run.Name, gone)
				}
			}
		})
	}
}

// Another prune may be faster, and a new run may have the name of an old one.
func TestPruneWithAnother(t *testing.T) {
	bad := ended(corev1.ConditionFalse, "Failed")
	broken := apierrors.NewForbidden(schema.GroupResource{Resource: "pipelineruns"}, "d", errors.New("no"))
	c := newCluster()
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		if err := c.tekton.Tracker().Add(aged("web", name, i, bad)); err != nil {
			t.Fatal(err)
		}
	}
	c.tekton.PrependReactor("delete", "pipelineruns", func(action clienttesting.Action) (bool, runtime.Object, error) {
		deletion := action.(clienttesting.DeleteAction)
		if uid := deletion.GetDeleteOptions().Preconditions; uid == nil || string(*uid.UID) != "uid-"+deletion.GetName() {
			t.Errorf("run %s is deleted with the preconditions %v", deletion.GetName(), uid)
		}
		switch deletion.GetName() {
		case "a":
			return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pipelineruns"}, "a")
		case "b":
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "pipelineruns"}, "b", errors.New("uid"))
		case "d":
			return true, nil, broken
		}
		return false, nil, nil
	})
	removed, err := pipelinerun.Prune(t.Context(), c.clients(), "hiking", "web", 0)
	if !slices.Equal(removed, []string{"c"}) || !errors.Is(err, broken) {
		t.Errorf("removed %v, error %v", removed, err)
	}
	if _, err := pipelinerun.Prune(t.Context(), c.clients(), "hiking", "web", -1); err == nil {
		t.Error("a negative number of runs should be refused")
	}
}

func TestRerun(t *testing.T) {
	spec := full()
	old := pipelinerun.New(spec)
	old.UID, old.ResourceVersion = "uid-1", "7"
	old.Labels["tekton.dev/pipeline"] = "pyflow"
	old.Labels["pyflow.dev/build-key"] = "0123"
	old.Annotations["chains.tekton.dev/signed"] = "true"
	old.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled
	old.Spec.Params = append(old.Spec.Params, tektonv1.Param{Name: "sequence", Value: *tektonv1.NewStructuredValues("2026-03-01T12:00:00Z x")})
	ended(corev1.ConditionFalse, "Cancelled")(old)
	before := old.DeepCopy()

	run, err := pipelinerun.Rerun(old, "mountains-again")
	if err != nil {
		t.Fatal(err)
	}
	want := pipelinerun.New(spec)
	want.Name = "mountains-again"
	delete(want.Labels, "team")
	delete(want.Annotations, "example.com/ticket")
	want.Labels["pyflow.dev/build-key"] = "0123"
	for i, param := range want.Spec.Params {
		if param.Name == "tag" {
			want.Spec.Params[i].Value.StringVal = "mountains-again"
		}
	}
	if !reflect.DeepEqual(run, want) {
		t.Errorf("got  %+v\nwant %+v", run, want)
	}
	run.Spec.Params[0].Value.StringVal, run.Labels["x"] = "changed", "y"
	run.Spec.Workspaces[1].Secret.SecretName = "changed"
	if !reflect.DeepEqual(old, before) {
		t.Error("the old run has been changed")
	}
}

func TestRerunOfACommit(t *testing.T) {
	old := pipelinerun.New(minimal())
	old.Spec.PipelineRef.Params[1].Value.StringVal = manifests.GitPipelineName
	old.Spec.Params = append(old.Spec.Params, tektonv1.Param{Name: "revision", Value: *tektonv1.NewStructuredValues("main")})
	revision := func(run *tektonv1.PipelineRun) string { return run.Spec.Params[len(run.Spec.Params)-1].Value.StringVal }
	run, err := pipelinerun.Rerun(old, "again")
	if err != nil || revision(run) != "main" {
		t.Errorf("a run that fetched nothing: revision %q, %v", revision(run), err)
	}
	old.Status.Results = []tektonv1.PipelineRunResult{{Name: "COMMIT", Value: *tektonv1.NewStructuredValues("0123abc\n")}}
	run, err = pipelinerun.Rerun(old, "again")
	if err != nil || revision(run) != "0123abc" {
		t.Errorf("revision %q, %v", revision(run), err)
	}
}

// TestChange compares a repetition with other settings with a run that has had them from the
// start.
func TestChange(t *testing.T) {
	quantity := resource.MustParse
	for name, test := range map[string]struct {
		old     pipelinerun.Build
		changes pipelinerun.Changes
		want    func(*pipelinerun.Build)
		keyless bool
	}{
		"nothing":  {old: full(), want: func(*pipelinerun.Build) {}},
		"no cache": {full(), pipelinerun.Changes{Change: engine.Change{NoCache: true}}, func(b *pipelinerun.Build) { b.NoCache = true }, false},
		"memory": {
			fromGit(), pipelinerun.Changes{Memory: quantity("4Gi")}, func(b *pipelinerun.Build) { b.Resources.Memory = quantity("4Gi") }, false,
		},
		"resources of a build and its test": {
			testedBeside(),
			pipelinerun.Changes{CPU: quantity("2"), Memory: quantity("4Gi"), Storage: quantity("9Gi")},
			func(b *pipelinerun.Build) {
				b.Resources = pipelinerun.Resources{CPU: quantity("2"), Memory: quantity("4Gi"), Storage: quantity("9Gi")}
			}, false,
		},
		"revision": {fromGit(), pipelinerun.Changes{Revision: "main"}, func(b *pipelinerun.Build) { b.Git.Revision = "main" }, true},
		"build argument": {
			full(),
			pipelinerun.Changes{Change: engine.Change{BuildArgs: []string{"EMPTY=no"}}},
			func(b *pipelinerun.Build) { b.BuildArgs = []string{b.BuildArgs[0], "EMPTY=no"} }, true,
		},
	} {
		// Only these survive a repetition.
		test.old.Labels, test.old.Annotations, test.old.Tag = nil, nil, ""
		test.old.BuildKey = "0123"
		old := pipelinerun.New(test.old)
		old.Status.Results = []tektonv1.PipelineRunResult{{Name: "COMMIT", Value: *tektonv1.NewStructuredValues(test.old.Commit)}}
		run, err := pipelinerun.Rerun(old, old.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := pipelinerun.Change(run, old.Name, installed.Engine(), test.changes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		test.want(&test.old)
		if got := pipelinerun.BuildArgs(run, installed.Engine()); !slices.Equal(got, test.old.BuildArgs) {
			t.Errorf("%s: build arguments %q, want %q", name, got, test.old.BuildArgs)
		}
		if test.keyless {
			test.old.BuildKey = ""
		}
		want := pipelinerun.New(test.old)
		for _, of := range []*tektonv1.PipelineRun{run, want} {
			for _, param := range of.Spec.Params {
				slices.Sort(param.Value.ArrayVal)
			}
		}
		if !equality.Semantic.DeepEqual(run, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, run, want)
		}
	}
}

func TestChangeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		old     pipelinerun.Spec
		changes pipelinerun.Changes
		says    string
	}{
		"a delivery":             {deploy(), pipelinerun.Changes{Memory: resource.MustParse("4Gi")}, "run mountains-x7k2p builds nothing"},
		"the revision of folder": {full(), pipelinerun.Changes{Revision: "main"}, "run mountains-x7k2p builds a folder"},
	} {
		run := pipelinerun.New(test.old)
		before := run.DeepCopy()
		err := pipelinerun.Change(run, run.Name, installed.Engine(), test.changes)
		var refused *pipelinerun.ChangeError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.says) || len(refused.Advice()) != 1 {
			t.Errorf("%s: error is %v", name, err)
		}
		if !reflect.DeepEqual(run, before) {
			t.Errorf("%s: the run has been changed", name)
		}
	}
}

func TestRerunRefuses(t *testing.T) {
	for name, change := range map[string]func(*tektonv1.PipelineRun){
		"no labels":         func(run *tektonv1.PipelineRun) { run.Labels = nil },
		"no app":            func(run *tektonv1.PipelineRun) { delete(run.Labels, manifests.LabelApp) },
		"another's":         func(run *tektonv1.PipelineRun) { run.Labels[manifests.LabelManagedBy] = "helm" },
		"embedded pipeline": func(run *tektonv1.PipelineRun) { run.Spec.PipelineRef = nil },
		"another pipeline":  func(run *tektonv1.PipelineRun) { run.Spec.PipelineRef.Params[1].Value.StringVal = "mine" },
		"another namespace": func(run *tektonv1.PipelineRun) { run.Spec.PipelineRef.Params[2].Value.StringVal = "default" },
	} {
		old := pipelinerun.New(minimal())
		change(old)
		_, err := pipelinerun.Rerun(old, "again")
		var refused *pipelinerun.NotOursError
		if !errors.As(err, &refused) || refused.Name != old.Name {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAwaitEnd(t *testing.T) {
	runs := tektonv1.SchemeGroupVersion.WithResource("pipelineruns")
	for name, test := range map[string]struct {
		change func(t *testing.T, c *cluster, run *tektonv1.PipelineRun)
		want   error
	}{
		"ended before": {func(*testing.T, *cluster, *tektonv1.PipelineRun) {}, nil},
		"gone": {func(t *testing.T, c *cluster, run *tektonv1.PipelineRun) {
			t.Helper()
			if err := c.tekton.Tracker().Delete(runs, run.Namespace, run.Name); err != nil {
				t.Error(err)
			}
		}, pipelinerun.ErrDeleted},
		"replaced": {func(t *testing.T, c *cluster, run *tektonv1.PipelineRun) {
			t.Helper()
			other := run.DeepCopy()
			other.UID = "another"
			if err := c.tekton.Tracker().Update(runs, other, run.Namespace); err != nil {
				t.Error(err)
			}
		}, pipelinerun.ErrDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			run := aged("web", "web-1", 0, ended(corev1.ConditionFalse, "Cancelled"))
			if err := c.tekton.Tracker().Add(run); err != nil {
				t.Fatal(err)
			}
			test.change(t, c, run)
			got, err := pipelinerun.AwaitEnd(t.Context(), c.tekton, run.Namespace, run.Name, run.UID)
			if !errors.Is(err, test.want) || (err == nil && !got.IsDone()) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if err := pipelinerun.CheckRunning(aged("web", "web-1", 0, ended(corev1.ConditionTrue, "Succeeded"))); err == nil || err.Error() != "run web-1 has ended already: Succeeded" {
		t.Errorf("got %v", err)
	}
	if err := pipelinerun.CheckRunning(aged("web", "web-1", 0, nil)); err != nil {
		t.Errorf("got %v", err)
	}
}

// It ends while it is being watched.
func TestAwaitEndSeesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		run := aged("web", "web-1", 0, nil)
		if err := c.tekton.Tracker().Add(run); err != nil {
			t.Fatal(err)
		}
		var got *tektonv1.PipelineRun
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err = pipelinerun.AwaitEnd(t.Context(), c.tekton, run.Namespace, run.Name, run.UID)
		}()
		time.Sleep(time.Second) // of the bubble: the informer has listed
		synctest.Wait()
		select {
		case <-done:
			t.Fatalf("it did not wait: %v, %v", got, err)
		default:
		}
		over := run.DeepCopy()
		ended(corev1.ConditionFalse, "Cancelled")(over)
		if err := c.tekton.Tracker().Update(tektonv1.SchemeGroupVersion.WithResource("pipelineruns"), over, run.Namespace); err != nil {
			t.Fatal(err)
		}
		<-done
		if err != nil || !got.IsDone() {
			t.Errorf("got %v, %v", got, err)
		}
	})
}
