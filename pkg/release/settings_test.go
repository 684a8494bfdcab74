package release_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

func resources(t *testing.T, text string) corev1.ResourceList {
	t.Helper()
	list, err := app.ParseResources(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSettings(t *testing.T) {
	for name, set := range map[string]func(*release.Options){
		"settings.yaml": func(o *release.Options) {
			o.Port, o.Replicas = 5000, 0
			o.Env = app.Texts(map[string]string{"B": "two words", "A": "1", "PORT": "5000", "PRICE": "$(A) or $$5", "LINES": "a\nb\n"})
			o.Env["DATABASE_URL"] = app.Variable{From: app.Source{Kind: app.SourceSecret, Name: "shop-db", Key: "url"}}
			o.Env["REGION"] = app.Variable{From: app.Source{Kind: app.SourceConfigMap, Name: "site", Key: "region"}}
			o.EnvFrom = []app.EnvFrom{
				{Source: app.Source{Kind: app.SourceSecret, Name: "shop-env"}},
				{Source: app.Source{Kind: app.SourceConfigMap, Name: "shop-config"}, Prefix: "APP_"},
			}
			o.Requests = resources(t, "cpu=1,ephemeral-storage=1Gi,nvidia.com/gpu=1")
			o.Limits = resources(t, "cpu=2,memory=64Mi,nvidia.com/gpu=1")
			o.Probes = app.Probes{Readiness: "/readyz?full=1", Liveness: "/livez"}
			o.Expose = app.ExposeLoadBalancer
		},
		"host.yaml": func(o *release.Options) {
			o.Expose, o.Autoscale = app.ExposeClusterIP, app.Autoscale{Min: 2, Max: 6, CPU: 70}
			o.Route = app.Route{Hosts: app.Hosts{"shop.example.com", "*.shop.example.com"}, TLS: app.TLS{Secret: "shop-tls"}, IngressClass: "nginx"}
			o.NetworkPolicy = app.NetworkPolicy{Enabled: true, Namespaces: []string{"ingress-nginx"}}
		},
		"issued.yaml": func(o *release.Options) {
			o.Expose, o.Replicas = app.ExposeClusterIP, 2
			o.Route = app.Route{Hosts: app.Hosts{"shop.example.com"}, TLS: app.TLS{ClusterIssuer: "letsencrypt"}}
			o.NetworkPolicy = app.NetworkPolicy{Enabled: true}
			o.Processes = []app.Process{{Name: "worker", Command: []string{"work"}, Replicas: 2}, {Name: "release", Command: []string{"migrate"}}}
		},
		"gateway.yaml": func(o *release.Options) {
			o.Expose = app.ExposeClusterIP
			o.Route = app.Route{Hosts: app.Hosts{"*.shop.example.com", "shop.example.com"}, Gateway: "infra/public", Secure: true}
		},
		"closed.yaml": func(o *release.Options) {
			o.Expose, o.NetworkPolicy = app.ExposeClusterIP, app.NetworkPolicy{Enabled: true}
		},
		"hidden.yaml": func(o *release.Options) {
			o.Probes = app.Probes{Startup: app.ProbeNone, Readiness: app.ProbeTCP, Liveness: app.ProbeNone}
			o.Expose = app.ExposeNone
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("")
			set(&o)
			got, err := release.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got.YAML)
			want := []string{"mountains"}
			if o.Expose == app.ExposeNone {
				want = nil
			}
			if !slices.Equal(got.Services, want) {
				t.Errorf("services %v, want %v", got.Services, want)
			}
		})
	}
}

func TestProcesses(t *testing.T) {
	o := options("")
	o.Env = app.Texts(map[string]string{"LEVEL": "info", "QUEUE": "default"})
	o.Requests, o.Limits = resources(t, "memory=256Mi"), resources(t, "memory=512Mi,nvidia.com/gpu=1")
	o.User = app.User{ID: 10001, Group: 10001}
	o.Processes = []app.Process{
		{Name: "web", Command: []string{"gunicorn", "-b", ":$(PORT)", "shop:app"}},
		{Name: "cleanup", Command: []string{"python", "clean.py"}, Schedule: "30 4 * * *", TimeZone: "Europe/Berlin", Timeout: time.Hour, Concurrency: app.ConcurrencyReplace},
		{Name: "release", Command: []string{"sh", "-c", "a && exec b"}},
		{Name: "report", Command: []string{"report"}, Schedule: "@daily"},
		{Name: "worker", Command: []string{"celery", "-A", "shop", "worker"}, Replicas: 2, Env: map[string]app.Variable{"QUEUE": app.Text("$mail"), "TOKEN": {From: app.Source{Kind: app.SourceSecret, Name: "mail", Key: "token"}}}, Limits: resources(t, "memory=128Mi")},
	}
	got, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "processes.yaml", got.YAML)
	if want := []release.Workload{{Kind: "Deployment", Name: "mountains", Built: true}, {Kind: "Deployment", Name: "mountains-worker", Built: true}}; !slices.Equal(got.Workloads, want) {
		t.Errorf("workloads %v, want %v", got.Workloads, want)
	}
	for _, object := range got.Objects {
		if !object.Built && object.Kind != "Service" && object.Kind != "PodDisruptionBudget" {
			t.Errorf("%s %s does not get the image", object.Kind, object.Name)
		}
	}
}

// An app of workers alone has nothing that serves.
func TestNoWeb(t *testing.T) {
	o := options("")
	o.Replicas, o.NoWeb = 3, true
	o.Processes = []app.Process{{Name: "bot", Command: []string{"python", "bot.py"}, Replicas: 1}}
	got, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	if want := []release.Workload{{Kind: "Deployment", Name: "mountains-bot", Built: true}}; !slices.Equal(got.Workloads, want) || len(got.Objects) != 1 {
		t.Errorf("objects are %v", got.Objects)
	}
}

