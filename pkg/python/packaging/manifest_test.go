package packaging

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

func parsePyproject(t *testing.T, content string) *Pyproject {
	t.Helper()
	p, err := ParsePyproject([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPyprojectDependencies(t *testing.T) {
	p := parsePyproject(t, `[project]
name = "Shop"
dependencies = [
  "fastapi[standard]>=0.100",
  "not a requirement",
]
[tool.poetry.dependencies]
python = "^3.10"
FastAPI = "*"
redis = {version = "^5", extras = ["hiredis"]}
core = {git = "https://h.example/core", markers = "x"}
stock = {path = "../stock"}
later = {version = "1", optional = true}
several = [{version = "1"}]
`)
	at := func(line int) Position { return Position{File: "pyproject.toml", Line: line} }
	want := []Requirement{
		{Name: "fastapi", Extras: []string{"standard"}, Specifier: ">=0.100", Position: at(4)},
		{Name: "core", URL: "git+https://h.example/core", Marker: "x", Position: at(11)},
		{Name: "redis", Extras: []string{"hiredis"}, Specifier: ">=5,<6", Position: at(10)},
		{Name: "several", Marker: "several", Position: at(14)},
		{Name: "stock", URL: "../stock", Position: at(12)},
	}
	if diff := cmp.Diff(want, p.Dependencies()); diff != "" || p.Name() != "Shop" {
		t.Error(p.Name(), diff)
	}
}

func TestPyprojectGroup(t *testing.T) {
	p := parsePyproject(t, `[dependency-groups]
Dev_Tools = ["ruff", {include-group = "test"}]
test = ["pytest", {include-group = "dev-tools"}, 3]
`)
	if diff := cmp.Diff([]string{"pytest", "ruff"}, Names(p.Group("dev.tools"))); diff != "" {
		t.Error(diff)
	}
}

func TestPyprojectSource(t *testing.T) {
	p := parsePyproject(t, `[tool.uv.sources]
My_Core = {path = "core"}
stock = {workspace = true}
torch = [{index = "cpu", marker = "x"}]
names = {index = "own"}
`)
	at := func(line int) Position { return Position{File: "pyproject.toml", Line: line} }
	for name, want := range map[string]Source{
		"my-core": {Path: "core", Position: at(2)}, "stock": {Workspace: true, Position: at(3)}, "torch": {List: true, Index: true, Position: at(4)},
		"names": {Index: true, Position: at(5)},
	} {
		if got, ok := p.Source(name); !ok || got != want {
			t.Errorf("%s: got %+v, %t", name, got, ok)
		}
	}
	if _, ok := p.Source("flask"); ok {
		t.Error("a package of the default index has a source")
	}
}

func TestManifestErrors(t *testing.T) {
	for name, parse := range map[string]func() error{
		"pyproject.toml": func() error { _, err := ParsePyproject([]byte("[project]\nname = 3\n")); return err },
		"Pipfile":        func() error { _, err := ParsePipfile([]byte("[packages\n")); return err },
		"uv.lock": func() error {
			_, err := ReadUVLock(UVLock{UVLockFile, "."}, []byte("version = \n"), &Pyproject{})
			return err
		},
		"poetry.lock": func() error { _, err := ReadPoetryLock([]byte("a\n"), &Pyproject{}); return err },
	} {
		if failure, ok := errors.AsType[*toml.Error](parse()); !ok || failure.Path != name || failure.Line == 0 {
			t.Errorf("%s: got %+v", name, failure)
		}
	}
	_, err := ReadPipfileLock([]byte("{\n\"_meta\": 3}"), &Pipfile{})
	if failure, ok := errors.AsType[*FileError](err); !ok || failure.Position != (Position{"Pipfile.lock", 2}) {
		t.Errorf("got %v", err)
	}
}

func TestParseSetup(t *testing.T) {
	cfg := `[options]
install_requires =
  fastapi
  redis>=5
python_requires = >=3.10
[options.extras_require]
test =
  pytest
[metadata]
version = attr: shop.version.VERSION
long_description = file: README.md, CHANGES.md
`
	script := `from setuptools import setup, Extension
import os
tests = ["pytest", "httpx"]
setup(
    name="shop",
    python_requires=">=3.11",
    install_requires=["flask"],
    extras_require={"dev": tests, "docs": ["sphinx"]},
    ext_modules=[Extension("a", ["a.c"])],
    version=open(os.path.join(here, "shop", "version.py")).read(),
)
`
	got := ParseSetup([]byte(cfg), []byte(script))
	want := &Setup{
		File: "setup.cfg", HasScript: true, Modules: []string{"shop.version"}, Extensions: Position{"setup.py", 4},
		Dependencies: []Requirement{
			{Name: "fastapi", Position: Position{"setup.cfg", 2}}, {Name: "redis", Specifier: ">=5", Position: Position{"setup.cfg", 2}},
		},
		Extras: map[string][]Requirement{
			"test": {{Name: "pytest", Position: Position{"setup.cfg", 7}}},
			"dev":  {{Name: "pytest", Position: Position{"setup.py", 4}}, {Name: "httpx", Position: Position{"setup.py", 4}}},
			"docs": {{Name: "sphinx", Position: Position{"setup.py", 4}}},
		},
		Pythons: []PythonRange{{">=3.10", ">=3.10", Position{"setup.cfg", 5}}, {">=3.11", ">=3.11", Position{"setup.py", 4}}},
	}
	paths := got.Paths
	got.Paths = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"README.md", "CHANGES.md", "shop/version.py"} {
		found := false
		for _, one := range paths {
			found = found || one == path
		}
		if !found {
			t.Errorf("%s is not among %q", path, paths)
		}
	}
	if got := ParseSetup(nil, []byte(script)); got.File != "setup.py" || got.Dependencies[0].Name != "flask" {
		t.Errorf("got %+v", got)
	}
	if got := ParseSetup([]byte("[options]\npackages = find:\n"), nil); got.File != "setup.cfg" || got.Dependencies != nil {
		t.Errorf("got %+v", got)
	}
	if got := ParseSetup([]byte("[flake8]\nmax = 1\n"), nil); got.File != "" {
		t.Errorf("got %+v", got)
	}
}

func TestInstalled(t *testing.T) {
	metadata := []string{"Metadata-Version: 2.4", "Name: Foo.Bar", "Version: 1.0.0", "", "Name: of the description"}
	if got := ParseDistInfo("site-packages/foo_bar-1.0.dist-info", metadata); got != (Distribution{"Foo.Bar", "1.0.0"}) {
		t.Errorf("got %+v", got)
	}
	if got := ParseDistInfo("foo_bar-1.0.dist-info", nil); got != (Distribution{"foo_bar", "1.0"}) {
		t.Errorf("got %+v", got)
	}
	if !IsDistInfo("a/foo-1.dist-info") || IsDistInfo("a/foo") {
		t.Error("a directory of records is not known")
	}
	for line, want := range map[string]string{"a/b.py": "a/b.py", "a/b.py,sha256=0,12": "a/b.py", `"a, ""b"".py",sha256=0,12`: `a, "b".py`} {
		if got, ok := ParseRecord(line); !ok || got != want {
			t.Errorf("%s: got %q, %t", line, got, ok)
		}
	}
	if _, ok := ParseRecord(`"a`); ok {
		t.Error("a quote that is not closed is read")
	}
}
