// Package apply brings objects into the cluster by server-side apply and keeps
// an inventory of them.
package apply

import (
	"context"
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

// Result says what happened to an object.
type Result string

// The results, in the words of kubectl.
const (
	Created    Result = "created"
	Configured Result = "configured"
	Unchanged  Result = "unchanged"
	Pruned     Result = "pruned"
)

// Change is the outcome for one object.
type Change struct {
	Object *unstructured.Unstructured
	Result Result
}

// Applier applies objects to one cluster.
type Applier struct {
	Dynamic dynamic.Interface
	// Mapper is reset when a kind is not known yet.
	Mapper meta.RESTMapper
	// FieldManager owns the applied fields; conflicts are settled in its favor.
	FieldManager string
	// WebhookPatience bounds the retries while a webhook is not answering yet.
	WebhookPatience time.Duration
}

// parallel is how many requests are under way at once: enough to hide the
// round trip, too few to trouble an API server.
const parallel = 8

// Apply applies the objects: namespaces and CustomResourceDefinitions first,
// which have to be established before the rest goes, side by side, in any
// order. The changes come in the order of the objects. The first error ends it;
// applying again continues where it stopped.
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
				change, err := a.applyOne(ctx, object)
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

// isFoundation says whether other objects live in, or are instances of, one of
// this kind.
func isFoundation(kind string) bool {
	return kind == "Namespace" || kind == "CustomResourceDefinition"
}

func (a *Applier) applyOne(ctx context.Context, object *unstructured.Unstructured) (Change, error) {
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
		after, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: a.FieldManager, Force: true})
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

// content is an object as JSON without what changes though nobody changed it: the
// API server may put managed fields in another order when it is given the same
// again, and a controller may write a status in between.
func content(object *unstructured.Unstructured) string {
	bare := object.DeepCopy()
	bare.SetResourceVersion("")
	bare.SetManagedFields(nil)
	delete(bare.Object, "status")
	// A map that came from JSON goes back into it.
	text, _ := bare.MarshalJSON()
	return string(text)
}

func (a *Applier) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := object.GroupVersionKind()
	mapping, err := a.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		// The definition may be seconds old.
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

// waitEstablished returns once instances of the definition can be made.
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
