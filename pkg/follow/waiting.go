package follow

import (
	"context"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"knative.dev/pkg/apis"
)

// wait tells a delay unless it was the last one told, or is none.
func (f *follower) wait(ctx context.Context, delay Event) error {
	if delay.Reason == "" || delay == f.waiting {
		return nil
	}
	f.waiting = delay
	return f.emit(ctx, delay)
}

// runDelay is why a run without any task at work takes its time.
func runDelay(run *tektonv1.PipelineRun) Event {
	delay := Event{Kind: Waiting, Reason: "NotStarted", Text: "Tekton has not taken up the run: its controller may be down or busy"}
	if condition := run.Status.GetCondition(apis.ConditionSucceeded); condition != nil && condition.Reason != "" {
		delay.Reason, delay.Text = condition.Reason, condition.Message
	}
	return delay
}

// stuck is why a task's step does not start: what the pod says about itself, or
// else the TaskRun. It is empty while all is in its normal course, which a slow
// one no longer is.
func stuck(task string, taskRun *tektonv1.TaskRun, pod *corev1.Pod, isSlow bool) Event {
	delay := Event{Kind: Waiting, Task: task}
	if pod != nil {
		delay.Reason, delay.Text = podDelay(pod)
		return delay
	}
	if taskRun == nil || taskRun.Status.PodName != "" {
		return delay
	}
	condition := taskRun.Status.GetCondition(apis.ConditionSucceeded)
	if condition == nil || !condition.IsUnknown() {
		return delay
	}
	switch condition.Reason {
	case "ExceededResourceQuota", "ExceededNodeResources":
		delay.Reason, delay.Text = condition.Reason, condition.Message
	default:
		if isSlow {
			delay.Reason, delay.Text = condition.Reason, condition.Message
		}
	}
	return delay
}

// podDelay reads why a pod's containers do not start; empty while they are about
// to.
func podDelay(pod *corev1.Pod) (reason, message string) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return condition.Reason, condition.Message
		}
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		waiting := status.State.Waiting
		if waiting == nil || waiting.Reason == "" || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
			continue
		}
		message := waiting.Message
		if message == "" {
			message = "image " + status.Image
		}
		return waiting.Reason, "container " + status.Name + ": " + message
	}
	return "", ""
}

// podEvent asks the cluster's Events why a pod's containers do not start, which
// is the only place where a volume or a network that can not be set up is told.
func (f *follower) podEvent(ctx context.Context, task string, pod *corev1.Pod) Event {
	delay := Event{Kind: Waiting, Task: task}
	events, err := f.clients.Kube.CoreV1().Events(f.namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(),
	})
	if err != nil {
		return delay
	}
	latest := time.Time{}
	for _, event := range events.Items {
		at := event.LastTimestamp.Time
		if at.IsZero() {
			at = event.EventTime.Time
		}
		if event.InvolvedObject.UID != pod.UID || event.Type != corev1.EventTypeWarning || at.Before(latest) {
			continue
		}
		latest = at
		delay.Reason, delay.Text = event.Reason, strings.TrimSpace(event.Message)
	}
	return delay
}
