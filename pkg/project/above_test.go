package project_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const starlette = "from starlette.applications import Starlette\n\napp = Starlette()\n"

// repository writes files into a new repository and returns it.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files[".git/HEAD"] = "ref: refs/heads/main\n"
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// packed returns the files that a build of the project would send.
func packed(t *testing.T, p *project.Project) []string {
	t.Helper()
	archive, err := buildcontext.Pack(t.Context(), p.Context, buildcontext.Options{Dockerfile: p.Dockerfile.Value.Path, Files: p.Files})
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	content, err := archive.Open()
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(content)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for reader := tar.NewReader(unzipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg && !strings.HasPrefix(header.Name, "Dockerfile") {
			names = append(names, header.Name)
		}
	}
}

func workspace() map[string]string {
	return map[string]string{
		"pyproject.toml": "[tool.uv.workspace]\nmembers = ['apps/*', 'packages/*']\n",
		"uv.lock": `version = 1
[[package]]
name = "shared"
version = "1"
source = { editable = "packages/shared" }
[[package]]
name = "starlette"
version = "1"
[[package]]
name = "web"
version = "1"
source = { virtual = "apps/web" }
dependencies = [{ name = "shared" }, { name = "starlette" }]
[package.metadata]
requires-dist = [{ name = "shared", editable = "packages/shared" }, { name = "starlette" }]
`,
		"apps/web/pyproject.toml":    "[project]\nname = 'web'\ndependencies = ['shared', 'starlette']\n[tool.uv.sources]\nshared = {workspace = true}\n",
		"apps/web/main.py":           starlette,
		"apps/web/.env":              "SECRET=1\n",
		"apps/web/.venv/bin/python":  "",
		"apps/admin/pyproject.toml":  "[project]\nname = 'admin'\n",
		"packages/shared/setup.py":   "",
		"packages/shared/x.pyc":      "",
		"packages/unused/setup.py":   "",
		"README.md":                  "",
		"apps/README.md":             "",
		"packages/shared/.git/HEAD":  "",
		"packages/shared/src/s/a.py": "",
	}
}

func TestAbove(t *testing.T) {
	requirements := map[string]string{
		"services/api/requirements.txt": "-r ../common.txt\n../../lib\n", "services/common.txt": "-c ../limits.txt\nstarlette\n", "limits.txt": "starlette<2\n",
		"services/api/main.py": starlette, "services/api/.dockerignore": "*.txt\nlocal\n", "services/api/local/a": "", "services/api/more.txt": "",
		"lib/setup.py": "", "lib/README": "", "other/a.py": "", "services/secret.txt": "",
	}
	for name, test := range map[string]struct {
		files   map[string]string
		dir     string
		context string
		want    []string
	}{
		"a member of a workspace": {
			workspace(), "apps/web", "",
			[]string{"apps/web/main.py", "apps/web/pyproject.toml", "packages/shared/setup.py", "packages/shared/src/s/a.py", "pyproject.toml", "uv.lock"},
		},
		"files and projects beside it": {
			requirements, "services/api", "",
			[]string{"lib/README", "lib/setup.py", "limits.txt", "services/api/.dockerignore", "services/api/main.py", "services/api/requirements.txt", "services/common.txt"},
		},
		"in a context above it": {
			map[string]string{"services/api/requirements.txt": "starlette\n", "services/api/main.py": starlette, "services/a.py": ""},
			"services/api", ".",
			[]string{"services/api/main.py", "services/api/requirements.txt"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := repository(t, test.files)
			options := project.Options{}
			if test.context != "" {
				options.Context = filepath.Join(root, test.context)
			}
			p, err := project.Resolve(filepath.Join(root, test.dir), options)
			if err != nil {
				t.Fatal(err)
			}
			if p.Context != root || !p.Generated() || project.ContextSetting(p) != "../.." {
				t.Errorf("the context is %s, the setting %q", p.Context, project.ContextSetting(p))
			}
			if got := packed(t, p); !slices.Equal(got, test.want) {
				t.Errorf("what travels is\n%q, want\n%q\n%s", got, test.want, p.Ignore())
			}
			if lines := project.Travels(p); len(lines) == 0 || !strings.Contains(lines[0].String(), test.dir) {
				t.Errorf("it says %q", lines)
			}
			keepsAgreeing(t, p, root, test.dir, test.want)
		})
	}
}

