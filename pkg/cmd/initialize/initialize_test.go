package initialize

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
)

// run runs the verb for a directory.
func run(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := NewCommand(genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{dir}, args...))
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

// write writes files below a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns all files below a directory, which may be missing.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == dir {
			return fs.SkipAll
		}
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[filepath.ToSlash(rel)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestNewService(t *testing.T) {
	for template, object := range map[string]string{"fastapi": "the_shop.main:app", "minimal": "main:app"} {
		t.Run(template, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "The Shop")
			stdout, stderr, err := run(t, dir, "--template", template, "--python", "3.12", "--port", "9000")
			if err != nil {
				t.Fatal(err)
			}
			files := read(t, dir)
			var want strings.Builder
			for _, name := range slices.Sorted(maps.Keys(files)) {
				want.WriteString(filepath.Join(dir, filepath.FromSlash(name)) + "\n")
			}
			if stdout != want.String() {
				t.Errorf("stdout is\n%swant\n%s", stdout, want.String())
			}
			for _, text := range []string{"the-shop: a new service from the template " + template + ", Python 3.12, port 9000\n", "kubectl pyflow build '" + dir + "'\n"} {
				if !strings.Contains(stderr, text) {
					t.Errorf("stderr does not hold %q:\n%s", text, stderr)
				}
			}

			// init writes the Dockerfile that a build without one generates.
			table, err := settings.Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			if table.Name != "the-shop" || table.Entrypoint != object || table.Port != 9000 || table.Probes.Readiness != "/readyz" || table.Probes.Liveness != "/healthz" || table.Test != "pytest" {
				t.Errorf("the settings are %+v", table)
			}
			bare := t.TempDir()
			for name, content := range files {
				if name != "Dockerfile" && name != ".dockerignore" {
					write(t, bare, map[string]string{name: content})
				}
			}
			resolved, err := project.Resolve(bare, project.Options{NoDeploy: true})
			if err != nil {
				t.Fatal(err)
			}
			if dockerfile := resolved.Dockerfile.Value.Content; files["Dockerfile"] != string(dockerfile) || files[".dockerignore"] != string(resolved.Ignore()) {
				t.Errorf("the Dockerfile is\n%s\nand a build makes\n%s", files["Dockerfile"], dockerfile)
			}
			found := resolved.Detected
			if found.App == nil || found.App.Object != object || found.App.Server != "uvicorn" ||
				found.Python != "3.12" || found.Port != 9000 || !found.Dependencies.Hashed || len(found.Extra) > 0 || len(found.Warnings) > 0 {
				t.Errorf("found is %+v, %+v", found, found.App)
			}

			stdout, stderr, err = run(t, dir)
			if err != nil || stdout != "" || !strings.Contains(stderr, "Nothing to do") {
				t.Errorf("the second time: %v\n%s%s", err, stdout, stderr)
			}
			if again := read(t, dir); !maps.Equal(again, files) {
				t.Error("the second time has changed files")
			}
		})
	}
}

