package build

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const testApp2 = "from fastapi import FastAPI\n\napp = FastAPI()\n"

const testSettings = `[project]
name = "shop"
version = "1"
requires-python = ">=3.12"

[tool.kubectl-pyflow]
name = "till"
port = 9000
replicas = 0
expose = "clusterip"
test = "pytest -q"

[tool.kubectl-pyflow.env]
LOG_LEVEL = "debug"
MODE = "slow"

[tool.kubectl-pyflow.resources]
requests = { cpu = "100m" }
limits = { memory = "1Gi" }

[tool.kubectl-pyflow.probes]
readiness = "/readyz"
liveness = "/healthz"

[tool.kubectl-pyflow.build]
args = { PIP_INDEX_URL = "http://index", PIP_TRUSTED_HOST = "index" }
memory = "2Gi"
node-selector = { disk = "ssd" }
`

func TestSettingsAndFlags(t *testing.T) {
	dir := folder(t, "my-folder", map[string]string{"main.py": testApp2, "pyproject.toml": testSettings})
	read := func(args ...string) *Options {
		t.Helper()
		flags := testFlags(t)
		must(t, newCommand(flags, genericiooptions.NewTestIOStreamsDiscard()).ParseFlags(args))
		options, err := flags.ToOptions([]string{dir}, genericiooptions.NewTestIOStreamsDiscard())
		must(t, err)
		return options
	}

	o := read()
	r := o.Release
	if o.App != "till" || r.Port != 9000 || r.Replicas != 0 || r.Expose != app.ExposeClusterIP ||
		!reflect.DeepEqual(r.Env, app.Texts(map[string]string{"LOG_LEVEL": "debug", "MODE": "slow"})) ||
		r.Requests.Cpu().String() != "100m" || r.Limits.Memory().String() != "1Gi" ||
		r.Probes != (app.Probes{Readiness: "/readyz", Liveness: "/healthz"}) ||
		!slices.Equal(o.BuildArgs, []string{"PIP_INDEX_URL=http://index", "PIP_TRUSTED_HOST=index"}) ||
		o.Resources.Memory.String() != "2Gi" || o.Resources.NodeSelector["disk"] != "ssd" {
		t.Errorf("settings give %+v", o)
	}
	if o.Test == nil || !slices.Equal(o.Test.Command, []string{"pytest", "-q"}) || o.Found.Variant.Value != generate.Slim || !strings.Contains(string(o.Folder.Dockerfile.Content), "9000") {
		t.Errorf("found is %+v\n%s", o.Found, o.Folder.Dockerfile.Content)
	}

	o = read("--name", "other", "--port", "7000", "--replicas", "2", "--expose", "None", "--env", "MODE=fast", "--env", "MORE=1", "--env-from", "secret/all", "--env-from", "URL=secret/db:url",
		"--requests", "memory=64Mi", "--limits", "memory=512Mi", "--probe", "liveness=none",
		"--build-arg", "PIP_INDEX_URL=http://other", "--memory", "4Gi", "--variant", "bloated")
	r = o.Release
	if o.App != "other" || r.Port != 7000 || r.Replicas != 2 || r.Expose != app.ExposeNone ||
		!reflect.DeepEqual(r.Env, map[string]app.Variable{
			"LOG_LEVEL": app.Text("debug"), "MODE": app.Text("fast"), "MORE": app.Text("1"), "URL": {From: app.Source{Kind: app.SourceSecret, Name: "db", Key: "url"}},
		}) || !slices.Equal(r.EnvFrom, []app.EnvFrom{{Source: app.Source{Kind: app.SourceSecret, Name: "all"}}}) ||
		!maps.Equal(o.Sources, map[app.Source]string{
			{Kind: app.SourceSecret, Name: "db", Key: "url"}: "--env-from: URL", {Kind: app.SourceSecret, Name: "all"}: "--env-from",
		}) ||
		r.Requests.Cpu().String() != "100m" || r.Requests.Memory().String() != "64Mi" || r.Limits.Memory().String() != "512Mi" ||
		r.Probes != (app.Probes{Readiness: "/readyz", Liveness: app.ProbeNone}) ||
		!slices.Equal(o.BuildArgs, []string{"PIP_TRUSTED_HOST=index", "PIP_INDEX_URL=http://other"}) || o.Resources.Memory.String() != "4Gi" {
		t.Errorf("flags give %+v", o)
	}
	if o.Found.Variant.Value != generate.Bloated || !strings.Contains(string(o.Folder.Dockerfile.Content), "7000") {
		t.Errorf("the Dockerfile is\n%s", o.Folder.Dockerfile.Content)
	}
}

