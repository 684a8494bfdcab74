package images

import (
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/pager"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Apps returns the apps of a namespace, sorted, that have runs or workloads. It leaves out what
// the user may not list, and returns an access.MissingError to a user who may list nothing.
func Apps(ctx context.Context, client dynamic.Interface, namespace string) ([]string, error) {
	apps := schema.GroupVersion{Group: "apps", Version: "v1"}
	kinds := []kind{
		{resource: schema.GroupVersionResource{Group: tektonGroup, Version: "v1", Resource: "pipelineruns"}},
		{resource: apps.WithResource("deployments")},
		{resource: apps.WithResource("statefulsets")},
		{resource: apps.WithResource("daemonsets")},
	}
	names := map[string]bool{}
	var missing []access.Permission
	for _, kind := range kinds {
		pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.Resource(kind.resource).Namespace(namespace).List(ctx, options)
		})
		pages.PageSize, pages.PageBufferSize = pageSize, 0
		err := pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: manifests.LabelApp}, func(item runtime.Object) error {
			object, ok := item.(metav1.Object)
			if !ok {
				return fmt.Errorf("an item is a %T", item)
			}
			names[object.GetLabels()[manifests.LabelApp]] = true
			return nil
		})
		switch {
		case apierrors.IsForbidden(err):
			missing = append(missing, kind.permission(namespace))
		case err != nil && !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("%s: %w", kind.permission(namespace), err)
		}
	}
	if len(missing) == len(kinds) {
		return nil, &access.MissingError{Missing: missing}
	}
	return slices.Sorted(maps.Keys(names)), nil
}
