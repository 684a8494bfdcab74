package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// scaleSubresource is how a manager of fields is recorded that has set replicas through the
// scale subresource: autoscalers and kubectl scale do.
const scaleSubresource = "scale"

// ForeignError reports objects that a release would change although they are not the app's.
type ForeignError struct {
	App string
	// Objects are sorted as the manifests are.
	Objects []Foreign
}

// Foreign is an object of another owner.
type Foreign struct {
	// Object is kind/name, Owner a phrase: who made it.
	Object, Owner string
}

func (e *ForeignError) Error() string {
	var lines []string
	for _, object := range e.Objects {
		lines = append(lines, fmt.Sprintf("%s exists and is not of app %s: %s", object.Object, e.App, object.Owner))
	}
	return strings.Join(lines, "\n")
}

// Settle compares the manifests with the objects that exist, before a release is delivered. An
// object of another owner is a *ForeignError, unless adopt is set. Replicas that an autoscaler
// or kubectl scale has set stay as they are: the manifests are changed, and each of kept says
// so in a sentence, as do Jobs that still run. What the user may not read is left to the delivery. The Hash does not change.
func (m *Manifests) Settle(ctx context.Context, clients Clients, namespace string, adopt bool) (kept []string, err error) {
	live, err := m.live(ctx, clients, namespace)
	if err != nil {
		return nil, err
	}
	foreign := &ForeignError{App: m.app}
	for i, object := range live {
		if object == nil {
			continue
		}
		if owner := ownerOf(object, m.app); owner != "" {
			foreign.Objects = append(foreign.Objects, Foreign{Object: id(m.objects[i]), Owner: owner})
		}
	}
	if len(foreign.Objects) > 0 && !adopt {
		return nil, foreign
	}
	if err := foreign.jobs(); err != nil {
		return nil, err
	}
	kept = m.running(live)
	scaled := slices.ContainsFunc(live, func(object *unstructured.Unstructured) bool {
		return object != nil && workload.IsKind(object.GetKind())
	})
	if adopt || !scaled {
		return kept, nil
	}
	scalers, err := m.autoscalers(ctx, clients, namespace)
	if err != nil {
		return nil, err
	}
	changed := false
	for i, object := range live {
		if object == nil || !workload.IsKind(object.GetKind()) {
			continue
		}
		changed = handOver(m.objects[i], object, scalers[id(object)]) || changed
		if sentence := keepReplicas(m.objects[i], object, scalers[id(object)]); sentence != "" {
			kept, changed = append(kept, sentence), true
		}
	}
	if !changed {
		return kept, nil
	}
	return kept, m.write()
}

// jobs returns an error about the Jobs among the objects of another owner: a Job cannot change, so
// nobody can take it over.
func (e *ForeignError) jobs() error {
	for _, object := range e.Objects {
		if name, ok := strings.CutPrefix(object.Object, "Job/"); ok {
			return fmt.Errorf("%s exists and is not of app %s: %s, and a Job cannot be taken over: delete it first (kubectl delete job %s)", object.Object, e.App, object.Owner, name)
		}
	}
	return nil
}

// running returns a sentence about each Job of an earlier release that has not ended.
func (m *Manifests) running(live []*unstructured.Unstructured) []string {
	var sentences []string
	for _, object := range live {
		if object == nil || !isJob(object) || ended(object) {
			continue
		}
		sentences = append(sentences, fmt.Sprintf("%s of release %s still runs: this release is not deployed unless it has ended by then", id(object), object.GetAnnotations()[manifests.AnnotationRelease]))
	}
	return sentences
}

// live returns the objects of the manifests as the cluster has them; nil for those that do not
// exist or that the user may not read.
func (m *Manifests) live(ctx context.Context, clients Clients, namespace string) ([]*unstructured.Unstructured, error) {
	live := make([]*unstructured.Unstructured, len(m.objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, object := range m.objects {
		group.Go(func() error {
			got, err := clients.get(ctx, namespace, object.GroupVersionKind(), object.GetName())
			if apierrors.IsForbidden(err) {
				return nil
			}
			live[i] = got
			return err
		})
	}
	return live, group.Wait()
}

// ownerOf returns who made an object that is not the app's; empty if it is.
func ownerOf(object *unstructured.Unstructured, app string) string {
	labels := object.GetLabels()
	switch owner := labels[manifests.LabelApp]; {
	case owner == app:
		return ""
	case owner != "":
		return "app " + owner + " has it"
	case labels[manifests.LabelManagedBy] != "":
		return labels[manifests.LabelManagedBy] + " manages it"
	}
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "" && entry.Manager != "" {
			return entry.Manager + " made it"
		}
	}
	return "another tool made it"
}

// autoscalers returns the HorizontalPodAutoscalers by the object that they scale, kind/name:
// those of the manifests, and those that the user may list in the cluster.
func (m *Manifests) autoscalers(ctx context.Context, clients Clients, namespace string) (map[string]string, error) {
	kind := schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	list, err := clients.Dynamic.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("list horizontalpodautoscalers: %w", err)
	}
	all := slices.Clone(m.objects)
	if err == nil {
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
	}
	scalers := map[string]string{}
	for _, object := range all {
		if object.GetKind() != "HorizontalPodAutoscaler" {
			continue
		}
		kind, _, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(object.Object, "spec", "scaleTargetRef", "name")
		scalers[kind+"/"+name] = object.GetName()
	}
	return scalers, nil
}

// keepReplicas leaves the replicas of a workload to who has set them, and returns a sentence if
// the manifests want another number.
func keepReplicas(wanted, live *unstructured.Unstructured, scaler string) string {
	want, given, err := unstructured.NestedInt64(wanted.Object, "spec", "replicas")
	have, _, liveErr := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if err != nil || liveErr != nil || !given || want == have {
		return ""
	}
	manager := scaledBy(live)
	switch {
	case scaler == "" && manager == "":
		return ""
	case manager != "":
		// It keeps the field when the release gives it up.
		unstructured.RemoveNestedField(wanted.Object, "spec", "replicas")
	default:
		// Nothing else has the field yet: without it the number would fall back to 1.
		_ = unstructured.SetNestedField(wanted.Object, have, "spec", "replicas")
	}
	if scaler != "" {
		return fmt.Sprintf("%s keeps %d replicas: HorizontalPodAutoscaler %s manages them", id(live), have, scaler)
	}
	return fmt.Sprintf("%s keeps %d replicas, not %d: it was scaled (%s); for %d again, scale it to %d or pass --adopt", id(live), have, want, manager, want, want)
}

// handOver keeps the replicas of a workload that the manifests leave to an autoscaler, as long as
// it has not set them: nothing else has the field, and without it the number would fall back to 1.
// It reports whether it has changed the manifests.
func handOver(wanted, live *unstructured.Unstructured, scaler string) bool {
	_, given, _ := unstructured.NestedInt64(wanted.Object, "spec", "replicas")
	have, _, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if given || err != nil || have <= 1 || scaler == "" || scaledBy(live) != "" {
		return false
	}
	return unstructured.SetNestedField(wanted.Object, have, "spec", "replicas") == nil
}

// scaledBy returns who has set the replicas of a workload through the scale subresource; empty
// if none has.
func scaledBy(object *unstructured.Unstructured) string {
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == scaleSubresource && entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), `"f:replicas"`) {
			return entry.Manager
		}
	}
	return ""
}
