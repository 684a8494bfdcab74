package generate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	digest "github.com/opencontainers/go-digest"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// service is a project whose app is main.py, with what change makes of it.
func service(change func(*detect.Project)) *detect.Project {
	p := &detect.Project{
		Name: "shop", App: &detect.App{Object: "main:app", Framework: "fastapi", Server: uvicorn, File: "main.py"},
		Python: "3.13", Port: 8000, Root: ".", Code: []string{"main.py"},
	}
	change(p)
	return p
}

// projects are the projects of the golden files, by their names.
func projects() map[string]*detect.Project {
	locked := func(kind detect.Kind, files ...string) func(*detect.Project) {
		return func(p *detect.Project) {
			p.Dependencies = detect.Dependencies{Kind: kind, Files: files, Locked: true, Hashed: true, Names: []string{"fastapi", "uvicorn"}}
			p.Dev = p.Dependencies
			p.Dev.Groups, p.Dev.Names = []string{"dev"}, []string{"pytest"}
		}
	}
	open := func(kind detect.Kind, files ...string) func(*detect.Project) {
		return func(p *detect.Project) {
			locked(kind, files...)(p)
			for _, set := range []*detect.Dependencies{&p.Dependencies, &p.Dev} {
				set.Locked, set.Hashed = false, false
			}
		}
	}
	return map[string]*detect.Project{
		"none": service(func(p *detect.Project) {
			p.App.Server, p.App.Framework = hypercorn, "asgi"
			p.Extra = []string{"hypercorn==0.18.0"}
		}),
		"requirements-hashed": service(func(p *detect.Project) {
			p.Root, p.Code, p.App.Object = "src", []string{"src"}, "shop.main:app"
			p.Dependencies = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements.txt"}, Locked: true, Hashed: true}
			p.Dev = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements-dev.txt"}, Locked: true, Hashed: true, Names: []string{"pytest"}}
			p.Extra = []string{"uvicorn==0.54.0"}
		}),
		"requirements-included": service(func(p *detect.Project) {
			p.Code = []string{"main.py", "settings.py", "shop", "static files"}
			p.Dependencies = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements/prod.txt", "requirements/base.txt", "constraints.txt"}}
			p.Dev = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements/dev.txt", "requirements/base.txt"}}
			p.Extra = []string{"uvicorn==0.54.0"}
		}),
		"no-app": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			p.App = nil
		}),
		"django": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			p.App = &detect.App{Object: "shop.wsgi:application", Framework: "django", Server: gunicorn, File: "shop/wsgi.py"}
			p.Django = &detect.Django{Manage: "manage.py", Settings: "shop.settings", Collects: true, Unset: []string{"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}}
		}),
		"django-package": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			p.Package, p.Root, p.Code = true, "src", []string{"src"}
			p.Django = &detect.Django{Settings: "shop.settings", Collects: true}
		}),
		"uv": service(locked(detect.UV, "pyproject.toml", "uv.lock")),
		"uv-extra": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			p.Dev.Groups, p.Dev.Extras = nil, []string{"test"}
			p.Dependencies.Hashed = false
		}),
		"poetry":      service(locked(detect.Poetry, "poetry.lock", "pyproject.toml")),
		"poetry-open": service(open(detect.Poetry, "pyproject.toml")),
		"poetry-old": service(func(p *detect.Project) {
			locked(detect.Poetry, "poetry.lock", "pyproject.toml")(p)
			p.Python, p.Dev = "3.9", detect.Dependencies{}
		}),
		"pipenv":     service(locked(detect.Pipenv, "Pipfile", "Pipfile.lock")),
		"pyproject":  service(open(detect.PEP621, "pyproject.toml")),
		"setuptools": service(open(detect.Setuptools, "setup.cfg", "setup.py")),
		"uv-local": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			p.Dependencies.Local, p.Dev.Local = []string{"libs/stock"}, []string{"libs/stock", "libs/testing"}
		}),
		"uv-workspace": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "../../pyproject.toml", "../../uv.lock")(p)
			for _, set := range []*detect.Dependencies{&p.Dependencies, &p.Dev} {
				set.Dir, set.Member, set.Local = "../..", "shop", []string{"../../packages/stock"}
			}
		}),
		"requirements-above": service(func(p *detect.Project) {
			p.Root, p.Code, p.App.Object = "src", []string{"src"}, "shop.main:app"
			p.Dependencies = detect.Dependencies{
				Kind: detect.Requirements, Files: []string{"requirements.txt", "../../common.txt"}, Local: []string{"../stock", "libs/own"}, ProjectRoot: true,
			}
			p.Dev = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements-dev.txt", "../tests.txt"}}
		}),
		"pyproject-above": service(func(p *detect.Project) {
			open(detect.PEP621, "pyproject.toml")(p)
			p.Dependencies.Local, p.Dependencies.ProjectRoot = []string{"../../libs/stock"}, true
			p.Dev = detect.Dependencies{}
		}),
		"poetry-local": service(func(p *detect.Project) {
			locked(detect.Poetry, "poetry.lock", "pyproject.toml")(p)
			p.Dependencies.Local = []string{"libs/stock"}
		}),
		"pyproject-local": service(func(p *detect.Project) {
			open(detect.PEP621, "pyproject.toml")(p)
			p.Dependencies.Local, p.Dev.Local = []string{"libs/stock"}, []string{"libs/stock"}
		}),
		"requirements-local": service(func(p *detect.Project) {
			p.Dependencies = detect.Dependencies{
				Kind: detect.Requirements, Files: []string{"requirements.txt"}, Locked: true, Hashed: true, Itself: true, Local: []string{"libs/stock"},
			}
			p.Dev = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements-dev.txt", "requirements.txt"}, Local: []string{"libs/stock"}}
			p.Extra = []string{"uvicorn==0.54.0"}
		}),
		"package": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			p.Package, p.Root, p.Code, p.App.Object = true, "src", []string{"migrations", "src"}, "shop.main:app"
		}),
		"requirements-secret": service(func(p *detect.Project) {
			p.Dependencies = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements.txt"}, Access: detect.Access{
				Secrets: []detect.Secret{{ID: "PIP_TOKEN", Variable: "PIP_TOKEN", Required: true}},
			}}
			p.Dev = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements-dev.txt", "requirements.txt"}, Access: p.Dependencies.Access}
		}),
		"requirements-git": service(func(p *detect.Project) {
			p.Dependencies = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements.txt"}, Access: detect.Access{
				Secrets: []detect.Secret{
					{ID: "GIT_TOKEN", Variable: "GIT_TOKEN", Required: true}, {ID: detect.KnownHosts, Required: true}, {ID: detect.SSHKey, Required: true},
				},
				Git: []packaging.GitLogin{{Host: "https://git.example.com", User: "oauth2", Password: "${GIT_TOKEN}"}, {Host: "https://github.com", User: "${GIT_TOKEN}"}},
				SSH: true,
			}}
			p.Libraries.Build = []string{"git", "openssh-client"}
		}),
		"uv-secret": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			index := packaging.Index{
				Name: "corp", URL: "https://pypi.example.com/simple", User: packaging.Credential{Variable: "UV_INDEX_CORP_USERNAME"},
				Password: packaging.Credential{Variable: "UV_INDEX_CORP_PASSWORD"},
			}
			p.Dependencies.Access = detect.Access{
				Secrets: []detect.Secret{{ID: "UV_INDEX_CORP_PASSWORD", Variable: "UV_INDEX_CORP_PASSWORD"}, {ID: "UV_INDEX_CORP_USERNAME", Variable: "UV_INDEX_CORP_USERNAME"}},
				Indexes: []packaging.Index{index},
			}
			p.Dev.Access = p.Dependencies.Access
		}),
		"pipenv-index": service(func(p *detect.Project) {
			locked(detect.Pipenv, "Pipfile", "Pipfile.lock")(p)
			p.Dependencies.Access.Indexes = []packaging.Index{{Name: "corp", URL: "https://pypi.example.com/simple", Default: true}}
			p.Dev = detect.Dependencies{}
		}),
		"uv-index": service(func(p *detect.Project) {
			locked(detect.UV, "pyproject.toml", "uv.lock")(p)
			p.Dependencies.Access.Indexes = []packaging.Index{{Name: "pytorch", URL: "https://download.pytorch.org/whl/cpu", Explicit: true}}
			p.Dev = detect.Dependencies{}
		}),
		"poetry-secret": service(func(p *detect.Project) {
			locked(detect.Poetry, "poetry.lock", "pyproject.toml")(p)
			p.Dependencies.Access = detect.Access{
				Secrets: []detect.Secret{{ID: "POETRY_HTTP_BASIC_CORP_PASSWORD", Variable: "POETRY_HTTP_BASIC_CORP_PASSWORD", Required: true}},
				Indexes: []packaging.Index{{
					Name: "corp", URL: "https://pypi.example.com/simple", Default: true, User: packaging.Credential{Text: "robot"},
					Password: packaging.Credential{Variable: "POETRY_HTTP_BASIC_CORP_PASSWORD", Required: true},
				}},
			}
			p.Dev.Access = p.Dependencies.Access
		}),
		"pipenv-secret": service(func(p *detect.Project) {
			locked(detect.Pipenv, "Pipfile", "Pipfile.lock")(p)
			p.Dependencies.Access = detect.Access{
				Secrets: []detect.Secret{{ID: "CORP_TOKEN", Variable: "CORP_TOKEN", Required: true}},
				Indexes: []packaging.Index{{Name: "corp", URL: "https://pypi.example.com/simple", Explicit: true, User: packaging.Credential{Text: "robot"}, Password: packaging.Credential{Text: "${CORP_TOKEN}"}}},
			}
			p.Dev = detect.Dependencies{}
		}),
		"pyproject-secret": service(func(p *detect.Project) {
			open(detect.PEP621, "pyproject.toml")(p)
			p.Dependencies.Access = detect.Access{
				Secrets: []detect.Secret{{ID: "PDM_TOKEN", Variable: "PDM_TOKEN", Required: true}},
				Indexes: []packaging.Index{{Name: "pypi", URL: "https://pypi.example.com/simple", Default: true, User: packaging.Credential{Text: "${PDM_TOKEN}"}}},
				Git:     []packaging.GitLogin{{Host: "https://git.example.com", User: "${PDM_TOKEN}"}},
			}
			p.Dev = detect.Dependencies{}
			p.Libraries.Build = []string{"git"}
		}),
		"libraries": service(func(p *detect.Project) {
			p.App = &detect.App{Object: "wsgi:create_app", Factory: true, Framework: "flask", Server: gunicorn, File: "wsgi.py"}
			p.Code, p.Port = []string{"."}, 5000
			locked(detect.Requirements, "requirements.txt")(p)
			p.Dev = detect.Dependencies{}
			p.Libraries = detect.Libraries{Build: []string{"gcc", "libpq-dev"}, Run: []string{"libpq5"}}
		}),
	}
}

