package release_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

func resources(t *testing.T, text string) corev1.ResourceList {
	t.Helper()
	list, err := release.ParseResources(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSettings(t *testing.T) {
	for name, set := range map[string]func(*release.Options){
		"settings.yaml": func(o *release.Options) {
			o.Port, o.Replicas = 5000, 0
			o.Env = map[string]string{"B": "two words", "A": "1", "PORT": "5000", "PRICE": "$(A) or $$5", "LINES": "a\nb\n"}
			o.Requests = resources(t, "cpu=1,ephemeral-storage=1Gi,nvidia.com/gpu=1")
			o.Limits = resources(t, "cpu=2,memory=64Mi,nvidia.com/gpu=1")
			o.Probes = release.Probes{Readiness: "/readyz?full=1", Liveness: "/livez"}
			o.Expose = release.ExposeLoadBalancer
		},
		"hidden.yaml": func(o *release.Options) {
			o.Probes = release.Probes{Startup: release.ProbeNone, Readiness: release.ProbeTCP, Liveness: release.ProbeNone}
			o.Expose = release.ExposeNone
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
			if o.Expose == release.ExposeNone {
				want = nil
			}
			if !slices.Equal(got.Services, want) {
				t.Errorf("services %v, want %v", got.Services, want)
			}
		})
	}
}

// What nobody asks for is what there was before anybody could.
func TestDefaultsSaid(t *testing.T) {
	unsaid, err := release.Render(options(""))
	if err != nil {
		t.Fatal(err)
	}
	o := options("")
	o.Env = map[string]string{"PORT": "8000"}
	o.Requests, o.Limits = resources(t, "cpu=50m,memory=128Mi"), corev1.ResourceList{}
	o.Probes = release.Probes{Startup: release.ProbeTCP, Readiness: release.ProbeTCP, Liveness: release.ProbeTCP}
	o.Expose = release.ExposeNodePort
	said, err := release.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(unsaid.YAML), string(said.YAML)); diff != "" {
		t.Error(diff)
	}
}

