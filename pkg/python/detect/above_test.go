package detect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReach(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, base, "home/repository/.git", "gitdir: elsewhere\n")
	for _, dir := range []string{"home/repository/a/b", "home/c/d"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", filepath.Join(base, "home"))
	for dir, want := range map[string]string{"home/repository/a/b": "home/repository", "home/repository": "home/repository", "home/c/d": "home", "home": "home"} {
		if got := reach(filepath.Join(base, dir)); got != filepath.Join(base, want) {
			t.Errorf("%s reaches %s, want %s", dir, got, want)
		}
	}
	if got := reach("/srv/shop/api"); got != "/srv" {
		t.Errorf("without a repository, it reaches %s", got)
	}
}

// TestReadFollowsNoLinkBeside wants a link beside the project to be an error: what it leads to
// does not travel.
func TestReadFollowsNoLinkBeside(t *testing.T) {
	root := t.TempDir()
	write(t, root, "repository/.git/HEAD", "")
	write(t, root, "repository/api/main.py", fastapi)
	write(t, root, "repository/api/requirements.txt", "-e ../lib\n")
	write(t, root, "repository/real/setup.py", "")
	write(t, root, "secret/setup.py", "")
	for _, target := range []string{"real", filepath.Join(root, "secret"), "nowhere"} {
		link := filepath.Join(root, "repository", "lib")
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(filepath.Join(root, "repository", "api"), Options{}); err == nil || !strings.Contains(err.Error(), "which is a symbolic link") {
			t.Errorf("a link to %s: %v", target, err)
		}
	}
}

// TestLockAbove wants a lock above the project to be named where its tool does not read it, or
// belongs to another project.
func TestLockAbove(t *testing.T) {
	const poetry = "[tool.poetry]\nname = 'x'\n[tool.poetry.dependencies]\nfastapi = '*'\nuvicorn = '*'\n"
	const pep = "[project]\nname = 'x'\ndependencies = ['fastapi', 'uvicorn']\n"
	const pipfile = "[packages]\nfastapi = '*'\nuvicorn = '*'\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"Poetry, with a manifest":   {map[string]string{"services/api/pyproject.toml": poetry, "pyproject.toml": poetry, "poetry.lock": ""}, "../../poetry.lock is not used: Poetry reads the lock beside the pyproject.toml of a project only"},
		"PDM, with a manifest":      {map[string]string{"services/api/pyproject.toml": pep, "services/pyproject.toml": pep, "services/pdm.lock": ""}, "../pdm.lock is not used: PDM reads the lock beside the pyproject.toml of a project only"},
		"Pipenv, with a manifest":   {map[string]string{"services/api/Pipfile": pipfile, "Pipfile": pipfile, "Pipfile.lock": "{}"}, "../../Pipfile.lock is not used: Pipenv reads the lock beside the Pipfile of a project only"},
		"Poetry, without one":       {map[string]string{"pyproject.toml": poetry, "poetry.lock": ""}, "../../pyproject.toml is not used: it has the dependencies of the project in ../..; build that directory, or write down here what this one needs"},
		"Pipenv, without one":       {map[string]string{"services/Pipfile": pipfile}, "../Pipfile is not used: it has the dependencies of the project in ..; build that directory, or write down here what this one needs"},
		"another tool":              {map[string]string{"services/api/Pipfile": pipfile, "pyproject.toml": poetry, "poetry.lock": ""}, ""},
		"requirements":              {map[string]string{"services/api/requirements.txt": "fastapi\nuvicorn\n", "pyproject.toml": poetry, "poetry.lock": ""}, ""},
		"nothing above":             {map[string]string{"services/api/pyproject.toml": pep}, ""},
		"outside of the repository": {map[string]string{"services/api/pyproject.toml": pep, "../poetry.lock": ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "repository")
			write(t, root, ".git/HEAD", "")
			write(t, root, "services/api/main.py", fastapi)
			for file, content := range test.files {
				write(t, root, file, content)
			}
			project, err := Read(filepath.Join(root, "services", "api"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, warning := range project.Warnings {
				if strings.Contains(warning, "is not used") {
					got = append(got, warning)
				}
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("the warnings are %q, want %q", project.Warnings, test.want)
			}
		})
	}
}
