package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// maxMessage is the number of characters of a message.
const maxMessage = 240

// verdict is the judgement of one workload.
type verdict struct {
	healthy bool
	// message describes the state in one line; empty if the workload is healthy and complete.
	message string
	// problem is the cause; the zero value if there is none.
	problem diagnose.Problem
}

// judge returns the verdict of a workload, from the same problems as a build that watches its
// rollout. It reads pods and logs only if the workload is not complete.
func (c *collector) judge(ctx context.Context, w workload.Workload) (verdict, error) {
	if w.State.Done && ready(w) == w.State.Desired {
		return verdict{healthy: true}, nil
	}
	pods, err := c.podsOf(ctx, w)
	if err != nil {
		return verdict{}, err
	}
	sets, err := c.replicaSetsOf(ctx, w)
	if err != nil {
		return verdict{}, err
	}
	explainer := diagnose.NewExplainer(c.Kube, w.Meta.Namespace, 0)
	problem := c.problem(ctx, explainer, w, pods, sets)
	problem, _ = explainer.Crash(ctx, problem)
	return newVerdict(w, problem), nil
}

// problem returns the worst problem of the newest revision. If no problem is known and
// replicas are missing, it returns the worst problem of the other pods.
func (c *collector) problem(ctx context.Context, explainer *diagnose.Explainer, w workload.Workload, pods []*corev1.Pod, sets []*appsv1.ReplicaSet) diagnose.Problem {
	newest := w.Newest(pods, sets)
	if !w.State.Done {
		found := explainer.Workload(ctx, w, newest, sets, c.Now)
		if worst := diagnose.Worst(w, newest, found); worst.Reason != "" {
			return worst
		}
	}
	for _, candidates := range [][]*corev1.Pod{newest, pods} {
		var found []diagnose.Problem
		for _, pod := range candidates {
			if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded {
				continue
			}
			found = append(found, explainer.Pod(ctx, pod, c.Now)...)
			if notReady, ok := diagnose.NotReady(pod); ok {
				found = append(found, notReady)
			}
		}
		if worst := diagnose.Worst(w, nil, found); worst.Reason != "" {
			return worst
		}
	}
	return diagnose.Problem{}
}

// newVerdict is pure. A rollout whose pods are in no trouble does not make a workload
// unhealthy while all desired replicas are ready.
func newVerdict(w workload.Workload, problem diagnose.Problem) verdict {
	v := verdict{problem: problem}
	text := ""
	if problem.Reason != "" {
		text = display.Truncate(display.OneLine(problem.String()), maxMessage)
	}
	waiting := problem.Limit() == diagnose.Forever && !problem.Terminal
	switch ready := ready(w); {
	case problem.Reason != "" && !waiting:
		v.message = text
	case ready < w.State.Desired:
		v.message = strings.TrimSuffix(fmt.Sprintf("%d of %d ready; %s", ready, w.State.Desired, text), "; ")
	case !w.State.Done:
		v.healthy, v.message = true, "rolling out: "+w.State.Message
	default:
		v.healthy = true
	}
	return v
}

// ready returns the ready replicas, without those that a rollout adds for a while.
func ready(w workload.Workload) int32 { return min(w.State.Ready, w.State.Desired) }

// podsOf lists the pods of a workload, newest first. It returns none if the user may not list them: the
// status of the workload remains.
func (c *collector) podsOf(ctx context.Context, w workload.Workload) ([]*corev1.Pod, error) {
	pods, err := listPods(ctx, c.Kube, w.Meta.Namespace, metav1.FormatLabelSelector(w.Selector))
	slices.SortStableFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return pods, err
}

// replicaSetsOf lists the ReplicaSets of a Deployment, as far as the user may list them.
func (c *collector) replicaSetsOf(ctx context.Context, w workload.Workload) ([]*appsv1.ReplicaSet, error) {
	if w.Kind != workload.Deployment {
		return nil, nil
	}
	namespace := w.Meta.Namespace
	var sets []*appsv1.ReplicaSet
	err := each(ctx, access.Permission{Verb: "list", Group: "apps", Resource: "replicasets", Namespace: namespace}, metav1.FormatLabelSelector(w.Selector),
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return c.Kube.AppsV1().ReplicaSets(namespace).List(ctx, options)
		},
		func(object *appsv1.ReplicaSet) { sets = append(sets, object) })
	if missing, err := denied(err); missing != nil || err != nil {
		return nil, err
	}
	return sets, nil
}

// image returns the image of a workload that comes from the repository with that path and was
// deployed by digest, whatever name the registry had for nodes at that time. It returns an
// empty string if there is none.
func image(w workload.Workload, path string) string {
	for _, container := range w.Containers() {
		_, rest, _ := strings.Cut(container.Image, "/")
		if strings.HasPrefix(rest, path+"@") {
			return container.Image
		}
	}
	return ""
}

// changed returns the time at which a build, or setup, last changed an object. The API server
// keeps it for every field manager, and does not move it if nothing differs.
func changed(object metav1.ObjectMeta) metav1.Time {
	for _, entry := range object.ManagedFields {
		if entry.Manager == manifests.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply &&
			entry.Subresource == "" && entry.Time != nil {
			return *entry.Time
		}
	}
	return object.CreationTimestamp
}
