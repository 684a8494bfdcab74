// Package scale changes how many replicas an app has, restarts them, and watches the rollout.
package scale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	spec "github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

const (
	// FieldManager is who has set the replicas. It is not that of a deployment, which would
	// give up its other fields.
	FieldManager = "kubectl-pyflow-scale"
	// restartedAt is the annotation of kubectl rollout restart.
	restartedAt = "kubectl.kubernetes.io/restartedAt"
	subresource = "scale"
)

// AutoscaledError reports a workload whose replicas an autoscaler sets.
type AutoscaledError struct {
	Namespace, Workload, Autoscaler string
	Min, Max                        int32
}

func (e *AutoscaledError) Error() string {
	return fmt.Sprintf("HorizontalPodAutoscaler %s sets the replicas of %s: from %d to %d", e.Autoscaler, e.Workload, e.Min, e.Max)
}

// Advice says what to change.
func (e *AutoscaledError) Advice() []string {
	return []string{fmt.Sprintf("change minReplicas and maxReplicas where the autoscaler is defined, or in the cluster: kubectl --namespace %s edit hpa %s", e.Namespace, e.Autoscaler)}
}

// NotScalableError reports a workload that has no number of replicas.
type NotScalableError struct{ Workload string }

func (e *NotScalableError) Error() string {
	return e.Workload + " runs one pod on each node: it has no number of replicas"
}

// Name returns a workload as kind/name.
func Name(w workload.Workload) string { return strings.ToLower(w.Kind) + "/" + w.Meta.Name }

// Check returns why workloads cannot be scaled: a *NotScalableError or an *AutoscaledError. A
// user who may not list autoscalers learns of none.
func Check(ctx context.Context, client kubernetes.Interface, namespace string, workloads []workload.Workload) error {
	for _, w := range workloads {
		if w.Kind == workload.DaemonSet {
			return &NotScalableError{Workload: Name(w)}
		}
	}
	list, err := client.AutoscalingV2().HorizontalPodAutoscalers(namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list horizontalpodautoscalers in namespace %s: %w", namespace, err)
	}
	for _, scaler := range list.Items {
		for _, w := range workloads {
			if target := scaler.Spec.ScaleTargetRef; target.Kind == w.Kind && target.Name == w.Meta.Name {
				e := &AutoscaledError{Namespace: namespace, Workload: Name(w), Autoscaler: scaler.Name, Min: 1, Max: scaler.Spec.MaxReplicas}
				if scaler.Spec.MinReplicas != nil {
					e.Min = *scaler.Spec.MinReplicas
				}
				return e
			}
		}
	}
	return nil
}

// Serving returns the workloads of an app without its processes beside the web process: those
// that get more requests when the app does. It returns all if there are no others.
func Serving(workloads []workload.Workload) []workload.Workload {
	serving := slices.DeleteFunc(slices.Clone(workloads), func(w workload.Workload) bool {
		process := w.Meta.Labels[manifests.LabelProcess]
		return process != "" && process != spec.WebProcess
	})
	if len(serving) == 0 {
		return workloads
	}
	return serving
}

// Scale sets the replicas of workloads. It returns an *access.MissingError to a user who may
// not; the workloads before that one are scaled.
func Scale(ctx context.Context, client kubernetes.Interface, namespace string, workloads []workload.Workload, replicas int32) error {
	change, err := json.Marshal(map[string]map[string]int32{"spec": {"replicas": replicas}})
	if err != nil {
		return err
	}
	for _, w := range workloads {
		if err := patch(ctx, client, namespace, w, types.MergePatchType, change, FieldManager, subresource); err != nil {
			return err
		}
	}
	return nil
}

// Restart replaces the pods of workloads, as a rollout does. Its errors are those of Scale.
func Restart(ctx context.Context, client kubernetes.Interface, namespace string, workloads []workload.Workload, now time.Time) error {
	type object map[string]any
	change, err := json.Marshal(object{"spec": object{"template": object{"metadata": object{"annotations": object{restartedAt: now.UTC().Format(time.RFC3339Nano)}}}}})
	if err != nil {
		return err
	}
	for _, w := range workloads {
		if err := patch(ctx, client, namespace, w, types.StrategicMergePatchType, change, "kubectl-pyflow-restart"); err != nil {
			return err
		}
	}
	return nil
}

func patch(ctx context.Context, client kubernetes.Interface, namespace string, w workload.Workload, kind types.PatchType, change []byte, manager string, subresources ...string) error {
	options := metav1.PatchOptions{FieldManager: manager}
	var err error
	switch apps := client.AppsV1(); w.Kind {
	case workload.Deployment:
		_, err = apps.Deployments(namespace).Patch(ctx, w.Meta.Name, kind, change, options, subresources...)
	case workload.StatefulSet:
		_, err = apps.StatefulSets(namespace).Patch(ctx, w.Meta.Name, kind, change, options, subresources...)
	default:
		_, err = apps.DaemonSets(namespace).Patch(ctx, w.Meta.Name, kind, change, options, subresources...)
	}
	if err == nil {
		return nil
	}
	permission := access.Permission{Verb: "patch", Group: appsv1.GroupName, Resource: workload.Resource(w.Kind), Subresource: strings.Join(subresources, ""), Namespace: namespace}
	return app.Denied(err, permission)
}

// Watch waits until workloads have rolled out. It reports each change of the state in a
// sentence. Its errors are those of rollout.Watch, and one that names timeout.
func Watch(ctx context.Context, client kubernetes.Interface, namespace string, workloads []workload.Workload, timeout time.Duration, say func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not all replicas are ready after %s", timeout))
	defer cancel()
	var watched []release.Workload
	for _, w := range workloads {
		watched = append(watched, release.Workload{Kind: w.Kind, Name: w.Meta.Name})
	}
	last := map[release.Workload]string{}
	err := rollout.Watch(ctx, client, namespace, watched, "", func(update rollout.Update) {
		text := update.State.Message
		if update.Trouble != "" {
			text += "; " + update.Trouble
		}
		if last[update.Workload] != text {
			last[update.Workload] = text
			say(strings.ToLower(update.Workload.Kind) + "/" + update.Workload.Name + ": " + text)
		}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}
