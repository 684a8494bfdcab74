package diagnose

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// AskEvery is the time between two requests about the same object, and a good time to
	// wait before the first.
	AskEvery = 3 * time.Second
	// stale is the age at which an Event no longer counts: the kubelet tries again at least
	// every two minutes.
	stale = 3 * time.Minute
)

// Explainer explains the problems of pods and their owners, where their own status does not:
// it reads Events, PersistentVolumeClaims, nodes and logs. It leaves out what the user may
// not read, and reads about each object at most once in AskEvery. Its methods are not for
// concurrent use.
type Explainer struct {
	client    kubernetes.Interface
	namespace string
	after     time.Duration
	seen      map[types.UID]time.Time
	asked     map[types.UID]time.Time
	answers   map[types.UID]answer
}

// answer is what was read about an object, and the time of the newest Event in it.
type answer struct {
	Problem
	at time.Time
}

// NewExplainer returns an Explainer for a namespace. It reads about an object that has been
// without progress for the duration after.
func NewExplainer(client kubernetes.Interface, namespace string, after time.Duration) *Explainer {
	return &Explainer{client: client, namespace: namespace, after: after, seen: map[types.UID]time.Time{}, asked: map[types.UID]time.Time{}, answers: map[types.UID]answer{}}
}

// Pod returns the problems in the status of a pod (OfPod), with details from other objects. If
// the status of a pod that is not ready reports none, it returns the problem in its Events.
func (e *Explainer) Pod(ctx context.Context, pod *corev1.Pod, now time.Time) []Problem {
	found := OfPod(pod)
	for i, p := range found {
		if slices.Contains(unschedulableReasons, p.Reason) {
			if e.due(pod.UID, now, false) {
				e.answers[pod.UID] = answer{Problem: e.placing(ctx, pod, p)}
			}
			if answer := e.answers[pod.UID]; answer.Reason == p.Reason {
				found[i] = answer.Problem
			}
		}
	}
	if len(found) > 0 || ready(pod) {
		return found
	}
	if e.due(pod.UID, now, true) {
		e.answers[pod.UID] = e.podEvents(ctx, pod, now)
	}
	if answer := e.answers[pod.UID]; answer.Reason != "" && !slices.Contains(unschedulableReasons, answer.Reason) {
		return []Problem{answer.Problem}
	}
	return nil
}

// podEvents returns the problem in the Events of a pod.
func (e *Explainer) podEvents(ctx context.Context, pod *corev1.Pod, now time.Time) answer {
	p, at := e.events(ctx, pod.UID, now)
	if at.IsZero() {
		return answer{}
	}
	p.Pod = pod.Name
	if container, ok := NotReady(pod); ok && p.Reason == unhealthy {
		if connectionRefused.MatchString(p.Message) {
			p.Container, p.Logs = container.Container, true
			if known, ok := refusedLocally(p, e.tail(ctx, p)); ok {
				return answer{known, at}
			}
		}
		// A program that starts is not ready yet.
		if at.Sub(startedAt(pod, container.Container)) < startUp {
			return answer{}
		}
		p.Container, p.Logs = container.Container, true
	}
	return answer{New(p), at}
}

// startUp is the time after which a failing probe is a problem: most Python services start
// faster.
const startUp = 15 * time.Second

// startedAt returns the time at which a container started, or zero if it does not run.
func startedAt(pod *corev1.Pod, container string) time.Time {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.Name == container && status.State.Running != nil {
			return status.State.Running.StartedAt.Time
		}
	}
	return time.Time{}
}

// Owner returns the problem in the Events of the object with that UID, such as a workload
// without pods. at is the time of the newest Event, or zero if there is no problem.
func (e *Explainer) Owner(ctx context.Context, uid types.UID, now time.Time) (p Problem, at time.Time) {
	if e.due(uid, now, true) {
		p, at = e.events(ctx, uid, now)
		e.answers[uid] = answer{p, at}
	}
	return e.answers[uid].Problem, e.answers[uid].at
}

// due reports whether it is time to read about an object. With later, it is not before the
// object has made no progress for a while.
func (e *Explainer) due(uid types.UID, now time.Time, later bool) bool {
	first, known := e.seen[uid]
	if !known {
		first = now
		e.seen[uid] = now
	}
	asked, before := e.asked[uid]
	if (later && now.Sub(first) < e.after) || (before && now.Sub(asked) < AskEvery) {
		return false
	}
	e.asked[uid] = now
	return true
}

func (e *Explainer) events(ctx context.Context, uid types.UID, now time.Time) (p Problem, at time.Time) {
	events, err := e.client.CoreV1().Events(e.namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(uid)).String(),
	})
	if err != nil {
		return Problem{}, time.Time{} // without Events there is less to explain, which is no failure
	}
	own := slices.DeleteFunc(events.Items, func(event corev1.Event) bool { return event.InvolvedObject.UID != uid })
	return OfEvents(e.namespace, own, now)
}

