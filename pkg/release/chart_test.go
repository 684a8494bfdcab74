package release_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/chart"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// chartWith copies the chart of testdata, with other files; an empty text deletes a file.
func chartWith(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(dir, os.DirFS("testdata/chart")); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if text == "" {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestChart(t *testing.T) {
	o := options("testdata/chart")
	values := filepath.Join(write(t, map[string]string{"prod.yaml": "replicaCount: 2\nlevel: warning\n"}), "prod.yaml")
	o.Values = []source.Values{{Files: []string{values}, Set: []string{"level=debug"}}, {Set: []string{"replicaCount=4"}}}
	o.Capabilities = chart.Capabilities{KubeVersion: "v1.34.5-gke.1", APIVersions: []string{"networking.k8s.io/v1/Ingress"}}
	got, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "chart.yaml", got.YAML)
	if want := []string{"the tests of the chart are left out: Pod/mountains-test"}; !slices.Equal(got.Notes, want) {
		t.Errorf("notes %q, want %q", got.Notes, want)
	}
	again, err := release.Render(o)
	if err != nil || again.Hash != got.Hash {
		t.Errorf("the chart renders differently the second time: %v", err)
	}
}

// TestChartNotes wants a note for all that is not as the chart says.
func TestChartNotes(t *testing.T) {
	const image = "the chart's value image.repository is mountains instead of \"nginx\", so that it runs the image that is built; write it into the values to keep it"
	config := func(data string) map[string]string {
		return map[string]string{"templates/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: " + data + "}\n"}
	}
	nginx := "replicaCount: 1\nimage: {repository: nginx, registry: docker.io}\nlevel: info\nweight: \"1\"\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"the image":         {map[string]string{"values.yaml": nginx}, image},
		"lookup":            {config(`{{ (lookup "v1" "Secret" "x" "y") | len | quote }}`), "templates of the chart use lookup, which finds nothing, as in helm template"},
		"random":            {config(`{{ randAlphaNum 20 }}`), "the chart renders differently each time, such as with random passwords: each build deploys it again"},
		"a schema far away": {map[string]string{"values.schema.json": `{"$ref": "https://127.0.0.1:1/schema.json"}`}, "the values are not checked: values.schema.json refers to a URL, and nothing is fetched"},
		"two hooks": {
			map[string]string{"templates/more.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: more, annotations: {helm.sh/hook: \"pre-upgrade, pre-install\", helm.sh/hook-weight: \"-5\"}}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: x, image: x}]}}}\n"},
			"the hooks Job/mountains-migrate, Job/more run at the same time, before every release",
		},
		"only before install": {map[string]string{"templates/more.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: more, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: \"-5\"}}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: x, image: x}]}}}\n"}, "Job/more is a pre-install hook, and runs before every release"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := release.Render(options(chartWith(t, test.files)))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Notes) < 2 || len(got.Notes) > 3 || !slices.Contains(got.Notes, test.want) {
				t.Errorf("notes %q, want %q", got.Notes, test.want)
			}
		})
	}
	// The user's own value is not overruled.
	o := options(chartWith(t, map[string]string{"values.yaml": nginx}))
	o.Values = []source.Values{{Set: []string{"image.repository=ghcr.io/acme/shop"}}}
	var none *release.NoPlaceholderError
	if _, err := release.Render(o); !errors.As(err, &none) || none.Kind != source.Chart || !strings.Contains(err.Error(), "its containers run ghcr.io/acme/shop, ghcr.io/acme/shop:1.16.0, redis:7") {
		t.Errorf("error %v", err)
	}
}