func TestNewServiceInARepository(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	own := map[string]string{".git/config": "[core]\n", "README.md": "# Our shop\n", "LICENSE": "ours\n", ".gitignore": "*.log\n"}
	write(t, dir, own)
	stdout, stderr, err := run(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	files := read(t, dir)
	for name, content := range own {
		if files[name] != content {
			t.Errorf("%s holds %q", name, files[name])
		}
	}
	if !strings.Contains(stderr, "note: README.md exists and stays") || strings.Contains(stdout, "README.md") || files["src/shop/main.py"] == "" {
		t.Errorf("the output is\n%s%s", stdout, stderr)
	}
}

const requirements = "fastapi==0.115.0\nuvicorn==0.34.0\n"

// service is a project without the files that init writes.
func service() map[string]string {
	return map[string]string{
		"pyproject.toml":   "[project]\nname = \"api\"\nrequires-python = \">=3.12\"\n",
		"requirements.txt": requirements,
		"main.py":          "from fastapi import FastAPI\n\napp = FastAPI()\n",
	}
}

const table = "[tool.kubectl-pyflow]\nname = \"shop\"\nentrypoint = \"main:app\"\nport = 8000\n"

func TestAdopt(t *testing.T) {
	for name, test := range map[string]struct {
		// change makes the project another one; an empty file is removed.
		change map[string]string
		args   []string
		// written are the files that stdout names, and manifest the pyproject.toml.
		written, manifest string
		// stderr holds these.
		says []string
	}{
		"all is missing": {
			nil, nil, ".dockerignore Dockerfile pyproject.toml", service()["pyproject.toml"] + "\n" + table,
			[]string{"WHAT", "FROM", "main:app", "Wrote 3 files", "kubectl pyflow build "},
		},
		"no pyproject.toml": {map[string]string{"pyproject.toml": ""}, nil, ".dockerignore Dockerfile pyproject.toml", table, nil},
		"CRLF": {
			map[string]string{"pyproject.toml": "[project]\r\nname = \"api\"\r\n"},
			nil,
			".dockerignore Dockerfile pyproject.toml", strings.ReplaceAll("[project]\nname = \"api\"\n\n"+table, "\n", "\r\n"), nil,
		},
		"flags": {
			nil,
			[]string{"--name", "api", "--python", "3.13", "--port", "9000", "--entrypoint", "main:app"},
			".dockerignore Dockerfile pyproject.toml",
			service()["pyproject.toml"] + "\n[tool.kubectl-pyflow]\nname = \"api\"\nentrypoint = \"main:app\"\npython = \"3.13\"\nport = 9000\n",
			[]string{"--entrypoint"},
		},
		"the table is there": {
			map[string]string{"pyproject.toml": "[tool.kubectl-pyflow]\nport = 9000\n"}, nil, ".dockerignore Dockerfile", "[tool.kubectl-pyflow]\nport = 9000\n", nil,
		},
		"flags that the table agrees with": {
			map[string]string{"pyproject.toml": "[tool.kubectl-pyflow]\nport = 9000\n"}, []string{"--port", "9000"}, ".dockerignore Dockerfile", "[tool.kubectl-pyflow]\nport = 9000\n", nil,
		},
		"an own Dockerfile": {
			map[string]string{"Dockerfile": "FROM mine\nCOPY . .\n"},
			nil, "pyproject.toml", service()["pyproject.toml"] + "\n" + table,
			[]string{"note: Dockerfile is the project's own and stays; --force"},
		},
		"an own Dockerfile, by force": {
			map[string]string{"Dockerfile": "FROM mine\n"}, []string{"--force"}, ".dockerignore Dockerfile.orig Dockerfile pyproject.toml", service()["pyproject.toml"] + "\n" + table, nil,
		},
		"an own .dockerignore": {
			map[string]string{".dockerignore": "*.md\n"},
			nil, "Dockerfile pyproject.toml", service()["pyproject.toml"] + "\n" + table,
			[]string{"note: .dockerignore exists and stays; --force"},
		},
		"another Dockerfile": {
			map[string]string{"pyproject.toml": "[tool.kubectl-pyflow]\nbuild.dockerfile = \"docker/prod\"\n", "docker/prod": "FROM mine\n"},
			nil, "",
			"[tool.kubectl-pyflow]\nbuild.dockerfile = \"docker/prod\"\n",
			[]string{"note: the settings name the Dockerfile: docker/prod", "Nothing to do"},
		},
		"settings in the table of another tool": {
			map[string]string{"pyproject.toml": "[tool.pyflow]\nport = 9000\n"},
			nil, ".dockerignore Dockerfile pyproject.toml", "[tool.pyflow]\nport = 9000\n\n" + table,
			[]string{"warning: [tool.pyflow] in pyproject.toml is not read: rename it to [tool.kubectl-pyflow]\n"},
		},
		"a Procfile": {
			map[string]string{"Procfile": "web: uvicorn main:app\nworker: celery -A main worker\n"},
			nil, ".dockerignore Dockerfile pyproject.toml", service()["pyproject.toml"] + "\n" + table,
			[]string{"main:app                                          Procfile:1\n"},
		},
		"no app, an own Dockerfile": {
			map[string]string{"main.py": "print(1)\n", "Dockerfile": "FROM mine\n"},
			nil, "pyproject.toml",
			service()["pyproject.toml"] + "\n[tool.kubectl-pyflow]\nname = \"shop\"\nport = 8000\n", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "shop")
			files := service()
			maps.Copy(files, test.change)
			maps.DeleteFunc(files, func(_, content string) bool { return content == "" })
			write(t, dir, files)
			dry, shown, err := run(t, dir, append(test.args, "--dry-run")...)
			if err != nil {
				t.Fatal(err)
			}
			if after := read(t, dir); !maps.Equal(after, files) {
				t.Errorf("the dry run has left %q", after)
			}
			stdout, stderr, err := run(t, dir, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			var written []string
			for line := range strings.Lines(stdout) {
				rel, _ := filepath.Rel(dir, strings.TrimSpace(line))
				written = append(written, filepath.ToSlash(rel))
			}
			if got := strings.Join(written, " "); got != test.written || dry != stdout {
				t.Errorf("written were %q, want %q; the dry run says %q", got, test.written, dry)
			}
			for _, text := range test.says {
				if !strings.Contains(stderr, text) {
					t.Errorf("stderr does not hold %q:\n%s", text, stderr)
				}
			}
			after := read(t, dir)
			if after["pyproject.toml"] != test.manifest {
				t.Errorf("pyproject.toml is %q, want %q", after["pyproject.toml"], test.manifest)
			}
			for name, content := range files {
				kept := after[name]
				if orig, replaced := after[name+scaffold.OrigSuffix]; replaced {
					kept = orig
				}
				if !strings.HasPrefix(kept, content) {
					t.Errorf("%s held %q, now it is %q", name, content, kept)
				}
			}
			for _, name := range written {
				if !strings.Contains(name, scaffold.OrigSuffix) && !strings.Contains(shown, "+++ "+name+"\n") {
					t.Errorf("the dry run does not show %s:\n%s", name, shown)
				}
			}
			stdout, stderr, err = run(t, dir)
			if err != nil || stdout != "" || !strings.Contains(stderr, "Nothing to do") {
				t.Errorf("the second time: %v\n%s%s", err, stdout, stderr)
			}
			if again := read(t, dir); !maps.Equal(again, after) {
				t.Errorf("the second time has left %q", again)
			}
		})
	}
}

