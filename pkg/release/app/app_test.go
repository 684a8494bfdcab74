package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

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

func TestParseExpose(t *testing.T) {
	for text, want := range map[string]app.Expose{
		"NodePort": app.ExposeNodePort, "clusterip": app.ExposeClusterIP, "LOADBALANCER": app.ExposeLoadBalancer, "none": app.ExposeNone,
		"": "", "Ingress": "", "none,": "",
	} {
		got, err := app.ParseExpose(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestParseProbe(t *testing.T) {
	for _, text := range []string{"tcp", "none", "/", "/healthz", "/a/b?deep=1&x=%20", "/grüße"} {
		if got, err := app.ParseProbe(text); err != nil || string(got) != text {
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
		if _, err := app.ParseProbe(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestParseProbes(t *testing.T) {
	for name, test := range map[string]struct {
		texts []string
		want  app.Probes
		err   string
	}{
		"nothing":       {},
		"some":          {texts: []string{"readiness=/readyz?a=b", "liveness=none"}, want: app.Probes{Readiness: "/readyz?a=b", Liveness: app.ProbeNone}},
		"all":           {texts: []string{"startup=tcp", "readiness=/", "liveness=/l"}, want: app.Probes{Startup: app.ProbeTCP, Readiness: "/", Liveness: "/l"}},
		"no probe":      {texts: []string{"readiness"}, err: `"readiness" is not of the form startup=PROBE`},
		"unknown":       {texts: []string{"ready=/"}, err: `"ready=/" is not of the form startup=PROBE, readiness=PROBE or liveness=PROBE`},
		"twice":         {texts: []string{"liveness=/a", "liveness=/b"}, err: "the liveness probe is given twice"},
		"not a probe":   {texts: []string{"liveness=a"}, err: `liveness probe: "a" is not tcp`},
		"empty":         {texts: []string{"liveness="}, err: `liveness probe: "" is not tcp`},
		"two in a flag": {texts: []string{"liveness=tcp,readiness=tcp"}, err: "liveness probe"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := app.ParseProbes(test.texts)
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
	got := app.Probes{Startup: "/a", Liveness: app.ProbeNone}.Or(app.Probes{Startup: "/b", Readiness: "/c", Liveness: "/d"})
	if want := (app.Probes{Startup: "/a", Readiness: "/c", Liveness: app.ProbeNone}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseEnv(t *testing.T) {
	got, err := app.ParseEnv([]string{"A=b=c", "EMPTY=", "a.b-c=two words"})
	if diff := cmp.Diff(map[string]string{"A": "b=c", "EMPTY": "", "a.b-c": "two words"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for text, want := range map[string]string{
		"s3cret":       "variable 2 of 2 is not of the form NAME=VALUE",
		"A B=s3cret":   `variable "A B": this is not the name of a variable: a valid environment variable name must`,
		"=s3cret":      `variable "": this is not the name of a variable`,
		"..A=s3cret":   `variable "..A": this is not the name of a variable`,
		"B=s3cret\x00": `variable "B": the value has a character U+0000`,
		"A=s3cret":     `variable "A" is given twice`,
	} {
		_, err := app.ParseEnv([]string{"A=a", text})
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestParseResources(t *testing.T) {
	got, err := app.ParseResources("cpu=500m,memory=2Gi,hugepages-2Mi=0,nvidia.com/gpu=2")
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
	if got, err := app.ParseResources(""); got != nil || err != nil {
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
		if _, err := app.ParseResources(text); err == nil || !strings.Contains(err.Error(), want) {
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
		"without a limit":  {"nvidia.com/gpu=1", "", "nvidia.com/gpu cannot be shared: set the request equal to the limit, or set the limit alone"},
		"below":            {"hugepages-2Mi=2Mi,cpu=1", "hugepages-2Mi=4Mi,cpu=1", "hugepages-2Mi cannot be shared: set the request equal to the limit, or set the limit alone"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := app.CheckResources(resources(t, test.requests), resources(t, test.limits)); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
