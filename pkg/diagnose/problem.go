// Package diagnose explains why a pod or a run makes no progress, what to do, and how long
// waiting may help.
package diagnose

import (
	"cmp"
	"fmt"
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

// Problem is the reason why a pod does not start, cannot be created, or failed, or why a run
// does not continue. The zero value is no problem.
type Problem struct {
	// Namespace is where the problem is. Pod and Container are empty if the problem is not
	// that of a pod, or of one container.
	Namespace, Pod, Container string
	// User is who the container runs as, as UserOf returns it.
	User string
	// Reason is the word of Kubernetes or Tekton: Unschedulable, ImagePullBackOff.
	Reason string
	// Message describes the problem in one line, without the words that all messages of its
	// kind have in common.
	Message string
	// Remedy is what to do, in one line; empty if nothing is known to help.
	Remedy string
	// Terminal reports that waiting cannot help.
	Terminal bool
	// Build reports that the pod is that of a build, whose resources are set by flags.
	Build bool
	// Logs reports that the container has a log, Previous that it is the log of the instance
	// before the current one.
	Logs, Previous bool

	limit time.Duration
}

// New returns p with the remedy and the limit that the rules have for its reason and
// message.
func New(p Problem) Problem {
	rule, match := find(p)
	p.Remedy, p.limit = "", Forever
	if rule.remedy != nil {
		p.Remedy = rule.remedy(p, match)
	}
	if rule.limit != nil {
		p.limit = rule.limit(p, match)
	}
	p.Terminal = p.limit == 0
	return p
}

// ForBuild returns p as the problem of a build, with the remedy for builds.
func (p Problem) ForBuild() Problem {
	p.Build = true
	return New(p)
}

// UserOf returns who a container of a pod runs as, as the subject of a sentence: the number
// that the pod sets, or the user of the image.
func UserOf(pod *corev1.Pod, container string) string {
	var user *int64
	if context := pod.Spec.SecurityContext; context != nil {
		user = context.RunAsUser
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == container && c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
			user = c.SecurityContext.RunAsUser
		}
	}
	if user == nil {
		return imageUser
	}
	return "user " + strconv.FormatInt(*user, 10)
}

const imageUser = "the user of the image"

func (p Problem) user() string { return cmp.Or(p.User, imageUser) }

// Limit returns how long the problem may last before waiting cannot help: zero if it cannot
// help at all, Forever if the problem may pass at any time.
func (p Problem) Limit() time.Duration { return p.limit }

// String returns the place, the reason and the message in one line.
func (p Problem) String() string {
	place := ""
	if p.Pod != "" {
		place = "pod " + p.Pod
		if p.Container != "" {
			place += ", container " + p.Container
		}
		place += ": "
	}
	return place + p.Reason + ": " + p.Message
}

// OfPod returns the problems that the status of a pod reports, those with the shortest limit
// first. It returns none while the pod starts normally.
func OfPod(pod *corev1.Pod) []Problem {
	var found []Problem
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			found = append(found, New(Problem{Namespace: pod.Namespace, Pod: pod.Name, Reason: condition.Reason, Message: unschedulable(pod, condition.Message)}))
		}
	}
	if p, ok := Ended(pod); ok {
		found = append(found, p)
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if p, ok := ofContainer(pod, status); ok {
			p.Namespace, p.Pod, p.User = pod.Namespace, pod.Name, UserOf(pod, p.Container)
			found = append(found, New(p))
		}
	}
	slices.SortStableFunc(found, func(a, b Problem) int {
		return cmp.Compare(a.limit, b.limit)
	})
	return found
}

// Ended returns what ended the pod as a whole, or is about to: an eviction, a lost node, a
// pod with a higher priority. ok is false if nothing did.
func Ended(pod *corev1.Pod) (p Problem, ok bool) {
	if pod.Status.Reason != "" {
		return New(Problem{Namespace: pod.Namespace, Pod: pod.Name, Reason: pod.Status.Reason, Message: display.OneLine(pod.Status.Message)}), true
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue {
			return New(Problem{Namespace: pod.Namespace, Pod: pod.Name, Reason: condition.Reason, Message: display.OneLine(condition.Message)}), true
		}
	}
	return Problem{}, false
}

