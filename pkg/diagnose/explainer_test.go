package diagnose_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
)

func event(kind, reason, message string, at time.Time) corev1.Event {
	return corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "hiking", Name: reason + fmt.Sprint(at.UnixNano())},
		Type:       kind, Reason: reason, Message: message, LastTimestamp: metav1.Time{Time: at},
		InvolvedObject: corev1.ObjectReference{UID: "pod"},
	}
}

func TestOfEvents(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 10, 0, 0, time.UTC)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	series := event("Warning", "FailedScheduling", "again and again", time.Time{})
	series.Series = &corev1.EventSeries{LastObservedTime: metav1.MicroTime{Time: ago(1)}}
	for name, test := range map[string]struct {
		events []corev1.Event
		want   string
	}{
		"none":   {nil, ""},
		"normal": {[]corev1.Event{event("Normal", "Scheduled", "fine", ago(1))}, ""},
		"newest": {[]corev1.Event{event("Warning", "FailedMount", "new", ago(1)), event("Warning", "FailedMount", "old", ago(2))}, "new"},
		"passed": {[]corev1.Event{event("Warning", "FailedMount", "not yet", ago(9)), event("Normal", "Pulling", "image", ago(5))}, ""},
		"not passed": {
			[]corev1.Event{event("Normal", "Started", "container", ago(9)), event("Warning", "Unhealthy", "Readiness probe failed: 503", ago(20))},
			"Readiness probe failed: 503",
		},
		"stale": {[]corev1.Event{event("Warning", "FailedMount", "long ago", ago(181))}, ""},
		"conflict": {[]corev1.Event{
			event("Warning", "Error", `Operation cannot be fulfilled on pipelineruns.tekton.dev "a": the object has been modified; please apply your changes to the latest version and try again`, ago(1)),
			event("Warning", "Error", "another", ago(2)),
		}, "another"},
		"series":  {[]corev1.Event{series}, "again and again"},
		"binding": {[]corev1.Event{event("Normal", "FailedBinding", "no storage class is set", ago(1))}, "no storage class is set"},
	} {
		t.Run(name, func(t *testing.T) {
			got, at := diagnose.OfEvents("hiking", test.events, now)
			if got.Message != test.want || at.IsZero() != (test.want == "") {
				t.Errorf("OfEvents() = %+v at %s, want %q", got, at, test.want)
			}
		})
	}
}

func ask(t *testing.T, q *diagnose.Explainer, p *corev1.Pod, now time.Time) string {
	t.Helper()
	var got []string
	for _, found := range q.Pod(t.Context(), p, now) {
		got = append(got, found.String())
	}
	return strings.Join(got, "; ")
}

// Events are asked for when a pod stands still, and no more often than need be.
func TestExplainEvents(t *testing.T) {
	now := time.Now()
	mount := event("Warning", "FailedMount", `secret "db" not found`, now)
	other := event("Warning", "FailedMount", "of another pod", now)
	other.Name, other.InvolvedObject.UID = "other", "other"
	client := fake.NewClientset(&mount, &other)
	asked := 0
	client.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		asked++
		return false, nil, nil
	})
	q := diagnose.NewExplainer(client, "hiking", diagnose.AskEvery)
	p := pod(waiting("ContainerCreating", ""))
	for i, look := range []struct {
		after time.Duration
		want  string
		asked int
	}{
		{0, "", 0},
		{2 * time.Second, "", 0},
		{3 * time.Second, `pod app-1: FailedMount: secret "db" not found`, 1},
		{4 * time.Second, `pod app-1: FailedMount: secret "db" not found`, 1},
		{6 * time.Second, `pod app-1: FailedMount: secret "db" not found`, 2},
	} {
		if got := ask(t, q, p, now.Add(look.after)); got != look.want || asked != look.asked {
			t.Errorf("look %d: %q, asked %d times, want %q, %d", i, got, asked, look.want, look.asked)
		}
	}
	// What the pod says itself comes first, and a ready pod has no trouble.
	if got := ask(t, q, pod(waiting("ErrImagePull", "words")), now.Add(7*time.Second)); !strings.Contains(got, "ErrImagePull") {
		t.Errorf("got %q", got)
	}
	ready := pod(func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	})
	if got := ask(t, q, ready, now.Add(time.Minute)); got != "" {
		t.Errorf("a ready pod: %q", got)
	}
}

