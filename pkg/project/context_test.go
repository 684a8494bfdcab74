package project_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

func TestContext(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"services/api/Dockerfile": "FROM scratch\nCOPY libs /libs\n", "services/api/pyproject.toml": "[tool.kubectl-pyflow]\nname = 'shop'\n",
		"services/web/main.py": "", "shared/web.Dockerfile": "FROM scratch\nCOPY . /\n", "shared/web.Dockerfile.dockerignore": "*.log\n",
		"shared/plain": "FROM scratch\n", "shared/Containerfile": "FROM scratch\n", "services/web/.containerignore": "*.tmp\n",
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		dir     string
		options project.Options
		// context and path are relative to root and to the context.
		context, path string
		// ignore are lines of the ignore file of a Dockerfile from outside.
		ignore []string
	}{
		"the folder":          {"services/api", project.Options{}, "services/api", "Dockerfile", nil},
		"above the folder":    {"services/api", project.Options{Context: root}, ".", "services/api/Dockerfile", nil},
		"a file beside it":    {"services/web", project.Options{Context: root, Dockerfile: "../../shared/web.Dockerfile"}, ".", "shared/web.Dockerfile", nil},
		"a file outside":      {"services/web", project.Options{Dockerfile: "../../shared/web.Dockerfile"}, "services/web", ".pyflow/web.Dockerfile", []string{"*.log", ".pyflow"}},
		"with the folder's":   {"services/web", project.Options{Dockerfile: "../../shared/Containerfile"}, "services/web", ".pyflow/Containerfile", []string{"*.tmp", ".pyflow"}},
		"with the default":    {"services/api", project.Options{Dockerfile: "../../shared/plain"}, "services/api", ".pyflow/plain", []string{"**/.git", ".pyflow"}},
		"a context elsewhere": {"services/api", project.Options{Context: filepath.Join(root, "shared")}, "shared", ".pyflow/Dockerfile", []string{".pyflow"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := project.Resolve(filepath.Join(root, test.dir), test.options)
			if err != nil {
				t.Fatal(err)
			}
			if p.Context != filepath.Join(root, test.context) || p.Dockerfile.Value.Path != test.path || p.Generated() {
				t.Errorf("context %s, Dockerfile %s", p.Context, p.Dockerfile.Value.Path)
			}
			if test.dir == "services/api" && p.Name.Value != "shop" {
				t.Errorf("the app is %s: the settings are those of the folder", p.Name.Value)
			}
			if len(test.ignore) == 0 {
				if p.Files != nil {
					t.Errorf("files are %q", slices.Sorted(maps.Keys(p.Files)))
				}
				return
			}
			lines := strings.Split(string(p.Ignore()), "\n")
			for _, want := range test.ignore {
				if !slices.Contains(lines, want) {
					t.Errorf("the ignore file has no %s:\n%s", want, p.Ignore())
				}
			}
			if string(p.Files[test.path]) != string(p.Dockerfile.Value.Content) || !strings.Contains(strings.Join(p.Warnings(), "\n"), "it travels as "+test.path) {
				t.Errorf("files %q, warnings %q", slices.Sorted(maps.Keys(p.Files)), p.Warnings())
			}
		})
	}
	for says, options := range map[string]project.Options{
		"--context: the project has to be inside of the build context": {Context: filepath.Join(root, "shared")},
		"--context " + root + "/no":                                    {Context: root + "/no"},
	} {
		var wrong *project.OptionError
		if _, err := project.Resolve(filepath.Join(root, "services/web"), options); !errors.As(err, &wrong) || !strings.Contains(err.Error(), says) {
			t.Errorf("error is %v, want %s", err, says)
		}
	}
}
