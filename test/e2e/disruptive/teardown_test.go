//go:build e2e

package disruptive

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestTeardown removes the platform, first without the images and then with them. The
// app goes on serving. What can be tested only where the platform is not installed
// follows. It is the last test, as its file is, and leaves the cluster without the
// platform. On a cluster that was set up before the tests it does nothing.
func TestTeardown(t *testing.T) {
	before := env.Shared(t).ObjectsBeforeSetup(t)
	ns := theApp(t)
	members := ns.Inventory(t)
	_, err := ns.Tekton.TektonV1().Tasks(ns.Name).Create(t.Context(), &tektonv1.Task{
		ObjectMeta: metav1.ObjectMeta{Name: "of-others"},
		Spec:       tektonv1.TaskSpec{Steps: []tektonv1.Step{{Name: "step", Image: "scratch", Command: []string{"true"}}}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	ns.Cluster.Pyflow(t, "teardown", "--keep-tekton=false").Failed(t, "no terminal", "--yes")
	ns.Cluster.Pyflow(t, "teardown", "--yes").Failed(t, "1 task in namespace "+ns.Name, "--keep-tekton")
	dry := ns.Cluster.Pyflow(t, "teardown", "--purge", "--dry-run=client").Succeeded(t)
	if printed := strings.Count(dry.Stdout, "\n"); printed != len(members) {
		t.Errorf("%d objects are in the inventory, and these would go\n%s", len(members), dry)
	}
	ns.Unchanged(t, members)

	ns.Cluster.Pyflow(t, "teardown", "--yes", "--keep-tekton=false").Succeeded(t).Says(t, manifests.StorageName, ns.name)
	ns.Pyflow(t, "status").Failed(t, "not set up")
	env.Serves(t, ns.url, ns.text)

	ns.Pyflow(t, "setup").Succeeded(t)
	ns.Pulls(t, ns.image)

	ns.Cluster.Pyflow(t, "teardown", "--yes", "--purge").Succeeded(t)
	env.Serves(t, ns.url, ns.text)
	env.Eventually(t, "wait until nothing is left", func(ctx context.Context) error {
		objects, err := ns.Objects(ctx)
		if err != nil {
			return err
		}
		var left []string
		for name := range objects {
			if !before[name] {
				left = append(left, name)
			}
		}
		if slices.Sort(left); len(left) > 0 {
			return fmt.Errorf("left are %q", left)
		}
		return nil
	})
	ns.Cluster.Pyflow(t, "teardown", "--yes").Succeeded(t).Says(t, "nothing to remove")
	t.Run("verbs without setup", func(t *testing.T) { notSetUp(t, ns) })
	t.Run("setup without a storage class", func(t *testing.T) { noStorageClass(t, ns) })
}

// noStorageClass sets up where nothing provides the registry's volume.
func noStorageClass(t *testing.T, ns *app) {
	const annotation = "storageclass.kubernetes.io/is-default-class"
	classes := ns.Kube.StorageV1().StorageClasses()
	ns.Pyflow(t, append([]string{"setup", "--registry-storage-class", "e2e-no-such-class"}, ns.SetupFlags...)...).
		Failed(t, "e2e-no-such-class", "does not exist")
	list, err := classes.List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	var names []string
	for i := range list.Items {
		class := &list.Items[i]
		names = append(names, class.Name)
		if class.Annotations[annotation] != "true" {
			continue
		}
		set := func(ctx context.Context, value string) error {
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, annotation, value)
			_, err := classes.Patch(ctx, class.Name, "application/merge-patch+json", patch, metav1.PatchOptions{})
			return err
		}
		env.Check(t, set(t.Context(), "false"))
		t.Cleanup(func() {
			if err := set(context.WithoutCancel(t.Context()), "true"); err != nil {
				t.Errorf("make %s the default class again: %v", class.Name, err)
			}
		})
	}
	ns.Pyflow(t, append([]string{"setup"}, ns.SetupFlags...)...).
		Failed(t, append(names, "no default storage class", "--registry-storage-class", "--registry-ephemeral")...)
	if _, err := ns.Kube.CoreV1().Namespaces().Get(t.Context(), manifests.SystemNamespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("namespace %s was made: %v", manifests.SystemNamespace, err)
	}
}

// notSetUp runs verbs before setup.
func notSetUp(t *testing.T, ns *app) {
	for _, verb := range []string{"status", "build"} {
		args := []string{verb}
		if verb == "build" {
			args = append(args, env.Root("examples", "mountains"))
		}
		r := ns.Pyflow(t, args...).Failed(t, "not set up", "kubectl pyflow setup")
		if r.Stdout != "" {
			t.Errorf("stdout should be empty\n%s", r)
		}
	}
}
