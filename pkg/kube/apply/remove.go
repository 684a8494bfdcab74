package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

const (
	removePoll = 500 * time.Millisecond
	// askWhyLimit bounds the requests for the reasons why objects are left, which
	// start when the deadline of the removal has passed.
	askWhyLimit = 10 * time.Second
)

// Remove deletes objects concurrently and returns when they are gone, including the
// pods of workloads. An object that was replaced by another one of the same name
// counts as gone, and the other one stays. Remove calls progress, which may be nil,
// with the number of objects that are left. If the deadline of ctx passes first, the
// error is a *LeftError; deletions continue in the cluster, and removing again
// resumes.
func (a *Applier) Remove(ctx context.Context, objects []*unstructured.Unstructured, progress func(left int)) error {
	group, deleting := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, object := range objects {
		group.Go(func() error {
			return kube.UntilWebhookAnswers(deleting, a.WebhookPatience, func(ctx context.Context) error {
				return a.delete(ctx, object, propagation(object), nil)
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	left := objects
	err := wait.PollUntilContextCancel(ctx, removePoll, true, func(ctx context.Context) (bool, error) {
		var err error
		if left, err = a.remaining(ctx, left); err != nil {
			return false, err
		}
		if progress != nil {
			progress(len(left))
		}
		return len(left) == 0, nil
	})
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWhyLimit)
	defer cancel()
	return a.why(asking, left)
}

// PreviewRemove deletes objects in a server-side dry run, which changes nothing. The
// error joins what the API server rejects.
func (a *Applier) PreviewRemove(ctx context.Context, objects []*unstructured.Unstructured) error {
	rejected := make([]error, len(objects))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, object := range objects {
		group.Go(func() error {
			rejected[i] = a.delete(ctx, object, propagation(object), []string{metav1.DryRunAll})
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(rejected...)
}

// propagation deletes a workload after its pods. Other objects need no such
// finalizer.
func propagation(object *unstructured.Unstructured) metav1.DeletionPropagation {
	if object.GroupVersionKind().Group == "apps" {
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// delete deletes exactly this object. It is no error if the object is gone, is being
// deleted or was replaced.
func (a *Applier) delete(ctx context.Context, object *unstructured.Unstructured, policy metav1.DeletionPropagation, dryRun []string) error {
	resource, err := a.resource(object)
	if isNoMatch(err) {
		return nil
	}
	if err != nil {
		return err
	}
	uid := object.GetUID()
	err = resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &policy, DryRun: dryRun,
	})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("delete %s: %w", kube.Describe(object), err)
}

// isNoMatch reports whether the cluster does not know a kind.
func isNoMatch(err error) bool {
	var kind *meta.NoKindMatchError
	return errors.As(err, &kind)
}

// remaining returns the current state of the objects that still exist.
func (a *Applier) remaining(ctx context.Context, objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	current := make([]*unstructured.Unstructured, len(objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, object := range objects {
		group.Go(func() error {
			resource, err := a.resource(object)
			if isNoMatch(err) {
				return nil
			}
			if err != nil {
				return err
			}
			now, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
			case err != nil:
				return fmt.Errorf("get %s: %w", kube.Describe(object), err)
			case now.GetUID() == object.GetUID():
				current[i] = now
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return objects, err
	}
	return slices.DeleteFunc(current, func(object *unstructured.Unstructured) bool { return object == nil }), nil
}

// Left is an object that is not gone.
type Left struct {
	Object *unstructured.Unstructured
	// Reason is one line about what it waits for.
	Reason string
}

// LeftError lists what was left when the deadline of a removal passed.
type LeftError struct{ Left []Left }

func (e *LeftError) Error() string {
	texts := make([]string, len(e.Left))
	for i, left := range e.Left {
		texts[i] = kube.Describe(left.Object) + ": " + left.Reason
	}
	return "not deleted yet: " + strings.Join(texts, "; ")
}

// why returns a *LeftError for objects.
func (a *Applier) why(ctx context.Context, objects []*unstructured.Unstructured) error {
	err := &LeftError{}
	for _, object := range objects {
		err.Left = append(err.Left, Left{object, a.reason(ctx, object)})
	}
	return err
}

// reason returns why an object still exists, as far as the cluster reports it.
func (a *Applier) reason(ctx context.Context, object *unstructured.Unstructured) string {
	if object.GetDeletionTimestamp() == nil {
		return "its deletion has not started"
	}
	var reasons []string
	switch object.GetKind() {
	case "CustomResourceDefinition":
		reasons = a.stuckInstances(ctx, object)
		if len(reasons) == 0 {
			reasons = conditions(object, "Terminating")
		}
	case "Namespace":
		reasons = conditions(object, "NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure",
			"NamespaceDeletionContentFailure", "NamespaceFinalizersRemaining", "NamespaceContentRemaining")
	}
	if len(reasons) > 0 {
		return strings.Join(reasons, ", ")
	}
	if finalizers := object.GetFinalizers(); slices.Contains(finalizers, metav1.FinalizerDeleteDependents) {
		return "it waits for its pods"
	} else if len(finalizers) > 0 {
		return waitsFor(finalizers)
	}
	return "it is being deleted"
}

func waitsFor(finalizers []string) string {
	return "it waits for the finalizer " + strings.Join(finalizers, ", ")
}

// conditions returns the messages of an object's true conditions of the given types,
// in that order.
func conditions(object *unstructured.Unstructured, types ...string) []string {
	items, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	var messages []string
	for _, wanted := range types {
		for _, item := range items {
			condition, _ := item.(map[string]any)
			message, _ := condition["message"].(string)
			if condition["type"] == wanted && condition["status"] == "True" && message != "" {
				messages = append(messages, message)
			}
		}
	}
	return messages
}

// stuckInstances returns the instances of a definition that wait for a finalizer.
func (a *Applier) stuckInstances(ctx context.Context, object *unstructured.Unstructured) []string {
	instances, err := a.Instances(ctx, object)
	if err != nil {
		return []string{err.Error()}
	}
	var reasons []string
	for i := range instances {
		if finalizers := instances[i].GetFinalizers(); len(finalizers) > 0 {
			reasons = append(reasons, kube.Describe(&instances[i])+": "+waitsFor(finalizers))
		}
	}
	return reasons
}

// Instances lists every object of a CustomResourceDefinition, in all namespaces.
func (a *Applier) Instances(ctx context.Context, object *unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, definition); err != nil {
		return nil, fmt.Errorf("read %s: %w", kube.Describe(object), err)
	}
	served := slices.IndexFunc(definition.Spec.Versions, func(version apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return version.Served
	})
	// The stored version needs no conversion webhook.
	if stored := slices.IndexFunc(definition.Spec.Versions, func(version apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return version.Served && version.Storage
	}); stored >= 0 {
		served = stored
	}
	if served < 0 {
		return nil, nil
	}
	resource := schema.GroupVersionResource{
		Group: definition.Spec.Group, Version: definition.Spec.Versions[served].Name, Resource: definition.Spec.Names.Plural,
	}
	list, err := a.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource.GroupResource(), err)
	}
	return list.Items, nil
}

// Release removes the set's label from objects, so that they are no longer members,
// and each of labels that still has its value. It changes nothing else. It releases
// objects one after the other, in order, and skips those that are gone or were
// replaced.
func (a *Applier) Release(ctx context.Context, objects []*unstructured.Unstructured, labels map[string]string) error {
	for _, object := range objects {
		resource, err := a.resource(object)
		if err != nil {
			return err
		}
		remove := map[string]any{partOfLabel: nil}
		for key, value := range labels {
			if object.GetLabels()[key] == value {
				remove[key] = nil
			}
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": object.GetUID(), "labels": remove}})
		if err != nil {
			return err
		}
		err = kube.UntilWebhookAnswers(ctx, a.WebhookPatience, func(ctx context.Context) error {
			_, err := resource.Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: a.FieldManager})
			return err
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("remove the labels of %s: %w", kube.Describe(object), err)
		}
	}
	return nil
}