// suits reports whether the variant can be made of the project.
func suits(p *detect.Project, variant Variant) bool {
	return variant != Distroless || len(p.Libraries.Run) == 0 && p.Python == "3.13"
}

// eachDockerfile calls a function with every Dockerfile of the matrix.
func eachDockerfile(t *testing.T, check func(t *testing.T, variant Variant, content []byte)) {
	t.Helper()
	all := projects()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, variant := range Variants() {
			if !suits(all[name], variant) {
				continue
			}
			t.Run(name+"."+string(variant), func(t *testing.T) {
				within := ""
				if len(all[name].Outside(true)) > 0 {
					within = "services/shop"
				}
				content, err := Dockerfile(Options{Project: all[name], Variant: variant, Test: name != "none", Within: within, Command: []string{"sh", "-c", "exec python bot.py \"$ROOM\""}})
				if err != nil {
					t.Fatal(err)
				}
				check(t, variant, content)
			})
		}
	}
}

func TestGolden(t *testing.T) {
	eachDockerfile(t, func(t *testing.T, _ Variant, content []byte) {
		t.Helper()
		_, name, _ := strings.Cut(t.Name(), "/")
		path := filepath.Join("testdata", name+".Dockerfile")
		if *update {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(content)); diff != "" {
			t.Errorf("%s differs (-want +got); rewrite with -update if that is meant:\n%s", path, diff)
		}
	})
}

