package release_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const exportedDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// export renders and exports, and returns what kustomize makes of the files.
func export(t *testing.T, o release.Options, user *app.User) (*release.Exported, string) {
	t.Helper()
	rendered, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := rendered.Export("127.0.0.1:5180/hiking/mountains", exportedDigest, user)
	if err != nil {
		t.Fatal(err)
	}
	again, err := rendered.Export("127.0.0.1:5180/hiking/mountains", exportedDigest, user)
	if err != nil || !maps.EqualFunc(exported.Files, again.Files, bytes.Equal) {
		t.Errorf("the second export differs: %v", err)
	}
	fs := filesys.MakeFsInMemory()
	for name, text := range exported.Files {
		if err := fs.WriteFile("/"+name, text); err != nil {
			t.Fatal(err)
		}
	}
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/")
	if err != nil {
		t.Fatal(err)
	}
	text, err := result.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return exported, string(text)
}

// TestExport wants objects that their new owner can apply anywhere, with the image, and without
// Secrets.
func TestExport(t *testing.T) {
	exported, text := export(t, options(plain(t, nil)), nil)
	golden(t, "exported.yaml", []byte(text))
	golden(t, "exported-kustomization.yaml", exported.Files[release.KustomizationFile])
	if !slices.Equal(exported.Secrets, []string{"Secret/s"}) || !slices.Equal(exported.Jobs, []string{"Job/migrate"}) {
		t.Errorf("left out %q, Jobs %q", exported.Secrets, exported.Jobs)
	}
	for name, text := range exported.Files {
		if bytes.Contains(text, []byte("hunter2secret")) {
			t.Errorf("%s has a Secret", name)
		}
	}

	o := options("")
	o.Processes = []app.Process{{Name: "release", Command: []string{"migrate"}}}
	for want, user := range map[string]*app.User{
		"runAsGroup: 1000\n        runAsNonRoot: true\n        runAsUser: 1000\n":    nil,
		"runAsGroup: 5\n        runAsNonRoot: true\n        runAsUser: 4\n":          {ID: 4, Group: 5},
		"      securityContext:\n        runAsNonRoot: true\n        runAsUser: 4\n": {ID: 4, Group: -1},
	} {
		exported, text := export(t, o, user)
		if n := strings.Count(text, want); n != 2 {
			t.Errorf("%q is there %d times, want it for the Deployment and the Job:\n%s", want, n, text)
		}
		if len(exported.Jobs) > 0 || !strings.Contains(text, "argocd.argoproj.io/hook: Sync") || strings.Contains(text, "pyflow.dev/job-of") {
			t.Errorf("the Job cannot be made again: %q\n%s", exported.Jobs, text)
		}
	}
}

// TestShown wants all objects, and no values of Secrets.
func TestShown(t *testing.T) {
	rendered, err := release.Render(options(plain(t, map[string]string{
		"e.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: e, annotations: {kubectl.kubernetes.io/last-applied-configuration: hunter2secret}}\ndata: {a: aHVudGVyMnNlY3JldA==}\n",
	})))
	if err != nil {
		t.Fatal(err)
	}
	text, err := rendered.Shown()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "shown.yaml", text)
	for _, secret := range []string{"hunter2secret", "aHVudGVyMnNlY3JldA", "pyflow.dev/manifests"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s is shown", secret)
		}
	}
	if !bytes.Contains(rendered.Secrets, []byte("hunter2secret")) {
		t.Error("the Secret of the release is masked")
	}
}

// TestGenerated wants the files to render what a release without them has, but for the mark of
// what is generated.
func TestGenerated(t *testing.T) {
	for name, set := range map[string]func(*release.Options){
		"defaults": func(*release.Options) {},
		"settings": func(o *release.Options) {
			o.Replicas, o.Port, o.Env = 3, 5000, map[string]app.Variable{"A": {Value: "$(B)"}}
			o.User, o.Limits = app.User{ID: 10001, Group: 10002}, resources(t, "memory=1Gi")
			o.Probes = app.Probes{Readiness: "/readyz"}
		},
		"processes": func(o *release.Options) {
			o.Processes = []app.Process{{Name: "release", Command: []string{"migrate"}}, {Name: "worker", Command: []string{"work"}, Replicas: 2}, {Name: "night", Command: []string{"sweep"}, Schedule: "@daily"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("")
			set(&o)
			files, err := release.Generated(o)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := release.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := release.Render(options(dir))
			if err != nil {
				t.Fatal(err)
			}
			same := func(m *release.Manifests) string {
				text := strings.ReplaceAll(string(m.YAML), m.Hash, "")
				return strings.ReplaceAll(text, "    pyflow.dev/generated: \"true\"\n", "")
			}
			if same(got) != same(want) {
				t.Errorf("the files render\n%s\nand not\n%s", same(got), same(want))
			}
			if !slices.Equal(got.Workloads, want.Workloads) {
				t.Errorf("workloads %v, want %v", got.Workloads, want.Workloads)
			}
		})
	}
	o := options("")
	o.UserOfImage = true
	files, err := release.Generated(o)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(files["deployment-mountains.yaml"]); strings.Contains(text, "runAsUser") || !strings.Contains(text, "runAsNonRoot: true") {
		t.Errorf("the user is not left to the image:\n%s", text)
	}
}