// TestRefuses checks that init changes nothing if it refuses.
func TestRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		dir   string
		args  []string
		want  string
	}{
		"a file":                     {map[string]string{"shop": ""}, "shop", nil, "shop is not a directory"},
		"no name":                    {nil, "___", nil, `"" cannot be the name of an app: it is empty; choose one with --name`},
		"a package's name":           {nil, "fastapi", nil, "it would hide the package of that name that the service uses"},
		"a bad name":                 {nil, "shop", []string{"--name", "My"}, `--name: "My" cannot be the name of an app`},
		"a bad template":             {nil, "shop", []string{"--template", "flask"}, `--template is one of fastapi, minimal, not "flask"`},
		"a bad port":                 {nil, "shop", []string{"--port", "65536"}, "--port 65536 is not a port"},
		"a bad Python":               {nil, "shop", []string{"--python", "3"}, `--python is a version such as 3.13, not "3"`},
		"an old Python":              {nil, "shop", []string{"--python", "3.9"}, `3.14, not "3.9"`},
		"a bad variant":              {nil, "shop", []string{"--variant", "tiny"}, `--variant: unknown variant "tiny": choose`},
		"a variant without a Python": {nil, "shop", []string{"--variant", "distroless", "--python", "3.12"}, "distroless has no image of Python 3.12"},
		"a bad format":               {nil, "shop", []string{"-o", "yaml"}, `--output is json, not "yaml"`},
		"an app of nothing":          {nil, "shop", []string{"--entrypoint", "main:app"}, "--entrypoint is for an existing project"},
		"something else":             {map[string]string{"shop/main.c": ""}, "shop", nil, "shop: there is no Python project, and the directory is not empty"},
		"a template for a project":   {service(), ".", []string{"--template", "minimal"}, "holds a Python project"},
		"no such app":                {service(), ".", []string{"--entrypoint", "nothing:app"}, `the app "nothing:app"`},
		"no app":                     {map[string]string{"main.py": "print(1)\n"}, ".", []string{"--name", "shop"}, "no application was found: name it with --entrypoint"},
		"two apps":                   {map[string]string{"a.py": service()["main.py"], "b.py": service()["main.py"]}, ".", []string{"--name", "shop"}, "there are 2 apps, name one with --entrypoint"},
		"not TOML":                   {map[string]string{"pyproject.toml": "[project]\nname = \n"}, ".", nil, "pyproject.toml:2:"},
		"a wrong setting":            {map[string]string{"pyproject.toml": "[tool.kubectl-pyflow]\nprot = 1\n"}, ".", nil, "pyproject.toml:2:"},
		"another port":               {map[string]string{"pyproject.toml": "[tool.kubectl-pyflow]\nport = 1234\n"}, ".", []string{"--port", "9000"}, "--port 9000 contradicts the settings: set port = 9000 in pyproject.toml:2"},
		"an app beside the table":    {map[string]string{"pyproject.toml": "[tool.kubectl-pyflow]\nport = 1234\n"}, ".", []string{"--entrypoint", "a:b"}, `set entrypoint = "a:b" in [tool.kubectl-pyflow] of pyproject.toml`},
		"no such Dockerfile":         {map[string]string{"main.py": service()["main.py"], "pyproject.toml": "[tool.kubectl-pyflow]\nname = \"shop\"\nbuild.dockerfile = \"prod/Dockerfile\"\n"}, ".", nil, "pyproject.toml:3: the Dockerfile prod/Dockerfile does not exist"},
		"no place for the table":     {map[string]string{"pyproject.toml": "tool = {}\n", "main.py": service()["main.py"]}, ".", []string{"--name", "shop"}, "write it there by hand"},
		"a Dockerfile as directory":  {map[string]string{"main.py": service()["main.py"], "Dockerfile/x": ""}, ".", []string{"--force", "--name", "shop"}, "Dockerfile: it is not a file: move it away"},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			write(t, top, test.files)
			before := read(t, top)
			stdout, _, err := run(t, filepath.Join(top, test.dir), test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
			if after := read(t, top); stdout != "" || !maps.Equal(after, before) {
				t.Errorf("there is %q, and stdout is %q", after, stdout)
			}
		})
	}
}

