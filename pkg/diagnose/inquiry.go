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
	// AskEvery is the time between two questions about the same, and a good one
	// before the first.
	AskEvery = 3 * time.Second
	// stale is how old an Event is at most that still says something: the kubelet
	// tries again at least every two minutes.
	stale = 3 * time.Minute
)

// Inquiry asks the cluster why something stands still, in places where it does not
// say so itself: Events, PersistentVolumeClaims, nodes. What may not be read is
// left out. It asks about each object at most once in AskEvery. Its methods are
// not for concurrent use.
type Inquiry struct {
	client    kubernetes.Interface
	namespace string
	after     time.Duration
	seen      map[types.UID]time.Time
	asked     map[types.UID]time.Time
	answers   map[types.UID]answer
}

// answer is what is known of an object, and since when.
type answer struct {
	Trouble
	at time.Time
}

// NewInquiry begins one in a namespace; after is how long something has to stand
// still before the cluster is asked about it.
func NewInquiry(client kubernetes.Interface, namespace string, after time.Duration) *Inquiry {
	return &Inquiry{client: client, namespace: namespace, after: after, seen: map[types.UID]time.Time{}, asked: map[types.UID]time.Time{}, answers: map[types.UID]answer{}}
}

// Pod is what the pod says of itself (OfPod), in more detail where the cluster has
// it; of a pod that says nothing and is not ready, it is what Events say.
func (q *Inquiry) Pod(ctx context.Context, pod *corev1.Pod, now time.Time) []Trouble {
	found := OfPod(pod)
	for i, t := range found {
		if slices.Contains(unschedulableReasons, t.Reason) {
			if q.due(pod.UID, now, false) {
				q.answers[pod.UID] = answer{Trouble: q.placing(ctx, pod, t)}
			}
			if answer := q.answers[pod.UID]; answer.Reason == t.Reason {
				found[i] = answer.Trouble
			}
		}
	}
	if len(found) > 0 || ready(pod) {
		return found
	}
	if q.due(pod.UID, now, true) {
		event, at := q.events(ctx, pod.UID, now)
		event.Pod = pod.Name
		if t, ok := Unready(pod); ok && event.Reason == "Unhealthy" {
			event.Container, event.Logs = t.Container, true
			// A program that starts is not ready yet, which is no trouble.
			if at.Sub(begun(pod, t.Container)) < startUp {
				event, at = Trouble{}, time.Time{}
			}
		}
		q.answers[pod.UID] = answer{event, at}
	}
	if answer := q.answers[pod.UID]; answer.Reason != "" && !slices.Contains(unschedulableReasons, answer.Reason) {
		return []Trouble{answer.Trouble}
	}
	return nil
}

// startUp is how long a program may take to start before its probes are worth a
// word: most Python services take less.
const startUp = 15 * time.Second

// begun is when a container has begun to run; zero when it does not.
func begun(pod *corev1.Pod, container string) time.Time {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.Name == container && status.State.Running != nil {
			return status.State.Running.StartedAt.Time
		}
	}
	return time.Time{}
}

// Owner is why nothing comes of the object with that UID, such as the pods of a
// workload, as Events say; at is when it was last so, zero when there is nothing.
func (q *Inquiry) Owner(ctx context.Context, uid types.UID, now time.Time) (t Trouble, at time.Time) {
	if q.due(uid, now, true) {
		t, at = q.events(ctx, uid, now)
		q.answers[uid] = answer{t, at}
	}
	return q.answers[uid].Trouble, q.answers[uid].at
}

// due says whether it is time to ask; of what may still change by itself, with
// later, not before it has stood still for a while.
func (q *Inquiry) due(uid types.UID, now time.Time, later bool) bool {
	first, known := q.seen[uid]
	if !known {
		first = now
		q.seen[uid] = now
	}
	asked, before := q.asked[uid]
	if (later && now.Sub(first) < q.after) || (before && now.Sub(asked) < AskEvery) {
		return false
	}
	q.asked[uid] = now
	return true
}

func (q *Inquiry) events(ctx context.Context, uid types.UID, now time.Time) (t Trouble, at time.Time) {
	events, err := q.client.CoreV1().Events(q.namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(uid)).String(),
	})
	if err != nil {
		return Trouble{}, time.Time{} // nothing to explain with, and no reason to fail
	}
	own := slices.DeleteFunc(events.Items, func(event corev1.Event) bool { return event.InvolvedObject.UID != uid })
	return OfEvents(q.namespace, own, now)
}

// conflict is how the API server says that an object has changed meanwhile, in
// registry.OptimisticLockErrorMsg of k8s.io/apiserver.
const conflict = "the object has been modified; please apply your changes to the latest version and try again"

// OfEvents is the newest trouble that the Events of one object tell of, and when
// that was. There is none when another Event shows that it has passed.
func OfEvents(namespace string, events []corev1.Event, now time.Time) (t Trouble, at time.Time) {
	var started time.Time
	for _, event := range events {
		last := when(event)
		switch {
		case event.Type == corev1.EventTypeNormal && slices.Contains([]string{"Pulling", "Pulled", "Created", "Started"}, event.Reason) && last.After(started):
			started = last
		case strings.Contains(event.Message, conflict):
			// Two have written at once; the controller that was late tries again.
		case (event.Type == corev1.EventTypeWarning || event.Reason == "FailedBinding") && !last.Before(at) && now.Sub(last) <= stale:
			at = last
			t = Trouble{Namespace: namespace, Reason: event.Reason, Message: plain(event.Message)}
		}
	}
	before := slices.Contains([]string{"FailedScheduling", "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady"}, t.Reason)
	if before && !started.Before(at) {
		return Trouble{}, time.Time{}
	}
	return t, at
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

// placing says which claim, or which node, the scheduler speaks of.
func (q *Inquiry) placing(ctx context.Context, pod *corev1.Pod, t Trouble) Trouble {
	var details []string
	if aboutClaims.MatchString(t.Message) {
		details = q.claims(ctx, pod)
	}
	if aboutNodes.MatchString(t.Message) {
		details = append(details, q.nodes(ctx, pod)...)
	}
	for _, detail := range details {
		t.Message += "; " + detail
	}
	return t
}

// claims says of every claim of the pod that has no volume why that is.
func (q *Inquiry) claims(ctx context.Context, pod *corev1.Pod) []string {
	var details []string
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		claim, err := q.client.CoreV1().PersistentVolumeClaims(q.namespace).Get(ctx, volume.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err != nil || claim.Status.Phase == corev1.ClaimBound {
			continue
		}
		why := "it has no volume"
		class := claim.Spec.StorageClassName
		switch {
		case class == nil:
			why = "no storage class is set"
		case *class != "":
			if _, err := q.client.StorageV1().StorageClasses().Get(ctx, *class, metav1.GetOptions{}); apierrors.IsNotFound(err) {
				why = fmt.Sprintf("storageclass %q not found", *class)
			} else if event, at := q.events(ctx, claim.UID, time.Now()); !at.IsZero() {
				why = event.Message
			}
		}
		details = append(details, fmt.Sprintf("PersistentVolumeClaim %s: %s", claim.Name, why))
	}
	return details
}

// nodes says of every node that the pod's nodeSelector allows which taints it has
// that keep pods away.
func (q *Inquiry) nodes(ctx context.Context, pod *corev1.Pod) []string {
	nodes, err := q.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: manyNodes})
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
		details = append([]string{"the pod wants a node with " + strings.Join(labels, ", ")}, details...)
	}
	return details
}

const (
	// manyNodes bounds how many nodes are read for an explanation, fewNodes how many
	// it names.
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