// TestParses reads each Dockerfile as build does: the stages are there, the port
// is exposed, and the arguments of a company's index are declared.
func TestParses(t *testing.T) {
	eachDockerfile(t, func(t *testing.T, variant Variant, content []byte) {
		t.Helper()
		parsed, err := dockerfile.Parse("Dockerfile", content)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, stage := range parsed.Stages {
			names = append(names, stage.Name)
		}
		want := map[Variant][]string{
			Slim:       {"build", "run", "test-build", "test", ""},
			Distroless: {"build", "code", "run", "test-build", "test", ""},
			Bloated:    {"run", "test", ""},
		}[variant]
		switch {
		case strings.Contains(t.Name(), "/none."):
			want = map[Variant][]string{Slim: {"build", "run"}, Distroless: {"build", "code", "run"}, Bloated: {""}}[variant]
		case strings.HasSuffix(t.Name(), "package.slim"):
			want = slices.Insert(want, 1, "code")
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("stages (-want +got):\n%s", diff)
		}
		if last := parsed.Stages[len(parsed.Stages)-1]; len(last.Expose) != 1 {
			t.Errorf("the last stage exposes %v, want one port", last.Expose)
		}
		for _, name := range []string{"PIP_INDEX_URL", "PIP_TRUSTED_HOST"} {
			if !slices.Contains(parsed.Args, name) {
				t.Errorf("ARG %s is not declared: %q", name, parsed.Args)
			}
		}
	})
}

