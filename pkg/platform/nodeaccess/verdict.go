package nodeaccess

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
)

// Reasons that Kubernetes does not have.
const (
	// ReasonNodeNotReady reports that the node stayed not ready.
	ReasonNodeNotReady = "NodeNotReady"
	// ReasonNodeGone reports that the node no longer exists.
	ReasonNodeGone = "NodeGone"
	// ReasonDeleted reports that something deletes every pod on the node.
	ReasonDeleted = "Deleted"
	// ReasonTimeout reports that there was neither an image nor a failure in time.
	ReasonTimeout = "Timeout"
)

// Result is the outcome on one node.
type Result struct {
	Node string
	// Pulled reports that the node has the image.
	Pulled bool
	// Tried reports that the kubelet started to pull, or refused to pull. The cause of
	// a failure is then the way to the registry, and otherwise the node itself.
	Tried bool
	// Reason is that of Kubernetes (ErrImagePull, OutOfpods) or of this package.
	// Message is that of the kubelet. Both are empty if the node pulled.
	Reason, Message string
}

// String returns one line with the node, the reason and the cause, without the words
// that all failed pulls have in common.
func (r Result) String() string {
	if r.Pulled {
		return r.Node + ": pulled"
	}
	if r.Message == "" {
		return r.Node + ": " + r.Reason
	}
	return r.Node + ": " + r.Reason + ": " + diagnose.Cause(r.Message)
}

// backingOff is the reason of a container whose kubelet waits after a failed pull.
const backingOff = "ImagePullBackOff"

// obstacle is why a pod does not pull. Without a reason there is none.
type obstacle struct {
	reason, message string
	// tried is Result.Tried.
	tried bool
	// again reports that another attempt may succeed.
	again bool
}

// silent reports whether the message contains no cause. While they back off, kubelets
// before 1.32 report only that they do.
func (t obstacle) silent() bool {
	return t.message == "" || (t.reason == backingOff && diagnose.Cause(t.message) == t.message)
}

// afterPull reports whether a container with this reason waits for something after the
// pull. In all versions, the kubelet first pulls, then makes the configuration, creates
// the container and starts it. Runtimes detect in different steps that the image has no
// program: containerd at the start (RunContainerError, then terminated as StartError),
// CRI-O at the creation, cri-dockerd at the start (terminated as ContainerCannotRun).
func afterPull(reason string) bool {
	return slices.Contains([]string{
		"CreateContainerConfigError", "PreCreateHookError", "CreateContainerError",
		"PreStartHookError", "RunContainerError", "PostStartHookError", "CrashLoopBackOff",
	}, reason)
}

// judge reports whether the node of a probe's pod has pulled the image, or what keeps
// it from pulling. It is pure.
func judge(pod *corev1.Pod) (pulled bool, t obstacle) {
	for _, status := range pod.Status.ContainerStatuses {
		// A webhook may have added containers.
		if status.Name != probeContainer {
			continue
		}
		// The kubelet creates a container only after the pull. Without a container, a
		// termination means only that the kubelet gave up on the pod.
		if status.ImageID != "" || status.ContainerID != "" || status.State.Running != nil {
			return true, obstacle{}
		}
		if terminated := status.State.Terminated; terminated != nil && slices.Contains([]string{"StartError", "ContainerCannotRun", "Error", "Completed", "OOMKilled"}, terminated.Reason) {
			return true, obstacle{}
		}
		waiting := status.State.Waiting
		switch {
		case waiting == nil, waiting.Reason == "", waiting.Reason == "ContainerCreating", waiting.Reason == "PodInitializing":
		case afterPull(waiting.Reason):
			return true, obstacle{}
		default:
			// The reason is that of the kubelet, or the text of an error before the pull.
			return false, obstacle{
				reason: waiting.Reason, message: strings.TrimSpace(waiting.Message), tried: true,
				again: waiting.Reason != "InvalidImageName" && waiting.Reason != "ErrImageNeverPull",
			}
		}
	}
	if pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
		return false, obstacle{}
	}
	// The kubelet refused the pod or gave up on it.
	t = obstacle{reason: pod.Status.Reason, message: strings.TrimSpace(pod.Status.Message)}
	if t.reason == "" {
		t.reason = string(pod.Status.Phase)
	}
	return false, t
}
