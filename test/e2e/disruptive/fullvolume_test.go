//go:build e2e

package disruptive

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

const (
	// smallVolume has room for imageSize, and for less than that when fillerSize is
	// taken.
	smallVolume = 120 << 20
	fillerSize  = 112 << 20
	imageSize   = "20m"
)

// TestFullVolume gives the registry's storage a small volume for a while, in memory,
// and fills it. What a build says names it, nothing that is stored is lost, and
// when there is room the same build succeeds.
func TestFullVolume(t *testing.T) {
	ns := theApp(t)
	useSmallVolume(t, ns)
	kept, err := random.Image(1<<10, 2)
	env.Check(t, err)
	r := registrytest.OpenReader(t, ns.Cluster)
	repository := manifests.SystemNamespace + "/kept"
	env.Check(t, remote.Write(r.Registry.Repo(repository).Tag("e2e"), kept, r.Options...))
	digest, err := kept.Digest()
	env.Check(t, err)
	free := fill(t, ns)

	build := func(dir string) env.Result {
		t.Helper()
		return ns.Build(t, dir, "--port", "8000", "--replicas", "1")
	}
	hint := []string{registry.ErrFull.Error(), "kubectl pyflow images prune", "--registry-storage-size"}
	dir := env.Project(t, "full", map[string]string{
		"Dockerfile": "FROM " + env.SmallBase + "\nRUN head -c " + imageSize + " /dev/urandom > /large\nCOPY index.html /app/\nWORKDIR /app\n" + env.SmallServer,
		"index.html": "there is room",
	})
	// The context is small, the image is not.
	pushed := build(dir).Failed(t, append(hint, "step build", "✓ Uploaded")...)
	t.Logf("while the image is pushed: %s", ending(pushed.Stderr))
	env.Check(t, os.WriteFile(filepath.Join(dir, "more"), []byte(rand.Text()), 0o600))
	uploaded := build(dir).Failed(t, append(hint, "push "+manifests.RegistryHost+"/"+ns.Name+"/full/source")...)
	t.Logf("while the context is uploaded: %s", ending(uploaded.Stderr))
	if runs := ns.RunsOf(t, "full"); len(runs) != 1 || !runs[0].IsFailure() || ns.Runs(t)[0].Name != runs[0].Name {
		t.Errorf("the first build should have left one failed run and the second one none, but there are %d", len(runs))
	}

	free()
	_, url := build(dir).Released(t)
	env.Serves(t, url, "there is room")
	if blobs := r.Whole(t, repository, digest.String()); blobs != 3 {
		t.Errorf("of what was stored before %d blobs are there", blobs)
	}
	env.Check(t, ns.Kube.AppsV1().Deployments(ns.Name).Delete(t.Context(), "full", metav1.DeleteOptions{}))
	env.Check(t, ns.Kube.CoreV1().Services(ns.Name).Delete(t.Context(), "full", metav1.DeleteOptions{}))
}

// ending returns the last lines of the output of a command.
func ending(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-3, 0):], " | ")
}

// useSmallVolume puts a volume of smallVolume bytes in place of the storage's own
// as long as the step lasts. The one with the images is only not mounted.
func useSmallVolume(t *testing.T, ns *app) {
	t.Helper()
	sets := ns.Kube.AppsV1().StatefulSets(manifests.SystemNamespace)
	set, err := sets.Get(t.Context(), manifests.StorageName, metav1.GetOptions{})
	env.Check(t, err)
	volumes := set.Spec.Template.Spec.Volumes
	i := slices.IndexFunc(volumes, func(volume corev1.Volume) bool { return volume.Name == "data" })
	use := func(ctx context.Context, volume corev1.Volume) error {
		patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": fmt.Sprintf("/spec/template/spec/volumes/%d", i), "value": volume}})
		if err != nil {
			return err
		}
		if _, err := sets.Patch(ctx, set.Name, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
		if out, err := ns.Command(ctx, "kubectl", "rollout", "status", "statefulset/"+set.Name, "-n", set.Namespace).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), env.SettleLimit)
		defer cancel()
		if err := use(ctx, volumes[i]); err != nil {
			t.Errorf("give the storage its own volume back: %v", err)
		}
	})
	env.Check(t, use(t.Context(), corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		Medium: corev1.StorageMediumMemory, SizeLimit: resource.NewQuantity(smallVolume, resource.BinarySI),
	}}}))
}

// fill begins an upload of fillerSize bytes and does not end it. What it returns
// gives it up, which frees the space.
func fill(t *testing.T, ns *app) (free func()) {
	t.Helper()
	transport, user := registrytest.Transport(t, ns.Cluster, manifests.SystemNamespace)
	place := &url.URL{Scheme: "https", Host: manifests.RegistryHost, Path: "/v2/" + manifests.SystemNamespace + "/filler/blobs/uploads/"}
	do := func(method string, body io.Reader, want int) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, place.String(), body)
		env.Check(t, err)
		request.SetBasicAuth(user.Name, user.Password)
		request.Header.Set("Content-Type", "application/octet-stream")
		response, err := (&http.Client{Transport: transport}).Do(request)
		env.Check(t, err)
		defer response.Body.Close()
		if response.StatusCode != want {
			answer, _ := io.ReadAll(response.Body)
			t.Fatalf("%s %s: %s: %s", method, place.Path, response.Status, answer)
		}
		if next := response.Header.Get("Location"); next != "" {
			place, err = place.Parse(next)
			env.Check(t, err)
		}
	}
	do(http.MethodPost, http.NoBody, http.StatusAccepted)
	do(http.MethodPatch, io.LimitReader(rand.Reader, fillerSize), http.StatusAccepted)
	return func() {
		t.Helper()
		do(http.MethodDelete, http.NoBody, http.StatusNoContent)
	}
}
