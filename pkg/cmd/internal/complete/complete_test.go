package complete

import (
	"slices"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestCandidates(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	client := tektonfake.NewSimpleClientset()
	for i, name := range []string{"web-a", "api-a", "web-b"} {
		created := metav1.NewTime(now.Add(time.Duration(i-3) * time.Minute))
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "demo", CreationTimestamp: created, Labels: map[string]string{manifests.LabelApp: name[:3]},
		}}
		run.Status.StartTime = &created
		if name == "web-a" {
			run.Status.CompletionTime = &metav1.Time{Time: now}
			run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: "PipelineRunTimeout"})
		}
		if err := client.Tracker().Add(run); err != nil {
			t.Fatal(err)
		}
	}
	const (
		web, api   = "web\tnewest run web-b, Running, 60s ago", "api\tnewest run api-a, Running, 2m ago"
		webA, webB = "web-a\tweb, Failed (PipelineRunTimeout), 3m ago", "web-b\tweb, Running, 60s ago"
		apiA       = "api-a\tapi, Running, 2m ago"
	)
	for name, test := range map[string]struct {
		options Options
		args    []string
		want    []string
	}{
		"both":       {Options{Apps: true, Runs: true}, nil, []string{api, web, webB, apiA, webA}},
		"apps":       {Options{Apps: true}, nil, []string{api, web}},
		"unfinished": {Options{Runs: true, Unfinished: true, Many: true}, nil, []string{webB, apiA}},
		"once":       {Options{Runs: true, Many: true}, []string{"web-b"}, []string{apiA, webA}},
	} {
		if got := candidates(t.Context(), client, "demo", test.args, test.options, now); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if got := candidates(t.Context(), client, "empty", nil, Options{Apps: true, Runs: true}, now); len(got) != 0 {
		t.Errorf("an empty namespace: %q", got)
	}
}

func TestImages(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	client := tektonfake.NewSimpleClientset()
	for _, name := range []string{"web-a", "web-b"} {
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "demo", CreationTimestamp: metav1.NewTime(now.Add(-time.Minute)), Labels: map[string]string{manifests.LabelApp: "web"},
		}}
		if name == "web-b" {
			run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue, Reason: "Succeeded"})
			run.Status.Results = []tektonv1.PipelineRunResult{{Name: "IMAGE_DIGEST", Value: *tektonv1.NewStructuredValues("sha256:0123456789abcdef")}}
		}
		if err := client.Tracker().Add(run); err != nil {
			t.Fatal(err)
		}
	}
	got := imagesOf(t.Context(), client, "demo", nil, now)
	if len(got) != 1 || got[0] != "web:web-b\tsha256:0123456789ab, Succeeded, 60s ago" {
		t.Errorf("got %q", got)
	}
	if got := imagesOf(t.Context(), client, "demo", []string{"web:web-b"}, now); len(got) != 0 {
		t.Errorf("completes again %q", got)
	}
}

func TestApps(t *testing.T) {
	meta := func(name, app string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{manifests.LabelApp: app}}
	}
	client := kubefake.NewClientset(
		&appsv1.Deployment{ObjectMeta: meta("web", "shop")}, &appsv1.StatefulSet{ObjectMeta: meta("db", "shop")}, &appsv1.Deployment{ObjectMeta: meta("blog", "blog")},
	)
	want := []string{"blog\tdeployment/blog", "shop\tdeployment/web, statefulset/db"}
	if got := deployed(t.Context(), client, "demo", nil, "s"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := deployed(t.Context(), client, "demo", []string{"shop"}, ""); !slices.Equal(got, want[:1]) {
		t.Errorf("completes again %q", got)
	}
	parts := []string{"shop/web\tdeployment/web", "shop/db\tstatefulset/db"}
	if got := deployed(t.Context(), client, "demo", nil, "shop/d"); !slices.Equal(got, parts) {
		t.Errorf("the parts of an app are %q", got)
	}
}