// ofContainer returns the problem of a container that waits or has failed. A container that
// failed counts only if the kubelet restarts it: a pod that runs once reports its end itself.
func ofContainer(pod *corev1.Pod, status corev1.ContainerStatus) (Problem, bool) {
	switch waiting, terminated := status.State.Waiting, status.State.Terminated; {
	case waiting != nil:
		return ofWaiting(pod, status, waiting)
	case terminated != nil && terminated.ExitCode != 0 && pod.Spec.RestartPolicy != corev1.RestartPolicyNever:
		return Problem{Container: status.Name, Reason: cmp.Or(terminated.Reason, "Error"), Message: ending(terminated), Logs: true}, true
	}
	return Problem{}, false
}

func ofWaiting(pod *corev1.Pod, status corev1.ContainerStatus, waiting *corev1.ContainerStateWaiting) (Problem, bool) {
	if slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, waiting.Reason) {
		return Problem{}, false
	}
	p := Problem{Container: status.Name, Reason: waiting.Reason, Message: display.OneLine(waiting.Message)}
	image := imageOf(pod, status)
	if last := status.LastTerminationState.Terminated; last != nil {
		p.Logs, p.Previous = true, true
		if waiting.Reason == crashLoopBackOff {
			p.Message = ending(last) + fmt.Sprintf(", restarted %s", times(status.RestartCount))
		}
	}
	switch {
	case p.Message == "":
		p.Message = "image " + image
	case IsPull(p.Reason):
		p.Message = Cause(p.Message)
		if !strings.Contains(p.Message, image) {
			p.Message = "image " + image + ": " + p.Message
		}
	case slices.Contains(startReasons, p.Reason):
		p.Message = startCause(p.Message)
	}
	return p, true
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
	if message := display.OneLine(last.Message); message != "" {
		how += ": " + startCause(message)
	}
	return how
}

// NotReady returns the problem of a container that runs and is not ready. ok is false if
// there is none.
func NotReady(pod *corev1.Pod) (p Problem, ok bool) {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.State.Running != nil && !status.Ready {
			return New(Problem{
				Namespace: pod.Namespace, Pod: pod.Name, Container: status.Name,
				Reason: notReady, Message: "the container runs and is not ready", Logs: true,
			}), true
		}
	}
	return Problem{}, false
}

var insufficient = regexp.MustCompile(`Insufficient ([^\s,;]*[^\s,;.])`)

// unschedulable returns the message of the scheduler without the part about preemption. It
// adds what the pod requests of the resources that are insufficient.
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
		message += "; the pod requests " + strings.Join(asked, " and ")
	}
	return message
}

// readable rounds the sum of requests to a unit that people use: 9437248Mi is 9Ti.
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

// Refused returns the problem of pods that cannot be created, from the message of the API
// server or of a controller.
func Refused(namespace, message string) Problem {
	return New(Problem{Namespace: namespace, Reason: failedCreate, Message: plain(message)})
}

// OfCondition returns the problem of a TaskRun or PipelineRun that does not continue or did
// not succeed. ok is false if the condition reports no problem.
func OfCondition(namespace string, condition *apis.Condition) (p Problem, ok bool) {
	if condition == nil || condition.IsTrue() {
		return Problem{}, false
	}
	switch condition.Reason {
	case "", "Started", "Running", "Succeeded", "Completed", "Cancelled", "TaskRunCancelled":
		return Problem{}, false
	}
	p = Problem{Namespace: namespace, Reason: condition.Reason, Message: plain(condition.Message), Build: true}
	if match := podErrored.FindStringSubmatch(p.Message); match != nil {
		p.Container, p.Message = match[1], match[2]
	}
	if IsPull(p.Reason) {
		p.Message = Cause(p.Message)
	}
	return New(p), true
}

// podErrored matches Tekton's message about the state of a container.
var podErrored = regexp.MustCompile(`^the (?:step|sidecar) "([^"]*)" in TaskRun .* The pod errored with the message: "(.*?)\.?"\.?$`)

// around matches what the API server, controllers and Tekton add around the cause of a pod
// that could not be created. It contains names of pods, which are new every time.
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

// times returns a number of times in words.
func times(n int32) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