func TestChartRefused(t *testing.T) {
	const hidden = "hunter2secret"
	more := func(text string) map[string]string { return map[string]string{"templates/more.yaml": text} }
	hook := func(kind, events string) map[string]string {
		return more("apiVersion: batch/v1\nkind: " + kind + "\nmetadata: {name: more, annotations: {helm.sh/hook: \"" + events + "\"}}\n")
	}
	values := write(t, map[string]string{"twice.yaml": "a: 1\nb: 2\na: 3\n", "broken.yaml": "a: *" + hidden + "\n", "list.yaml": "- a\n", "type.yaml": "replicaCount: many" + hidden + "\n"})
	file := func(name string) []source.Values {
		return []source.Values{{Files: []string{filepath.Join(values, name)}}}
	}
	for name, test := range map[string]struct {
		files  map[string]string
		values []source.Values
		want   string
	}{
		"no function":        {files: more("a: {{ nothing }}\n"), want: `shop/templates/more.yaml:1: function "nothing" not defined`},
		"no value":           {files: more("a: {{ required \"set the host\" .Values.host }}\n"), want: "shop/templates/more.yaml:1: set the host"},
		"fails with a value": {files: more("a: {{ fail .Values.level }}\n"), values: []source.Values{{Set: []string{"level=" + hidden}}}, want: "shop/templates/more.yaml:1: …"},
		"of a dependency":    {files: map[string]string{"charts/cache/templates/x.yaml": "a: {{ fail \"no\" }}\n"}, want: "shop/charts/cache/templates/x.yaml:1: no"},
		"nil":                {files: more("a: {{ .Values.a.b.c }}\n"), want: "shop/templates/more.yaml:1"},
		"not YAML":           {files: more("apiVersion: v1\nkind: Pod\n  metadata: {}\n"), want: "shop/templates/more.yaml (rendered):3: not valid YAML"},
		"a key twice":        {files: more("apiVersion: v1\nkind: Pod\nkind: Pod\n"), want: "shop/templates/more.yaml (rendered):3: the key kind is there twice"},
		"no name":            {files: more("apiVersion: v1\nkind: Pod\n"), want: "more.yaml (rendered):1: Pod has no metadata.name"},
		"another namespace":  {files: more("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: kube-system}\n"), want: "more.yaml (rendered):1: Pod/a is for namespace kube-system"},
		"cluster-scoped":     {files: more("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"), want: "more.yaml (rendered):1: Namespace/a belongs to no namespace"},
		"post-install":       {files: hook("Job", "post-install"), want: "more.yaml (rendered):1: Job/more is a hook (post-install): only pre-install and pre-upgrade"},
		"before and after":   {files: hook("Job", "pre-install,post-upgrade"), want: "Job/more is a hook (pre-install, post-upgrade)"},
		"weights":            {files: hook("Job", "pre-install,pre-upgrade"), want: "more.yaml (rendered):1: the hook Job/more has the weight 0, and Job/mountains-migrate has -5: the Jobs of a release run at the same time"},
		"a Pod":              {files: hook("Pod", "pre-install"), want: "Pod/more is a hook (pre-install)"},
		"a CRD":              {files: map[string]string{"crds/a.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"}, want: "shop/crds/a.yaml: CustomResourceDefinitions belong to no namespace"},
		"no dependency":      {files: map[string]string{"charts/cache": ""}, want: "shop: Chart.yaml depends on cache, which charts/ does not have"},
		"an old cluster":     {files: map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\nversion: 0.1.0\nkubeVersion: '>=1.99.0'\n"}, want: "the chart requires Kubernetes >=1.99.0, and this is v1.36.0"},
		"no version":         {files: map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\n"}, want: "shop: read the chart: validation: chart.metadata.version is required"},
		"a library":          {files: map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\nversion: 0.1.0\ntype: library\n"}, want: "shop is a library chart"},
		"the schema":         {values: file("type.yaml"), want: "got string, want integer"},
		"values, gone":       {values: file("gone.yaml"), want: "gone.yaml: no such file"},
		"values, a key":      {values: file("twice.yaml"), want: "twice.yaml:3: the key a is there twice"},
		"values, broken":     {values: file("broken.yaml"), want: "broken.yaml:1: not valid YAML"},
		"values, a list":     {values: file("list.yaml"), want: "list.yaml:1: not values of a chart"},
		"set, no value":      {values: []source.Values{{Set: []string{hidden}}}, want: "a value of the chart is not KEY=VALUE"},
		"set, a list":        {values: []source.Values{{Set: []string{"a=" + hidden + ",b"}}}, want: "the value of a of the chart cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(chartWith(t, test.files))
			o.Values = test.values
			_, err := release.Render(o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error shows a value: %v", err)
			}
			if lines := strings.Count(err.Error(), "\n"); lines > 0 {
				t.Errorf("the error has %d lines: %v", lines+1, err)
			}
		})
	}
	o := options(plain(t, nil))
	o.Values = file("twice.yaml")
	if _, err := release.Render(o); err == nil || !strings.Contains(err.Error(), "values are for a Helm chart") {
		t.Errorf("error %v", err)
	}
}

func TestAsk(t *testing.T) {
	client := &fake.FakeDiscovery{Fake: &clienttesting.Fake{Resources: []*metav1.APIResourceList{
		{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "deployments", Kind: "Deployment"}, {Name: "deployments/scale", Kind: "Scale"}}},
	}}, FakedServerVersion: &version.Info{GitVersion: "v1.36.3"}}
	got, err := chart.Ask(client)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"apps/v1", "apps/v1/Deployment", "apps/v1/Scale"}; got.KubeVersion != "v1.36.3" || !slices.Equal(got.APIVersions, want) || got.IsZero() {
		t.Errorf("got %+v", got)
	}
}
