package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// trouble is what keeps a pod from becoming ready.
type trouble struct {
	pod, container, reason, message string
	// previous says that the log to look at is that of the last instance; logs,
	// that there is one at all.
	previous, logs bool
}

func (t trouble) String() string {
	place := "pod " + t.pod
	if t.container != "" {
		place += ", container " + t.container
	}
	return fmt.Sprintf("%s: %s: %s", place, t.reason, t.message)
}

// forever is the patience with what may well pass; the progress deadline and the
// caller's bound that.
const forever = time.Duration(math.MaxInt64)

// patience is how long a trouble may last before waiting can not help.
func patience(reason string) time.Duration {
	switch reason {
	case "CrashLoopBackOff", "InvalidImageName", "ErrImageNeverPull":
		return 0 // tried more than once, or never to be
	case "CreateContainerConfigError":
		return 10 * time.Second // a Secret or ConfigMap of the same release
	case "ErrImagePull", "ImagePullBackOff", "CreateContainerError", "RunContainerError", "StartError":
		return 30 * time.Second // the kubelet tries again after 10 and 20
	case "FailedCreate":
		return 15 * time.Second // a ServiceAccount of the same release, a webhook that restarts
	case string(corev1.PodReasonUnschedulable):
		return 2 * time.Minute // an autoscaler that adds a node
	}
	return forever
}

// troubles lists what the pod says about itself, worst first. It is pure.
func troubles(pod *corev1.Pod) []trouble {
	var found []trouble
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			found = append(found, trouble{pod: pod.Name, reason: condition.Reason, message: condition.Message})
		}
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		waiting := status.State.Waiting
		if waiting == nil || waiting.Reason == "" || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
			continue
		}
		t := trouble{pod: pod.Name, container: status.Name, reason: waiting.Reason, message: waiting.Message}
		if last := status.LastTerminationState.Terminated; last != nil {
			t.logs, t.previous = true, true
			if waiting.Reason == "CrashLoopBackOff" {
				t.message = ending(last) + fmt.Sprintf(", restarted %d times", status.RestartCount)
			}
		}
		if t.message == "" {
			t.message = "image " + status.Image
		}
		found = append(found, t)
	}
	slices.SortStableFunc(found, func(a, b trouble) int {
		return int(min(patience(a.reason), time.Hour) - min(patience(b.reason), time.Hour))
	})
	return found
}

func ending(last *corev1.ContainerStateTerminated) string {
	how := fmt.Sprintf("exited with code %d", last.ExitCode)
	if last.Reason != "" && last.Reason != "Error" && last.Reason != "Completed" {
		how += " (" + last.Reason + ")"
	}
	if message := strings.TrimSpace(last.Message); message != "" {
		how += ": " + message
	}
	return how
}

// unready is a container that runs without being ready; ok is false when there
// is none.
func unready(pod *corev1.Pod) (t trouble, ok bool) {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.State.Running != nil && !status.Ready {
			return trouble{pod: pod.Name, container: status.Name, reason: "NotReady", message: "the container runs and is not ready", logs: true}, true
		}
	}
	return trouble{}, false
}

// history remembers since when there is which trouble.
type history struct {
	since map[trouble]time.Time // by pod, container and class of reason
	pulls map[trouble]int       // failed pulls that were seen
	last  map[trouble]string
}

func newHistory() *history {
	return &history{since: map[trouble]time.Time{}, pulls: map[trouble]int{}, last: map[trouble]string{}}
}

// judge says whether waiting can not help any more, and otherwise when that has
// to be asked again: never, when it is zero.
func (h *history) judge(t trouble, now time.Time) (hopeless bool, again time.Time) {
	key := trouble{pod: t.pod, container: t.container, reason: t.reason}
	pull := t.reason == "ErrImagePull" || t.reason == "ImagePullBackOff"
	if pull {
		key.reason = "pull" // they take turns
		if t.reason == "ErrImagePull" && h.last[key] != t.reason {
			h.pulls[key]++
		}
		h.last[key] = t.reason
	}
	since, known := h.since[key]
	if !known {
		since = now
		h.since[key] = now
	}
	limit := patience(t.reason)
	if limit == forever {
		return false, time.Time{}
	}
	if pull && h.pulls[key] >= 2 {
		return true, time.Time{}
	}
	return now.Sub(since) >= limit, since.Add(limit)
}
