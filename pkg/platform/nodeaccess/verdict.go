package nodeaccess

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
)

// Reasons that are not Kubernetes' own.
const (
	// ReasonNodeNotReady says that the node was not ready for a while.
	ReasonNodeNotReady = "NodeNotReady"
	// ReasonNodeGone says that there is no such node any more.
	ReasonNodeGone = "NodeGone"
	// ReasonDeleted says that somebody deleted the node's pods again and again.
	ReasonDeleted = "Deleted"
	// ReasonTimeout says that the node did nothing to be judged by.
	ReasonTimeout = "Timeout"
)

// Result is what came of one node.
type Result struct {
	Node string
	// Pulled says that the node has the image.
	Pulled bool
	// Tried says that the kubelet set about pulling, or refused to: a failure then
	// speaks of the way to the registry, and otherwise only of the node.
	Tried bool
	// Reason is Kubernetes' word (ErrImagePull, OutOfpods) or one of this package;
	// Message is the kubelet's. Both are empty when it pulled.
	Reason, Message string
}

// String is the node with reason and cause, without the words that every failed
// pull has, in one line.
func (r Result) String() string {
	if r.Pulled {
		return r.Node + ": pulled"
	}
	if r.Message == "" {
		return r.Node + ": " + r.Reason
	}
	return r.Node + ": " + r.Reason + ": " + diagnose.Cause(r.Message)
}

// backingOff is the kubelet's word for waiting after a failed pull.
const backingOff = "ImagePullBackOff"

// obstacle is what keeps a pod from pulling; without a reason there is none.
type obstacle struct {
	reason, message string
	// tried is that of Result.
	tried bool
	// again says that another attempt may do better.
	again bool
}

// silent says that the message does not tell why. Kubelets before 1.32 say while
// they back off only that they do.
func (t obstacle) silent() bool {
	return t.message == "" || (t.reason == backingOff && diagnose.Cause(t.message) == t.message)
}

// afterPull are the reasons for which a container waits whose image is there: the
// kubelet's startContainer first pulls, then makes the configuration, creates the
// container and starts it, in all its versions. Runtimes differ in the step that
// finds out that the image has no program: containerd at the start
// (RunContainerError, then terminated as StartError), CRI-O at the creation,
// cri-dockerd at the start (terminated as ContainerCannotRun).
func afterPull(reason string) bool {
	return slices.Contains([]string{
		"CreateContainerConfigError", "PreCreateHookError", "CreateContainerError",
		"PreStartHookError", "RunContainerError", "PostStartHookError", "CrashLoopBackOff",
	}, reason)
}

// judge reads from a pod of the image whether it was pulled, or what is in the way.
// It is pure.
func judge(pod *corev1.Pod) (pulled bool, t obstacle) {
	for _, status := range pod.Status.ContainerStatuses {
		// A webhook may have added containers.
		if status.Name != probeContainer {
			continue
		}
		// A container exists only of an image that is there. Without a container, a
		// termination says only that the kubelet gave up on the pod.
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
			// The kubelet's word, or the text of any error before the pull.
			return false, obstacle{
				reason: waiting.Reason, message: strings.TrimSpace(waiting.Message), tried: true,
				again: waiting.Reason != "InvalidImageName" && waiting.Reason != "ErrImageNeverPull",
			}
		}
	}
	if pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
		return false, obstacle{}
	}
	// The kubelet refused the pod, or gave up on it.
	t = obstacle{reason: pod.Status.Reason, message: strings.TrimSpace(pod.Status.Message)}
	if t.reason == "" {
		t.reason = string(pod.Status.Phase)
	}
	return false, t
}
