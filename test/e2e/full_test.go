//go:build e2e

package e2e

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
)

const (
	// smallVolume is more than an image of python:3.13-slim takes, and leaves less
	// than that when fillerSize is taken.
	smallVolume = 160 << 20
	fillerSize  = 130 << 20
)

// fullVolume gives the registry's storage a small volume for a while, in memory,
// and fills it. What a build says names it, nothing that is stored is lost, and
// when there is room the same build succeeds.
func (j *journey) fullVolume(t *testing.T) {
	j.useSmallVolume(t)
	kept, err := random.Image(1<<10, 2)
	check(t, err)
	r := j.registry(t)
	repository := manifests.SystemNamespace + "/kept"
	check(t, remote.Write(r.registry.Repo(repository).Tag("e2e"), kept, r.options...))
	digest, err := kept.Digest()
	check(t, err)
	free := j.fill(t)

	build := func(dir string) result {
		t.Helper()
		return j.pyflowBuild(t, dir, "--port", "8000", "--replicas", "1")
	}
	hint := []string{registry.ErrFull.Error(), "kubectl pyflow images prune", "--registry-storage-size"}
	dir := project(t, "full", map[string]string{
		"Dockerfile": "FROM python:3.13-slim\nCOPY index.html /app/\nWORKDIR /app\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n",
		"index.html": "there is room",
	})
	// The context is small, the image is not.
	pushed := build(dir).failed(t, append(hint, "step build", "Uploaded the build context")...)
	t.Logf("while the image is pushed: %s", ending(pushed.stderr))
	check(t, os.WriteFile(filepath.Join(dir, "more"), []byte(rand.Text()), 0o600))
	uploaded := build(dir).failed(t, append(hint, "push "+manifests.RegistryHost+"/"+j.namespace+"/full/source")...)
	t.Logf("while the context is uploaded: %s", ending(uploaded.stderr))
	if runs := j.runs(t, j.namespace); runs[0].Labels[manifests.LabelApp] != "full" || !runs[0].IsFailure() || runs[1].Labels[manifests.LabelApp] == "full" {
		t.Errorf("the first build should have left one failed run and the second one none: %s, %s", runs[0].Name, runs[1].Name)
	}

	free()
	_, url := build(dir).released(t)
	serves(t, url, "there is room")
	if blobs := r.whole(t, repository, digest.String()); blobs != 3 {
		t.Errorf("of what was stored before %d blobs are there", blobs)
	}
	check(t, j.kube.AppsV1().Deployments(j.namespace).Delete(t.Context(), "full", metav1.DeleteOptions{}))
	check(t, j.kube.CoreV1().Services(j.namespace).Delete(t.Context(), "full", metav1.DeleteOptions{}))
}

// ending is the last lines of what a command said.
func ending(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-3, 0):], " | ")
}

// useSmallVolume puts a volume of smallVolume bytes in place of the storage's own
// as long as the step lasts. The one with the images is only not mounted.
func (j *journey) useSmallVolume(t *testing.T) {
	t.Helper()
	sets := j.kube.AppsV1().StatefulSets(manifests.SystemNamespace)
	set, err := sets.Get(t.Context(), manifests.StorageName, metav1.GetOptions{})
	check(t, err)
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
		if out, err := j.command(ctx, "kubectl", "rollout", "status", "statefulset/"+set.Name, "-n", set.Namespace).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), settleLimit)
		defer cancel()
		if err := use(ctx, volumes[i]); err != nil {
			t.Errorf("give the storage its own volume back: %v", err)
		}
	})
	check(t, use(t.Context(), corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		Medium: corev1.StorageMediumMemory, SizeLimit: resource.NewQuantity(smallVolume, resource.BinarySI),
	}}}))
}

// fill begins an upload of fillerSize bytes and does not end it. What it returns
// gives it up, which frees the space.
func (j *journey) fill(t *testing.T) (free func()) {
	t.Helper()
	transport, user := j.toRegistry(t, manifests.SystemNamespace)
	place := &url.URL{Scheme: "https", Host: manifests.RegistryHost, Path: "/v2/" + manifests.SystemNamespace + "/filler/blobs/uploads/"}
	do := func(method string, body io.Reader, want int) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, place.String(), body)
		check(t, err)
		request.SetBasicAuth(user.Name, user.Password)
		request.Header.Set("Content-Type", "application/octet-stream")
		response, err := (&http.Client{Transport: transport}).Do(request)
		check(t, err)
		defer response.Body.Close()
		if response.StatusCode != want {
			answer, _ := io.ReadAll(response.Body)
			t.Fatalf("%s %s: %s: %s", method, place.Path, response.Status, answer)
		}
		if next := response.Header.Get("Location"); next != "" {
			place, err = place.Parse(next)
			check(t, err)
		}
	}
	do(http.MethodPost, http.NoBody, http.StatusAccepted)
	do(http.MethodPatch, io.LimitReader(rand.Reader, fillerSize), http.StatusAccepted)
	return func() {
		t.Helper()
		do(http.MethodDelete, http.NoBody, http.StatusNoContent)
	}
}
