// Package refresh repeats a report whenever objects of the cluster change.
package refresh

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// pause is the shortest time between two reports: a rollout changes many objects at
// once.
const pause = 300 * time.Millisecond

// Kind is what is watched; an empty namespace is all of them.
type Kind struct {
	Resource  schema.GroupVersionResource
	Namespace string
}

// Run calls report at once and after each change of kinds, until ctx ends or report
// fails. A kind that the user may not watch causes no further reports.
func Run(ctx context.Context, client dynamic.Interface, kinds []Kind, report func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	changes := watch.New()
	for _, kind := range kinds {
		informer := dynamicinformer.NewFilteredDynamicInformer(client, kind.Resource, kind.Namespace, 0, cache.Indexers{}, nil).Informer()
		// Fails only for an informer that runs.
		_ = informer.SetTransform(trim)
		changes.Watch(ctx, &group, informer, func(error) {})
	}
	for {
		changed := changes.Changed()
		if err := report(ctx); err != nil {
			return err
		}
		if !watch.Wait(ctx, changed) || !watch.WaitFor(ctx, nil, pause) {
			return context.Cause(ctx)
		}
	}
}

// trim keeps only the name and the version of an object: reports read the rest.
func trim(object any) (any, error) {
	whole, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	trimmed := &unstructured.Unstructured{}
	trimmed.SetGroupVersionKind(whole.GroupVersionKind())
	trimmed.SetNamespace(whole.GetNamespace())
	trimmed.SetName(whole.GetName())
	trimmed.SetUID(whole.GetUID())
	trimmed.SetResourceVersion(whole.GetResourceVersion())
	return trimmed, nil
}
