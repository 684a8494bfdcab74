package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// workload is what Deployments, StatefulSets and DaemonSets have in common.
type workload struct {
	// resource is <resource>.<group>.
	resource string
	meta     metav1.ObjectMeta
	selector *metav1.LabelSelector
	pod      corev1.PodSpec

	desired, ready, updated int32
	// settled says that the controller has nothing left to do.
	settled bool
	// failure is what the controller says it can not do.
	failure string
}

func deployment(d *appsv1.Deployment) workload {
	w := workload{
		resource: "deployment.apps", meta: d.ObjectMeta, selector: d.Spec.Selector, pod: d.Spec.Template.Spec,
		desired: replicas(d.Spec.Replicas), updated: d.Status.UpdatedReplicas,
	}
	w.ready = min(d.Status.ReadyReplicas, w.desired)
	w.settled = d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas >= w.desired &&
		d.Status.Replicas <= w.desired && d.Status.ReadyReplicas >= w.desired
	for _, condition := range d.Status.Conditions {
		stuck := condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse
		refused := condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue
		// Why no pod comes up says more than that it took too long.
		if refused || (stuck && w.failure == "") {
			w.failure = display.OneLine(condition.Reason + ": " + condition.Message)
		}
	}
	return w
}

func statefulSet(s *appsv1.StatefulSet) workload {
	w := workload{
		resource: "statefulset.apps", meta: s.ObjectMeta, selector: s.Spec.Selector, pod: s.Spec.Template.Spec,
		desired: replicas(s.Spec.Replicas), updated: s.Status.UpdatedReplicas,
	}
	w.ready = min(s.Status.ReadyReplicas, w.desired)
	w.settled = s.Status.ObservedGeneration >= s.Generation && w.ready == w.desired &&
		(s.Status.UpdateRevision == s.Status.CurrentRevision || s.Status.UpdatedReplicas >= w.desired)
	return w
}

func daemonSet(d *appsv1.DaemonSet) workload {
	w := workload{
		resource: "daemonset.apps", meta: d.ObjectMeta, selector: d.Spec.Selector, pod: d.Spec.Template.Spec,
		desired: d.Status.DesiredNumberScheduled, updated: d.Status.UpdatedNumberScheduled,
	}
	w.ready = min(d.Status.NumberReady, w.desired)
	w.settled = d.Status.ObservedGeneration >= d.Generation && w.ready == w.desired && w.updated >= w.desired
	return w
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// health judges a workload; pods are its own, and are needed only when it is not
// settled.
func (w workload) health(pods []corev1.Pod) (healthy bool, message string) {
	trouble, hard := trouble(pods)
	switch {
	case hard:
		return false, trouble
	case w.failure != "":
		return false, w.failure
	case w.ready < w.desired:
		message = fmt.Sprintf("%d of %d ready", w.ready, w.desired)
		if trouble != "" {
			message += "; " + trouble
		}
		return false, message
	case !w.settled:
		return true, fmt.Sprintf("rolling out: %d of %d updated", min(w.updated, w.desired), w.desired)
	}
	return true, ""
}

// image returns the image of the workload that comes from the repository with that
// path, whatever the registry's name was for nodes when it was delivered, and that
// has been delivered by digest; empty if none does.
func (w workload) image(path string) string {
	for _, container := range slices.Concat(w.pod.Containers, w.pod.InitContainers) {
		_, rest, _ := strings.Cut(container.Image, "/")
		if strings.HasPrefix(rest, path+"@") {
			return container.Image
		}
	}
	return ""
}

// changed is when the delivery, or setup, last changed the workload: the server
// keeps it for every field manager, and does not move it when nothing differs.
func (w workload) changed() metav1.Time {
	for _, entry := range w.meta.ManagedFields {
		if entry.Manager == manifests.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply &&
			entry.Subresource == "" && entry.Time != nil {
			return *entry.Time
		}
	}
	return w.meta.CreationTimestamp
}

// trouble says in one line what is wrong with the pods: the worst, and of equal
// ones the newest pod's. It is hard when waiting alone is not expected to help.
func trouble(pods []corev1.Pod) (message string, hard bool) {
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	rank := 0
	for i := range pods {
		if pods[i].DeletionTimestamp != nil {
			continue
		}
		text, r := podTrouble(&pods[i])
		if r > rank {
			rank, message = r, "pod "+pods[i].Name+": "+strings.TrimSuffix(display.OneLine(text), ":")
		}
	}
	return message, rank >= rankUnschedulable
}

const (
	rankNotReady = iota + 1
	rankUnschedulable
	rankContainer
)

func podTrouble(pod *corev1.Pod) (text string, rank int) {
	if pod.Status.Phase == corev1.PodSucceeded {
		return "", 0
	}
	if pod.Status.Phase == corev1.PodFailed {
		// Its controller has replaced it: an evicted pod stays as a record only.
		return pod.Status.Reason + ": " + pod.Status.Message, rankNotReady
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if text := containerTrouble(status); text != "" {
			return "container " + status.Name + ": " + text, rankContainer
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return condition.Reason + ": " + condition.Message, rankUnschedulable
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		if !status.Ready && status.State.Running != nil {
			return "container " + status.Name + " runs but is not ready", rankNotReady
		}
	}
	return "", 0
}

// containerTrouble returns the reason for which a container does not run, if it
// is one.
func containerTrouble(status corev1.ContainerStatus) string {
	switch waiting, terminated := status.State.Waiting, status.State.Terminated; {
	case waiting != nil && waiting.Reason == "CrashLoopBackOff" && status.LastTerminationState.Terminated != nil:
		// The kubelet's message holds the back-off and an identifier, not the cause.
		return waiting.Reason + ": " + exit(status.LastTerminationState.Terminated)
	case waiting != nil && !slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, waiting.Reason):
		return waiting.Reason + ": " + waiting.Message
	case terminated != nil && terminated.ExitCode != 0:
		return exit(terminated)
	}
	return ""
}

func exit(state *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exit code %d", state.ExitCode)
	if state.Reason != "" && state.Reason != "Error" {
		text += " (" + state.Reason + ")"
	}
	if state.Message != "" {
		text += ": " + state.Message
	}
	return text
}
