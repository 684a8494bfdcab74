package release_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

func options(directory string) release.Options {
	return release.Options{App: "mountains", Namespace: "hiking", Directory: directory, Replicas: 1, PullSecret: "pyflow-registry"}
}

// write makes a directory of files; a name may have a path.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s (UPDATE_GOLDEN=1 rewrites it); got:\n%s", path, got)
	}
}

func TestDefault(t *testing.T) {
	o := options("")
	o.Port, o.Replicas = 5000, 3
	got, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "default.yaml", got.YAML)
	if want := []release.Workload{{Kind: "Deployment", Name: "mountains", Built: true}}; !slices.Equal(got.Workloads, want) {
		t.Errorf("workloads %v, want %v", got.Workloads, want)
	}
	if want := []string{"mountains"}; !slices.Equal(got.Services, want) {
		t.Errorf("services %v, want %v", got.Services, want)
	}
}

func TestDefaultOfDefaults(t *testing.T) {
	got, err := release.Render(options(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"containerPort: 8000", `value: "8000"`, "replicas: 1"} {
		if !strings.Contains(string(got.YAML), want) {
			t.Errorf("no %q in\n%s", want, got.YAML)
		}
	}
}

func TestDirectory(t *testing.T) {
	o := options("testdata/kustomize/overlay")
	got, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "kustomize.yaml", got.YAML)
	golden(t, "kustomize-secrets.yaml", got.Secrets)
	want := []release.Workload{
		{Kind: "Deployment", Name: "db"},
		{Kind: "Deployment", Name: "web", Built: true},
		{Kind: "StatefulSet", Name: "worker", Built: true},
	}
	slices.SortFunc(got.Workloads, func(a, b release.Workload) int { return strings.Compare(a.Name, b.Name) })
	if !slices.Equal(got.Workloads, want) {
		t.Errorf("workloads %v, want %v", got.Workloads, want)
	}
	if want := []string{"db", "web"}; !slices.Equal(got.Services, want) {
		t.Errorf("services %v, want %v", got.Services, want)
	}
	keyed := o
	keyed.Key = []byte("key")
	if other, err := release.Render(keyed); err != nil || other.Hash == got.Hash || len(other.Hash) != 32 {
		t.Errorf("hashes %s and, with a key, %s, %v", got.Hash, other.Hash, err)
	}
	again, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.YAML, again.YAML) {
		t.Error("the same directory renders differently the second time")
	}
}