func TestSettingsAndManifests(t *testing.T) {
	dir := folder(t, "shop", map[string]string{
		"Dockerfile": "FROM scratch\n", "deploy/kustomization.yaml": "resources: []\n", "pyproject.toml": "[tool.kubectl-pyflow]\nname = \"till\"\nreplicas = 3\n",
	})
	_, err := testFlags(t).ToOptions([]string{dir}, genericiooptions.NewTestIOStreamsDiscard())
	if err == nil || !strings.Contains(err.Error(), "pyproject.toml:3:") || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("error is %v", err)
	}
	for _, args := range [][]string{
		{"--port", "80"}, {"--replicas", "1"}, {"--expose", "None"}, {"--env", "A=b"}, {"--env-from", "secret/a"}, {"--host", "a.b"}, {"--tls", "a"}, {"--ingress-class", "a"}, {"--gateway", "a"}, {"--network-policy"}, {"--autoscale", "max=2"}, {"--requests", "cpu=1"}, {"--limits", "cpu=1"}, {"--probe", "liveness=tcp"},
	} {
		cmd := NewCommand(testFlags(t).config, genericiooptions.NewTestIOStreamsDiscard())
		wantRefused(t, cmd, append([]string{folder(t, "own", map[string]string{"Dockerfile": "FROM scratch\n", "k8s/kustomization.yaml": "resources: []\n"})}, args...),
			args[0]+" has no effect on manifests of your own: set it in ")
	}
}

func TestFoldersWithoutADockerfile(t *testing.T) {
	dir := folder(t, "shop", map[string]string{"main.py": testApp2, "requirements.txt": "fastapi==0.115.0\nuvicorn==0.34.0\n"})
	o, err := testFlags(t).ToOptions([]string{dir}, genericiooptions.NewTestIOStreamsDiscard())
	must(t, err)
	if o.Dockerfile != project.Dockerfile || o.Folder.Files[project.Dockerfile] == nil || o.Folder.Files[project.Dockerfile+".dockerignore"] == nil || o.Found.Detected.App.Object != "main:app" {
		t.Errorf("got %+v", o)
	}

	both := folder(t, "both", map[string]string{"main.py": testApp2, "Dockerfile": "FROM scratch\n", "pyproject.toml": "[tool.kubectl-pyflow]\napp = \"main:app\"\n"})
	own, err := testFlags(t).ToOptions([]string{both}, genericiooptions.NewTestIOStreamsDiscard())
	must(t, err)
	if own.Found.Detected != nil || len(own.Folder.Files) != 0 || string(own.Folder.Dockerfile.Content) != "FROM scratch\n" {
		t.Errorf("the folder's own Dockerfile counts, got %+v", own)
	}
	for line, says := range map[string]string{
		both + " --entrypoint main:app":                        "--entrypoint and --python are for a generated Dockerfile",
		both + " --variant slim -f Dockerfile":                 "use one of them",
		dir + " --variant thin":                                `--variant: unknown variant "thin"`,
		dir + " --entrypoint nothing:app":                      "nothing:app",
		dir + " --python 2.7":                                  "2.7",
		dir + " --expose door":                                 "--expose: ",
		dir + " --env novalue":                                 "--env: variable 1 of 1 is not of the form",
		dir + " --env 1=hunter2":                               `--env: variable "1"`,
		dir + " --env A=hunter2 --env A=hunter2":               `variable "A" is given twice`,
		dir + " --requests cpu":                                "--requests: ",
		dir + " --requests memory=2Gi --limits memory=1Gi":     "memory",
		dir + " --probe ready=/x":                              "--probe: ",
		"--git https://h/a --entrypoint main:app":              "--entrypoint is for a folder without a Dockerfile",
		"--git https://h/a --show-dockerfile":                  "--show-dockerfile is for a folder",
		dir + " --show-dockerfile --variant thin":              "unknown variant",
		folder(t, "none", nil) + " --show-dockerfile":          detect.ErrNoProject.Error(),
		folder(t, "notes", map[string]string{"README.md": ""}): detect.ErrNoProject.Error(),
	} {
		cmd := NewCommand(testFlags(t).config, genericiooptions.NewTestIOStreamsDiscard())
		wantRefused(t, cmd, strings.Fields(line), says)
	}
}

func TestShowDockerfile(t *testing.T) {
	dir := folder(t, "shop", map[string]string{"main.py": testApp2, "requirements.txt": "fastapi==0.115.0\nuvicorn==0.34.0\n"})
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	cmd := NewCommand(testFlags(t).config, streams)
	cmd.SetArgs([]string{dir, "--show-dockerfile", "--variant", "distroless", "--port", "7000"})
	must(t, cmd.ExecuteContext(t.Context()))
	want, err := project.Resolve(dir, project.Options{Variant: generate.Distroless, Port: 7000})
	must(t, err)
	if !bytes.Equal(out.Bytes(), want.Dockerfile.Value.Content) {
		t.Errorf("stdout is\n%s", out)
	}
	if !strings.Contains(errOut.String(), "main:app") {
		t.Errorf("stderr is\n%s", errOut)
	}
}
