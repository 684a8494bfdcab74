//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// initialize takes a service from nothing to replicas, and a project that has no
// Dockerfile.
func (j *journey) initialize(t *testing.T) {
	t.Parallel()
	t.Run("a new service", func(t *testing.T) {
		j.forget(t, "fresh")
		j.forgetRuns(t, "fresh")
		dir := filepath.Join(t.TempDir(), "fresh")
		r := j.pyflow(t, "init", dir, "--port", "8080").succeeded(t)
		if lines := strings.Count(r.stdout, "\n"); lines != strings.Count(r.stdout, dir+string(filepath.Separator)) || lines < 20 {
			t.Errorf("stdout should be the paths that were written\n%s", r)
		}
		_, url := j.pyflowBuild(t, dir).released(t)
		serves(t, url+"/readyz", `{"status":"ok"}`)
		serves(t, url+"/notes", "[]")

		deployment, err := j.kube.AppsV1().Deployments(j.namespace).Get(t.Context(), "fresh", metav1.GetOptions{})
		check(t, err)
		container := deployment.Spec.Template.Spec.Containers[0]
		if probe := container.ReadinessProbe; probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/readyz" || container.Ports[0].ContainerPort != 8080 {
			t.Errorf("the settings are not those of the Deployment: %+v", container)
		}
	})
	t.Run("a project that is there", func(t *testing.T) {
		dir := j.example(t, "mountains", "src/mountains/main.py", `title="Mountains"`, `title="Adopted"`)
		for _, name := range []string{"Dockerfile", ".dockerignore"} {
			check(t, os.Remove(filepath.Join(dir, name)))
		}
		check(t, os.RemoveAll(filepath.Join(dir, "deploy")))
		j.pyflow(t, "init", dir, "--name", "adopted").succeeded(t).says(t, "mountains.main:app", "Wrote 3 files")
		j.pyflow(t, "init", dir).succeeded(t).says(t, "Nothing to do")
		written, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
		check(t, err)
		check(t, os.Remove(filepath.Join(dir, "Dockerfile")))
		if shown := j.pyflow(t, "build", dir, "--show-dockerfile").succeeded(t); shown.stdout != string(written) {
			t.Errorf("what init has written is not what build makes\n%s", shown)
		}
	})
}
