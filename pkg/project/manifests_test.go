package project_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// TestManifests wants the directory of manifests, and the name that only they tell.
func TestManifests(t *testing.T) {
	pod := func(image string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: " + image + "}]}\n"
	}
	const manifest = "[project]\nname = \"The_Mountains\"\nversion = \"1\"\n"
	for name, test := range map[string]struct {
		files   map[string]string
		options project.Options
		// want is the name and the directory, warning a part of a warning.
		want, warning string
	}{
		"none":                           {files: map[string]string{"pyproject.toml": manifest}, want: "my-shop: "},
		"of the folder's name":           {files: map[string]string{"k8s/a.yaml": pod("my-shop"), "pyproject.toml": manifest}, want: "my-shop: k8s"},
		"of the project's name":          {files: map[string]string{"k8s/a.yaml": pod("the-mountains:1.2"), "pyproject.toml": manifest}, want: "the-mountains: k8s"},
		"of both":                        {files: map[string]string{"k8s/a.yaml": pod("the-mountains"), "k8s/b.yaml": pod("my-shop"), "pyproject.toml": manifest}, want: "my-shop: k8s"},
		"a kustomization":                {files: map[string]string{"deploy/kustomization.yaml": "resources: [a.yaml]\n", "deploy/a.yaml": pod("the-mountains"), "pyproject.toml": manifest}, want: "the-mountains: deploy"},
		"Poetry's name":                  {files: map[string]string{"k8s/a.yaml": pod("lakes"), "pyproject.toml": "[tool.poetry]\nname = \"lakes\"\n"}, want: "lakes: k8s"},
		"not deployed":                   {files: map[string]string{"k8s/a.yaml": pod("the-mountains"), "pyproject.toml": manifest}, options: project.Options{NoDeploy: true}, want: "the-mountains: "},
		"named":                          {files: map[string]string{"own/a.yaml": pod("the-mountains"), "pyproject.toml": manifest}, options: project.Options{Manifests: "own"}, want: "the-mountains: own"},
		"named, and the app as well":     {files: map[string]string{"own/a.yaml": pod("the-mountains"), "pyproject.toml": manifest}, options: project.Options{Manifests: "own", Name: "x"}, want: "x: own"},
		"a setting":                      {files: map[string]string{"own/a.yaml": pod("the-mountains"), "pyproject.toml": manifest + "[tool.kubectl-pyflow]\nmanifests = \"own\"\n"}, want: "the-mountains: own"},
		"a setting, not deployed":        {files: map[string]string{"pyproject.toml": manifest + "[tool.kubectl-pyflow]\nmanifests = \"gone\"\n"}, options: project.Options{NoDeploy: true}, want: "my-shop: "},
		"the setting is not overruled":   {files: map[string]string{"k8s/a.yaml": pod("the-mountains"), "pyproject.toml": manifest + "[tool.kubectl-pyflow]\nname = \"x\"\n"}, want: "x: ", warning: "not used: k8s, because no container there runs `image: x`, only the-mountains"},
		"of another image":               {files: map[string]string{"k8s/a.yaml": pod("redis")}, want: "my-shop: ", warning: "only redis"},
		"two, which do not count unused": {files: map[string]string{"k8s/a.yaml": pod("x"), "deploy/a.yaml": pod("y")}, options: project.Options{NoDeploy: true}, want: "my-shop: "},
	} {
		t.Run(name, func(t *testing.T) {
			test.files["Dockerfile"] = "FROM scratch\nUSER 1000\n"
			dir := folder(t, test.files)
			if test.options.Manifests != "" {
				test.options.Manifests = filepath.Join(dir, test.options.Manifests)
			}
			p, err := project.Resolve(dir, test.options)
			if err != nil {
				t.Fatal(err)
			}
			relative := ""
			if p.Manifests.IsSet() {
				if relative, err = filepath.Rel(dir, p.Manifests.Value); err != nil {
					t.Fatal(err)
				}
			}
			if got := p.Name.Value + ": " + relative; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if warnings := strings.Join(p.Warnings(), "\n"); (test.warning == "") != (warnings == "") || !strings.Contains(warnings, test.warning) {
				t.Errorf("warnings %q, want %q", warnings, test.warning)
			}
		})
	}
	for text, want := range map[string]string{
		"manifests = \"gone\"\n":                          "pyproject.toml:2: tool.kubectl-pyflow.manifests: manifests: stat",
		"[tool.kubectl-pyflow.helm]\nset = {a = \"b\"}\n": "tool.kubectl-pyflow.helm: ",
	} {
		dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\n", "pyproject.toml": "[tool.kubectl-pyflow]\n" + text})
		if _, err := project.Resolve(dir, project.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := project.Resolve(folder(t, map[string]string{"Dockerfile": "FROM scratch\n"}), project.Options{Values: source.Values{Set: []string{"a=b"}}}); err == nil || !errors.As(err, new(*project.OptionError)) {
		t.Errorf("values without a chart: %v", err)
	}
	_, err := project.Resolve(folder(t, map[string]string{"Dockerfile": "FROM scratch\n", "k8s/a.yaml": pod("my-shop"), "deploy/kustomization.yaml": ""}), project.Options{})
	if !errors.Is(err, source.ErrTwo) {
		t.Errorf("error %v, want ErrTwo", err)
	}
}
