package generate

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

func TestIgnore(t *testing.T) {
	project := service(func(p *detect.Project) {
		p.Dependencies.Files = []string{"CHANGES.md", "deploy/requirements.txt", "setup.py"}
	})
	content := Ignore(project)
	if strings.Contains(string(content), "!setup.py") {
		t.Errorf("what is not left out is named:\n%s", content)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{
		".git/config":                true,
		".venv/bin/python":           true,
		"shop/__pycache__/a.cpython": true,
		"shop/main.pyc":              true,
		"api/.venv/bin/python":       true,
		"ui/node_modules/a/index.js": true,
		".env":                       true,
		".envrc":                     true,
		"config/.env.production":     true,
		".env.example":               false,
		"NEWS.md":                    true,
		"docs/index.rst":             true,
		"compose.yaml":               true,
		"docker-compose.test.yml":    true,
		"Dockerfile":                 true,
		"deploy/kustomization.yaml":  true,
		// What the dependencies are read from.
		"CHANGES.md":              false,
		"deploy/requirements.txt": false,
		// The metadata of a package, the stage test, and the service's own texts.
		"README.md":              false,
		"tests/test_main.py":     false,
		"shop/prompts/system.md": false,
		"shop/docs/page.html":    false,
		"shop/build/__init__.py": false,
		"pyproject.toml":         false,
		"uv.lock":                false,
		"shop/environment.py":    false,
	} {
		if got, err := matcher.MatchesOrParentMatches(file); err != nil || got != want {
			t.Errorf("%s is left out: %v, %v, want %v", file, got, err, want)
		}
	}
}