// TestGivenFiles mounts the files of logins and indexes wherever pip runs, and only if they are
// given.
func TestGivenFiles(t *testing.T) {
	project := projects()["uv"]
	for _, variant := range Variants() {
		content, err := Dockerfile(Options{Project: project, Variant: variant, Test: true, Secrets: []string{"netrc", "other", "pip.conf"}})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := dockerfile.Parse("Dockerfile", content)
		if err != nil {
			t.Fatal(err)
		}
		for _, stage := range parsed.Stages {
			for _, step := range stage.Steps {
				mounts := strings.Contains(step.Text, "id=netrc,target=/root/.netrc,required=true") && strings.Contains(step.Text, "id=pip.conf,target=/etc/pip.conf,required=true")
				if pip := step.Name == "RUN" && strings.Contains(step.Text, " install"); mounts != pip {
					t.Errorf("%s: mounted is %t in\n%s", variant, mounts, step.Text)
				}
			}
		}
	}
}

// unpulled answers for every base image, so that none is looked up.
type unpulled struct{}

func (unpulled) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := []byte(`{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/local/bin:/usr/bin:/bin"]}}`)
	return ref, digest.FromBytes(config), config, nil
}

// findings are what BuildKit's checks say.
func findings(t *testing.T, content []byte) []string {
	t.Helper()
	source := llb.NewSourceMap(nil, "Dockerfile", "dockerfile", content)
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(t.Context(), content, dockerfile2llb.ConvertOpt{MetaResolver: unpulled{}, SourceMap: source})
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		t.Fatal(results.Error.Message)
	}
	var found []string
	for _, warning := range results.Warnings {
		found = append(found, fmt.Sprintf("%s: %s", warning.RuleName, warning.Detail))
	}
	return found
}

