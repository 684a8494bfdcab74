package project_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// decided returns every value of a project that is set, and where it comes from.
func decided(p *project.Project) map[string]string {
	all := map[string]string{}
	add := func(key string, value any, origin project.Origin) {
		if origin.Kind != "" {
			all[key] = fmt.Sprintf("%v (%s: %s)", value, origin.Kind, origin)
		}
	}
	add("name", p.Name.Value, p.Name.Origin)
	if p.Dockerfile.Value != nil {
		add("dockerfile", p.Dockerfile.Value.Path, p.Dockerfile.Origin)
	}
	add("entrypoint", p.Entrypoint.Value, p.Entrypoint.Origin)
	add("python", p.Python.Value, p.Python.Origin)
	add("variant", p.Variant.Value, p.Variant.Origin)
	add("port", p.Port.Value, p.Port.Origin)
	add("target", p.Target.Value, p.Target.Origin)
	for _, arg := range p.BuildArgs {
		key, value, _ := strings.Cut(arg.Value, "=")
		add("arg "+key, value, arg.Origin)
	}
	add("test", fmt.Sprintf("%q in %q", p.Test.Value, p.TestStage), p.Test.Origin)
	add("cpu", p.CPU.Value.String(), p.CPU.Origin)
	add("memory", p.Memory.Value.String(), p.Memory.Origin)
	add("storage", p.Storage.Value.String(), p.Storage.Origin)
	for key, value := range p.NodeSelector {
		add("node-selector "+key, value.Value, value.Origin)
	}
	add("manifests", strings.TrimPrefix(p.Manifests.Value, p.Dir+"/"), p.Manifests.Origin)
	if d := p.Deployment; d != nil {
		add("replicas", d.Replicas.Value, d.Replicas.Origin)
		add("autoscale", d.Autoscale.Value, d.Autoscale.Origin)
		add("host", d.Hosts.Value, d.Hosts.Origin)
		add("tls", d.TLS.Value, d.TLS.Origin)
		add("ingress-class", d.IngressClass.Value, d.IngressClass.Origin)
		add("gateway", d.Gateway.Value, d.Gateway.Origin)
		add("network-policy", d.NetworkPolicy.Value, d.NetworkPolicy.Origin)
		add("expose", d.Expose.Value, d.Expose.Origin)
		for key, value := range d.Env {
			text := value.Value.Value
			if from := value.Value.From; from.Kind != "" {
				text = from.String()
			}
			add("env "+key, text, value.Origin)
		}
		for i, value := range d.EnvFrom {
			add(fmt.Sprintf("env-from %d", i), value.Value.String()+value.Value.Prefix, value.Origin)
		}
		for key, value := range d.Requests {
			add("requests "+string(key), value.Value.String(), value.Origin)
		}
		for key, value := range d.Limits {
			add("limits "+string(key), value.Value.String(), value.Origin)
		}
		add("startup", d.Startup.Value, d.Startup.Origin)
		add("readiness", d.Readiness.Value, d.Readiness.Origin)
		add("liveness", d.Liveness.Value, d.Liveness.Origin)
	}
	return all
}

const allSettings = `[tool.kubectl-pyflow]
name = "till"
entrypoint = "main:other"
python = "3.13"
port = 7000
replicas = 3
expose = "ClusterIP"
test = "pytest -q"
env = { A = "1", "b.c" = "2", URL = { secret = "db" } }
env-from = [{ secret = "s" }, { config-map = "c", prefix = "P_" }]
probes = { readiness = "/readyz" }
[tool.kubectl-pyflow.resources]
requests = { cpu = "100m" }
limits = { memory = "1Gi" }
[tool.kubectl-pyflow.build]
variant = "bloated"
cpu = "2"
args = { PIP_INDEX_URL = "http://a", PIP_TRUSTED_HOST = "a" }
node-selector = { disk = "ssd" }
`

