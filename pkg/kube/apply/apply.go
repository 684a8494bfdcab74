// Package apply applies objects to the cluster by server-side apply, keeps an
// inventory of them as an ApplySet, and removes them.
package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Result is what happened to an object.
type Result string

// The results, in the words of kubectl.
const (
	Created    Result = "created"
	Configured Result = "configured"
	Unchanged  Result = "unchanged"
	Pruned     Result = "pruned"
	// Rejected is the result of a dry run for an object that the API server rejects.
	Rejected Result = "rejected"
	// NotChecked is the result of a dry run for an object whose kind or namespace the
	// cluster does not have yet.
	NotChecked Result = "not checked: its kind or namespace does not exist yet"
)

// Change is the outcome for one object.
type Change struct {
	Object *unstructured.Unstructured
	Result Result
}

// Applier applies objects to one cluster.
type Applier struct {
	Dynamic dynamic.Interface
	// Mapper is reset if it does not know a kind.
	Mapper meta.RESTMapper
	// FieldManager owns the applied fields. It wins conflicts.
	FieldManager string
	// WebhookPatience bounds the retries while a webhook does not answer.
	WebhookPatience time.Duration
}

// parallel is the number of concurrent requests: enough to hide the round trip, few
// enough for a small API server.
const parallel = 8

// Apply applies the objects concurrently: Namespaces and CustomResourceDefinitions
// first, and the rest when those are established. The changes are in the order of
// objects. Apply stops at the first error; applying again continues from there.
func (a *Applier) Apply(ctx context.Context, objects []*unstructured.Unstructured) ([]Change, error) {
	changes := make([]Change, len(objects))
	apply := func(first bool) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(parallel)
		for i, object := range objects {
			if isFoundation(object.GetKind()) != first {
				continue
			}
			group.Go(func() error {
				change, err := a.applyOne(ctx, object, nil)
				changes[i] = change
				return err
			})
		}
		return group.Wait()
	}
	if err := apply(true); err != nil {
		return nil, err
	}
	for _, object := range objects {
		if object.GetKind() == "CustomResourceDefinition" {
			if err := a.waitEstablished(ctx, object); err != nil {
				return nil, err
			}
		}
	}
	return changes, apply(false)
}

// Preview applies the objects in a server-side dry run, which changes nothing. The
// changes hold the objects as the API server would store them, in the order of
// objects. The error joins what the API server rejects; a rejected object is
// returned as it is.
func (a *Applier) Preview(ctx context.Context, objects []*unstructured.Unstructured) ([]Change, error) {
	changes, rejected := make([]Change, len(objects)), make([]error, len(objects))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, object := range objects {
		group.Go(func() error {
			change, err := a.applyOne(ctx, object, []string{metav1.DryRunAll})
			switch {
			case isNoMatch(err), apierrors.IsNotFound(err):
				change = Change{object, NotChecked}
			case err != nil:
				change, rejected[i] = Change{object, Rejected}, err
			}
			changes[i] = change
			return nil
		})
	}
	_ = group.Wait()
	return changes, errors.Join(rejected...)
}

// isFoundation reports whether other objects live in objects of this kind, or are
// instances of them.
func isFoundation(kind string) bool {
	return kind == "Namespace" || kind == "CustomResourceDefinition"
}

func (a *Applier) applyOne(ctx context.Context, object *unstructured.Unstructured, dryRun []string) (Change, error) {
	resource, err := a.resource(object)
	if err != nil {
		return Change{}, err
	}
	before, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return Change{}, fmt.Errorf("get %s: %w", kube.Describe(object), err)
	}
	var after *unstructured.Unstructured
	err = kube.UntilWebhookAnswers(ctx, a.WebhookPatience, func(ctx context.Context) error {
		var err error
		after, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: a.FieldManager, Force: true, DryRun: dryRun})
		return err
	})
	if err != nil {
		return Change{}, fmt.Errorf("apply %s: %w", kube.Describe(object), err)
	}
	switch {
	case before == nil:
		return Change{after, Created}, nil
	case before.GetResourceVersion() == after.GetResourceVersion() || content(before) == content(after):
		return Change{after, Unchanged}, nil
	default:
		return Change{after, Configured}, nil
	}
}

// content returns an object as JSON without the parts that change without a change
// of the configuration: the API server may reorder managed fields, and a controller
// may write a status.
func content(object *unstructured.Unstructured) string {
	bare := object.DeepCopy()
	bare.SetResourceVersion("")
	bare.SetManagedFields(nil)
	delete(bare.Object, "status")
	// An object that came from JSON can be marshaled.
	text, _ := bare.MarshalJSON()
	return string(text)
}

func (a *Applier) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := object.GroupVersionKind()
	mapping, err := a.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		// The definition may be new.
		meta.MaybeResetRESTMapper(a.Mapper)
		mapping, err = a.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("find the resource of %s: %w", kube.Describe(object), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return a.Dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
	}
	return a.Dynamic.Resource(mapping.Resource), nil
}

// waitEstablished returns when instances of the definition can be created.
func (a *Applier) waitEstablished(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := a.resource(object)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		current, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(current.Object, definition); err != nil {
			return false, err
		}
		return apihelpers.IsCRDConditionTrue(definition, apiextensionsv1.Established), nil
	})
	if err != nil {
		return fmt.Errorf("wait until %s is established: %w", kube.Describe(object), err)
	}
	return nil
}