// The Service, and the Deployment whose selector cannot change, select the pods of the web
// process alone.
func TestSelectorsOfProcesses(t *testing.T) {
	o := options("")
	o.Processes = []app.Process{{Name: "worker", Command: []string{"a"}}, {Name: "release", Command: []string{"b"}}, {Name: "cron", Command: []string{"c"}, Schedule: "@daily"}}
	got, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	without, err := release.Render(options(""))
	if err != nil {
		t.Fatal(err)
	}
	selectors, pods := map[string]labels.Selector{}, map[string]labels.Set{}
	for _, document := range strings.Split(string(got.YAML), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), object); err != nil {
			t.Fatal(err)
		}
		name := object.GetKind() + "/" + object.GetName()
		for _, path := range [][]string{{"spec", "selector"}, {"spec", "selector", "matchLabels"}} {
			if found, ok, err := unstructured.NestedStringMap(object.Object, path...); ok && err == nil {
				selectors[name] = labels.SelectorFromSet(found)
			}
		}
		for _, path := range [][]string{{"spec", "template", "metadata", "labels"}, {"spec", "jobTemplate", "spec", "template", "metadata", "labels"}} {
			if found, ok, _ := unstructured.NestedStringMap(object.Object, path...); ok {
				pods[name] = found
			}
		}
	}
	want := map[string]string{"Service/mountains": "Deployment/mountains", "Deployment/mountains": "Deployment/mountains", "Deployment/mountains-worker": "Deployment/mountains-worker"}
	if len(pods) != 4 || len(selectors) != len(want) {
		t.Fatalf("pods %v, selectors %v", pods, selectors)
	}
	for name, selector := range selectors {
		for pod, set := range pods {
			if selector.Matches(set) != (pod == want[name]) {
				t.Errorf("%s, selector %s: pods of %s", name, selector, pod)
			}
		}
	}
	for _, text := range []string{"      app.kubernetes.io/name: mountains\n      pyflow.dev/app: mountains\n  template:", "  selector:\n    app.kubernetes.io/name: mountains\n    pyflow.dev/app: mountains\n  type:"} {
		if !strings.Contains(string(got.YAML), text) || !strings.Contains(string(without.YAML), text) {
			t.Errorf("no %q with and without processes", text)
		}
	}
}

// The defaults, given explicitly, change nothing.
func TestExplicitDefaults(t *testing.T) {
	unsaid, err := release.Render(options(""))
	if err != nil {
		t.Fatal(err)
	}
	o := options("")
	o.Env = app.Texts(map[string]string{"PORT": "8000"})
	o.Requests, o.Limits = resources(t, "cpu=50m,memory=128Mi"), corev1.ResourceList{}
	o.Probes = app.Probes{Startup: app.ProbeTCP, Readiness: app.ProbeTCP, Liveness: app.ProbeTCP}
	o.Expose = app.ExposeNodePort
	said, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(unsaid.YAML), string(said.YAML)); diff != "" {
		t.Error(diff)
	}
}

func TestUser(t *testing.T) {
	for name, test := range map[string]struct {
		user     app.User
		has, not string
	}{
		"unset":    {app.User{}, "runAsGroup: 1000\n        runAsNonRoot: true\n        runAsUser: 1000\n", "x"},
		"numbers":  {app.User{ID: 5, Group: 0}, "runAsGroup: 0\n        runAsNonRoot: true\n        runAsUser: 5\n", "x"},
		"no group": {app.User{ID: 5, Group: -1}, "runAsNonRoot: true\n        runAsUser: 5\n", "runAsGroup"},
	} {
		o := options("")
		o.User = test.user
		rendered, err := release.Render(o)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(rendered.YAML); !strings.Contains(text, test.has) || strings.Contains(text, test.not+":") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

func TestStartupProbe(t *testing.T) {
	for name, test := range map[string]struct {
		probes app.Probes
		want   string
	}{
		"not set":                  {app.Probes{}, "tcp"},
		"readiness does not count": {app.Probes{Readiness: "/readyz"}, "tcp"},
		"as liveness":              {app.Probes{Readiness: "/readyz", Liveness: "/livez"}, "/livez"},
		"liveness is not a path":   {app.Probes{Liveness: app.ProbeNone}, "tcp"},
		"set, and not liveness":    {app.Probes{Startup: app.ProbeTCP, Liveness: "/livez"}, "tcp"},
		"its own":                  {app.Probes{Startup: "/started", Liveness: "/livez"}, "/started"},
		"none":                     {app.Probes{Startup: app.ProbeNone, Liveness: "/livez"}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("")
			o.Probes, o.Expose = test.probes, app.ExposeNone
			rendered, err := release.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			deployment := &appsv1.Deployment{}
			if err := yaml.UnmarshalStrict(rendered.YAML, deployment); err != nil {
				t.Fatal(err)
			}
			got := "none"
			switch probe := deployment.Spec.Template.Spec.Containers[0].StartupProbe; {
			case probe == nil:
			case probe.HTTPGet != nil:
				got = probe.HTTPGet.Path
			case probe.TCPSocket != nil:
				got = "tcp"
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestSettingsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*release.Options)
		want string
	}{
		"another port": {func(o *release.Options) { o.Port, o.Env = 5000, app.Texts(map[string]string{"PORT": "8000"}) }, "the variable PORT must be 5000: set the port instead"},
		"too much":     {func(o *release.Options) { o.Requests, o.Limits = resources(t, "cpu=2"), resources(t, "cpu=1") }, "resources: cpu is requested 2, more than its limit of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("")
			test.set(&o)
			if _, err := release.Render(o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
