package project_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "My Shop")
	for file, content := range files {
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func resources(name corev1.ResourceName, quantity string) corev1.ResourceList {
	return corev1.ResourceList{name: resource.MustParse(quantity)}
}

func explained(p *project.Project) string {
	var lines []string
	for _, line := range p.Explain() {
		lines = append(lines, line.String())
	}
	return strings.Join(lines, "\n")
}

const pythonApp = "from fastapi import FastAPI\n\napp = FastAPI()\nother = FastAPI()\n"

func TestResolve(t *testing.T) {
	const own = "FROM scratch\nEXPOSE 1\n"
	for name, test := range map[string]struct {
		files     map[string]string
		options   project.Options
		generated generate.Variant
		has       []string
		check     func(*project.Project) bool
	}{
		"its own Dockerfile": {
			files: map[string]string{"Dockerfile": own, "main.py": pythonApp, "pyproject.toml": "[tool.kubectl-pyflow.build]\nvariant = \"distroless\"\n"},
			check: func(s *project.Project) bool {
				return s.Name.Value == "my-shop" && s.Detected == nil && len(s.Files) == 0 && string(s.Dockerfile.Value.Content) == own && s.Summary() == "" && s.Explain() == nil
			},
		},
		"one that the settings name": {
			files: map[string]string{"Dockerfile": own, "docker/web": "FROM a\n", "pyproject.toml": "[tool.kubectl-pyflow.build]\ndockerfile = \"docker/web\"\n"},
			check: func(s *project.Project) bool { return s.Dockerfile.Value.Path == "docker/web" },
		},
		"one that is named": {
			files:   map[string]string{"Dockerfile": own, "other": "FROM b\n", "pyproject.toml": "[tool.kubectl-pyflow.build]\ndockerfile = \"docker/web\"\n"},
			options: project.Options{Dockerfile: "other"},
			check:   func(s *project.Project) bool { return s.Dockerfile.Value.Path == "other" },
		},
		"one made in its place": {
			files:     map[string]string{"Dockerfile": own, "main.py": pythonApp},
			options:   project.Options{Entrypoint: "main:app", Variant: generate.Bloated},
			generated: generate.Bloated,
		},
		"none": {
			files:     map[string]string{"main.py": pythonApp},
			options:   project.Options{Entrypoint: "main:other", Python: "3.12", Port: 7000, Name: "till"},
			generated: generate.Slim,
			has:       []string{"main:other", "3.12", "7000", "# till"},
			check: func(s *project.Project) bool {
				return s.Name.Value == "till" && s.Port.Value == 7000 && !s.Test.IsSet()
			},
		},
		"none, settings": {
			files: map[string]string{
				"main.py":        pythonApp,
				"pyproject.toml": "[tool.kubectl-pyflow]\nname = \"till\"\napp = \"main:other\"\npython = \"3.13\"\nport = 7000\ntest = \"pytest -q 'a b'\"\n[tool.kubectl-pyflow.build]\nvariant = \"distroless\"\n",
				".dockerignore":  "*.md\n",
			},
			generated: generate.Distroless,
			has:       []string{"main:other", "7000", "# till", "AS test"},
			check: func(s *project.Project) bool {
				return slices.Equal(s.Test.Value, []string{"pytest", "-q", "a b"}) && strings.HasPrefix(string(s.Ignore()), "*.md\n") && strings.Contains(explained(s), "app: main:other (pyproject.toml:3)")
			},
		},
		"requirements that are ignored": {
			files: map[string]string{
				"main.py": pythonApp, "requirements.txt": "-r more.txt\nuvicorn==0.34.0\n", "more.txt": "fastapi==0.115.0\n", "requirements-dev.txt": "pytest==9.0.0\n", ".dockerignore": "*.txt\n",
			},
			options:   project.Options{Entrypoint: "main:app", Test: "pytest"},
			generated: generate.Slim,
			check: func(s *project.Project) bool {
				return len(s.Files) == 2 && string(s.Ignore()) == "*.txt\n\n# What the Dockerfile installs.\n!requirements.txt\n!more.txt\n!requirements-dev.txt\n"
			},
		},
		"tests that are not wanted": {
			files:     map[string]string{"main.py": pythonApp, "pyproject.toml": "[tool.kubectl-pyflow]\ntest = \"pytest\"\n"},
			options:   project.Options{Entrypoint: "main:app", NoTest: true},
			generated: generate.Slim,
			check: func(s *project.Project) bool {
				return !s.Test.IsSet() && !strings.Contains(string(s.Dockerfile.Value.Content), "AS test") && s.Files["Dockerfile.dockerignore"] != nil
			},
		},
		"other tests": {
			files:     map[string]string{"main.py": pythonApp, "pyproject.toml": "[tool.kubectl-pyflow]\ntest = \"pytest\"\n"},
			options:   project.Options{Entrypoint: "main:app", Test: "tox -e py"},
			generated: generate.Slim,
			check:     func(s *project.Project) bool { return slices.Equal(s.Test.Value, []string{"tox", "-e", "py"}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := project.Resolve(folder(t, test.files), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if s.Variant.Value != test.generated || (s.Detected != nil) != (test.generated != "") || (s.Summary() != "") != (test.generated != "") {
				t.Errorf("got %+v", s)
			}
			if test.generated != "" && string(s.Files[project.Dockerfile]) != string(s.Dockerfile.Value.Content) {
				t.Errorf("the context has\n%s", s.Files[project.Dockerfile])
			}
			for _, text := range test.has {
				if !strings.Contains(string(s.Dockerfile.Value.Content), text) {
					t.Errorf("the Dockerfile has no %q\n%s", text, s.Dockerfile.Value.Content)
				}
			}
			if test.check != nil && !test.check(s) {
				t.Errorf("got %+v\n%s", s, explained(s))
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		options project.Options
		want    error
		says    string
	}{
		"nothing":                 {files: map[string]string{"README.md": ""}, want: detect.ErrNoProject},
		"no such Dockerfile":      {files: map[string]string{"main.py": pythonApp}, options: project.Options{Dockerfile: "no"}, want: dockerfile.ErrNotFound},
		"no such Dockerfile, too": {files: map[string]string{"pyproject.toml": "[tool.kubectl-pyflow.build]\ndockerfile = \"no\"\n"}, want: dockerfile.ErrNotFound},
		"a test command":          {files: map[string]string{"main.py": pythonApp}, options: project.Options{Entrypoint: "main:app", Test: "pytest 'x"}, says: `"pytest 'x"`},
		"no app":                  {files: map[string]string{"script.py": "print()\n"}, want: generate.ErrNoApp},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := project.Resolve(folder(t, test.files), test.options)
			if s != nil || err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
	_, err := project.Resolve(folder(t, map[string]string{"main.py": pythonApp, "pyproject.toml": "[tool.kubectl-pyflow]\nprot = 1\n"}), project.Options{})
	var place *toml.Error
	if !errors.As(err, &place) || place.Line != 2 {
		t.Errorf("error is %v", err)
	}
	if _, err := project.Resolve(filepath.Join(t.TempDir(), "no"), project.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}
