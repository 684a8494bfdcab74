package packaging

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const shopLock = `version = 1
requires-python = ">=3.11"
[[package]]
name = "flask"
version = "3.1"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "werkzeug" }, { name = "celery", extra = ["redis"] }]
[[package]]
name = "werkzeug"
version = "3.0"
[[package]]
name = "celery"
version = "5.4"
[package.optional-dependencies]
redis = [{ name = "redis" }]
[[package]]
name = "redis"
version = "5.0"
source = { git = "https://h.example/redis" }
[[package]]
name = "pytest"
version = "8.0"
[[package]]
name = "stock"
version = "1.0"
source = { editable = "libs/stock" }
[[package]]
name = "shop"
version = "1.0"
source = { virtual = "." }
dependencies = [{ name = "flask" }]
[package.metadata]
requires-dist = [{ name = "flask", specifier = ">=3.0" }]
[package.metadata.requires-dev]
dev = [{ name = "pytest" }]
`

func TestReadUVLock(t *testing.T) {
	project := "[project]\nname = 'shop'\ndependencies = ['Flask >= 3.0']\n[dependency-groups]\ndev = ['pytest']\n"
	lock, err := ReadUVLock(UVLock{UVLockFile, "."}, []byte(shopLock), parsePyproject(t, project))
	if err != nil {
		t.Fatal(err)
	}
	reached := lock.Reach([]Requirement{{Name: "flask"}})
	if diff := cmp.Diff([]string{"celery", "flask", "redis", "werkzeug"}, slices.Sorted(maps.Keys(reached))); diff != "" {
		t.Error(diff)
	}
	if lock.Packages["stock"].Path != "libs/stock" || reached["redis"].URL != "git+https://h.example/redis" {
		t.Errorf("got %+v", lock.Packages)
	}
	if diff := cmp.Diff(&PythonRange{">=3.11", ">=3.11", Position{"uv.lock", 2}}, lock.Python); diff != "" {
		t.Error(diff)
	}
	for name, test := range map[string]struct{ project, problem string }{
		"another project": {"[project]\nname = 'other'\n", "it does not have the project other"},
		"added":           {"[project]\nname = 'shop'\ndependencies = ['flask>=3.0', 'redis']\n", "redis is in pyproject.toml only"},
		"removed":         {"[project]\nname = 'shop'\n", "flask>=3.0 is in uv.lock only"},
		"a group":         {"[project]\nname = 'shop'\ndependencies = ['flask>=3.0']\n[dependency-groups]\ndev = ['pytest', 'ruff']\n", "ruff is in pyproject.toml in the group dev only"},
		"an extra":        {"[project]\nname = 'shop'\ndependencies = ['flask>=3.0']\n[project.optional-dependencies]\nx = ['y']\n", "y of the extra x is in pyproject.toml only"},
	} {
		_, err := ReadUVLock(UVLock{UVLockFile, "."}, []byte(shopLock), parsePyproject(t, test.project))
		if failure, ok := errors.AsType[*LockError](err); !ok || failure.Problem != test.problem {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestReadPoetryLock(t *testing.T) {
	content := `[[package]]
name = "Flask"
version = "3.1"
[package.dependencies]
werkzeug = ">=3"
asgiref = {version = ">=3", optional = true}
[package.extras]
async = ["asgiref (>=3)"]
[[package]]
name = "asgiref"
version = "3.8"
[package.source]
type = "git"
url = "https://h.example/asgiref"
[metadata]
python-versions = "^3.10"
`
	lock, err := ReadPoetryLock([]byte(content), parsePyproject(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	flask := LockedPackage{
		Version: "3.1", Needs: []Requirement{{Name: "werkzeug"}},
		Extras: map[string][]Requirement{"async": {{Name: "asgiref"}}},
	}
	if diff := cmp.Diff(flask, lock.Packages["flask"]); diff != "" || lock.Packages["asgiref"].URL != "git+https://h.example/asgiref" {
		t.Error(lock.Packages["asgiref"], diff)
	}
	if diff := cmp.Diff(&PythonRange{">=3.10,<4", "^3.10", Position{"poetry.lock", 16}}, lock.Python); diff != "" {
		t.Error(diff)
	}
	content += "content-hash = \"0\"\n"
	for project, problem := range map[string]string{
		"[tool.poetry.dependencies]\nflask = '^2'\n":                       "it has flask 3.1, which is not >=2,<3",
		"[tool.poetry.dependencies]\nflask = '^3'\n":                       "they changed since it was locked",
		"[tool.poetry.group.dev.dependencies]\npytest = '*'\n":             "pytest is not in it",
		"[tool.poetry.group.dev.dependencies]\nx = {markers = 'y'}\n":      "they changed since it was locked",
		"[project]\nname = 'a'\ndependencies = ['flask', 'httpx>=0.20']\n": "httpx is not in it",
	} {
		_, err := ReadPoetryLock([]byte(content), parsePyproject(t, project))
		if failure, ok := errors.AsType[*LockError](err); !ok || failure.Problem != problem {
			t.Errorf("%s: got %v", project, err)
		}
	}
}

func TestReadPipfileLock(t *testing.T) {
	lock := `{"default": {"Flask": {"version": "==3.1", "hashes": ["sha256:0"]}, "core": {"git": "https://h.example/core"}},
"develop": {"pytest": {"version": "==8.0"}, "flask": {"version": "==1.0"}}}`
	pipfile, err := ParsePipfile([]byte("[packages]\nFlask = '*'\n[dev-packages]\npytest = '*'\n[requires]\npython_version = '3.12'\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadPipfileLock([]byte(lock), pipfile)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]LockedPackage{"flask": {Version: "3.1"}, "core": {URL: "git+https://h.example/core"}, "pytest": {Version: "8.0", Dev: true}}
	if diff := cmp.Diff(want, got.Packages); diff != "" || got.Hashed {
		t.Error(diff)
	}
	if diff := cmp.Diff([]PythonRange{{Text: "3.12", Position: Position{"Pipfile", 6}}}, pipfile.Pythons()); diff != "" {
		t.Error(diff)
	}
	changed, err := ParsePipfile([]byte("[packages]\nflask = '<3'\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ReadPipfileLock([]byte(lock), changed)
	if failure, ok := errors.AsType[*LockError](err); !ok || failure.Problem != "it has flask 3.1, which is not <3" {
		t.Errorf("got %v", err)
	}
}

func TestPythonJSON(t *testing.T) {
	got := pythonJSON(map[string]any{"b": []any{int64(1), 1.0, true, nil}, "a": "ä😀\"\\\n\x01\x7f/"}, ", ", ": ")
	if want := `{"a": "\u00e4\ud83d\ude00\"\\\n\u0001` + "\x7f" + `/", "b": [1, 1.0, true, null]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
