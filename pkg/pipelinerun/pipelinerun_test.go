package pipelinerun_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/pipelinerun"
)

func minimal() pipelinerun.Spec {
	return pipelinerun.Spec{
		App:            "mountains",
		Namespace:      "hiking",
		Name:           "mountains-x7k2p",
		Source:         "registry.pyflow-system.svc/hiking/mountains/source@sha256:" + hex('a'),
		ContextDigest:  "sha256:" + hex('b'),
		Repository:     "registry.pyflow-system.svc/hiking/mountains",
		NodeRepository: "127.0.0.1:5180/hiking/mountains",
	}
}

func full() pipelinerun.Spec {
	spec := minimal()
	spec.Tag = "v2"
	spec.Dockerfile = "docker/prod.Dockerfile"
	spec.BuildArgs = []string{"PIP_INDEX_URL=http://10.0.0.1:3141/simple", "EMPTY="}
	spec.Mirrors = []manifests.Mirror{
		{Prefix: "docker.io", Host: "mirror.example.com:5000", Path: "hub", Insecure: true},
		{Prefix: "ghcr.io", Host: "mirror.example.com:5000", Insecure: true},
		{Prefix: "docker.io/library", Host: "other.example.com", Path: "cache/library"},
		{Prefix: "quay.io/team", Host: "other.example.com", Path: "elsewhere"},
	}
	spec.ManifestsSecret = "release-7"
	spec.Timeout = 20 * time.Minute
	spec.Labels = map[string]string{"team": "trail"}
	spec.Annotations = map[string]string{"pyflow.dev/git-commit": "0123abc"}
	return spec
}

func hex(c byte) string { return string(bytes.Repeat([]byte{c}, 64)) }

func TestNewGolden(t *testing.T) {
	for name, spec := range map[string]pipelinerun.Spec{"minimal": minimal(), "full": full()} {
		t.Run(name, func(t *testing.T) {
			got, err := yaml.Marshal(pipelinerun.New(spec))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".yaml")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("New(%s) differs from %s (UPDATE_GOLDEN=1 rewrites it); got:\n%s", name, path, got)
			}
		})
	}
}

// The run and the Pipeline that setup installs have to name the same things.
func TestNewFitsThePipeline(t *testing.T) {
	pipeline := readPipeline(t)
	run := pipelinerun.New(full())

	given := map[string]tektonv1.ParamType{}
	for _, param := range run.Spec.Params {
		given[param.Name] = param.Value.Type
	}
	declared := map[string]bool{}
	for _, param := range pipeline.Spec.Params {
		declared[param.Name] = true
		want := param.Type
		if want == "" {
			want = tektonv1.ParamTypeString
		}
		if kind, ok := given[param.Name]; !ok && param.Default == nil {
			t.Errorf("the pipeline needs param %q, the run has none", param.Name)
		} else if ok && kind != want {
			t.Errorf("param %q: type %q, the pipeline wants %q", param.Name, kind, want)
		}
	}
	for name := range given {
		if !declared[name] {
			t.Errorf("param %q is unknown to the pipeline", name)
		}
	}

	var bound, wanted, tasks, specs []string
	for _, workspace := range run.Spec.Workspaces {
		bound = append(bound, workspace.Name)
	}
	for _, workspace := range pipeline.Spec.Workspaces {
		wanted = append(wanted, workspace.Name)
	}
	if slices.Sort(bound); !slices.Equal(bound, slices.Sorted(slices.Values(wanted))) {
		t.Errorf("workspaces %v, the pipeline declares %v", bound, wanted)
	}
	for _, task := range pipeline.Spec.Tasks {
		tasks = append(tasks, task.Name)
	}
	for _, spec := range run.Spec.TaskRunSpecs {
		specs = append(specs, spec.PipelineTaskName)
	}
	if !slices.Equal(specs, tasks) {
		t.Errorf("taskRunSpecs for %v, the pipeline has tasks %v", specs, tasks)
	}
	for _, result := range []string{"IMAGE_DIGEST", "IMAGE_URL"} {
		if !slices.ContainsFunc(pipeline.Spec.Results, func(r tektonv1.PipelineResult) bool { return r.Name == result }) {
			t.Errorf("Verdict reads result %s, which the pipeline does not have", result)
		}
	}
}

func readPipeline(t *testing.T) *tektonv1.Pipeline {
	t.Helper()
	file, err := os.Open("../manifests/platform/tasks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		pipeline := &tektonv1.Pipeline{}
		err := decoder.Decode(pipeline)
		if errors.Is(err, io.EOF) {
			t.Fatal("no Pipeline in tasks.yaml")
		}
		if err != nil {
			t.Fatal(err)
		}
		if pipeline.Kind == "Pipeline" {
			return pipeline
		}
	}
}

func TestNewDoesNotShareItsInput(t *testing.T) {
	spec := full()
	pipelinerun.New(spec)
	if len(spec.Labels) != 1 || len(spec.Annotations) != 1 {
		t.Errorf("New changed its input: labels %v, annotations %v", spec.Labels, spec.Annotations)
	}
}

func TestVerdict(t *testing.T) {
	run := func(status corev1.ConditionStatus, reason string, change func(*tektonv1.PipelineRun)) *tektonv1.PipelineRun {
		run := pipelinerun.New(minimal())
		run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: "words"})
		if change != nil {
			change(run)
		}
		return run
	}
	cancel := func(run *tektonv1.PipelineRun) { run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled }
	for name, test := range map[string]struct {
		run  *tektonv1.PipelineRun
		want pipelinerun.Outcome
	}{
		"nil":     {nil, pipelinerun.Outcome{}},
		"unseen":  {pipelinerun.New(minimal()), pipelinerun.Outcome{}},
		"running": {run(corev1.ConditionUnknown, "Running", nil), pipelinerun.Outcome{Reason: "Running", Message: "words"}},
		"succeeded": {
			run(corev1.ConditionTrue, "Succeeded", func(run *tektonv1.PipelineRun) {
				run.Status.Results = []tektonv1.PipelineRunResult{
					{Name: "IMAGE_DIGEST", Value: *tektonv1.NewStructuredValues("sha256:cc\n")},
					{Name: "IMAGE_URL", Value: *tektonv1.NewStructuredValues("host/app:tag@sha256:cc")},
				}
			}),
			pipelinerun.Outcome{Done: true, Succeeded: true, Reason: "Succeeded", Message: "words", Digest: "sha256:cc", ImageURL: "host/app:tag@sha256:cc"},
		},
		"failed":   {run(corev1.ConditionFalse, "Failed", nil), pipelinerun.Outcome{Done: true, Reason: "Failed", Message: "words"}},
		"timeout":  {run(corev1.ConditionFalse, "PipelineRunTimeout", nil), pipelinerun.Outcome{Done: true, Reason: "PipelineRunTimeout", Message: "words"}},
		"canceled": {run(corev1.ConditionFalse, "Cancelled", cancel), pipelinerun.Outcome{Done: true, Canceled: true, Reason: "Cancelled", Message: "words"}},
		"canceled too late": {
			run(corev1.ConditionTrue, "Succeeded", cancel),
			pipelinerun.Outcome{Done: true, Succeeded: true, Reason: "Succeeded", Message: "words"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pipelinerun.Verdict(test.run); got != test.want {
				t.Errorf("Verdict() = %+v, want %+v", got, test.want)
			}
		})
	}
}