func TestExplainPlacing(t *testing.T) {
	claim := func(class *string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "hiking", Name: "data", UID: "claim"},
			Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: class},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
		}
	}
	fast := "fast"
	provisioning := event("Warning", "ProvisioningFailed", "the disk is too large", time.Now())
	provisioning.InvolvedObject.UID = "claim"
	node := func(name string, labels map[string]string, taints ...corev1.Taint) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}}
	}
	notReady := corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule}
	withClaim := func(p *corev1.Pod) {
		unschedulable("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims")(p)
		p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	}
	withSelector := func(message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			unschedulable(message)(p)
			p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		}
	}
	for name, test := range map[string]struct {
		objects []runtime.Object
		refused string
		change  func(*corev1.Pod)
		want    string
	}{
		"no class":   {[]runtime.Object{claim(&fast)}, "", withClaim, `PersistentVolumeClaim data: storageclass "fast" not found`},
		"no default": {[]runtime.Object{claim(nil)}, "", withClaim, "PersistentVolumeClaim data: no storage class is set"},
		"provisioner": {
			[]runtime.Object{claim(&fast), &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: fast}}, &provisioning},
			"", withClaim,
			"PersistentVolumeClaim data: the disk is too large",
		},
		"claims may not be read": {[]runtime.Object{claim(&fast)}, "persistentvolumeclaims", withClaim, "pod has unbound immediate PersistentVolumeClaims"},
		"taint": {
			[]runtime.Object{node("a", nil, notReady, corev1.Taint{Key: notReady.Key, Effect: corev1.TaintEffectNoExecute}), node("b", nil)},
			"", unschedulable("1 node(s) had untolerated taint(s)"),
			"node a has the taint node.kubernetes.io/not-ready",
		},
		"taint of the node that is wanted": {
			[]runtime.Object{node("a", nil, notReady), node("b", map[string]string{"disk": "ssd"}, corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoExecute})},
			"",
			withSelector("1 node(s) had untolerated taint(s)"),
			"; the pod requires a node with disk=ssd; node b has the taint gpu",
		},
		"no such node":          {[]runtime.Object{node("a", nil)}, "", withSelector("1 node(s) didn't match Pod's node affinity/selector"), "the pod requires a node with disk=ssd"},
		"nodes may not be read": {[]runtime.Object{node("a", nil, notReady)}, "nodes", unschedulable("1 node(s) had untolerated taint(s)"), "1 node(s) had untolerated taint(s)"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(test.objects...)
			if test.refused != "" {
				client.PrependReactor("*", test.refused, func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: test.refused}, "", errors.New("forbidden"))
				})
			}
			got := ask(t, diagnose.NewExplainer(client, "hiking", diagnose.AskEvery), pod(test.change), time.Now())
			if !strings.HasSuffix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestExplainOwners(t *testing.T) {
	now := time.Now()
	refused := event("Warning", "FailedCreate", `Error creating: pods "app-1" is forbidden: exceeded quota: few`, now)
	q := diagnose.NewExplainer(fake.NewClientset(&refused), "hiking", diagnose.AskEvery)
	if got, at := q.Owner(t.Context(), "pod", now); !at.IsZero() {
		t.Errorf("at first: %+v, want that it is not asked for yet", got)
	}
	if got, at := q.Owner(t.Context(), "pod", now.Add(3*time.Second)); at.IsZero() || got.Message != "exceeded quota: few" {
		t.Errorf("then: %+v", got)
	}
	if got, at := q.Owner(t.Context(), "pod", now.Add(4*time.Second)); at.IsZero() {
		t.Errorf("later: %+v, want what was known", got)
	}
}
