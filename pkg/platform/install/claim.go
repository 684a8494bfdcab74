package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// ErrConflict reports that another setup created the registry's credentials after
// this plan was made. A new plan uses them.
var ErrConflict = errors.New("another setup has created the registry's credentials at the same time")

// conflictTimeout is how long a setup waits for the credentials of another one.
const conflictTimeout = 30 * time.Second

// claimCredentials creates the Secret of the registry's CA if the plan made the
// registry's first credentials. If several setups run at once, only one creates it. The
// others get ErrConflict after the first has stored all credentials.
func (i *Installer) claimCredentials(ctx context.Context, state *State) error {
	if !i.Plan.secrets.created {
		return nil
	}
	objects := state.rendering.platform.Registry
	at := slices.IndexFunc(objects, func(object *unstructured.Unstructured) bool {
		return object.GetKind() == "Secret" && object.GetName() == manifests.CAName
	})
	if at < 0 {
		return nil
	}
	secrets := i.Clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(manifests.SystemNamespace)
	_, err := secrets.Create(ctx, objects[at], metav1.CreateOptions{FieldManager: manifests.FieldManager})
	if err == nil {
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create %s: %w", kube.Describe(objects[at]), err)
	}
	waiting, cancel := context.WithTimeout(ctx, conflictTimeout)
	defer cancel()
	// The other setup stores them in any order.
	for _, object := range objects {
		if object.GetKind() != "Secret" {
			continue
		}
		if err := awaitObject(waiting, secrets, object.GetName()); err != nil {
			return errors.Join(ErrConflict, err)
		}
	}
	return ErrConflict
}

// awaitObject returns when an object of that name exists.
func awaitObject(ctx context.Context, objects dynamic.ResourceInterface, name string) error {
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := objects.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}
