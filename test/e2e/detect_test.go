//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestDetected are projects without a Dockerfile, as their tools leave them.
func TestDetected(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	t.Run("each", func(t *testing.T) { eachDetected(t, ns) })
	sizes := map[string]int64{}
	for _, image := range ns.ImageList(t).Items {
		sizes[image.App] = image.SizeBytes
	}
	if bloated, slim := sizes["found-flat-requirements"], sizes["found-poetry"]; slim == 0 || 3*slim >= bloated {
		t.Errorf("the bloated image has %d bytes, a slim one %d", bloated, slim)
	}
}

func eachDetected(t *testing.T, ns *env.NS) {
	for _, test := range []struct{ name, variant, finds string }{
		{"flat-requirements", "bloated", "fastapi app main:app, Python 3.13, dependencies of requirements.txt"},
		{"uv-src", "distroless", "dependencies of uv"},
		{"poetry", "slim", "starlette app"},
		{"django-pipenv", "slim", "django app"},
		{"flask-factory", "distroless", "flask app"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := "found-" + test.name
			dir := env.Project(t, app, env.Tree(t, "ready-"+test.name))
			before := files(t, dir)
			shown := ns.Pyflow(t, "build", dir, "--show-dockerfile", "--variant", test.variant).Succeeded(t)
			r := ns.Build(t, dir, "--variant", test.variant, "--name", app)
			_, url := r.Released(t)
			r.Says(t, "made a "+test.variant+" one for", test.finds)
			env.Serves(t, url+"/healthz", "")
			if run := ns.RunsOf(t, app)[0]; run.Annotations["pyflow.dev/dockerfile"] != shown.Stdout {
				t.Errorf("what was built is not what is shown\n%s", shown)
			}
			if after := files(t, dir); !slices.Equal(before, after) {
				t.Errorf("the folder had %q and has %q", before, after)
			}
			if test.name == "poetry" {
				nothingLost(t, ns, app, url+"/healthz", dir)
			}
		})
	}
}

// nothingLost replaces a release that serves at url by one of two replicas, and checks that
// no request fails meanwhile.
func nothingLost(t *testing.T, ns *env.NS, name, url, dir string) {
	t.Helper()
	stop := env.KeepsServing(t, url)
	ns.Build(t, dir, "--name", name, "--replicas", "2", "--env", "RELEASE=2").Released(t)
	stop()

	// The pods of runs exist as well, but are no endpoints of the Service.
	service, err := ns.Kube.CoreV1().Services(ns.Name).Get(t.Context(), name, metav1.GetOptions{})
	env.Check(t, err)
	pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: labels.Set(service.Spec.Selector).String()})
	env.Check(t, err)
	for _, pod := range pods.Items {
		if owner := metav1.GetControllerOf(&pod); owner == nil || owner.Kind != "ReplicaSet" {
			t.Errorf("pod %s of %v is a pod of the Service", pod.Name, owner)
		}
	}
	if len(pods.Items) < 2 {
		t.Errorf("the Service has %d pods", len(pods.Items))
	}
}

// files are those below a directory, sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	env.Check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	}))
	return names
}
