//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestInit takes a service from nothing to replicas, and a project that has no
// Dockerfile.
func TestInit(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	t.Run("a new service", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "fresh")
		r := ns.Pyflow(t, "init", dir, "--port", "8080").Succeeded(t)
		if lines := strings.Count(r.Stdout, "\n"); lines != strings.Count(r.Stdout, dir+string(filepath.Separator)) || lines < 20 {
			t.Errorf("stdout should be the paths that were written\n%s", r)
		}
		_, url := ns.Build(t, dir).Released(t)
		env.Serves(t, url+"/readyz", `{"status":"ok"}`)
		env.Serves(t, url+"/notes", "[]")

		deployment, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "fresh", metav1.GetOptions{})
		env.Check(t, err)
		container := deployment.Spec.Template.Spec.Containers[0]
		if probe := container.ReadinessProbe; probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/readyz" || container.Ports[0].ContainerPort != 8080 {
			t.Errorf("the settings are not those of the Deployment: %+v", container)
		}
	})
	t.Run("an existing project", func(t *testing.T) {
		dir := env.Example(t, "mountains", "src/mountains/main.py", `title="Mountains"`, `title="Adopted"`)
		for _, name := range []string{"Dockerfile", ".dockerignore"} {
			env.Check(t, os.Remove(filepath.Join(dir, name)))
		}
		env.Check(t, os.RemoveAll(filepath.Join(dir, "deploy")))
		ns.Pyflow(t, "init", dir, "--name", "adopted").Succeeded(t).Says(t, "mountains.main:app", "Wrote 3 files")
		ns.Pyflow(t, "init", dir).Succeeded(t).Says(t, "Nothing to do")
		written, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
		env.Check(t, err)
		env.Check(t, os.Remove(filepath.Join(dir, "Dockerfile")))
		if shown := ns.Pyflow(t, "build", dir, "--show-dockerfile").Succeeded(t); shown.Stdout != string(written) {
			t.Errorf("what init has written is not what build makes\n%s", shown)
		}
	})
}
