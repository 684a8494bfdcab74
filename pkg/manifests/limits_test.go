package manifests

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestLimits checks that nothing that setup installs, and nothing that a run starts, uses memory
// or the node's disk without a limit.
func TestLimits(t *testing.T) {
	options := fixed("default")
	options.TektonManifest = Tekton()
	options.Config.BuildLimits = BuildLimits{Memory: "3Gi"}
	platform, err := Render(options)
	if err != nil {
		t.Fatal(err)
	}
	tasks, workloads := 0, 0
	for _, object := range platform.Objects() {
		name := object.GetKind() + " " + object.GetName()
		switch object.GetKind() {
		case "Task":
			tasks++
			template, _, _ := unstructured.NestedMap(object.Object, "spec", "stepTemplate", "computeResources")
			checkLimits(t, name, list(object, "spec", "steps"), "computeResources", template)
			checkVolumes(t, name, list(object, "spec", "volumes"))
		case "Deployment", "StatefulSet", "DaemonSet":
			workloads++
			checkLimits(t, name, list(object, "spec", "template", "spec", "containers"), "resources", nil)
			if object.GetNamespace() == SystemNamespace {
				checkVolumes(t, name, list(object, "spec", "template", "spec", "volumes"))
			}
		}
	}
	if tasks < 8 || workloads < 7 {
		t.Errorf("there are %d Tasks and %d workloads", tasks, workloads)
	}
	for task, name := range map[string]string{buildTaskName: "build", TestedBuildTask: "build", testTaskName: "test"} {
		found := step(list(find(platform.Pipeline, "Task", task), "spec", "steps"), name)
		limits, _, _ := unstructured.NestedStringMap(found, "computeResources", "limits")
		requests, _, _ := unstructured.NestedStringMap(found, "computeResources", "requests")
		if limits["memory"] != "3Gi" || limits["ephemeral-storage"] != DefaultBuildStorage || requests["ephemeral-storage"] == "" {
			t.Errorf("step %s of Task %s has the limits %v and requests %v", name, task, limits, requests)
		}
	}
}

// checkLimits checks that containers have a limit of memory, and a request: without one the limit
// would be the request.
func checkLimits(t *testing.T, owner string, containers []any, field string, template map[string]any) {
	t.Helper()
	for _, item := range containers {
		container, _ := item.(map[string]any)
		resources, _, _ := unstructured.NestedMap(container, field)
		for _, of := range []string{"limits", "requests"} {
			own, _, _ := unstructured.NestedString(resources, of, "memory")
			inherited, _, _ := unstructured.NestedString(template, of, "memory")
			if own == "" && inherited == "" {
				t.Errorf("%s: container %v has no %s of memory", owner, container["name"], of)
			}
		}
	}
}

// checkVolumes checks that empty directories have a size.
func checkVolumes(t *testing.T, owner string, volumes []any) {
	t.Helper()
	for _, item := range volumes {
		volume, _ := item.(map[string]any)
		if empty, ok := volume["emptyDir"].(map[string]any); ok && empty["sizeLimit"] == nil {
			t.Errorf("%s: volume %v has no size", owner, volume["name"])
		}
	}
}
