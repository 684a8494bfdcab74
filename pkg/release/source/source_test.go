package source_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

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

func deployment(image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: \"" + image + "\"}]}}}\n"
}

func TestFind(t *testing.T) {
	const compose = "services:\n  web:\n    image: shop\n"
	for name, test := range map[string]struct {
		files map[string]string
		// want is the directory, kind and name; note is a part of the only note.
		want, note string
		two        bool
	}{
		"nothing":                     {files: map[string]string{"main.py": ""}, want: "//"},
		"empty directories":           {files: map[string]string{"deploy/values.yaml": "", "k8s/readme": ""}, want: "//"},
		"a kustomization":             {files: map[string]string{"deploy/kustomization.yaml": ""}, want: "deploy/kustomization/"},
		"a kustomization, yml":        {files: map[string]string{"k8s/kustomization.yml": "", "deploy/x": ""}, want: "k8s/kustomization/"},
		"a kustomization, upper case": {files: map[string]string{"manifests/Kustomization": ""}, want: "manifests/kustomization/"},
		"deploy is a script":          {files: map[string]string{"deploy": "", "k8s/kustomization.yaml": ""}, want: "k8s/kustomization/"},
		"a directory of that name":    {files: map[string]string{"deploy/kustomization.yaml/x": ""}, want: "//"},
		"two kustomizations":          {files: map[string]string{"k8s/kustomization.yaml": "", "deploy/Kustomization": ""}, two: true},
		"a kustomization and yaml":    {files: map[string]string{"k8s/kustomization.yaml": "", "deploy/web.yaml": deployment("shop")}, two: true},
		"plain":                       {files: map[string]string{"k8s/web.yaml": deployment("shop")}, want: "k8s/manifests/shop"},
		"plain, with a tag":           {files: map[string]string{"kubernetes/web.yml": deployment("shop:1.2")}, want: "kubernetes/manifests/shop"},
		"plain JSON":                  {files: map[string]string{"deploy/web.json": `{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "shop"}]}}`}, want: "deploy/manifests/shop"},
		"plain, of the project":       {files: map[string]string{"k8s/web.yaml": deployment("store")}, want: "k8s/manifests/store"},
		"of another image": {
			files: map[string]string{"k8s/web.yaml": deployment("redis:7")}, want: "//",
			note: "not used: k8s, because no container there runs `image: shop`, only redis:7",
		},
		"with a registry": {
			files: map[string]string{"k8s/web.yaml": deployment("ghcr.io/acme/shop:1")}, want: "//",
			note: "only ghcr.io/acme/shop:1",
		},
		"in a comment": {
			files: map[string]string{"k8s/web.yaml": "# image: shop\n" + deployment("redis") + "  # image: shop\n"}, want: "//", note: "only redis",
		},
		"no pod":          {files: map[string]string{"deploy/config.yaml": "apiVersion: v1\nkind: ConfigMap\n"}, want: "//", note: "runs `image: shop`"},
		"compose":         {files: map[string]string{"deploy/docker-compose.yml": compose}, want: "//"},
		"compose beside":  {files: map[string]string{"deploy/docker-compose.yml": compose, "deploy/web.yaml": deployment("shop")}, want: "deploy/manifests/shop"},
		"ansible":         {files: map[string]string{"deploy/play.yml": "- tasks:\n  - k8s:\n      definition:\n        apiVersion: v1\n        kind: Pod\n        image: shop\n"}, want: "//"},
		"a chart":         {files: map[string]string{"chart/Chart.yaml": "name: x\n", "chart/values.yaml": "image:\n  repository: shop\n"}, want: "chart/chart/shop"},
		"charts, by name": {files: map[string]string{"charts/shop/Chart.yaml": "", "charts/redis/Chart.yaml": ""}, want: "charts/shop/chart/"},
		"charts of others": {
			files: map[string]string{"charts/redis/Chart.yaml": ""}, want: "//", note: "not used: charts/redis; name one with --manifests",
		},
		"a library": {files: map[string]string{"chart/Chart.yaml": "type: library\n"}, want: "//"},
		"overlays": {
			files: map[string]string{"k8s/overlays/a/kustomization.yaml": "", "k8s/base/kustomization.yaml": ""}, want: "//",
			note: "not used: k8s/base, k8s/overlays/a; name one with --manifests",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := source.Find(write(t, test.files), "shop", "store")
			if test.two {
				if !errors.Is(err, source.ErrTwo) || !strings.Contains(err.Error(), "both deploy and k8s") {
					t.Errorf("error %v, want ErrTwo that names both", err)
				}
				return
			}
			if text := got.Dir + "/" + string(got.Kind) + "/" + got.Name; err != nil || text != test.want {
				t.Errorf("found %q, %v, want %q", text, err, test.want)
			}
			if notes := strings.Join(got.Notes, "\n"); (test.note == "") != (notes == "") || !strings.Contains(notes, test.note) {
				t.Errorf("notes %q, want %q", notes, test.note)
			}
		})
	}
}

