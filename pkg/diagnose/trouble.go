// Package trouble says why a pod does not come up, how long to be patient with
// that, and what to do about it.
package diagnose

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-helpers/resource"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// Trouble is what keeps a pod from coming up, or from being made. The zero value
// is none.
type Trouble struct {
	// Namespace is where; Pod and Container are empty when it did not come that far.
	Namespace, Pod, Container string
	// Reason is Kubernetes' or Tekton's word: Unschedulable, ImagePullBackOff.
	Reason string
	// Message is for people, in one line, without the words that every message of
	// its kind has.
	Message string
	// Build says that it is a pod of a build, whose resources are set by flags.
	Build bool
	// Logs says that the container has a log, and Previous that it is that of its
	// last instance.
	Logs, Previous bool
}

// String is place, reason and message in one line.
func (t Trouble) String() string {
	place := ""
	if t.Pod != "" {
		place = "pod " + t.Pod
		if t.Container != "" {
			place += ", container " + t.Container
		}
		place += ": "
	}
	return place + t.Reason + ": " + t.Message
}

// Forever is the patience with what may well pass; the caller bounds that.
const Forever = time.Duration(math.MaxInt64)

// OfPod lists what a pod says about itself, that with the least patience first.
// It is empty while all is in its normal course.
func OfPod(pod *corev1.Pod) []Trouble {
	var found []Trouble
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			found = append(found, Trouble{Namespace: pod.Namespace, Pod: pod.Name, Reason: condition.Reason, Message: unschedulable(pod, condition.Message)})
		}
	}
	if t, ok := Ended(pod); ok {
		found = append(found, t)
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if t, ok := ofContainer(pod, status); ok {
			t.Namespace, t.Pod = pod.Namespace, pod.Name
			found = append(found, t)
		}
	}
	slices.SortStableFunc(found, func(a, b Trouble) int {
		return int(min(Patience(a), time.Hour) - min(Patience(b), time.Hour))
	})
	return found
}

// Ended is what ended the pod as a whole, or is about to: an eviction, a lost node, a
// pod of a higher priority. ok is false when nothing did.
func Ended(pod *corev1.Pod) (t Trouble, ok bool) {
	if pod.Status.Reason != "" {
		return Trouble{Namespace: pod.Namespace, Pod: pod.Name, Reason: pod.Status.Reason, Message: display.OneLine(pod.Status.Message)}, true
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue {
			return Trouble{Namespace: pod.Namespace, Pod: pod.Name, Reason: condition.Reason, Message: display.OneLine(condition.Message)}, true
		}
	}
	return Trouble{}, false
}

func ofContainer(pod *corev1.Pod, status corev1.ContainerStatus) (Trouble, bool) {
	waiting := status.State.Waiting
	if waiting == nil || waiting.Reason == "" || waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" {
		return Trouble{}, false
	}
	t := Trouble{Container: status.Name, Reason: waiting.Reason, Message: display.OneLine(waiting.Message)}
	image := imageOf(pod, status)
	if last := status.LastTerminationState.Terminated; last != nil {
		t.Logs, t.Previous = true, true
		if waiting.Reason == "CrashLoopBackOff" {
			t.Message = ending(last) + fmt.Sprintf(", restarted %s", times(status.RestartCount))
		}
	}
	switch {
	case t.Message == "":
		t.Message = "image " + image
	case IsPull(t.Reason):
		t.Message = Cause(t.Message)
		if !strings.Contains(t.Message, image) {
			t.Message = "image " + image + ": " + t.Message
		}
	}
	return t, true
}

func imageOf(pod *corev1.Pod, status corev1.ContainerStatus) string {
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if container.Name == status.Name && container.Image != "" {
			return container.Image
		}
	}
	return status.Image
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

// Unready is a container that runs without being ready; ok is false when there is
// none.
func Unready(pod *corev1.Pod) (t Trouble, ok bool) {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.State.Running != nil && !status.Ready {
			return Trouble{
				Namespace: pod.Namespace, Pod: pod.Name, Container: status.Name,
				Reason: "NotReady", Message: "the container runs and is not ready", Logs: true,
			}, true
		}
	}
	return Trouble{}, false
}

var insufficient = regexp.MustCompile(`Insufficient ([^\s,;]*[^\s,;.])`)

// unschedulable is the scheduler's message without what it says of preemption,
// with what the pod asks for of what there is too little of.
func unschedulable(pod *corev1.Pod, message string) string {
	message, _, _ = strings.Cut(display.OneLine(message), ". ")
	message = strings.TrimSuffix(message, ".")
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	var asked []string
	for _, match := range insufficient.FindAllStringSubmatch(message, -1) {
		if quantity, ok := requests[corev1.ResourceName(match[1])]; ok {
			asked = append(asked, readable(match[1], quantity)+" "+match[1])
		}
	}
	if len(asked) > 0 {
		message += "; the pod asks for " + strings.Join(asked, " and ")
	}
	return message
}

// readable rounds what containers ask for together to the unit in which one of them
// would: 9437248Mi is 9Ti.
func readable(name string, quantity apiresource.Quantity) string {
	if name != string(corev1.ResourceMemory) && name != string(corev1.ResourceEphemeralStorage) {
		return quantity.String()
	}
	value, unit := float64(quantity.Value()), ""
	for _, next := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0") + unit
}

// Refused is what is in the way of making pods, in the words of the API server or
// of a controller.
func Refused(namespace, message string) Trouble {
	return Trouble{Namespace: namespace, Reason: "FailedCreate", Message: plain(message)}
}

// OfCondition is why a TaskRun or PipelineRun does not go on, or did not succeed;
// ok is false when the condition tells of nothing but its normal course.
func OfCondition(namespace string, condition *apis.Condition) (t Trouble, ok bool) {
	if condition == nil || condition.IsTrue() {
		return Trouble{}, false
	}
	switch condition.Reason {
	case "", "Started", "Running", "Succeeded", "Completed", "Cancelled", "TaskRunCancelled":
		return Trouble{}, false
	}
	t = Trouble{Namespace: namespace, Reason: condition.Reason, Message: plain(condition.Message), Build: true}
	if match := podErrored.FindStringSubmatch(t.Message); match != nil {
		t.Container, t.Message = match[1], match[2]
	}
	if IsPull(t.Reason) {
		t.Message = Cause(t.Message)
	}
	return t, true
}

// podErrored is how Tekton says what a container's state was.
var podErrored = regexp.MustCompile(`^the (?:step|sidecar) "([^"]*)" in TaskRun .* The pod errored with the message: "(.*?)\.?"\.?$`)

// around is what the API server, controllers and Tekton put around the cause of a
// pod that could not be made. The names of pods among it are new every time.
var around = []*regexp.Regexp{ //nolint:gochecknoglobals // regular expressions, compiled once
	regexp.MustCompile(`^TaskRun Pod exceeded available resources: `),
	regexp.MustCompile(`^failed to create task run pod "[^"]*": `),
	regexp.MustCompile(`\. Maybe (?:missing or invalid Task \S+|invalid TaskSpec)$`),
	regexp.MustCompile(`^Error creating: `),
	regexp.MustCompile(`^create Pod \S+ in StatefulSet \S+ failed error: `),
	regexp.MustCompile(`^Internal error occurred: `),
	regexp.MustCompile(`^pods "[^"]*" is forbidden: `),
}

func plain(message string) string {
	message = display.OneLine(message)
	for _, words := range around {
		if shorter := words.ReplaceAllLiteralString(message, ""); shorter != "" {
			message = shorter
		}
	}
	return message
}

// times is a number of times as a person says it.
func times(n int32) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