func TestStartupProbe(t *testing.T) {
	for name, test := range map[string]struct {
		probes release.Probes
		want   string
	}{
		"nothing said":           {release.Probes{}, "tcp"},
		"readiness is no start":  {release.Probes{Readiness: "/readyz"}, "tcp"},
		"as liveness":            {release.Probes{Readiness: "/readyz", Liveness: "/livez"}, "/livez"},
		"liveness is no path":    {release.Probes{Liveness: release.ProbeNone}, "tcp"},
		"said, and not liveness": {release.Probes{Startup: release.ProbeTCP, Liveness: "/livez"}, "tcp"},
		"its own":                {release.Probes{Startup: "/started", Liveness: "/livez"}, "/started"},
		"none":                   {release.Probes{Startup: release.ProbeNone, Liveness: "/livez"}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("")
			o.Probes, o.Expose = test.probes, release.ExposeNone
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
		"another port": {func(o *release.Options) { o.Port, o.Env = 5000, map[string]string{"PORT": "8000"} }, "the variable PORT can not be another than 5000: set the port instead"},
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

func TestParseExpose(t *testing.T) {
	for text, want := range map[string]release.Expose{
		"NodePort": release.ExposeNodePort, "clusterip": release.ExposeClusterIP, "LOADBALANCER": release.ExposeLoadBalancer, "none": release.ExposeNone,
		"": "", "Ingress": "", "none,": "",
	} {
		got, err := release.ParseExpose(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestParseProbe(t *testing.T) {
	for _, text := range []string{"tcp", "none", "/", "/healthz", "/a/b?deep=1&x=%20", "/grüße"} {
		if got, err := release.ParseProbe(text); err != nil || string(got) != text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                       `"" is not tcp, none, or a path that starts with /`,
		"healthz":                `"healthz" is not tcp, none, or a path that starts with /`,
		"TCP":                    `"TCP" is not tcp`,
		"http://localhost/ready": "a path that starts with /",
		"//ready":                "is not the path of an HTTP request",
		"/ready#now":             "is not the path of an HTTP request",
		"/not ready":             "is not the path of an HTTP request",
		"/ready\n":               `"/ready\n" is not the path of an HTTP request`,
		"/100%":                  "is not the path of an HTTP request",
	} {
		if _, err := release.ParseProbe(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestParseProbes(t *testing.T) {
	for name, test := range map[string]struct {
		texts []string
		want  release.Probes
		err   string
	}{
		"nothing":       {},
		"some":          {texts: []string{"readiness=/readyz?a=b", "liveness=none"}, want: release.Probes{Readiness: "/readyz?a=b", Liveness: release.ProbeNone}},
		"all":           {texts: []string{"startup=tcp", "readiness=/", "liveness=/l"}, want: release.Probes{Startup: release.ProbeTCP, Readiness: "/", Liveness: "/l"}},
		"no probe":      {texts: []string{"readiness"}, err: `"readiness" is not of the form startup=PROBE`},
		"unknown":       {texts: []string{"ready=/"}, err: `"ready=/" is not of the form startup=PROBE, readiness=PROBE or liveness=PROBE`},
		"twice":         {texts: []string{"liveness=/a", "liveness=/b"}, err: "the liveness probe is given twice"},
		"not a probe":   {texts: []string{"liveness=a"}, err: `liveness probe: "a" is not tcp`},
		"empty":         {texts: []string{"liveness="}, err: `liveness probe: "" is not tcp`},
		"two in a flag": {texts: []string{"liveness=tcp,readiness=tcp"}, err: "liveness probe"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := release.ParseProbes(test.texts)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestProbesOr(t *testing.T) {
	got := release.Probes{Startup: "/a", Liveness: release.ProbeNone}.Or(release.Probes{Startup: "/b", Readiness: "/c", Liveness: "/d"})
	if want := (release.Probes{Startup: "/a", Readiness: "/c", Liveness: release.ProbeNone}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseEnv(t *testing.T) {
	got, err := release.ParseEnv([]string{"A=b=c", "EMPTY=", "a.b-c=two words"})
	if diff := cmp.Diff(map[string]string{"A": "b=c", "EMPTY": "", "a.b-c": "two words"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for text, want := range map[string]string{
		"s3cret":       "variable 2 of 2 is not of the form NAME=VALUE",
		"A B=s3cret":   `variable "A B": no variable can have this name: a valid environment variable name must`,
		"=s3cret":      `variable "": no variable can have this name`,
		"..A=s3cret":   `variable "..A": no variable can have this name`,
		"B=s3cret\x00": `variable "B": the value has a character U+0000`,
		"A=s3cret":     `variable "A" is given twice`,
	} {
		_, err := release.ParseEnv([]string{"A=a", text})
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestParseResources(t *testing.T) {
	got, err := release.ParseResources("cpu=500m,memory=2Gi,hugepages-2Mi=0,nvidia.com/gpu=2")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[corev1.ResourceName]string{"cpu": "0.5", "memory": "2048Mi", "hugepages-2Mi": "0", "nvidia.com/gpu": "2"} {
		if quantity := got[name]; quantity.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s: got %s, want %s", name, quantity.String(), want)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %v", got)
	}
	if got, err := release.ParseResources(""); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	for text, want := range map[string]string{
		"cpu":                "is not of the form NAME=QUANTITY",
		"cpu=1,":             `"" is not of the form NAME=QUANTITY`,
		"cpu=1,cpu=2":        "cpu is given twice",
		"cpu=one":            `cpu "one" is not a quantity, such as 2 or 500m`,
		"memory=":            `memory "" is not a quantity, such as 2Gi`,
		"memory=1GB":         `memory "1GB" is not a quantity, such as 2Gi`,
		"cpu=-1":             "cpu -1 is negative",
		"cpu=.":              `cpu "." is not a quantity`,
		"memory=Ki":          `memory "Ki" is not a quantity`,
		"CPU=1":              `"CPU" is not a resource`,
		"storage=1Gi":        `"storage" is not a resource`,
		"hugepages-big=1Gi":  `"hugepages-big" is not a resource`,
		"nvidia.com/gpu=0.5": "nvidia.com/gpu 0.5 is not a whole number",
		"/gpu=1":             `"/gpu" is not a resource`,
	} {
		if _, err := release.ParseResources(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestCheckResources(t *testing.T) {
	for name, test := range map[string]struct{ requests, limits, want string }{
		"nothing":          {},
		"equal":            {"cpu=1000m,nvidia.com/gpu=1", "cpu=1,nvidia.com/gpu=1", ""},
		"one of each":      {"cpu=1", "memory=1Gi", ""},
		"a limited device": {"", "nvidia.com/gpu=1", ""},
		"above":            {"memory=2Gi,cpu=3", "memory=1Gi,cpu=2", "cpu is requested 3, more than its limit of 2\nmemory is requested 2Gi, more than its limit of 1Gi"},
		"without a limit":  {"nvidia.com/gpu=1", "", "nvidia.com/gpu can not be shared: request what is its limit, or set the limit alone"},
		"below":            {"hugepages-2Mi=2Mi,cpu=1", "hugepages-2Mi=4Mi,cpu=1", "hugepages-2Mi can not be shared: request what is its limit, or set the limit alone"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := release.CheckResources(resources(t, test.requests), resources(t, test.limits)); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
