package pipelinerun_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// built gives a run a key and, unless it is empty, the digest that it pushed: of its
// image, or of what is below that repository.
func built(key, digest string, status corev1.ConditionStatus, below ...string) func(*tektonv1.PipelineRun) {
	return func(run *tektonv1.PipelineRun) {
		run.Labels[manifests.LabelBuildKey] = key
		where := strings.Join(below, "")
		if digest != "" {
			image := ""
			for _, param := range run.Spec.Params {
				if param.Name == "image" {
					image = param.Value.StringVal
				}
			}
			run.Status.Results = []tektonv1.PipelineRunResult{
				{Name: "IMAGE_DIGEST", Value: *tektonv1.NewStructuredValues(digest + "\n")},
				{Name: "IMAGE_URL", Value: *tektonv1.NewStructuredValues(image + where + ":x@" + digest + "\n")},
			}
		}
		ended(status, "")(run)
	}
}

func TestBuilt(t *testing.T) {
	elsewhere := aged("web", "web-elsewhere", 9, built("key", "sha256:e", corev1.ConditionTrue))
	elsewhere.Namespace = "other"
	for name, test := range map[string]struct {
		runs []*tektonv1.PipelineRun
		want string
	}{
		"none": {},
		"the newest": {
			[]*tektonv1.PipelineRun{
				aged("web", "web-3", 3, built("key", "sha256:c", corev1.ConditionTrue)),
				aged("web", "web-2", 2, built("key", "sha256:b", corev1.ConditionTrue)),
			},
			"web-3",
		},
		"of one second the greater name": {
			[]*tektonv1.PipelineRun{
				aged("web", "web-b", 1, built("key", "sha256:b", corev1.ConditionTrue)),
				aged("web", "web-a", 1, built("key", "sha256:a", corev1.ConditionTrue)),
			},
			"web-b",
		},
		"others": {
			[]*tektonv1.PipelineRun{
				elsewhere,
				aged("api", "api-1", 9, built("key", "sha256:d", corev1.ConditionTrue)),
				aged("web", "web-other", 9, built("another", "sha256:d", corev1.ConditionTrue)),
				aged("web", "web-none", 9, nil),
			},
			"",
		},
		"whose deployment failed, or is running": {
			[]*tektonv1.PipelineRun{
				aged("web", "web-1", 1, built("key", "sha256:a", corev1.ConditionFalse)),
				aged("web", "web-2", 2, built("key", "sha256:a", corev1.ConditionUnknown)),
			},
			"web-2",
		},
		"a newer one that pushed nothing": {
			[]*tektonv1.PipelineRun{
				aged("web", "web-1", 1, built("key", "sha256:a", corev1.ConditionTrue)),
				aged("web", "web-2", 2, built("key", "", corev1.ConditionFalse)),
			},
			"web-1",
		},
		"a newer one that pushed a layer to the cache only": {
			[]*tektonv1.PipelineRun{
				aged("web", "web-1", 1, built("key", "sha256:a", corev1.ConditionTrue)),
				aged("web", "web-2", 2, built("key", "sha256:c", corev1.ConditionFalse, "/cache")),
			},
			"web-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster()
			for _, run := range test.runs {
				if err := c.tekton.Tracker().Add(run); err != nil {
					t.Fatal(err)
				}
			}
			run, err := pipelinerun.Built(t.Context(), c.tekton, "hiking", "web", "key")
			got := ""
			if run != nil {
				got = run.Name
			}
			if err != nil || got != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestBuiltTakesNoImageWhoseTestsWereRed(t *testing.T) {
	result := func(name, value string) func(*tektonv1.PipelineRun) {
		return func(run *tektonv1.PipelineRun) {
			run.Status.Results = slices.DeleteFunc(run.Status.Results, func(known tektonv1.PipelineRunResult) bool { return known.Name == name })
			run.Status.Results = append(run.Status.Results, tektonv1.PipelineRunResult{Name: name, Value: *tektonv1.NewStructuredValues(value)})
		}
	}
	for name, test := range map[string]struct {
		spec   pipelinerun.Spec
		status corev1.ConditionStatus
		change func(*tektonv1.PipelineRun)
		want   bool
	}{
		"no tests, delivery failed":       {minimal(), corev1.ConditionFalse, nil, true},
		"green":                           {testedBeside(), corev1.ConditionTrue, nil, true},
		"red":                             {testedBeside(), corev1.ConditionFalse, nil, false},
		"running":                         {testedBeside(), corev1.ConditionUnknown, nil, false},
		"green, delivery failed":          {testedBeside(), corev1.ConditionFalse, result("TESTED", "true"), true},
		"stage green, delivery failed":    {testedBuild(), corev1.ConditionFalse, nil, true},
		"stage red, a layer in the cache": {testedBuild(), corev1.ConditionFalse, result("IMAGE_URL", "registry/hiking/mountains/cache:x@sha256:b"), false},
	} {
		t.Run(name, func(t *testing.T) {
			run := pipelinerun.New(test.spec)
			built("key", "sha256:a", test.status)(run)
			if test.change != nil {
				test.change(run)
			}
			c := newCluster()
			if err := c.tekton.Tracker().Add(run); err != nil {
				t.Fatal(err)
			}
			got, err := pipelinerun.Built(t.Context(), c.tekton, run.Namespace, minimal().App, "key")
			if err != nil || (got != nil) != test.want {
				t.Errorf("got %v, %v, want the run: %t", got, err, test.want)
			}
		})
	}
}

func TestBuiltFails(t *testing.T) {
	c := newCluster()
	broken := errors.New("broken")
	c.tekton.PrependReactor("list", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, broken })
	if _, err := pipelinerun.Built(t.Context(), c.tekton, "hiking", "web", "key"); !errors.Is(err, broken) || !strings.Contains(err.Error(), "list pipelineruns") {
		t.Errorf("error is %v", err)
	}
}