// What the deployment does in the cluster: an overlay that sets the image.
func TestFilesTakeTheImage(t *testing.T) {
	for _, directory := range []string{"", "testdata/kustomize/overlay", "../../examples/mountains/deploy"} {
		rendered, err := release.Render(options(directory))
		if err != nil {
			t.Fatal(err)
		}
		fs := filesys.MakeFsInMemory()
		files := map[string][]byte{}
		for name, text := range rendered.Files() {
			files["/release/manifests/"+name] = text
		}
		const image = "127.0.0.1:5180/hiking/mountains@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		name, digest, _ := strings.Cut(image, "@")
		files["/release/overlay/kustomization.yaml"] = []byte("resources: [../manifests]\nimages:\n- {name: mountains, newName: \"" + name + "\", digest: \"" + digest + "\"}\n")
		for name, text := range files {
			if err := fs.WriteFile(name, text); err != nil {
				t.Fatal(err)
			}
		}
		result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/release/overlay")
		if err != nil {
			t.Fatal(err)
		}
		text, err := result.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		built := 0
		for _, workload := range rendered.Workloads {
			if workload.Built {
				built++
			}
		}
		if got := strings.Count(string(text), "image: "+image); got < built || built == 0 {
			t.Errorf("%q: %d images set for %d workloads:\n%s", directory, got, built, text)
		}
		if strings.Contains(string(text), "image: mountains\n") {
			t.Errorf("%q: a placeholder is left:\n%s", directory, text)
		}
	}
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "mountains"}]}
`

func TestPlaceholder(t *testing.T) {
	for image, want := range map[string]bool{
		"mountains": true, "mountains:latest": true, "mountains@sha256:abc": true, "mountains:v1@sha256:abc": true,
		"mountains-db": false, "other/mountains": false, "docker.io/library/mountains": false, "localhost:5000/x": false, "mountains:5000/x": false,
	} {
		directory := write(t, map[string]string{
			"kustomization.yaml": "resources: [web.yaml]",
			"web.yaml":           strings.Replace(deployment, `"mountains"`, `"`+image+`"`, 1),
		})
		_, err := release.Render(options(directory))
		if want && err != nil {
			t.Errorf("%s: %v", image, err)
		}
		if !want && (!errors.Is(err, release.ErrNoPlaceholder) || !strings.Contains(err.Error(), "`image: mountains`")) {
			t.Errorf("%s: error %v, want ErrNoPlaceholder that says what to write", image, err)
		}
	}
}

func TestPullSecretOnce(t *testing.T) {
	directory := write(t, map[string]string{
		"kustomization.yaml": "resources: [web.yaml]",
		"web.yaml":           strings.Replace(deployment, "spec: {containers", "spec: {imagePullSecrets: [{name: mine}, {name: pyflow-registry}], containers", 1),
	})
	got, err := release.Render(options(directory))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(got.YAML), "pyflow-registry"); n != 1 {
		t.Errorf("the pull secret occurs %d times:\n%s", n, got.YAML)
	}
}

func TestErrors(t *testing.T) {
	kustomize := func(resources string, more map[string]string) map[string]string {
		files := map[string]string{"kustomization.yaml": "resources: [" + resources + "]", "web.yaml": deployment}
		for name, text := range more {
			files[name] = text
		}
		return files
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no manifests": {map[string]string{"README.md": deployment}, "no .yaml, .yml or .json file there holds an object"},
		"other namespace": {
			kustomize("web.yaml, other.yaml", map[string]string{"other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: elsewhere}\n"}),
			"ConfigMap/c is for namespace elsewhere: a release goes to namespace hiking only",
		},
		"namespace of the kustomization": {
			map[string]string{"kustomization.yaml": "namespace: elsewhere\nresources: [web.yaml]", "web.yaml": deployment},
			"Deployment/web is for namespace elsewhere",
		},
		"cluster-scoped": {
			kustomize("web.yaml, other.yaml", map[string]string{"other.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n"}),
			"ClusterRole/all belongs to no namespace",
		},
		"namespace object": {
			kustomize("web.yaml, other.yaml", map[string]string{"other.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: hiking}\n"}),
			"Namespace/hiking belongs to no namespace",
		},
		"a key twice":           {kustomize("web.yaml, bad.yaml", map[string]string{"bad.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n"}), "bad.yaml:5: the key name is there twice"},
		"no name":               {kustomize("web.yaml, bad.yaml", map[string]string{"bad.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n"}), "bad.yaml:1: Job has a generateName"},
		"invalid yaml":          {kustomize("web.yaml, bad.yaml", map[string]string{"bad.yaml": "kind: [\n"}), "bad.yaml"},
		"invalid kustomization": {map[string]string{"kustomization.yaml": "resorces: []"}, "resorces"},
		"missing file":          {kustomize("web.yaml, gone.yaml", nil), "gone.yaml"},
		"escaping file": {
			map[string]string{"app/kustomization.yaml": "resources: [../web.yaml]", "web.yaml": deployment}, "not in or below",
		},
		"escaping generator": {
			map[string]string{"app/kustomization.yaml": "resources: [web.yaml]\nconfigMapGenerator: [{name: c, files: [../outside]}]", "app/web.yaml": deployment, "outside": "x"}, "not in or below",
		},
		"url":             {kustomize("web.yaml, https://example.com/x.yaml", nil), "https://example.com/x.yaml is remote"},
		"repository":      {kustomize("web.yaml, github.com/some/repo", nil), "github.com/some/repo is remote"},
		"ssh":             {kustomize("web.yaml, git@example.com:some/repo", nil), "git@example.com:some/repo is remote"},
		"file repository": {kustomize("web.yaml, file:///some/repo", nil), "file:///some/repo is remote"},
		"url in a base": {
			map[string]string{"kustomization.yaml": "resources: [base]", "base/kustomization.yaml": "components: [https://example.com/c]"}, "https://example.com/c is remote",
		},
		"url among the bases of old": {
			map[string]string{"kustomization.yaml": "bases: ['https://example.com/b']"}, "https://example.com/b is remote",
		},
		"url of a patch": {
			map[string]string{"kustomization.yaml": "resources: [web.yaml]\npatches: [{path: 'https://example.com/p.yaml'}]", "web.yaml": deployment}, "https://example.com/p.yaml is remote",
		},
		"helm": {
			map[string]string{"kustomization.yaml": "helmCharts: [{name: redis, repo: 'https://example.com'}]"}, "helm",
		},
		"plugin": {
			map[string]string{"kustomization.yaml": "resources: [web.yaml]\ngenerators: [gen.yaml]", "web.yaml": deployment, "gen.yaml": "apiVersion: example.com/v1\nkind: Gen\nmetadata: {name: g, annotations: {config.kubernetes.io/function: 'exec: {path: ./run}'}}\n"}, "Gen",
		},
		"too large": {
			map[string]string{"kustomization.yaml": "resources: [web.yaml]\nconfigMapGenerator: [{name: c, files: [big]}]", "web.yaml": deployment, "big": strings.Repeat("x", 1<<20)}, "a release can hold",
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory := write(t, test.files)
			if test.files["app/kustomization.yaml"] != "" {
				directory = filepath.Join(directory, "app")
			}
			_, err := release.Render(options(directory))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	for name, directory := range map[string]string{"no directory": filepath.Join(t.TempDir(), "gone"), "a file": "release.go"} {
		if _, err := release.Render(options(directory)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// plain has a Service and a ConfigMap after the Deployment that needs them.
func plain(t *testing.T, more map[string]string) string {
	t.Helper()
	files := map[string]string{
		"a-web.yaml": deployment + "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n",
		"b-job.yaml": strings.NewReplacer("apps/v1", "batch/v1", "Deployment", "Job", "name: web}\nspec:\n  selector: {matchLabels: {app: web}}", "name: migrate}\nspec:").Replace(
			strings.Replace(deployment, `spec: {containers: [{name: web, image: "mountains"}]}`, `spec: {restartPolicy: Never, initContainers: [{name: a, image: "mountains:1.2"}], containers: [{name: b, image: busybox}]}`, 1)),
		"c-config.json": `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}]}`,
		"d-secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2secret}\n",
	}
	for name, text := range more {
		files[name] = text
	}
	return write(t, files)
}

// TestPlain wants plain manifests delivered as a kustomization is.
func TestPlain(t *testing.T) {
	o := options(plain(t, map[string]string{"values.yaml": "replicas: 3\n"}))
	o.Detected = true
	got, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "plain.yaml", got.YAML)
	golden(t, "plain-secrets.yaml", got.Secrets)
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "values.yaml is left out") {
		t.Errorf("notes %q", got.Notes)
	}
	kustomization := plain(t, map[string]string{"kustomization.yaml": "resources: [a-web.yaml, b-job.yaml, c-config.json, d-secret.yaml]\n"})
	same, err := release.Render(options(kustomization))
	if err != nil || same.Hash != got.Hash {
		t.Errorf("a kustomization of the same files has the hash %s, %v, and not %s", same.Hash, err, got.Hash)
	}
}

func TestPlainRefused(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"other namespace": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: elsewhere}\n", "z.yaml:1: ConfigMap/x is for namespace elsewhere: a release goes to namespace hiking only"},
		"cluster-scoped":  {"# all\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n", "z.yaml:2: ClusterRole/all belongs to no namespace"},
		"no manifest":     {"replicas: 3\n", "z.yaml:1: not a Kubernetes manifest"},
		"too large":       {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: " + strings.Repeat("x", 1<<20) + "}\n", "a release can hold"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := release.Render(options(plain(t, map[string]string{"z.yaml": test.file})))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	_, err := release.Render(options(write(t, map[string]string{"web.yaml": strings.Replace(deployment, `"mountains"`, "ghcr.io/acme/lakes:1", 1)})))
	var none *release.NoPlaceholderError
	if !errors.As(err, &none) || !errors.Is(err, release.ErrNoPlaceholder) || !strings.HasSuffix(err.Error(), "one container needs `image: mountains`; its containers run ghcr.io/acme/lakes:1") {
		t.Errorf("error %v, want one that names the image", err)
	}
}

// kustomize quotes what it cannot read. Each of these fails, and would show the secret without
// redaction.
func TestErrorsShowNoSecrets(t *testing.T) {
	const secret = "hunter2secret"
	base := "resources: [web.yaml, secret.yaml]\n"
	good := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: x}\n"
	for name, files := range map[string]map[string]string{
		"literal":      {"kustomization.yaml": "secretGenerator: [{name: s, literals: [" + secret + "]}]"},
		"env file":     {"kustomization.yaml": "secretGenerator: [{name: s, envs: [.env]}]", ".env": "A=1\nB=" + secret + "\xff\n"},
		"anchor":       {"kustomization.yaml": base, "secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  password: *" + secret + "\n"},
		"inline patch": {"kustomization.yaml": base + "patches:\n- target: {kind: Secret}\n  patch: |-\n    stringData: [" + secret + "\n", "secret.yaml": good},
	} {
		t.Run(name, func(t *testing.T) {
			files["web.yaml"] = deployment
			_, err := release.Render(options(write(t, files)))
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows it: %v", err)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	rendered, err := release.Render(options(""))
	if err != nil {
		t.Fatal(err)
	}
	files := rendered.Files()
	if !bytes.Equal(files["resources.yaml"], rendered.YAML) || !strings.Contains(string(files["kustomization.yaml"]), "resources.yaml") || len(files) != 2 {
		t.Errorf("files %q", files)
	}
	if bytes.Contains(rendered.YAML, []byte("status:")) {
		t.Errorf("a manifest has a status:\n%s", rendered.YAML)
	}
	if n := bytes.Count(rendered.YAML, []byte(manifests.LabelManagedBy)); n != len(rendered.Workloads)+len(rendered.Services) {
		t.Errorf("%d objects are labeled as managed", n)
	}
}