// Each value has its origin: a flag, else a setting, else what was detected, else a default.
func TestOrigins(t *testing.T) {
	const python = "FROM python:3.13-slim\n"
	for name, test := range map[string]struct {
		files   map[string]string
		options project.Options
		want    map[string]string
	}{
		"detected": {
			files: map[string]string{"main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n", ".python-version": "3.12\n", "Procfile": "web: uvicorn main:app --port 9000\n"},
			want: map[string]string{
				"name": "my-shop (default: the folder's name)", "dockerfile": "Dockerfile (default: generated)", "variant": "slim (default: default)",
				"entrypoint": "main:app (detected: Procfile:1)", "python": "3.12 (detected: .python-version:1)", "port": "9000 (detected: Procfile:1)",
				"replicas": "1 (default: default)", "expose": "NodePort (default: default)",
			},
		},
		"settings": {
			files: map[string]string{"main.py": pythonApp, "pyproject.toml": allSettings},
			want: map[string]string{
				"name": "till (settings: pyproject.toml:2)", "dockerfile": "Dockerfile (default: generated)", "variant": "bloated (settings: pyproject.toml:16)",
				"entrypoint": "main:other (settings: pyproject.toml:3)", "python": "3.13 (settings: pyproject.toml:4)", "port": "7000 (settings: pyproject.toml:5)",
				"replicas": "3 (settings: pyproject.toml:6)", "expose": "ClusterIP (settings: pyproject.toml:7)", "test": `["pytest" "-q"] in "test" (settings: pyproject.toml:8)`,
				"env A": "1 (settings: pyproject.toml:9)", "env b.c": "2 (settings: pyproject.toml:9)", "env URL": "secret/db:URL (settings: pyproject.toml:9)", "env-from 0": "secret/s (settings: pyproject.toml:10)", "env-from 1": "configmap/cP_ (settings: pyproject.toml:10)", "readiness": "/readyz (settings: pyproject.toml:11)",
				"requests cpu": "100m (settings: pyproject.toml:13)", "limits memory": "1Gi (settings: pyproject.toml:14)", "cpu": "2 (settings: pyproject.toml:17)",
				"arg PIP_INDEX_URL": "http://a (settings: pyproject.toml:18)", "arg PIP_TRUSTED_HOST": "a (settings: pyproject.toml:18)", "node-selector disk": "ssd (settings: pyproject.toml:19)",
			},
		},
		"flags": {
			files: map[string]string{"main.py": pythonApp, "pyproject.toml": allSettings},
			options: project.Options{
				Name: "api", Entrypoint: "main:app", Python: "3.12", Variant: generate.Slim, Port: 6000, BuildArgs: []string{"PIP_INDEX_URL=http://b", "PIP_INDEX_URL=http://c"},
				Test: "tox", CPU: resource.MustParse("1"), Memory: resource.MustParse("2Gi"), Storage: resource.MustParse("3Gi"), NodeSelector: map[string]string{"disk": "hdd", "zone": "a"},
				Replicas: new(int32), Expose: app.ExposeNone, Env: map[string]app.Variable{"A": app.Text("3"), "D": app.Text("")}, EnvFrom: []app.EnvFrom{{Source: app.Source{Kind: app.SourceSecret, Name: "t"}}}, Probes: app.Probes{Startup: "tcp", Readiness: "none", Liveness: "/"},
				Requests: resources("memory", "64Mi"), Limits: resources("memory", "2Gi"),
			},
			want: map[string]string{
				"name": "api (flag: --name)", "dockerfile": "Dockerfile (default: generated)", "variant": "slim (flag: --variant)",
				"entrypoint": "main:app (flag: --entrypoint)", "python": "3.12 (flag: --python)", "port": "6000 (flag: --port)",
				"replicas": "0 (flag: --replicas)", "expose": "None (flag: --expose)", "test": `["tox"] in "test" (flag: --test)`,
				"env A": "3 (flag: --env)", "env b.c": "2 (settings: pyproject.toml:9)", "env D": " (flag: --env)", "env URL": "secret/db:URL (settings: pyproject.toml:9)",
				"env-from 0": "secret/s (settings: pyproject.toml:10)", "env-from 1": "configmap/cP_ (settings: pyproject.toml:10)", "env-from 2": "secret/t (flag: --env-from)",
				"startup": "tcp (flag: --probe)", "readiness": "none (flag: --probe)", "liveness": "/ (flag: --probe)",
				"requests cpu": "100m (settings: pyproject.toml:13)", "requests memory": "64Mi (flag: --requests)", "limits memory": "2Gi (flag: --limits)",
				"cpu": "1 (flag: --cpu)", "memory": "2Gi (flag: --memory)", "storage": "3Gi (flag: --storage)",
				"arg PIP_INDEX_URL": "http://c (flag: --build-arg)", "arg PIP_TRUSTED_HOST": "a (settings: pyproject.toml:18)",
				"node-selector disk": "hdd (flag: --node-selector)", "node-selector zone": "a (flag: --node-selector)",
			},
		},
		"a Dockerfile": {
			files: map[string]string{
				"Dockerfile":                "# mine\nFROM a AS web\nEXPOSE 5000 4000\nFROM web AS test\nCMD [\"pytest\"]\nFROM web\n",
				"deploy/kustomization.yaml": "",
			},
			want: map[string]string{
				"name": "my-shop (default: the folder's name)", "dockerfile": "Dockerfile (detected: Dockerfile)", "port": "4000 (detected: Dockerfile EXPOSE)",
				"test": `["pytest"] in "test" (detected: Dockerfile stage test)`, "manifests": "deploy (detected: deploy/)",
			},
		},
		"a Dockerfile of the settings": {
			files: map[string]string{
				"docker/web":     python + "ARG A\nEXPOSE 5000\nFROM a AS last\n",
				"pyproject.toml": "[tool.kubectl-pyflow.build]\ndockerfile = \"docker/web\"\ntarget = \"0\"\n",
			},
			options: project.Options{NoDeploy: true, BuildArgs: []string{"A=1", "B=2"}, DropUnknownArgs: true},
			want: map[string]string{
				"name": "my-shop (default: the folder's name)", "dockerfile": "docker/web (settings: pyproject.toml:2)", "port": "5000 (detected: docker/web:3 EXPOSE)",
				"target": "0 (settings: pyproject.toml:3)", "arg A": "1 (flag: --build-arg)",
			},
		},
		"a Dockerfile of a flag": {
			files:   map[string]string{"Dockerfile": python, "other": python, "kustomize/kustomization.yaml": ""},
			options: project.Options{Dockerfile: "other", Target: "0", Manifests: "kustomize"},
			want: map[string]string{
				"name": "my-shop (default: the folder's name)", "dockerfile": "other (flag: --file)", "port": "8000 (default: default)",
				"target": "0 (flag: --target)", "manifests": "kustomize (flag: --manifests)",
			},
		},
		"the target of a Dockerfile that is not built": {
			files:   map[string]string{"Dockerfile": python, "main.py": pythonApp, "pyproject.toml": "[tool.kubectl-pyflow]\nbuild.target = \"web\"\n"},
			options: project.Options{Variant: generate.Slim, Entrypoint: "main:app", Python: "3.13", NoDeploy: true},
			want: map[string]string{
				"name": "my-shop (default: the folder's name)", "dockerfile": "Dockerfile (default: generated)", "variant": "slim (flag: --variant)",
				"entrypoint": "main:app (flag: --entrypoint)", "python": "3.13 (flag: --python)", "port": "8000 (default: default)",
			},
		},
		"without the Dockerfile": {
			files:   map[string]string{"Dockerfile": "FROM\n", "main.py": pythonApp},
			options: project.Options{Entrypoint: "main:app", Python: "3.13", NoDeploy: true, NoDockerfile: true},
			want: map[string]string{
				"name": "my-shop (default: the folder's name)", "variant": "slim (default: default)",
				"entrypoint": "main:app (flag: --entrypoint)", "python": "3.13 (flag: --python)", "port": "8000 (default: default)",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := project.Resolve(folder(t, test.files), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, decided(p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTestStage(t *testing.T) {
	const with = "FROM a AS run\nFROM run AS test\nCMD [\"pytest\"]\nFROM run\n"
	for name, test := range map[string]struct {
		dockerfile string
		options    project.Options
		want       string
	}{
		"neither":             {"FROM a\n", project.Options{}, `[] in ""`},
		"a command":           {"FROM a\n", project.Options{Test: "tox"}, `["tox"] in ""`},
		"a stage":             {with, project.Options{}, `["pytest"] in "test"`},
		"both":                {with, project.Options{Test: "tox"}, `["tox"] in "test"`},
		"the stage is built":  {with, project.Options{Target: "test"}, `[] in ""`},
		"no tests are wanted": {with, project.Options{NoTest: true}, `[] in ""`},
	} {
		p, err := project.Resolve(folder(t, map[string]string{"Dockerfile": test.dockerfile}), test.options)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%q in %q", p.Test.Value, p.TestStage); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// How an app is reached and scaled: the Service is for the cluster where a host needs no more, and
// a flag for one way replaces the setting for the other.
func TestReach(t *testing.T) {
	const table = "[tool.kubectl-pyflow]\n"
	for name, test := range map[string]struct {
		settings string
		options  project.Options
		want     map[string]string
		err      string
	}{
		"settings": {
			settings: "host = ['a.example.com', 'b.example.com']\ntls = {cluster-issuer = 'le'}\ningress-class = 'nginx'\nautoscale = {max = 3}\nnetwork-policy = {namespaces = ['nginx']}\n",
			want: map[string]string{
				"host": "[a.example.com b.example.com] (settings: pyproject.toml:2)", "tls": "cluster-issuer=le (settings: pyproject.toml:3)", "ingress-class": "nginx (settings: pyproject.toml:4)",
				"autoscale": "min=1,max=3,cpu=80 (settings: pyproject.toml:5)", "network-policy": "nginx (settings: pyproject.toml:6)",
				"replicas": "1 (default: default)", "expose": "ClusterIP (default: default)",
			},
		},
		"flags": {
			settings: "host = 'a.example.com'\ningress-class = 'nginx'\nautoscale = {max = 3}\nnetwork-policy = true\n",
			options:  project.Options{Hosts: app.Hosts{"c.example.com"}, Gateway: "infra/public", Replicas: new(int32), NetworkPolicy: &app.NetworkPolicy{}, Expose: app.ExposeNodePort},
			want: map[string]string{
				"host": "[c.example.com] (flag: --host)", "gateway": "infra/public (flag: --gateway)", "network-policy": "false (flag: --network-policy)",
				"replicas": "0 (flag: --replicas)", "expose": "NodePort (flag: --expose)",
			},
		},
		"an autoscaler instead of replicas": {
			settings: "replicas = 3\n", options: project.Options{Autoscale: app.Autoscale{Min: 2, Max: 4}},
			want: map[string]string{"autoscale": "min=2,max=4,cpu=80 (flag: --autoscale)", "replicas": "1 (default: default)", "expose": "NodePort (default: default)"},
		},
		"both flags":        {options: project.Options{Replicas: new(int32), Autoscale: app.Autoscale{Max: 2}}, err: "--replicas and --autoscale exclude each other"},
		"TLS of nothing":    {settings: "tls = 'a'\n", err: "pyproject.toml:2: tls is the certificate of a host: set host, too"},
		"TLS and a Gateway": {settings: "host = 'a.b'\ntls = 'a'\n", options: project.Options{Gateway: "a"}, err: "tls is for an Ingress"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\n", "pyproject.toml": table + test.settings})
			p, err := project.Resolve(dir, test.options)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := decided(p)
			for _, key := range []string{"name", "dockerfile", "port"} {
				delete(got, key)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What has no settings, such as a repository, is deployed by flags and defaults.
func TestDeploymentOfFlags(t *testing.T) {
	options := project.Options{Env: map[string]app.Variable{"A": app.Text("1")}, Requests: resources("cpu", "1")}
	d, err := options.Deployment()
	if err != nil {
		t.Fatal(err)
	}
	p := &project.Project{Settings: &settings.Settings{}, Deployment: d}
	want := map[string]string{
		"env A": "1 (flag: --env)", "requests cpu": "1 (flag: --requests)", "replicas": "1 (default: default)", "expose": "NodePort (default: default)",
	}
	if diff := cmp.Diff(want, decided(p)); diff != "" {
		t.Error(diff)
	}
	options.Limits = resources("cpu", "500m")
	if _, err := options.Deployment(); err == nil || !strings.Contains(err.Error(), "cpu is requested 1, more than its limit of 500m") {
		t.Errorf("error is %v", err)
	}
}

func TestExplain(t *testing.T) {
	p, err := project.Resolve(folder(t, map[string]string{
		"main.py": pythonApp, "requirements.txt": "fastapi==0.115.0\nuvicorn==0.34.0\n", "pyproject.toml": "[tool.pyflow]\nport = 1\n",
	}), project.Options{Entrypoint: "main:app", Variant: generate.Slim})
	if err != nil {
		t.Fatal(err)
	}
	got := explained(p)
	for _, line := range []string{"app: main:app (--entrypoint)", "framework: fastapi (main.py)", "port: 8000 (default)", "variant: slim (--variant)"} {
		if !slices.Contains(strings.Split(got, "\n"), line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
	if !slices.Contains(p.Warnings(), "[tool.pyflow] in pyproject.toml is not read: rename it to [tool.kubectl-pyflow]") {
		t.Errorf("warnings are %q", p.Warnings())
	}
}

func TestValues(t *testing.T) {
	values := map[string]project.Value[int]{"a": {Value: 1}, "b": {}}
	if got := project.Values(values); !maps.Equal(got, map[string]int{"a": 1, "b": 0}) {
		t.Errorf("got %v", got)
	}
	if got := project.Values(map[string]project.Value[int]{}); got != nil {
		t.Errorf("got %v", got)
	}
}
