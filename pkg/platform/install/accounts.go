package install

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// applyRegistry applies the registry. Replaced credentials stay valid until
// dropFormerCredentials.
func (i *Installer) applyRegistry(ctx context.Context, state *State) error {
	objects := state.rendering.platform.Registry
	if accounts := i.Plan.secrets.interimAccounts; accounts != nil {
		objects = withAccounts(objects, accounts)
	}
	return i.apply(ctx, state, "Registry", objects)
}

// withAccounts returns objects with another user file for the registry, and the CAs of its users.
func withAccounts(objects []*unstructured.Unstructured, accounts []byte) []*unstructured.Unstructured {
	objects = slices.Clone(objects)
	for i, object := range objects {
		if isAccounts(object) {
			objects[i] = object.DeepCopy()
			// The rendering made data a map.
			for key, file := range map[string][]byte{manifests.AccountsKey: accounts, manifests.BuildersKey: credentials.Issuers(accounts)} {
				_ = unstructured.SetNestedField(objects[i].Object, base64.StdEncoding.EncodeToString(file), "data", key)
			}
		}
	}
	return objects
}

// isAccounts reports whether object is the Secret with the registry's user file.
func isAccounts(object *unstructured.Unstructured) bool {
	return object.GetKind() == "Secret" && object.GetName() == manifests.AuthName
}

// checkCredentials proves that the credentials of the platform and of the namespace open the
// registry.
func (i *Installer) checkCredentials(ctx context.Context, state *State) error {
	done := i.Progress.Start("Logging in to the registry")
	err := i.reloadAccounts(ctx, state)
	for _, namespace := range []string{manifests.SystemNamespace, i.Plan.namespace} {
		if err == nil {
			err = ping(ctx, i.Clients, i.Plan, i.Plan.secrets.Users[namespace], func(err error) bool { return err == nil })
		}
	}
	done("Registry accepts the credentials of namespace "+i.Plan.namespace, err)
	return err
}

// reloadAccounts makes a running registry read its user file if this run changed it.
// The kubelet updates the mounted file within a minute; a changed annotation of the
// pod makes it do so at once.
func (i *Installer) reloadAccounts(ctx context.Context, state *State) error {
	if !slices.ContainsFunc(state.Changes, func(change apply.Change) bool {
		return change.Result == apply.Configured && isAccounts(change.Object)
	}) {
		return nil
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"pyflow.dev/users-changed":%q}}}`, time.Now().UTC().Format(time.RFC3339Nano))
	_, err := i.Clients.Kube.CoreV1().Pods(manifests.SystemNamespace).Patch(ctx, manifests.RegistryPod, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manifests.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("annotate pod %s: %w", manifests.RegistryPod, err)
	}
	return nil
}

// ping asks the registry of a plan until accept accepts its answer.
func ping(ctx context.Context, clients *kube.Clients, plan *Plan, user credentials.User, accept func(error) bool) error {
	client, err := platform.Registry(clients, plan.config.Registry, user, plan.secrets.CACertificate)
	if err != nil {
		return err
	}
	defer client.Close()
	var last error
	err = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		last = client.Ping(ctx)
		return accept(last), nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// dropFormerCredentials invalidates replaced credentials as soon as no build needs
// them. Running pods need none, and new pods use the new Secret.
func (i *Installer) dropFormerCredentials(ctx context.Context, state *State) error {
	if i.Plan.secrets.interimAccounts == nil {
		return nil
	}
	done := i.Progress.Start("Waiting for builds that use the old passwords")
	err := waitForBuilds(ctx, i.Clients.Tekton, i.Progress, i.Plan.config.Namespaces)
	done("No build uses the old passwords", err)
	if err != nil {
		i.Progress.Print("  warning: the old passwords are still valid; run setup again after the builds have ended to revoke them")
		return err
	}
	if err := i.apply(ctx, state, "Credentials", slices.DeleteFunc(slices.Clone(state.rendering.platform.Registry), func(object *unstructured.Unstructured) bool {
		return !isAccounts(object)
	})); err != nil {
		return err
	}
	done = i.Progress.Start("Revoking the old passwords")
	err = i.reloadAccounts(ctx, state)
	if err != nil || i.Plan.secrets.replaced.Name == "" {
		// The old password of an interrupted run is not known.
		done("Old passwords revoked", err)
		return err
	}
	err = ping(ctx, i.Clients, i.Plan, i.Plan.secrets.replaced, func(err error) bool { return errors.Is(err, registry.ErrUnauthorized) })
	done("Registry refuses the old passwords", err)
	return err
}

// waitForBuilds returns when every run of the namespaces that is running now has ended. Later runs
// start with the new credentials.
func waitForBuilds(ctx context.Context, client tekton.Interface, progress platform.Progress, namespaces []string) error {
	var before map[types.UID]bool
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		running := map[types.UID]bool{}
		for _, namespace := range namespaces {
			runs, err := client.TektonV1().PipelineRuns(namespace).List(ctx, metav1.ListOptions{
				LabelSelector: manifests.LabelManagedBy + "=" + manifests.FieldManager,
			})
			if err != nil {
				return false, fmt.Errorf("list pipelineruns in namespace %s: %w", namespace, err)
			}
			for _, run := range runs.Items {
				if !run.IsDone() && (before == nil || before[run.UID]) {
					running[run.UID] = true
					progress.Update("Waiting for run " + run.Name + " in namespace " + namespace + ", which uses the old password")
				}
			}
		}
		before = running
		return len(running) == 0, nil
	})
}