// TestFindUnreadable wants links that lead nowhere, such as those of a secret store, to count as
// nothing.
func TestFindUnreadable(t *testing.T) {
	dir := write(t, map[string]string{"deploy/web.yaml": deployment("shop"), "k8s/note": "x"})
	for _, name := range []string{"deploy/gone.yaml", "k8s/gone.yaml"} {
		if err := os.Symlink("nowhere", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := source.Find(dir, "shop"); err != nil || got.Dir != "deploy" || len(got.Notes) > 0 {
		t.Errorf("found %+v, %v", got, err)
	}
	if _, _, err := source.Read(filepath.Join(dir, "deploy"), false); err == nil || !strings.Contains(err.Error(), "gone.yaml: no such file") {
		t.Errorf("error %v", err)
	}
}

func TestRead(t *testing.T) {
	dir := write(t, map[string]string{
		"20-web.yaml":     "\ufeff---\n# the web\n\n" + deployment("shop") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\n",
		"10-all.yml":      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: 'yes'}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n",
		"30-job.json":     "{\n\t\"apiVersion\": \"batch/v1\", \"kind\": \"Job\", \"metadata\": {\"name\": \"j\"}\n}\n\n{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"s\"}}",
		"values.yaml":     "replicas: 3\n",
		"notes.txt":       "kind: [",
		"below/more.yaml": deployment("shop"),
		"kind.yaml":       "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\n",
	})
	objects, notes, err := source.Read(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range objects {
		got = append(got, object.String()+" "+strings.TrimPrefix(object.Where(), dir+"/"))
	}
	want := []string{"ConfigMap/a 10-all.yml:1", "ConfigMap/b 10-all.yml:1", "Deployment/web 20-web.yaml:4", "Service/web 20-web.yaml:9", "Job/j 30-job.json:1", "Secret/s 30-job.json:5"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if len(notes) != 2 || !strings.HasSuffix(notes[0], "kind.yaml is left out: it is no Kubernetes manifest") || !strings.Contains(notes[1], "values.yaml") {
		t.Errorf("notes %q", notes)
	}
	// The user who names the directory means every file in it.
	if _, _, err := source.Read(dir, true); err == nil || !strings.Contains(err.Error(), "kind.yaml:1: not a Kubernetes manifest: it configures kind") {
		t.Errorf("error %v", err)
	}
}

// TestMistakes wants file and line in each error, and never what a Secret holds.
func TestMistakes(t *testing.T) {
	const hidden = "hunter2secret"
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  password: "
	for name, test := range map[string]struct{ file, text, want string }{
		"syntax":             {"a.yaml", deployment("shop") + "---\nkind: Pod\nspec: [\n", "a.yaml:"},
		"twice":              {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: b\n  name: c\n", "a.yaml:9: the key name is there twice"},
		"twice, in JSON":     {"a.json", "{\"apiVersion\": \"v1\",\n\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\", \"name\": \"b\"}}", `a.json:1: a key is there twice: "metadata.name"`},
		"cut off JSON":       {"a.json", "{\"kind\": \"Pod\",\n", "a.json:2: not valid JSON"},
		"no kind":            {"a.yaml", "apiVersion: v1\nmetadata: {name: a}\n", "a.yaml:1: the manifest has no kind"},
		"no apiVersion":      {"a.yaml", "# a pod\nkind: Pod\n", "a.yaml:2: the manifest has no apiVersion"},
		"no manifest":        {"a.yaml", "replicas: 3\n", "a.yaml:1: not a Kubernetes manifest: it has no apiVersion and no kind"},
		"no mapping":         {"a.yaml", "- a\n", "a.yaml:1: not a Kubernetes manifest: it is no mapping"},
		"one among others":   {"a.yaml", deployment("shop") + "---\nreplicas: 3\n", "a.yaml:6: this document has no apiVersion and no kind"},
		"in a List":          {"a.yaml", "apiVersion: v1\nkind: List\nitems: [{a: 1}]\n", "a.yaml:1: item 1 of the List has no apiVersion and no kind"},
		"no name":            {"a.yaml", "apiVersion: v1\nkind: Pod\n", "a.yaml:1: Pod has no metadata.name"},
		"generateName":       {"a.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n", "a.yaml:1: Job has a generateName: give it a metadata.name"},
		"metadata":           {"a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: a\n", "a.yaml:1: metadata of the Pod is not a mapping"},
		"an object twice":    {"a.yaml", deployment("shop") + "---\n" + deployment("shop"), "a.yaml:6: Deployment/web is in "},
		"empty":              {"a.yaml", "# nothing\n", "has none: no .yaml, .yml or .json file there holds an object"},
		"anchor of a Secret": {"a.yaml", secret + "*" + hidden + "\n", "a.yaml:1: not valid YAML"},
		"text of a Secret":   {"a.yaml", secret + "\"" + hidden + "\n", "not valid YAML"},
		"JSON of a Secret":   {"a.json", `{"kind": "Secret", "stringData": {"a": "` + hidden + `}`, "a.json:1: not valid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := source.Read(write(t, map[string]string{test.file: test.text}), true)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error shows the Secret: %v", err)
			}
		})
	}
}

// TestAsKubectl wants values as kubectl reads them: YAML 1.1, with whole numbers.
func TestAsKubectl(t *testing.T) {
	objects, err := source.Parse("a.yaml", []byte("apiVersion: v1\nkind: X\nmetadata: {name: a}\nspec: {on: yes, mode: 0644, many: 9007199254740993, base: &b {a: 1}, copy: {<<: *b, c: 2}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := objects[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"true":true`, `"mode":420`, `"many":9007199254740993`, `"copy":{"a":1,"c":2}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