// conflict is the message of a write conflict: registry.OptimisticLockErrorMsg of
// k8s.io/apiserver.
const conflict = "the object has been modified; please apply your changes to the latest version and try again"

// OfEvents returns the newest problem in the Events of one object, and its time. There is
// none if a later Event shows that the problem has passed.
func OfEvents(namespace string, events []corev1.Event, now time.Time) (p Problem, at time.Time) {
	var started time.Time
	for _, event := range events {
		last := when(event)
		switch {
		case event.Type == corev1.EventTypeNormal && slices.Contains([]string{"Pulling", "Pulled", "Created", "Started"}, event.Reason) && last.After(started):
			started = last
		case strings.Contains(event.Message, conflict):
			// The controller tries again.
		case (event.Type == corev1.EventTypeWarning || event.Reason == "FailedBinding") && !last.Before(at) && now.Sub(last) <= stale:
			at = last
			p = New(Problem{Namespace: namespace, Reason: event.Reason, Message: plain(event.Message)})
		}
	}
	before := slices.Contains([]string{"FailedScheduling", "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady"}, p.Reason)
	if before && !started.Before(at) {
		return Problem{}, time.Time{}
	}
	return p, at
}

func when(event corev1.Event) time.Time {
	switch {
	case event.Series != nil && !event.Series.LastObservedTime.IsZero():
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	}
	return event.EventTime.Time
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

var (
	aboutClaims = regexp.MustCompile(`(?i)PersistentVolumeClaims|persistent volumes? to bind`)
	aboutNodes  = regexp.MustCompile(`untolerated taint|node affinity/selector`)
)

// placing adds the claims and the nodes that the message of the scheduler is about.
func (e *Explainer) placing(ctx context.Context, pod *corev1.Pod, p Problem) Problem {
	var details []string
	if aboutClaims.MatchString(p.Message) {
		details = e.claims(ctx, pod)
	}
	if aboutNodes.MatchString(p.Message) {
		details = append(details, e.nodes(ctx, pod)...)
	}
	for _, detail := range details {
		p.Message += "; " + detail
	}
	return New(p)
}

// claims returns why claims of the pod have no volume.
func (e *Explainer) claims(ctx context.Context, pod *corev1.Pod) []string {
	var details []string
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := e.client.CoreV1().PersistentVolumeClaims(e.namespace).Get(ctx, volume.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err != nil || claim.Status.Phase == corev1.ClaimBound {
			continue
		}
		why := "it has no volume"
		class := claim.Spec.StorageClassName
		switch {
		case class == nil:
			why = "no storage class is set"
		case *class != "":
			if _, err := e.client.StorageV1().StorageClasses().Get(ctx, *class, metav1.GetOptions{}); apierrors.IsNotFound(err) {
				why = fmt.Sprintf("storageclass %q not found", *class)
			} else if event, at := e.events(ctx, claim.UID, time.Now()); !at.IsZero() {
				why = event.Message
			}
		}
		details = append(details, fmt.Sprintf("PersistentVolumeClaim %s: %s", claim.Name, why))
	}
	return details
}

// nodes returns the taints of the nodes that the nodeSelector of the pod allows.
func (e *Explainer) nodes(ctx context.Context, pod *corev1.Pod) []string {
	nodes, err := e.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: manyNodes})
	if err != nil {
		return nil
	}
	var details []string
	for _, node := range nodes.Items {
		if !allows(pod.Spec.NodeSelector, node.Labels) {
			continue
		}
		var taints []string
		for _, taint := range node.Spec.Taints {
			// One key may have several effects.
			if taint.Effect != corev1.TaintEffectPreferNoSchedule && !slices.Contains(taints, taint.Key) {
				taints = append(taints, taint.Key)
			}
		}
		if len(taints) > 0 && len(details) < fewNodes {
			details = append(details, fmt.Sprintf("node %s has the taint %s", node.Name, strings.Join(taints, ", ")))
		}
	}
	if len(pod.Spec.NodeSelector) > 0 {
		var labels []string
		for label, value := range pod.Spec.NodeSelector {
			labels = append(labels, label+"="+value)
		}
		slices.Sort(labels)
		details = append([]string{"the pod requires a node with " + strings.Join(labels, ", ")}, details...)
	}
	return details
}

const (
	// manyNodes is the number of nodes that an explanation reads, fewNodes the number that it
	// names.
	manyNodes = 500
	fewNodes  = 3
)

func allows(selector, labels map[string]string) bool {
	for label, value := range selector {
		if labels[label] != value {
			return false
		}
	}
	return true
}