// keepsAgreeing writes the Dockerfile as init does, with its setting, and wants a build of it to
// send the same files.
func keepsAgreeing(t *testing.T, p *project.Project, root, dir string, want []string) {
	t.Helper()
	contents, err := project.ImageFiles(p)
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(root, dir, "pyproject.toml")
	known, err := os.ReadFile(manifest)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	contents["pyproject.toml"] = append(known, "\n[tool.kubectl-pyflow]\ncontext = \""+project.ContextSetting(p)+"\"\n"...)
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(root, dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := project.Resolve(filepath.Join(root, dir), project.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if kept.Generated() || kept.Context != root || string(kept.Dockerfile.Value.Content) != string(contents["Dockerfile"]) {
		t.Errorf("the kept Dockerfile is not built in %s", kept.Context)
	}
	got := slices.DeleteFunc(packed(t, kept), func(name string) bool {
		return strings.Contains(name, "Dockerfile") || name == dir+"/pyproject.toml" && !slices.Contains(want, name)
	})
	if !slices.Equal(got, want) {
		t.Errorf("with the Dockerfile that init keeps, what travels is\n%q, want\n%q", got, want)
	}
}

func TestContextSetting(t *testing.T) {
	root := repository(t, map[string]string{
		"api/pyproject.toml": "[tool.kubectl-pyflow]\ncontext = '..'\n", "api/main.py": starlette, "web/pyproject.toml": "\n[tool.kubectl-pyflow]\ncontext = '../no'\n", "web/main.py": starlette,
	})
	p, err := project.Resolve(filepath.Join(root, "api"), project.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Context != root || !strings.Contains(project.Travels(p)[0].String(), "pyproject.toml:2") {
		t.Errorf("the context is %s, %v", p.Context, project.Travels(p))
	}
	if p, err = project.Resolve(filepath.Join(root, "api"), project.Options{Context: filepath.Join(root, "api")}); err != nil || p.Context != filepath.Join(root, "api") || project.Travels(p) != nil {
		t.Errorf("the flag does not win: %v, %v", p, err)
	}
	if _, err := project.Resolve(filepath.Join(root, "web"), project.Options{}); err == nil || !strings.Contains(err.Error(), "pyproject.toml:3: tool.kubectl-pyflow.context: ") {
		t.Errorf("error is %v", err)
	}
}

func TestNothingAboveTheRepository(t *testing.T) {
	root := repository(t, map[string]string{"api/requirements.txt": "-r ../../common.txt\n", "api/main.py": starlette})
	outside := filepath.Dir(root)
	if err := os.WriteFile(filepath.Join(outside, "common.txt"), []byte("starlette\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := project.Resolve(filepath.Join(root, "api"), project.Options{})
	if err == nil || !strings.Contains(err.Error(), "requirements.txt:1: it includes \"../../common.txt\", which is outside of "+root) {
		t.Errorf("error is %v", err)
	}
	p, err := project.Resolve(filepath.Join(root, "api"), project.Options{Context: outside})
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(root)
	if got, want := packed(t, p), []string{base + "/api/main.py", base + "/api/requirements.txt", "common.txt"}; !slices.Equal(got, want) {
		t.Errorf("what travels is %q, want %q", got, want)
	}
}

func TestUserSetting(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"Dockerfile": "FROM python:3.13-slim\nUSER 5:6\n", "pyproject.toml": "[tool.kubectl-pyflow]\nuser = '7'\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for says, options := range map[string]project.Options{
		"The pods run as 7 (pyproject.toml:2), not as the image's 5:6 (Dockerfile:2 USER)": {},
		"The pods run as 8:9 (--user), not as the image's 5:6 (Dockerfile:2 USER)":         {User: app.User{ID: 8, Group: 9}},
	} {
		p, err := project.Resolve(dir, options)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Deployment.UserLine(); !strings.HasPrefix(got, says) {
			t.Errorf("got %q, want %q", got, says)
		}
	}
}
