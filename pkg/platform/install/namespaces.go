package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
)

// applyNamespaces applies the access of all namespaces on record. It skips a namespace
// that was deleted after the plan was made, unless it is the one to set up. The next run
// drops it from the record.
func (i *Installer) applyNamespaces(ctx context.Context, state *State) error {
	done := i.Progress.Start("Applying: Access of the namespaces")
	before := len(state.Changes)
	skipped, err := i.applyExisting(ctx, state)
	served := slices.DeleteFunc(slices.Clone(i.Plan.config.Namespaces), func(name string) bool { return slices.Contains(skipped, name) })
	done(fmt.Sprintf("Access of the namespaces %s: %s", strings.Join(served, ", "), Summary(state.Changes[before:])), err)
	for _, name := range skipped {
		i.Progress.Print("  namespace " + name + " was deleted in the meantime: skipped")
	}
	return err
}

// applyExisting applies the access of the namespaces, and returns the names of those that
// turned out to be deleted.
func (i *Installer) applyExisting(ctx context.Context, state *State) (skipped []string, err error) {
	objects := state.rendering.platform.Namespaces
	for {
		changes, err := i.applier().Apply(ctx, objects)
		if err == nil {
			state.Changes = append(state.Changes, changes...)
			return skipped, nil
		}
		gone, checked := deletedNamespaces(ctx, i.Clients.Kube, objects)
		if checked != nil || len(gone) == 0 || slices.Contains(gone, i.Plan.namespace) {
			return skipped, err
		}
		skipped = append(skipped, gone...)
		objects = slices.DeleteFunc(slices.Clone(objects), func(object *unstructured.Unstructured) bool {
			return slices.Contains(gone, object.GetNamespace())
		})
	}
}

// deletedNamespaces returns the namespaces of objects that do not exist or are being deleted.
func deletedNamespaces(ctx context.Context, kube kubernetes.Interface, objects []*unstructured.Unstructured) ([]string, error) {
	var gone []string
	seen := map[string]bool{"": true}
	for _, object := range objects {
		name := object.GetNamespace()
		if seen[name] {
			continue
		}
		seen[name] = true
		namespace, err := kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			gone = append(gone, name)
		case err != nil:
			return nil, fmt.Errorf("get namespace %s: %w", name, err)
		case namespace.DeletionTimestamp != nil:
			gone = append(gone, name)
		}
	}
	return gone, nil
}
