package packaging

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIndexes(t *testing.T) {
	at := func(line int) Position { return Position{File: PyprojectFile, Line: line} }
	named := func(name string, required bool) Credential { return Credential{Variable: name, Required: required} }
	p := parsePyproject(t, `[[tool.uv.index]]
url = "https://plain.example/simple"
[[tool.uv.index]]
name = "my-corp.2"
url = "https://corp.example/simple"
authenticate = "always"
[[tool.uv.index]]
name = "open"
url = "https://open.example/simple"
authenticate = "never"
default = true
[[tool.uv.index]]
name = "user"
url = "https://robot@user.example/simple"
[[tool.uv.index]]
name = "written"
url = "https://robot:hunter2@written.example/simple"
[[tool.uv.index]]
name = "pytorch"
url = "https://download.pytorch.org/whl/cpu"
explicit = true
[[tool.uv.index]]
name = "unused"
url = "https://unused.example/simple"
explicit = true
[tool.uv.sources]
torch = [{ index = "pytorch", marker = "x" }]
My_Core = { index = "my-corp.2" }
`)
	want := []Index{
		{URL: "https://plain.example/simple", Position: at(2)},
		{Name: "my-corp.2", URL: "https://corp.example/simple", User: named("UV_INDEX_MY_CORP_2_USERNAME", true), Password: named("UV_INDEX_MY_CORP_2_PASSWORD", true), Position: at(5)},
		{Name: "open", URL: "https://open.example/simple", Default: true, Position: at(9)},
		{Name: "user", URL: "https://user.example/simple", User: Credential{Text: "robot"}, Password: named("UV_INDEX_USER_PASSWORD", true), Position: at(14)},
		{Name: "written", URL: "https://written.example/simple", User: Credential{Text: "robot"}, Password: named("UV_INDEX_WRITTEN_PASSWORD", true), Written: true, Position: at(17)},
		{Name: "pytorch", URL: "https://download.pytorch.org/whl/cpu", Explicit: true, Position: at(20)},
	}
	if diff := cmp.Diff(want, p.UVIndexes()); diff != "" {
		t.Errorf("uv (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"pytorch": {"torch"}, "my-corp.2": {"my-core"}}, p.Bound()); diff != "" {
		t.Errorf("bound (-want +got):\n%s", diff)
	}

	p = parsePyproject(t, `[[tool.poetry.source]]
name = "corp"
url = "https://corp.example/simple"
[[tool.poetry.source]]
name = "more"
url = "https://more.example/simple"
priority = "supplemental"
[[tool.poetry.source]]
name = "own"
url = "https://own.example/simple"
priority = "explicit"
[tool.poetry.dependencies]
core = { version = "*", source = "own" }
`)
	want = []Index{
		{Name: "corp", URL: "https://corp.example/simple", Default: true, User: named("POETRY_HTTP_BASIC_CORP_USERNAME", false), Password: named("POETRY_HTTP_BASIC_CORP_PASSWORD", false), Position: at(3)},
		{Name: "more", URL: "https://more.example/simple", User: named("POETRY_HTTP_BASIC_MORE_USERNAME", false), Password: named("POETRY_HTTP_BASIC_MORE_PASSWORD", false), Position: at(6)},
		{Name: "own", URL: "https://own.example/simple", Explicit: true, User: named("POETRY_HTTP_BASIC_OWN_USERNAME", false), Password: named("POETRY_HTTP_BASIC_OWN_PASSWORD", false), Position: at(10)},
	}
	if diff := cmp.Diff(want, p.PoetryIndexes()); diff != "" {
		t.Errorf("Poetry (-want +got):\n%s", diff)
	}

	p = parsePyproject(t, `[[tool.pdm.source]]
name = "pypi"
url = "https://${USER}:${PASS}@corp.example/simple"
[[tool.pdm.source]]
name = "second"
url = "https://second.example/links"
type = "find_links"
username = "robot"
password = "${SECOND}"
`)
	want = []Index{
		{Name: "pypi", URL: "https://corp.example/simple", Default: true, User: Credential{Text: "${USER}"}, Password: Credential{Text: "${PASS}"}, Position: at(3)},
		{Name: "second", URL: "https://second.example/links", Flat: true, User: Credential{Text: "robot"}, Password: Credential{Text: "${SECOND}"}, Position: at(6)},
	}
	if diff := cmp.Diff(want, p.PDMIndexes()); diff != "" {
		t.Errorf("PDM (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"USER": true, "PASS": true}, want[0].Variables()); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}

	pipfile, err := ParsePipfile([]byte("[[source]]\nname = \"pypi\"\nurl = \"https://pypi.org/simple\"\n[[source]]\nname = \"corp\"\nurl = \"https://$CORP_USER:${CORP_PASS}@corp.example/simple\"\n" +
		"[[source]]\nname = \"unused\"\nurl = \"https://unused.example/simple\"\n[packages]\nCorp_Auth = {version = \"*\", index = \"corp\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want = []Index{
		{Name: "pypi", URL: "https://pypi.org/simple", Default: true, Position: Position{File: PipfileFile, Line: 3}},
		{Name: "corp", URL: "https://corp.example/simple", Explicit: true, User: Credential{Text: "$CORP_USER"}, Password: Credential{Text: "${CORP_PASS}"}, Position: Position{File: PipfileFile, Line: 6}},
	}
	if diff := cmp.Diff(want, pipfile.Indexes()); diff != "" {
		t.Errorf("Pipenv (-want +got):\n%s", diff)
	}
}

func TestGitLogin(t *testing.T) {
	for url, want := range map[string]GitLogin{
		"git+https://${TOKEN}@github.com/a/b@main":               {Host: "https://github.com", User: "${TOKEN}"},
		"git+https://oauth2:${TOKEN}@git.example.com:8443/a.git": {Host: "https://git.example.com:8443", User: "oauth2", Password: "${TOKEN}"},
		"git+https://robot@git.example.com/a":                    {},
		"git+https://git.example.com/a":                          {},
		"https://${TOKEN}@host/a.whl":                            {},
		"git+ssh://git@git.example.com/a":                        {},
	} {
		if got, ok := (Requirement{URL: url}).GitLogin(); got != want || ok != (want != GitLogin{}) {
			t.Errorf("%s: got %+v, %t", url, got, ok)
		}
	}
	for url, want := range map[string]bool{
		"git+ssh://git@git.example.com/a": true, "git+git@git.example.com:a/b.git": true, "git+https://git@git.example.com/a": false, "ssh://x": false,
	} {
		if got := (Requirement{URL: url}).IsSSH(); got != want {
			t.Errorf("%s: got %t", url, got)
		}
	}
}