// TestLint holds the good variants to BuildKit's checks; of the baseline it finds
// the shell form, which shows that the checks look.
func TestLint(t *testing.T) {
	eachDockerfile(t, func(t *testing.T, variant Variant, content []byte) {
		t.Helper()
		found := findings(t, content)
		if variant != Bloated || strings.Contains(t.Name(), "/no-app.") {
			if len(found) > 0 {
				t.Errorf("%q\n%s", found, content)
			}
			return
		}
		if !slices.ContainsFunc(found, func(text string) bool { return strings.HasPrefix(text, "JSONArgsRecommended") }) {
			t.Errorf("the shell form is not found: %q", found)
		}
	})
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		variant Variant
		change  func(*detect.Project)
		port    int
		is      error
		says    string
	}{
		{"no app", Slim, func(p *detect.Project) { p.App = nil }, 0, ErrNoApp, "--entrypoint module:attribute"},
		{"app that is no object", Slim, func(p *detect.Project) { p.App.Object = `main:app", "--reload` }, 0, ErrInvalid, "module:attribute"},
		{"unknown server", Slim, func(p *detect.Project) { p.App.Server = "daphne" }, 0, ErrInvalid, "uvicorn, hypercorn or gunicorn"},
		{"unknown variant", "tiny", func(*detect.Project) {}, 0, ErrVariant, "bloated, slim or distroless"},
		{"python with a patch version", Slim, func(p *detect.Project) { p.Python = "3.13.1" }, 0, ErrInvalid, "major.minor"},
		{"port", Slim, func(*detect.Project) {}, 70000, ErrInvalid, "1 to 65535"},
		{"python that distroless does not have", Distroless, func(p *detect.Project) { p.Python = "3.12" }, 0, ErrUnsupported, "3.11 (debian12) and 3.13 (debian13)"},
		{"libraries in distroless", Distroless, func(p *detect.Project) { p.Libraries.Run = []string{"libmagic1"} }, 0, ErrUnsupported, "libmagic1"},
		{"psycopg in distroless", Distroless, func(p *detect.Project) {
			p.Libraries.Run, p.Dependencies.Names = []string{"libpq5"}, []string{"psycopg"}
		}, 0, ErrUnsupported, "psycopg[binary]"},
		{"path with a variable", Slim, func(p *detect.Project) { p.Code = []string{"$HOME"} }, 0, ErrInvalid, "rename it"},
		{"path that leaves", Slim, func(p *detect.Project) {
			p.Dependencies = detect.Dependencies{Kind: detect.Requirements, Files: []string{"requirements.txt", "../common.txt"}}
		}, 0, ErrInvalid, "../common.txt"},
		{"requirement that is a command", Slim, func(p *detect.Project) { p.Extra = []string{"uvicorn; curl example.com"} }, 0, ErrInvalid, "name==version"},
		{"package that is an option", Slim, func(p *detect.Project) { p.Libraries.Build = []string{"--reinstall"} }, 0, ErrInvalid, "--reinstall"},
		{"group that is a command", Slim, func(p *detect.Project) { p.Dev.Groups = []string{"a && b"} }, 0, ErrInvalid, "group"},
		{"pipenv without a lock", Slim, func(p *detect.Project) {
			p.Dependencies = detect.Dependencies{Kind: detect.Pipenv, Files: []string{"Pipfile"}}
		}, 0, ErrInvalid, "pipenv lock"},
		{"dependencies without a file", Slim, func(p *detect.Project) { p.Dependencies.Kind = detect.UV }, 0, ErrInvalid, "uv"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Dockerfile(Options{Project: service(test.change), Variant: test.variant, Port: test.port})
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || got != nil {
				t.Errorf("got %v, want %v that says %q", err, test.is, test.says)
			}
		})
	}
}

func TestParseVariant(t *testing.T) {
	for _, variant := range Variants() {
		if got, err := ParseVariant(string(variant)); err != nil || got != variant {
			t.Errorf("%s: got %q, %v", variant, got, err)
		}
	}
	if got, err := ParseVariant(""); err != nil || got != Slim {
		t.Errorf("nothing: got %q, %v, want %s", got, err, Slim)
	}
	if _, err := ParseVariant("Slim"); !errors.Is(err, ErrVariant) {
		t.Errorf("another case: got %v", err)
	}
}

// TestServe has the command of each server, and what the port is when the options
// and the project say different things.
func TestServe(t *testing.T) {
	for _, test := range []struct {
		server  string
		factory bool
		port    int
		want    string
	}{
		{uvicorn, false, 0, `CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "20"]`},
		{uvicorn, true, 9000, `CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "9000", "--timeout-graceful-shutdown", "20", "--factory"]`},
		{hypercorn, true, 0, `CMD ["hypercorn", "--bind", "0.0.0.0:8000", "--graceful-timeout", "20", "--access-logfile", "-", "main:app()"]`},
		{gunicorn, false, 0, `CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--workers", "1", "--threads", "8", "--graceful-timeout", "20", "--worker-tmp-dir", "/dev/shm", "--access-logfile", "-", "main:app"]`},
	} {
		p := service(func(p *detect.Project) { p.App.Server, p.App.Factory = test.server, test.factory })
		got, err := Dockerfile(Options{Project: p, Port: test.port})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got), "\n"+test.want+"\n") {
			t.Errorf("no line %s in\n%s", test.want, got)
		}
	}
}
