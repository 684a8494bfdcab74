//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// tree returns the files of one of the projects that detection is tested with, but for
// what is expected of it.
func tree(t *testing.T, name string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "pkg", "detect", "testdata", name+".txtar"))
	check(t, err)
	files, file := map[string]string{}, ""
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(line, " --\n") {
			file = strings.TrimSuffix(rest, " --\n")
			files[file] = ""
		} else if file != "" {
			files[file] += line
		}
	}
	for _, expected := range []string{"want.json", "want-error", "options.json"} {
		delete(files, expected)
	}
	return files
}

// detected are projects without a Dockerfile, as their tools leave them.
func (j *journey) detected(t *testing.T) {
	t.Parallel()
	t.Run("each", j.eachDetected)
	sizes := map[string]int64{}
	for _, image := range j.imageList(t).Items {
		sizes[image.App] = image.SizeBytes
	}
	if bloated, slim := sizes["found-flat-requirements"], sizes["found-poetry"]; slim == 0 || 3*slim >= bloated {
		t.Errorf("the bloated image has %d bytes, a slim one %d", bloated, slim)
	}
}

func (j *journey) eachDetected(t *testing.T) {
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
			j.forget(t, app)
			j.forgetRuns(t, app)
			dir := project(t, app, tree(t, "ready-"+test.name))
			before := files(t, dir)
			shown := j.pyflow(t, "build", dir, "--show-dockerfile", "--variant", test.variant).succeeded(t)
			r := j.pyflowBuild(t, dir, "--variant", test.variant, "--name", app)
			_, url := r.released(t)
			r.says(t, "made a "+test.variant+" one for", test.finds)
			serves(t, url+"/healthz", "")
			if run := j.runsOf(t, app)[0]; run.Annotations["pyflow.dev/dockerfile"] != shown.stdout {
				t.Errorf("what was built is not what is shown\n%s", shown)
			}
			if after := files(t, dir); !slices.Equal(before, after) {
				t.Errorf("the folder had %q and has %q", before, after)
			}
			if test.name == "poetry" {
				j.nothingLost(t, app, url+"/healthz", dir)
			}
		})
	}
}

// nothingLost puts a release of two replicas in place of one that serves at url: no
// request is refused on the way.
func (j *journey) nothingLost(t *testing.T, name, url, dir string) {
	t.Helper()
	stop := keepsServing(t, url)
	j.pyflowBuild(t, dir, "--name", name, "--replicas", "2", "--env", "RELEASE=2").released(t)
	stop()

	// The pods of runs are there as well, and none of the Service's.
	service, err := j.kube.CoreV1().Services(j.namespace).Get(t.Context(), name, metav1.GetOptions{})
	check(t, err)
	pods, err := j.kube.CoreV1().Pods(j.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: labels.Set(service.Spec.Selector).String()})
	check(t, err)
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
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	}))
	return names
}
