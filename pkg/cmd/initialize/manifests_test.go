package initialize

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/build"
)

// shown returns what build --show-manifests prints of a directory.
func shown(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	var out, errOut bytes.Buffer
	cmd := build.NewCommand(genericclioptions.NewConfigFlags(true), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{dir, "--show-manifests"}, args...))
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

// TestManifests wants the manifests that init writes to be what builds deploy, before and after.
func TestManifests(t *testing.T) {
	const code = "from fastapi import FastAPI\n\napp = FastAPI()\n"
	for name, files := range map[string]map[string]string{
		"a generated Dockerfile": {"main.py": code, "requirements.txt": "fastapi==0.1\n"},
		"its own Dockerfile":     {"main.py": code, "requirements.txt": "fastapi==0.1\n", "Dockerfile": "FROM scratch\nUSER 7:8\nEXPOSE 9000\n"},
		"with processes":         {"main.py": code, "requirements.txt": "fastapi==0.1\n", "Procfile": "web: uvicorn main:app\nworker: python -m work\nrelease: python -m migrate\n"},
		"another name":           {"main.py": code, "requirements.txt": "fastapi==0.1\n", "pyproject.toml": "[project]\nname = \"x\"\nversion = \"1\"\n[tool.kubectl-pyflow]\nname = \"lakes\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hills")
			write(t, dir, files)
			before, _, err := shown(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			stdout, stderr, err := run(t, dir, "--manifests")
			if err != nil || !strings.Contains(stdout, filepath.Join(dir, "deploy", "kustomization.yaml")) {
				t.Fatalf("%v\n%s%s", err, stdout, stderr)
			}
			after, said, err := shown(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(before, "    pyflow.dev/generated: \"true\"\n", ""); after != want {
				t.Errorf("a build deploys\n%s\nand before\n%s", after, want)
			}
			if said != "" && files["Procfile"] == "" {
				t.Errorf("the build says %q", said)
			}
			all := read(t, dir)
			if _, stderr, err := run(t, dir, "--manifests", "--force"); err != nil || !strings.Contains(stderr, "the project has manifests, which stay: deploy/") {
				t.Errorf("the second time: %v\n%s", err, stderr)
			}
			for name, text := range read(t, dir) {
				if strings.HasPrefix(name, "deploy/") && all[name] != text {
					t.Errorf("%s is changed", name)
				}
			}
		})
	}
}

func TestManifestsSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hills")
	write(t, dir, map[string]string{
		"main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n", "Dockerfile": "FROM unknown\n",
		"pyproject.toml": "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [\"fastapi\"]\n[tool.kubectl-pyflow]\nreplicas = 2\n",
	})
	_, stderr, err := run(t, dir, "--manifests")
	for _, want := range []string{
		"the manifests have it, and the next build stops at it: pyproject.toml:6:1: tool.kubectl-pyflow.replicas",
		"the pods run as the USER of the image",
	} {
		if err != nil || !strings.Contains(stderr, want) {
			t.Errorf("%v, want %q:\n%s", err, want, stderr)
		}
	}
	if text := read(t, dir)["deploy/deployment-hills.yaml"]; !strings.Contains(text, "replicas: 2") || strings.Contains(text, "runAsUser") {
		t.Errorf("the Deployment is\n%s", text)
	}
	if _, _, err := shown(t, dir); err == nil || !strings.Contains(err.Error(), "replicas has no effect on manifests of your own") {
		t.Errorf("the build says %v", err)
	}
	if _, _, err := run(t, filepath.Join(t.TempDir(), "new"), "--manifests"); err == nil || !strings.Contains(err.Error(), "--manifests is for an existing project") {
		t.Errorf("a new service: %v", err)
	}
}
