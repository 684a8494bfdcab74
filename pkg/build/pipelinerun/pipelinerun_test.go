package pipelinerun_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func minimal() pipelinerun.Build {
	return pipelinerun.Build{
		Meta: pipelinerun.Meta{
			App:            "mountains",
			Namespace:      "hiking",
			Name:           "mountains-x7k2p",
			NodeRepository: "127.0.0.1:5180/hiking/mountains",
		},
		Folder: pipelinerun.Folder{
			Artifact:      "registry.pyflow-system.svc/hiking/mountains/source@sha256:" + hex('a'),
			ContextDigest: "sha256:" + hex('b'),
		},
		Engine: installed.Engine(),
		Params: engine.Params{Repository: "registry.pyflow-system.svc/hiking/mountains"},
	}
}

func full() pipelinerun.Build {
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
	spec.Annotations = map[string]string{"example.com/ticket": "7"}
	spec.BuildKey = "0123456789abcdef0123456789abcdef"
	spec.Commit, spec.Dirty = strings.Repeat("9", 40), true
	spec.DockerfileText = "FROM python:3.13-slim\n"
	return spec
}

func buildSecrets() []pipelinerun.BuildSecret {
	return []pipelinerun.BuildSecret{
		{ID: "token", Value: []byte("hunter2")},
		{ID: "npm", Secret: "npm-login", Key: "auth"},
	}
}

// fromGit has every setting of a build that full does not have.
func fromGit() pipelinerun.Build {
	spec := minimal()
	spec.Folder = pipelinerun.Folder{}
	spec.Git = &pipelinerun.Git{URL: "https://git.example.com/hiking.git", Revision: "v2", Path: "services/mountains", Secret: "git-login"}
	spec.NoDeploy = true
	spec.NoCache = true
	spec.Target = "runtime"
	spec.Secrets = buildSecrets()
	spec.Resources = pipelinerun.Resources{
		CPU: resource.MustParse("2"), Memory: resource.MustParse("1Gi"), Storage: resource.MustParse("10Gi"),
		NodeSelector: map[string]string{"disk": "fast"},
	}
	return spec
}

// TestLimitsOfTheNamespace checks that they replace those of the Task without a request, and that
// what the build names comes first.
func TestLimitsOfTheNamespace(t *testing.T) {
	spec := minimal()
	spec.Resources = pipelinerun.Resources{
		Memory: resource.MustParse("3Gi"),
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourceEphemeralStorage: resource.MustParse("5Gi")},
	}
	resources := pipelinerun.New(spec).Spec.TaskRunSpecs[0].StepSpecs[0].ComputeResources
	want := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("3Gi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("3Gi"), corev1.ResourceEphemeralStorage: resource.MustParse("5Gi")},
	}
	if !equality.Semantic.DeepEqual(resources, want) {
		t.Errorf("the build has %+v", resources)
	}
}

// TestUserNamespace checks that the pods that run code of users have it.
func TestUserNamespace(t *testing.T) {
	spec := testedBeside()
	for _, separate := range []bool{false, true} {
		spec.UserNamespace = separate
		for _, task := range pipelinerun.New(spec).Spec.TaskRunSpecs {
			own := task.PodTemplate != nil && task.PodTemplate.HostUsers != nil && !*task.PodTemplate.HostUsers
			if code := task.PipelineTaskName == "build" || task.PipelineTaskName == "test"; own != (separate && code) {
				t.Errorf("with user namespaces %t, task %s has %t", separate, task.PipelineTaskName, own)
			}
		}
	}
}

// tested runs a command in a stage, testedBeside one in the image, and testedBuild has
// a stage that is the test itself.
func tested() pipelinerun.Build {
	spec := full()
	spec.Test = &pipelinerun.Test{Command: []string{"pytest", "-q", "-k", "not slow"}, Stage: "test"}
	return spec
}

func testedGit() pipelinerun.Build {
	spec := fromGit()
	spec.Test = testedBeside().Test
	return spec
}

func testedBeside() pipelinerun.Build {
	spec := minimal()
	spec.Test = &pipelinerun.Test{Command: []string{"pytest", "-q"}}
	return spec
}

func testedBuild() pipelinerun.Build {
	spec := minimal()
	spec.Test = &pipelinerun.Test{Stage: "test"}
	return spec
}

func deploy() pipelinerun.Deploy {
	return pipelinerun.Deploy{Meta: minimal().Meta, Repository: minimal().Repository, Digest: "sha256:" + hex('c')}
}

func hex(c byte) string { return string(bytes.Repeat([]byte{c}, 64)) }

