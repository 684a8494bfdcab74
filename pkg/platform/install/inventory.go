package install

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// readInventory reads the parent object of the previous run.
func (i *Installer) readInventory(ctx context.Context, state *State) error {
	configMaps := i.Clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("configmaps"))
	parent, err := configMaps.Namespace(manifests.SystemNamespace).Get(ctx, manifests.ConfigName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	state.inventory = parent
	return nil
}

// prune deletes what the previous run installed and this one does not, and writes
// the final configuration.
func (i *Installer) prune(ctx context.Context, state *State) error {
	done := i.Progress.Start("Looking for objects that are no longer needed")
	set, applier := state.rendering.set, i.applier()
	var pruned []apply.Change
	var kept []*unstructured.Unstructured
	var err error
	if state.inventory != nil {
		pruned, kept, err = applier.Prune(ctx, set, state.inventory, state.rendering.platform.Objects())
	}
	if err == nil {
		set.Include(kept)
		var parent []apply.Change
		parent, err = applier.Apply(ctx, []*unstructured.Unstructured{set.Parent})
		state.Changes = append(state.Changes, parent...)
	}
	done("Inventory: "+Summary(pruned), err)
	for _, object := range kept {
		if object.GetKind() == "PersistentVolumeClaim" {
			i.Progress.Print(kube.Describe(object) + " is no longer in use and stays, because it stores data")
		}
	}
	state.Changes = append(state.Changes, pruned...)
	return err
}
