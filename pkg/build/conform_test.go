package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

// conformed checks a Dockerfile as Prepare does.
func conformed(t *testing.T, dir, text string, files map[string][]byte) (*Prepared, error) {
	t.Helper()
	parsed, err := dockerfile.Parse("docker/Dockerfile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p := &Prepared{env: &Environment{Config: &manifests.Config{}}, options: Options{
		Dockerfile: parsed.Path, Folder: &Folder{Dir: dir, Dockerfile: parsed, Files: files},
	}}
	return p, p.conform(t.Context())
}

// TestConformIgnores checks that the ignore file of a Dockerfile counts for the rewritten one:
// that of podman, too, and without any the default patterns.
func TestConformIgnores(t *testing.T) {
	for name, want := range map[string]string{".containerignore": "*.log", "docker/Dockerfile.dockerignore": "*.log", "": "**/.git"} {
		dir := t.TempDir()
		if name != "" {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("*.log"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p, err := conformed(t, dir, "FROM a\nRUN <<EOF\nx\nEOF\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(p.options.Folder.Files[p.options.Dockerfile+ignoreSuffix]), "\n")
		if lines[0] != want {
			t.Errorf("%q: the ignore file that travels starts with %q, want %q", name, lines[0], want)
		}
	}
}

// TestConform checks that a rewritten Dockerfile travels beside the user's, and that the
// engine leaves it out of the image.
func TestConform(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte("*.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := conformed(t, dir, "FROM a\nRUN <<EOF\nx\nEOF\nVOLUME /x\nRUN y\n", map[string][]byte{"extra": nil})
	if err != nil {
		t.Fatal(err)
	}
	spec := p.options
	if spec.Dockerfile != ".pyflow-build/docker/Dockerfile" || spec.Folder.Dockerfile.Path != "docker/Dockerfile" {
		t.Errorf("the Dockerfile is %s", spec.Dockerfile)
	}
	if text := string(spec.Folder.Files[spec.Dockerfile]); !strings.Contains(text, "RUN # <<#") || text != string(p.text) {
		t.Errorf("%s travels", text)
	}
	if text := string(spec.Folder.Files[spec.Dockerfile+".dockerignore"]); text != "*.log\n.pyflow-build/\n" {
		t.Errorf("the ignore file is %q", text)
	}
	if _, ok := spec.Folder.Files["extra"]; !ok || len(spec.Notices) != 2 || !strings.HasPrefix(spec.Notices[0].Message, "docker/Dockerfile:2 rewritten for the build: ") {
		t.Errorf("files %v, notices %+v", spec.Folder.Files, spec.Notices)
	}
	if run := p.conformed.Instructions[1]; run.Shown() != "RUN <<EOF" || run.Line != 2 || run.End != 4 {
		t.Errorf("shown is %+v", run)
	}
}

// TestConformRefuses checks the error of a Dockerfile that cannot be built.
func TestConformRefuses(t *testing.T) {
	_, err := conformed(t, t.TempDir(), "FROM a\nRUN --mount=type=ssh x\nWORKDIR /workspace\n", nil)
	var refused *UnsupportedError
	if !errors.As(err, &refused) || len(refused.Refusals) != 2 {
		t.Fatalf("error is %v", err)
	}
	for _, part := range []string{"docker/Dockerfile:2: RUN --mount=type=ssh x: ", "\n    mount a key or a token", "docker/Dockerfile:3: WORKDIR /workspace: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

// TestGeneratedConforms checks that generated Dockerfiles travel as they are.
func TestGeneratedConforms(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.py":          "from fastapi import FastAPI\napp = FastAPI()\n",
		"requirements.txt": "fastapi==0.115.0\nuvicorn==0.30.0\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range variant.Names() {
		found, err := project.Resolve(dir, project.Options{Variant: generate.Variant(kind), NoDeploy: true})
		if err != nil {
			t.Fatal(err)
		}
		p := &Prepared{env: &Environment{Config: &manifests.Config{}}, options: Options{
			Dockerfile: "Dockerfile", Folder: &Folder{Dir: found.Dir, Dockerfile: found.Dockerfile.Value, Files: found.Files},
		}}
		if err := p.conform(t.Context()); err != nil || p.options.Dockerfile != "Dockerfile" {
			t.Errorf("%s: %v\n%s", kind, err, p.text)
		}
	}
}

// TestConformSources checks that what is copied of the build context is in it.
func TestConformSources(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{".dockerignore": "# big\n*.lock\n", "uv.lock": "", "main.py": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct{ text, want string }{
		"there":                {"FROM a\nCOPY main.py /app/\nCOPY . /all\n", ""},
		"excluded":             {"FROM a\nCOPY main.py uv.lock /\n", "docker/Dockerfile copies what is not in the build context\n  docker/Dockerfile:2: COPY main.py uv.lock /: uv.lock: .dockerignore:2 \"*.lock\" leaves it out"},
		"missing, by variable": {"FROM a\nARG D=src\nADD ${D}/x /\n", "docker/Dockerfile copies what is not in the build context\n  docker/Dockerfile:3: ADD ${D}/x /: the directory has no src/x"},
		"unknown variable":     {"FROM a\nARG D\nCOPY ${D}/x /\n", ""},
		"wildcard":             {"FROM a\nCOPY *.lock /\n", ""},
		"of another stage":     {"FROM a AS x\nFROM a\nCOPY --from=x /y /\n", ""},
		"not needed":           {"FROM a AS x\nCOPY y /\nFROM a\nRUN true\n", ""},
		"remote":               {"FROM a\nADD https://example.com/x /\n", ""},
		"a text":               {"FROM a\nCOPY <<EOF /x\ny\nEOF\n", ""},
		"given":                {"FROM a\nCOPY made /x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := conformed(t, dir, test.text, map[string][]byte{"made/file": nil})
			var absent *AbsentError
			if test.want == "" && err == nil || errors.As(err, &absent) && err.Error() == test.want {
				return
			}
			t.Errorf("the error is %v, want %q", err, test.want)
		})
	}
}