// TestReadOnly checks the error for a directory without write permission.
func TestReadOnly(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := filepath.Join(t.TempDir(), "shop")
	write(t, dir, service())
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	if _, _, err := run(t, dir); err == nil || !strings.Contains(err.Error(), "permission denied; nothing was written") {
		t.Errorf("the error is %v", err)
	}
}

// TestNoDirectoryName checks that an empty name, as from an unset variable, is refused.
func TestNoDirectoryName(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, _, err := run(t, ""); err == nil || !strings.Contains(err.Error(), "name is empty") {
		t.Errorf("the error is %v", err)
	}
	if after := read(t, "."); len(after) > 0 {
		t.Errorf("there is %q", after)
	}
}

func TestTemplateBesideOtherFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	write(t, dir, map[string]string{"main.c": "int main;\n"})
	if _, _, err := run(t, dir, "--template", "fastapi"); err != nil {
		t.Fatal(err)
	}
	if files := read(t, dir); files["main.c"] != "int main;\n" || files["src/shop/main.py"] == "" {
		t.Errorf("there is %q", slices.Sorted(maps.Keys(files)))
	}
}

func TestJSON(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	write(t, dir, service())
	stdout, _, err := run(t, dir, "-o", "json", "--dry-run")
	if err != nil {
		t.Fatal(err)
	}
	var report Report
	decoder := json.NewDecoder(strings.NewReader(stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if strings.Contains(stdout, "null") {
		t.Errorf("a list is null:\n%s", stdout)
	}
	if report.Kind != "Init" || report.Name != "shop" || report.Dir != dir || !report.DryRun || report.Project.App == nil || report.Project.App.Object != "main:app" ||
		report.Project.Python != "3.13" || len(report.Project.Evidence) == 0 || !slices.Equal(report.Project.Dependencies.Names, []string{"fastapi", "uvicorn"}) {
		t.Errorf("the report is %+v", report)
	}
	if len(report.Files) != 3 || report.Files[1].Path != "Dockerfile" || report.Files[1].Action != scaffold.Create || !strings.Contains(report.Files[1].Content, "\nFROM ") {
		t.Errorf("the files are %+v", report.Files)
	}
	if len(read(t, dir)) != len(service()) {
		t.Error("the dry run has written")
	}

	stdout, _, err = run(t, dir, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	report = Report{}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.DryRun || report.Files[1].Content != "" || len(read(t, dir)) != len(service())+2 {
		t.Errorf("the report is %+v", report)
	}
}
