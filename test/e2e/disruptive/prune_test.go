//go:build e2e

package disruptive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// TestImagesPrune deletes what nothing uses, while a build goes on, and proves that
// the registry is whole afterwards.
func TestImagesPrune(t *testing.T) {
	ns := theApp(t)
	const name = "pruned"
	ns.Build(t, env.Page(t, name, "the first one", ""), "--replicas", "1").Released(t)
	digest, _ := ns.Build(t, env.Page(t, name, "the second one", ""), "--replicas", "1").Released(t)
	var before *images.List
	var unused images.Image
	env.Eventually(t, "wait for an image that nothing uses", func(ctx context.Context) error {
		// Without the revisions that a rollback would bring back; the last one may
		// still be on its way down.
		sets := ns.Kube.AppsV1().ReplicaSets(ns.Name)
		list, err := sets.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, set := range list.Items {
			if *set.Spec.Replicas > 0 {
				continue
			}
			if err := sets.Delete(ctx, set.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		before = ns.ImageList(t, name)
		var ok bool
		if unused, ok = oldest(before); !ok {
			return fmt.Errorf("all are in use: %+v", before.Items)
		}
		return nil
	})
	// A run on record keeps its image, and so does its pod.
	for _, run := range unused.Tags {
		err := ns.Tekton.TektonV1().PipelineRuns(ns.Name).Delete(t.Context(), run, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		env.Eventually(t, "wait for the pods of run "+run+" to go", func(ctx context.Context) error {
			pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
			if err == nil && len(pods.Items) > 0 {
				err = fmt.Errorf("%d are left", len(pods.Items))
			}
			return err
		})
	}
	args := []string{"images", "prune", "--keep", "1", "-o", "json"}
	// A release on record does as well: it can be rolled back to.
	if planned := prune(t, ns, append(args, "--dry-run")); planned.takes(unused.Digest) {
		t.Errorf("a dry run names the image of a release on record: %+v", planned)
	}
	for _, run := range unused.Tags {
		record := manifests.RecordName(name, pipelinerun.NumberOf(name, run))
		env.Check(t, ns.Kube.CoreV1().ConfigMaps(ns.Name).Delete(t.Context(), record, metav1.DeleteOptions{}))
	}
	if planned := prune(t, ns, append(args, "--dry-run")); !planned.DryRun || planned.FreedBytes <= 0 || !planned.takes(unused.Digest) {
		t.Errorf("a dry run should name %s: %+v", unused.Digest, planned)
	}
	if after := ns.ImageList(t, name); len(after.Items) != len(before.Items) {
		t.Errorf("a dry run left %d of %d images", len(after.Items), len(before.Items))
	}

	build := ns.Start(t, nil, "build", env.Page(t, "beside", "", "RUN head -c 3000000 /dev/urandom > /blob\n"+env.HeldInstruction))
	ns.Held(t, "beside")
	pruned := prune(t, ns, args)
	if !pruned.Reclaimed || pruned.FreedBytes <= 0 || !pruned.takes(unused.Digest) || pruned.takes(digest) {
		t.Errorf("%s should have gone and %s not: %+v", unused.Digest, digest, pruned)
	}
	ns.Release(t, "beside")
	build.Ends(t).Released(t)

	reader := registrytest.OpenReader(t, ns.Cluster)
	var gone *transport.Error
	if _, err := remote.Get(reader.Digest(ns.Name+"/"+name, unused.Digest), reader.Options...); !errors.As(err, &gone) || gone.StatusCode != http.StatusNotFound {
		t.Errorf("the deleted image answers %v", err)
	}
	for _, pruning := range pruned.Deleted {
		if used := usedBy(t, ns, pruning.Digest); used != "" {
			t.Errorf("%s is used by %s and was deleted", pruning.Digest, used)
		}
	}
	reader.EverythingWhole(t)
	status, r := ns.Status(t)
	for _, part := range status.Platform {
		if !part.Healthy {
			t.Errorf("%s is not healthy after the prune\n%s", part.Name, r)
		}
	}
	if _, err := ns.Kube.CoreV1().Pods(manifests.SystemNamespace).Get(t.Context(), "registry-gc", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod that collected garbage is left: %v", err)
	}
	if again := prune(t, ns, args); slices.ContainsFunc(again.Deleted, func(p images.Pruning) bool { return p.Kind == images.Images }) {
		t.Errorf("a second prune found more: %+v", again)
	}
}

// oldest returns the oldest image that no workload runs, nor would after a
// rollback, and that is not the newest.
func oldest(list *images.List) (images.Image, bool) {
	for _, image := range slices.Backward(list.Items[1:]) {
		if len(image.UsedBy) == 0 {
			return image, true
		}
	}
	return images.Image{}, false
}

type prunedImages struct{ images.Pruned }

func (p prunedImages) takes(digest string) bool {
	return slices.ContainsFunc(p.Deleted, func(pruning images.Pruning) bool { return pruning.Digest == digest })
}

func prune(t *testing.T, ns *app, args []string) prunedImages {
	t.Helper()
	r := ns.Pyflow(t, args...).Succeeded(t)
	var pruned prunedImages
	if err := json.Unmarshal([]byte(r.Stdout), &pruned.Pruned); err != nil {
		t.Fatalf("the result is not JSON: %v\n%s", err, r)
	}
	return pruned
}

// usedBy names a pod of any namespace that runs an image.
func usedBy(t *testing.T, ns *app, digest string) string {
	t.Helper()
	pods, err := ns.Kube.CoreV1().Pods(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	for _, pod := range pods.Items {
		if slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return strings.Contains(c.Image, digest) }) {
			return pod.Namespace + "/" + pod.Name
		}
	}
	return ""
}