func TestNewGolden(t *testing.T) {
	for name, spec := range map[string]pipelinerun.Spec{"minimal": minimal(), "full": full(), "git": fromGit(), "deliver": deploy(), "tested": tested(), "tested-beside": testedBeside()} {
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

// The runs and the Pipelines that setup installs have to name the same things.
func TestNewFitsThePipeline(t *testing.T) {
	for name, specs := range map[string][]pipelinerun.Spec{
		manifests.PipelineName: {full()}, manifests.TestedPipelineName: {tested(), testedBeside(), testedBuild()},
		manifests.GitPipelineName: {fromGit()}, manifests.GitTestedPipelineName: {testedGit()},
		manifests.DeliverPipelineName: {deploy()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, spec := range specs {
				fits(t, spec, readPipeline(t, name))
			}
		})
	}
}

func fits(t *testing.T, spec pipelinerun.Spec, pipeline *tektonv1.Pipeline) {
	t.Helper()
	c := newCluster()
	run, err := pipelinerun.Create(t.Context(), c.clients(), spec, files())
	if err != nil {
		t.Fatal(err)
	}
	if name := run.Spec.PipelineRef.Params[1].Value.StringVal; name != pipeline.Name {
		t.Errorf("the run is of pipeline %s, want %s", name, pipeline.Name)
	}
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

	bound := map[string]bool{}
	for _, workspace := range run.Spec.Workspaces {
		bound[workspace.Name] = true
	}
	for _, workspace := range pipeline.Spec.Workspaces {
		if !bound[workspace.Name] && !workspace.Optional {
			t.Errorf("the pipeline needs workspace %q, the run has none", workspace.Name)
		}
		delete(bound, workspace.Name)
	}
	for name := range bound {
		t.Errorf("workspace %q is unknown to the pipeline", name)
	}
	var tasks, specs []string
	left := map[string]bool{}
	build, builds := spec.(pipelinerun.Build)
	if build.Test != nil {
		left[manifests.TestTask] = build.Test.Stage != ""
	}
	for _, task := range pipeline.Spec.Tasks {
		skipped := slices.ContainsFunc(task.When, func(when tektonv1.WhenExpression) bool {
			return when.Input == "$(params.test)" && !slices.Contains(when.Values, howTested(run))
		})
		if skipped != left[task.Name] {
			t.Errorf("task %s is skipped: %t", task.Name, skipped)
		}
		if !skipped {
			tasks = append(tasks, task.Name)
		}
	}
	for _, spec := range run.Spec.TaskRunSpecs {
		specs = append(specs, spec.PipelineTaskName)
	}
	if !slices.Equal(specs, tasks) {
		t.Errorf("taskRunSpecs for %v, the pipeline has tasks %v", specs, tasks)
	}
	var results []string
	if builds {
		results = append(results, "IMAGE_DIGEST", "IMAGE_URL")
	}
	if build.Test != nil {
		results = append(results, "TESTED")
	}
	if build.Git != nil {
		results = append(results, "COMMIT")
	}
	for _, result := range results {
		if !slices.ContainsFunc(pipeline.Spec.Results, func(r tektonv1.PipelineResult) bool { return r.Name == result }) {
			t.Errorf("Verdict reads result %s, which the pipeline does not have", result)
		}
	}
}

func howTested(run *tektonv1.PipelineRun) string {
	for _, param := range run.Spec.Params {
		if param.Name == "test" {
			return param.Value.StringVal
		}
	}
	return ""
}

func readPipeline(t *testing.T, name string) *tektonv1.Pipeline {
	t.Helper()
	file, err := os.Open("../../manifests/testdata/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		pipeline := &tektonv1.Pipeline{}
		err := decoder.Decode(pipeline)
		if errors.Is(err, io.EOF) {
			t.Fatalf("no Pipeline %s among what setup applies", name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if pipeline.Kind == "Pipeline" && pipeline.Name == name {
			return pipeline
		}
	}
}

func TestBuildKey(t *testing.T) {
	commit := strings.Repeat("9", 40)
	git := func(revision string) pipelinerun.Build {
		spec := fromGit()
		spec.Git = &pipelinerun.Git{URL: spec.Git.URL, Revision: revision, Path: spec.Git.Path}
		return spec
	}
	base := pipelinerun.BuildKey(full(), "v1")
	if len(base) != 32 {
		t.Errorf("key %q, want 32 digits", base)
	}
	change := func(change func(*pipelinerun.Build)) pipelinerun.Build {
		spec := full()
		change(&spec)
		return spec
	}
	for name, spec := range map[string]pipelinerun.Build{
		"another run": change(func(s *pipelinerun.Build) { s.Name, s.Tag = "mountains-zzzzz", "v3" }),
		"mirrors":     change(func(s *pipelinerun.Build) { s.Mirrors = nil }),
		"delivery":    change(func(s *pipelinerun.Build) { s.NoDeploy, s.ManifestsSecret = true, "" }),
		"resources":   change(func(s *pipelinerun.Build) { s.Resources.CPU = resource.MustParse("3") }),
		"no cache":    change(func(s *pipelinerun.Build) { s.NoCache = true }),
		"commit":      change(func(s *pipelinerun.Build) { s.Commit, s.Dirty = "", false }),
	} {
		if got := pipelinerun.BuildKey(spec, "v1"); got != base {
			t.Errorf("%s: another key, but the image is the same", name)
		}
	}
	seen := map[string]string{base: "base"}
	for name, spec := range map[string]pipelinerun.Build{
		"source":       change(func(s *pipelinerun.Build) { s.Folder.ContextDigest = "sha256:" + hex('d') }),
		"dockerfile":   change(func(s *pipelinerun.Build) { s.Dockerfile = "" }),
		"args' order":  change(func(s *pipelinerun.Build) { s.BuildArgs = []string{s.BuildArgs[1], s.BuildArgs[0]} }),
		"target":       change(func(s *pipelinerun.Build) { s.Target = "test" }),
		"secret":       change(func(s *pipelinerun.Build) { s.Secrets = buildSecrets() }),
		"its value":    change(func(s *pipelinerun.Build) { s.Secrets = buildSecrets(); s.Secrets[0].Value = []byte("other") }),
		"its key":      change(func(s *pipelinerun.Build) { s.Secrets = buildSecrets(); s.Secrets[1].Key = "other" }),
		"tests":        change(func(s *pipelinerun.Build) { s.Test = &pipelinerun.Test{Command: []string{"pytest"}} }),
		"their words":  change(func(s *pipelinerun.Build) { s.Test = &pipelinerun.Test{Command: []string{"pytest", "-q"}} }),
		"their stage":  change(func(s *pipelinerun.Build) { s.Test = &pipelinerun.Test{Stage: "pytest"} }),
		"git":          git(commit),
		"git's commit": git(strings.Repeat("8", 40)),
	} {
		key := pipelinerun.BuildKey(spec, "v1")
		if other, ok := seen[key]; ok || key == "" {
			t.Errorf("%s has the key %q of %s, but the image is another", name, key, other)
		}
		seen[key] = name
	}
	if pipelinerun.BuildKey(full(), "v2") == base {
		t.Error("another engine, but the same key")
	}
	for _, revision := range []string{"", "main", commit[:12]} {
		if key := pipelinerun.BuildKey(git(revision), "v1"); key != "" {
			t.Errorf("revision %q has key %s, but may be another commit tomorrow", revision, key)
		}
	}
}

func TestNewLeavesOutALongDockerfile(t *testing.T) {
	spec := minimal()
	spec.DockerfileText = strings.Repeat("#", 64<<10)
	if pipelinerun.New(spec).Annotations[manifests.AnnotationDockerfile] != spec.DockerfileText {
		t.Error("the text of 64 KiB is missing")
	}
	spec.DockerfileText += "#"
	if _, ok := pipelinerun.New(spec).Annotations[manifests.AnnotationDockerfile]; ok {
		t.Error("a longer text is there")
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
	commit := func(run *tektonv1.PipelineRun) {
		run.Annotations[manifests.AnnotationCommit] = "abc"
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
			pipelinerun.Outcome{Done: true, Succeeded: true, Reason: "Succeeded", Message: "words", Digest: "sha256:cc", ImageURL: "host/app:tag@sha256:cc", Tested: true},
		},
		"commit as reported": {
			run(corev1.ConditionUnknown, "Running", commit),
			pipelinerun.Outcome{Reason: "Running", Message: "words", Commit: "abc"},
		},
		"commit as fetched": {
			run(corev1.ConditionTrue, "Succeeded", func(run *tektonv1.PipelineRun) {
				commit(run)
				run.Status.Results = []tektonv1.PipelineRunResult{{Name: "COMMIT", Value: *tektonv1.NewStructuredValues("def\n")}}
			}),
			pipelinerun.Outcome{Done: true, Succeeded: true, Reason: "Succeeded", Message: "words", Commit: "def"},
		},
		"delivery": {pipelinerun.New(deploy()), pipelinerun.Outcome{Digest: "sha256:" + hex('c'), Tested: true}},
		"failed":   {run(corev1.ConditionFalse, "Failed", nil), pipelinerun.Outcome{Done: true, Reason: "Failed", Message: "words"}},
		"timeout":  {run(corev1.ConditionFalse, "PipelineRunTimeout", nil), pipelinerun.Outcome{Done: true, Reason: "PipelineRunTimeout", Message: "words"}},
		"canceled": {run(corev1.ConditionFalse, "Cancelled", cancel), pipelinerun.Outcome{Done: true, Canceled: true, Reason: "Canceled", Message: "words"}},
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
