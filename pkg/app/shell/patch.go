package shell

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

const patchType = types.StrategicMergePatchType

// patchOf returns what changes a pod into another one.
func patchOf(pod, change *corev1.Pod) ([]byte, error) {
	before, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("write pod %s: %w", pod.Name, err)
	}
	after, err := json.Marshal(change)
	if err != nil {
		return nil, fmt.Errorf("write pod %s: %w", pod.Name, err)
	}
	return strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
}
