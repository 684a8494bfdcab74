package pipelinerun

import (
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// TestNames checks that runs use the names of the Pipelines and Tasks that setup installs,
// all of them and no others.
func TestNames(t *testing.T) {
	platform, err := manifests.Render(manifests.Options{
		Config:      manifests.Config{Registry: manifests.RegistryConfig{External: true, Host: "registry.example.com", NodeHost: "registry.example.com"}},
		Credentials: credentials.Credentials{Users: map[string]credentials.User{manifests.SystemNamespace: {Name: "a", Password: "b"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]bool{}
	add := func(kind string, object *unstructured.Unstructured, fields ...string) {
		items, _, err := unstructured.NestedSlice(object.Object, append([]string{"spec"}, fields...)...)
		if err != nil {
			t.Fatal(err)
		}
		if found[kind] == nil {
			found[kind] = map[string]bool{}
		}
		for _, item := range items {
			fields, _ := item.(map[string]any)
			if name, ok := fields["name"].(string); ok {
				found[kind][name] = true
			}
		}
	}
	for _, object := range platform.Pipeline {
		if object.GetName() == manifests.InspectTask {
			continue // not for builds
		}
		switch object.GetKind() {
		case "Pipeline":
			for _, kind := range []string{"params", "tasks", "results", "workspaces"} {
				add(kind, object, kind)
			}
		case "Task":
			add("steps", object, "steps")
		}
	}
	for kind, want := range map[string][]string{
		"params": {
			paramName, paramSource, paramContextPath, paramURL, paramRevision, paramPath, paramRegistry, paramImage, paramNodeImage,
			paramTag, paramDockerfile, paramEngineArgs, paramTest, paramTestCommand, paramBuildTask, paramDeploy, paramDigest, paramDeployTask, paramUser, paramSequence,
			paramRelease, paramRecord, paramAdopt,
		},
		"tasks":      {FetchTask, BuildTask, TestTask, DeployTask},
		"results":    {resultDigest, resultURL, resultCommit, resultTested},
		"workspaces": {workspaceRegistry, workspacePush, workspaceManifests, workspaceGit, workspaceSecrets},
	} {
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(found[kind])); !slices.Equal(got, want) {
			t.Errorf("%s are %q, runs use %q", kind, got, want)
		}
	}
	for _, step := range []string{FetchStep, BuildStep, PullStep, TestStep, ReportStep, CheckStep} {
		if !found["steps"][step] {
			t.Errorf("no Task has a step %s", step)
		}
	}
}
