package manifests

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The limits of a build that names none, as Kubernetes quantities.
const (
	DefaultBuildMemory  = "4Gi"
	DefaultBuildStorage = "20Gi"
)

// BuildLimits is what the code of a build may use of its node, unless the build names other
// amounts. Empty fields are the defaults.
type BuildLimits struct {
	// Memory is that of a Dockerfile, and of tests, in bytes.
	Memory string `json:"memory,omitempty"`
	// Storage is the space that the pod may use on the disk of its node.
	Storage string `json:"storage,omitempty"`
}

// MemoryLimit returns Memory or its default.
func (l BuildLimits) MemoryLimit() string { return cmp.Or(l.Memory, DefaultBuildMemory) }

// StorageLimit returns Storage or its default.
func (l BuildLimits) StorageLimit() string { return cmp.Or(l.Storage, DefaultBuildStorage) }

const (
	// tektonMemory and tektonMemoryLimit are for the containers of Tekton, whose release limits
	// the resolvers only.
	tektonMemory      = "100Mi"
	tektonMemoryLimit = "2Gi"
	// buildDisk is the space that a build requests. Kubernetes takes a limit for the request of a
	// container without one.
	buildDisk    = "256Mi"
	diskResource = "ephemeral-storage"
)

// setBuildLimits limits the steps of a Task that run code of users, and the volumes that hold
// sources and images: those without a limit of their own.
func setBuildLimits(r *renderer, task *unstructured.Unstructured) {
	steps := list(task, "spec", "steps")
	for _, name := range []string{"build", "test"} {
		found := step(steps, name)
		if found == nil || !userCode(task.GetName()) {
			continue
		}
		resources, _ := found["computeResources"].(map[string]any)
		requests, _ := resources["requests"].(map[string]any)
		requests[diskResource] = buildDisk
		resources["limits"] = map[string]any{
			"memory": r.Config.BuildLimits.MemoryLimit(), diskResource: r.Config.BuildLimits.StorageLimit(),
		}
	}
	r.set(task, steps, "spec", "steps")
	if volumes := list(task, "spec", "volumes"); volumes != nil {
		limitVolumes(volumes, r.Config.BuildLimits.StorageLimit())
		r.set(task, volumes, "spec", "volumes")
	}
}

// limitVolumes limits the size of empty directories that have no limit.
func limitVolumes(volumes []any, size string) {
	for _, item := range volumes {
		volume, _ := item.(map[string]any)
		if empty, ok := volume["emptyDir"].(map[string]any); ok && empty["sizeLimit"] == nil {
			empty["sizeLimit"] = size
		}
	}
}

// limitTekton limits the memory of the containers of Tekton that have no limit.
func limitTekton(r *renderer, deployment *unstructured.Unstructured) {
	r.container(deployment, func(container map[string]any) {
		for _, field := range []struct{ of, memory string }{{"requests", tektonMemory}, {"limits", tektonMemoryLimit}} {
			resources, _ := container["resources"].(map[string]any)
			if resources == nil {
				resources = map[string]any{}
				container["resources"] = resources
			}
			amounts, _ := resources[field.of].(map[string]any)
			if amounts == nil {
				amounts = map[string]any{}
				resources[field.of] = amounts
			}
			if amounts["memory"] == nil {
				amounts["memory"] = field.memory
			}
		}
	})
}

// userCode reports whether a Task has a step that runs code of users.
func userCode(task string) bool {
	return slices.Contains([]string{buildTaskName, TestedBuildTask, testTaskName}, task)
}
