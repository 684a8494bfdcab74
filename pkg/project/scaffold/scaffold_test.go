package scaffold

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

func newService(t *testing.T, options Options) map[string]string {
	t.Helper()
	files, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) }) {
		t.Error("the files are not sorted")
	}
	contents := map[string]string{}
	for _, file := range files {
		contents[file.Path] = string(file.Content)
	}
	return contents
}

func TestNewFiles(t *testing.T) {
	for template, want := range map[string][]string{
		"fastapi": {
			".gitignore", ".python-version", "README.md", "pyproject.toml", "requirements-dev.txt", "requirements-test.txt", "requirements.txt",
			"src/a_shop/__init__.py", "src/a_shop/access.py", "src/a_shop/app.py", "src/a_shop/health.py", "src/a_shop/lifecycle.py",
			"src/a_shop/logs.py", "src/a_shop/main.py", "src/a_shop/notes.py", "src/a_shop/settings.py",
			"tests/conftest.py", "tests/test_health.py", "tests/test_home.py", "tests/test_lifecycle.py", "tests/test_logs.py", "tests/test_notes.py", "tests/test_settings.py",
		},
		"minimal": {".gitignore", ".python-version", "README.md", "main.py", "pyproject.toml", "requirements-dev.txt", "requirements-test.txt", "requirements.txt", "test_main.py"},
	} {
		t.Run(template, func(t *testing.T) {
			files, err := New(Options{Template: template, Name: "a-shop", Port: 8000, Python: "3.12"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, file := range files {
				got = append(got, file.Path)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the files are\n%q, want\n%q", got, want)
			}
		})
	}
}

func TestNewPutsOptionsInPlace(t *testing.T) {
	// The placeholders, and similar text in a version of ruff and in prose.
	placeholder := regexp.MustCompile(`(?i)pyflow.service|8000|3\.13|py313`)
	for _, template := range Templates() {
		t.Run(template, func(t *testing.T) {
			files := newService(t, Options{Template: template, Name: "my-shop", Port: 9001, Python: "3.12"})
			for name, content := range files {
				for line := range strings.Lines(content) {
					// In a lock, the digits of hashes and versions stay.
					if found := placeholder.FindString(line); found != "" && (!isLock(name) || strings.Contains(strings.ToLower(found), "pyflow")) {
						t.Errorf("%s holds %q: %s", name, found, line)
					}
				}
				if isLock(name) && strings.Contains(content, "://") {
					t.Errorf("%s names where packages come from", name)
				}
			}
			var manifest struct {
				Project struct {
					Name           string `toml:"name"`
					RequiresPython string `toml:"requires-python"`
				} `toml:"project"`
				Tool struct {
					Pyflow struct {
						Name       string `toml:"name"`
						Entrypoint string `toml:"entrypoint"`
						Port       int    `toml:"port"`
					} `toml:"kubectl-pyflow"`
					Ruff struct {
						Target string `toml:"target-version"`
					} `toml:"ruff"`
				} `toml:"tool"`
			}
			if err := toml.Decode(settings.File, []byte(files[settings.File]), &manifest); err != nil {
				t.Fatal(err)
			}
			app := map[string]string{"fastapi": "my_shop.main:app", "minimal": "main:app"}[template]
			got := fmt.Sprint(manifest.Project.Name, manifest.Project.RequiresPython, manifest.Tool.Pyflow, manifest.Tool.Ruff.Target)
			if want := fmt.Sprintf("my-shop>=3.12{my-shop %s 9001}py312", app); got != want {
				t.Errorf("pyproject.toml says %s, want %s", got, want)
			}
			if got := files[".python-version"]; got != "3.12\n" {
				t.Errorf(".python-version is %q", got)
			}
		})
	}
}

// The lock files match the templates: each direct dependency has a version and hashes.
func TestTemplatesAreLocked(t *testing.T) {
	pin := regexp.MustCompile(`(?m)^([a-z0-9-]+)==[^ \\]+(?: ;[^\\\n]+)? \\\n    --hash=sha256:[0-9a-f]{64}`)
	for _, template := range Templates() {
		files := newService(t, Options{Template: template, Name: "shop", Port: project.DefaultPort, Python: DefaultPython})
		var manifest struct {
			Project struct {
				Dependencies []string `toml:"dependencies"`
			} `toml:"project"`
			Groups map[string][]any `toml:"dependency-groups"`
		}
		if err := toml.Decode(settings.File, []byte(files[settings.File]), &manifest); err != nil {
			t.Fatal(err)
		}
		locked := func(file string) (names []string) {
			for _, match := range pin.FindAllStringSubmatch(files[file], -1) {
				names = append(names, match[1])
			}
			return names
		}
		// Includes of other groups are left out.
		group := func(name string) (requirements []string) {
			for _, item := range manifest.Groups[name] {
				if requirement, ok := item.(string); ok {
					requirements = append(requirements, requirement)
				}
			}
			return requirements
		}
		run, test, dev := locked("requirements.txt"), locked("requirements-test.txt"), locked("requirements-dev.txt")
		for _, wanted := range []struct {
			names  []string
			locked [][]string
		}{
			{manifest.Project.Dependencies, [][]string{run, test, dev}}, {group("test"), [][]string{test, dev}}, {group("dev"), [][]string{dev}},
		} {
			if len(wanted.names) == 0 {
				t.Errorf("%s: the template asks for nothing", template)
			}
			for _, requirement := range wanted.names {
				name, _, _ := strings.Cut(requirement, ">")
				for _, names := range wanted.locked {
					if !slices.Contains(names, name) {
						t.Errorf("%s: %s is not among the locked %q", template, name, names)
					}
				}
			}
		}
		if strings.Count(files["requirements.txt"], "==") < len(run) || len(run) < 5 {
			t.Errorf("%s: %d of the lines with == were read", template, len(run))
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{Template: "fastapi", Name: "shop", Port: 8000, Python: "3.13"}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"template": {func(o *Options) { o.Template = "flask" }, `there is no template "flask", only fastapi and minimal`},
		"path":     {func(o *Options) { o.Template = "../templates" }, `there is no template`},
		"name":     {func(o *Options) { o.Name = "My Shop" }, `"My Shop" cannot be the name of an app: it does not start with`},
		"package":  {func(o *Options) { o.Name = "json" }, `"json" cannot be the name of a new service: its Python package would be json, and it would hide that module of the standard library; use another name, such as json-service`},
		"port":     {func(o *Options) { o.Port = 65536 }, "65536 is not a port"},
		"python":   {func(o *Options) { o.Python = "3.10" }, `a new service has Python 3.11, 3.12, 3.13 or 3.14, not "3.10"`},
	} {
		t.Run(name, func(t *testing.T) {
			options := good
			test.change(&options)
			if _, err := New(options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestPackageName(t *testing.T) {
	for app, want := range map[string]string{
		"shop": "shop", "my-service": "my_service", "a--b": "a_b", "app-2go": "app_2go", "test-data": "test_data",
		// None of these is a module itself, but its package would hide one.
		"jsons": "jsons", "fast-api": "fast_api",
		"import": "", "match": "", "json": "", "test": "", "asyncio": "", "telnetlib": "", "annotationlib": "",
		"fastapi": "", "starlette": "", "pydantic-settings": "", "typing-extensions": "", "dotenv": "", "pip": "", "pytest": "",
		"tests": "", "src": "",
	} {
		got, err := PackageName(app)
		if got != want {
			t.Errorf("the package of %s is %q, want %q", app, got, want)
		}
		var refused *PackageError
		if (want == "") != errors.As(err, &refused) {
			t.Errorf("the error for %s is %v", app, err)
		}
		if want == "" && appname.Validate(app+"-service") == nil {
			if _, err := PackageName(app + "-service"); err != nil {
				t.Errorf("the suggested name is not valid: %v", err)
			}
		}
	}
}

func TestMinimalHasNoPackage(t *testing.T) {
	newService(t, Options{Template: "minimal", Name: "json", Port: 8000, Python: "3.14"})
}
