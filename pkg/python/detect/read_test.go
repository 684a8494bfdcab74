package detect

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

const fastapi = "from fastapi import FastAPI\n\napp = FastAPI()\n"

const wsgi = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"

// readFiles reads a project that is given as name, content, name, content.
func readFiles(t *testing.T, options Options, files ...string) (*Project, error) {
	t.Helper()
	tree := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		tree[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return readFS(source{files: tree}, ".", options)
}

func TestReadFollowsNoLinkOut(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "requirements.txt", "flask\n")
	write(t, outside, "lib/secret.py", fastapi)
	dir := t.TempDir()
	write(t, dir, "main.py", fastapi)
	for name, target := range map[string]string{
		"requirements.txt": filepath.Join(outside, "requirements.txt"), "lib": filepath.Join(outside, "lib"), "loop": dir, "Pipfile": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Read(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if found.App.Object != "main:app" || found.Dependencies.Kind != None {
		t.Errorf("got %+v", found)
	}
	if !strings.Contains(strings.Join(found.Warnings, "\n"), "requirements.txt is a link out of the directory") {
		t.Errorf("nothing is said of the link: %q", found.Warnings)
	}
}

func TestReadBounds(t *testing.T) {
	found, err := readFiles(t, Options{}, "main.py", fastapi, "big.py", fastapi+strings.Repeat("#", maxFile), ".venv/lib/x.py", fastapi, "node_modules/a/b.py", fastapi,
		"build/lib/c.py", fastapi, "site-packages/d.py", fastapi)
	if err != nil || found.App.Object != "main:app" {
		t.Fatalf("got %+v, %v", found, err)
	}
	_, err = readFiles(t, Options{}, "requirements.txt", "django\n", "manage.py", strings.Repeat("#", maxFile+1), "a/wsgi.py", wsgi, "b/wsgi.py", wsgi)
	if !as[*ManyAppsError](err) {
		t.Errorf("got %v", err)
	}
	if !slices.Contains(found.Warnings, "big.py has more than 1 MiB and is not read") {
		t.Errorf("warnings are %q", found.Warnings)
	}
}

func TestErrors(t *testing.T) {
	flask := "from flask import Flask\napp = Flask(__name__)\n"
	for name, test := range map[string]struct {
		options Options
		files   []string
		is      func(error) bool
		text    string
	}{
		"no project":        {Options{}, []string{"README.md", ""}, func(err error) bool { return errors.Is(err, ErrNoProject) }, ""},
		"one project below": {Options{}, []string{"backend/requirements.txt", "flask", "backend/app.py", flask}, as[*MonorepoError], ". holds the project backend, build that: kubectl pyflow build backend"},
		"a project of tools above": {
			Options{},
			[]string{"requirements.txt", "ruff\n", "backend/requirements.txt", "flask", "backend/app.py", flask, "lib/setup.py", ""},
			as[*MonorepoError],
			". holds 2 projects, and one of them has an app, build that: kubectl pyflow build backend (without an app: lib)",
		},
		"invalid lock": {
			Options{},
			[]string{"pyproject.toml", "[project]\nname = 'a'\n", "uv.lock", "version = \n"},
			as[*toml.Error],
			"uv.lock:1:11: incomplete number",
		},
		"wrong type":                {Options{}, []string{"pyproject.toml", "[project]\nname = 3\n"}, as[*toml.Error], ""},
		"invalid JSON":              {Options{}, []string{"Pipfile", "", "Pipfile.lock", "{\n\n"}, as[*packaging.FileError], "Pipfile.lock:3: it is not JSON: unexpected end of JSON input"},
		"absent include":            {Options{}, []string{"requirements.txt", "flask\n-r more/base.txt\n"}, as[*packaging.FileError], `requirements.txt:2: it includes "more/base.txt", which does not exist`},
		"include above":             {Options{}, []string{"requirements.txt", "-r ../base.txt\n"}, as[*packaging.FileError], `requirements.txt:1: it includes "../base.txt", which is outside of .`},
		"an include of the network": {Options{}, []string{"requirements.txt", "-r https://user:word@h/base.txt\n"}, as[*packaging.FileError], `requirements.txt:1: it includes a file of the network, which is not read here: copy it into the project`},
		"a path of the machine":     {Options{}, []string{"requirements.txt", "-e /home/me/lib\n"}, as[*packaging.FileError], `requirements.txt:1: lib is a dependency in "/home/me/lib", which is a path of this machine and not of a build: write it relative to the project`},
		"a URL of the machine":      {Options{}, []string{"requirements.txt", "lib @ file:///home/me/lib\n"}, as[*packaging.FileError], `requirements.txt:1: lib is a dependency in "/home/me/lib", which is a path of this machine and not of a build: write it relative to the project`},
		"include for a terminal":    {Options{}, []string{"requirements.txt", "-r \x1b[31mbase.txt\n"}, as[*packaging.FileError], `requirements.txt:1: it includes "\x1b[31mbase.txt", which does not exist`},
		"no range": {
			Options{},
			[]string{"pyproject.toml", "[project]\nname = 'a'\nrequires-python = 'three'\n"},
			as[*packaging.FileError],
			`pyproject.toml:3: "three" is no range of Python versions`,
		},
		"no such Python": {
			Options{},
			[]string{".python-version", "2.7.18\n", "a.py", ""},
			as[*PythonError],
			".python-version:1: there is no image of Python 2.7.18, only of the newest releases of 3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14",
		},
		"no Python at all": {Options{Python: "new"}, []string{"a.py", ""}, as[*PythonError], "--python: there is no image of Python new, only of the newest releases of 3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14"},
		"JSON of another type": {
			Options{},
			[]string{"Pipfile", "", "Pipfile.lock", "{\n\"_meta\": {\n\"hash\": 3}}"},
			as[*packaging.FileError],
			"Pipfile.lock:3: _meta.hash is of the type number, which is not that of a lock",
		},
		"no object of JSON": {
			Options{},
			[]string{"Pipfile", "", "Pipfile.lock", "[]"},
			as[*packaging.FileError],
			"Pipfile.lock:1: all of it is of the type array, which is not that of a lock",
		},
		"a factory alone": {
			Options{},
			[]string{"web/__init__.py", "from flask import Flask\ndef register(app: Flask) -> Flask:\n  return app\ndef create_app(config) -> Flask:\n  return Flask(1)\n"},
			as[*NoSuchAppError],
			`web/__init__.py:4: the app "web:create_app": a server calls create_app without arguments, and it needs some: assign what it returns to a name, such as app = create_app(...), and use that`,
		},
		"from git without a lock": {
			Options{},
			[]string{"main.py", fastapi, "pyproject.toml", "[project]\nname = 'a'\ndependencies = ['fastapi', 'My.Core']\n[tool.uv.sources]\nmy_core = {git = 'x'}\n"},
			as[*packaging.FileError],
			"pyproject.toml:5: where my-core comes from is read with uv.lock only: run uv lock",
		},
		"from an index without a lock, for tests": {
			Options{},
			[]string{"main.py", fastapi, "pyproject.toml", "[project]\nname = 'a'\n[dependency-groups]\ndev = ['core']\n[tool.uv.sources]\ncore = [{index = 'x'}]\n"},
			as[*packaging.FileError],
			"pyproject.toml:6: where core comes from is read with uv.lock only: run uv lock",
		},
		"no object": {Options{App: "main"}, []string{"main.py", fastapi}, as[*NoSuchAppError], `--entrypoint: the app "main": it has to be module:attribute, such as main:app`},
		"no name":   {Options{App: "../main:app"}, []string{"main.py", fastapi}, as[*NoSuchAppError], `--entrypoint: the app "../main:app": it has to be module:attribute, such as main:app`},
		"factory with arguments": {
			Options{App: "main:make()"},
			[]string{"main.py", "from flask import Flask\ndef make(settings):\n  return Flask(settings)\n"},
			as[*NoSuchAppError],
			`--entrypoint: the app "main:make()": a server calls make without arguments, and it needs some: assign what it returns to a name, such as app = make(...), and use that`,
		},
		"no module": {
			Options{App: "other:app", AppSource: "pyproject.toml:9"},
			[]string{"main.py", fastapi},
			as[*NoSuchAppError],
			`pyproject.toml:9: the app "other:app": there is no module other`,
		},
		"older than its source": {
			Options{},
			[]string{"requirements.in", "flask\nredis\n", "requirements.txt", "flask==3.1.3 --hash=sha256:00\n"},
			as[*packaging.LockError],
			"requirements.txt does not match requirements.in: redis is not in it; run uv pip compile --generate-hashes requirements.in -o requirements.txt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := readFiles(t, test.options, test.files...)
			if err == nil || !test.is(err) {
				t.Fatalf("got %+v, %v", found, err)
			}
			if test.text != "" && err.Error() != test.text {
				t.Errorf("got  %s\nwant %s", err, test.text)
			}
		})
	}
}

// as reports whether an error is of a type.
func as[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

func TestApp(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		want  string
	}{
		"alias":                     {[]string{"m.py", "from fastapi import FastAPI as API\napi = API()\n"}, "m:api fastapi uvicorn"},
		"module":                    {[]string{"m.py", "import fastapi.applications\napp = fastapi.applications.FastAPI()\n"}, "m:app fastapi uvicorn"},
		"another's class":           {[]string{"m.py", "from mine import FastAPI\napp = FastAPI()\n"}, ""},
		"in a string":               {[]string{"m.py", "'''\nfrom fastapi import FastAPI\napp = FastAPI()\n'''\n"}, ""},
		"in a comment":              {[]string{"m.py", "from fastapi import FastAPI\n# app = FastAPI()\n"}, ""},
		"in main":                   {[]string{"m.py", "from fastapi import FastAPI\nif __name__ == '__main__':\n  app = FastAPI()\n"}, ""},
		"private":                   {[]string{"m.py", "from fastapi import FastAPI\n_app = FastAPI()\n"}, ""},
		"two names":                 {[]string{"m.py", "from flask import Flask\napp = Flask(1)\napplication = app\n"}, "m:app flask gunicorn"},
		"chain":                     {[]string{"m.py", "from flask import Flask\napp = application = Flask(1)\n"}, "m:app flask gunicorn"},
		"conditional":               {[]string{"m.py", "from flask import Flask\nif x:\n  app = Flask(1)\nelse:\n  app = Flask(2)\n"}, "m:app flask gunicorn"},
		"factory by body":           {[]string{"m.py", "def make(x=1):\n  from flask import Flask\n  app = Flask(x)\n  def inner():\n    return 1\n  return app\n"}, "m:make() flask gunicorn"},
		"factory with *":            {[]string{"m.py", "import flask\ndef make(*, a=1, **kw) -> 'flask.Flask':\n  return build(a)\n"}, "m:make() flask gunicorn"},
		"given an app":              {[]string{"m.py", "from flask import Flask\ndef make(app) -> Flask:\n  return app\n"}, ""},
		"below manage.py":           {[]string{"backend/manage.py", "", "backend/core/wsgi.py", wsgi}, "core.wsgi:application django gunicorn"},
		"apps of tests":             {[]string{"m.py", fastapi, "e2e/m.py", fastapi, "integration_tests/m.py", fastapi, "load-tests/m.py", fastapi, "tests.py", fastapi}, "m:app fastapi uvicorn"},
		"not tests":                 {[]string{"contests/m.py", fastapi}, "contests.m:app fastapi uvicorn"},
		"of channels":               {[]string{"requirements.txt", "daphne\n", "a/wsgi.py", wsgi, "a/asgi.py", "from django.core.asgi import get_asgi_application\nfrom channels.routing import ProtocolTypeRouter\ndjango_app = get_asgi_application()\napplication = ProtocolTypeRouter({'http': django_app})\n"}, "a.asgi:application django uvicorn"},
		"package below":             {[]string{"src/py/app/__init__.py", "", "src/py/app/server/asgi.py", "from litestar import Litestar\ndef create_app() -> Litestar:\n  from app.core import x\n  return Litestar(x)\n"}, "app.server.asgi:create_app() litestar uvicorn"},
		"package in a package":      {[]string{"a/__init__.py", "", "a/b/__init__.py", "", "a/b/m.py", fastapi}, "a.b.m:app fastapi uvicorn"},
		"connexion":                 {[]string{"m.py", "import connexion\napp = connexion.App(1)\n"}, "m:app asgi uvicorn"}, //nolint:misspell // a framework's name
		"async factory":             {[]string{"m.py", "from fastapi import FastAPI\nasync def make():\n  return FastAPI()\n"}, ""},
		"fixture":                   {[]string{"m.py", "import pytest\nfrom fastapi import FastAPI\n@pytest.fixture\ndef app():\n  return FastAPI()\n"}, ""},
		"factory of factory":        {[]string{"a.py", "from fastapi import FastAPI\ndef base():\n  return FastAPI()\n", "b.py", "import a\ndef make():\n  app = a.base()\n  return app\n"}, "b:make() fastapi uvicorn"},
		"global by a getter":        {[]string{"m.py", "from fastapi import FastAPI\napp = FastAPI()\ndef get_app():\n  return app\n"}, "m:app fastapi uvicorn"},
		"object by import":          {[]string{"a/__init__.py", "", "a/core.py", fastapi, "a/__main__.py", "from a.core import app\n"}, "a.core:app fastapi uvicorn"},
		"star":                      {[]string{"m.py", "from fastapi import *\napp = FastAPI()\n"}, "m:app fastapi uvicorn"},
		"same name wrapped":         {[]string{"m.py", "from flask import Flask\nfrom x import instrument\napp = Flask(1)\napp = instrument(app)\n"}, "m:app flask gunicorn"},
		"to the other":              {[]string{"m.py", "from flask import Flask\nfrom asgiref.wsgi import WsgiToAsgi\nflask_app = Flask(1)\napp = WsgiToAsgi(flask_app)\n"}, "m:app flask uvicorn"},
		"holders are no apps":       {[]string{"m.py", "from flask import Flask\nfrom flask_sqlalchemy import SQLAlchemy\napp = Flask(1)\ndb = SQLAlchemy(app)\n"}, "m:app flask gunicorn"},
		"socket.io":                 {[]string{"m.py", "import socketio, fastapi\napi = fastapi.FastAPI()\nsio = socketio.AsyncServer()\napp = socketio.ASGIApp(sio, other_asgi_app=api)\n"}, "m:app fastapi uvicorn"},
		"falcon":                    {[]string{"m.py", "import falcon\napplication = falcon.App()\n"}, "m:application wsgi gunicorn"},
		"src as a package":          {[]string{"src/__init__.py", "", "src/main.py", fastapi}, "src.main:app fastapi uvicorn"},
		"src by imports":            {[]string{"src/main.py", "from src.x import y\n" + fastapi, "src/x.py", ""}, "src.main:app fastapi uvicorn"},
		"circular":                  {[]string{"a.py", "from b import app as other\napp = other\n", "b.py", "from a import app\nfrom fastapi import FastAPI\n"}, ""},
		"FLASK_APP":                 {[]string{".env", "export FLASK_APP=\"web:make()\"\n", "web.py", "from flask import Flask\napp = Flask(1)\ndef make(): return app\n"}, "web:make() flask gunicorn"},
		"uvicorn.run":               {[]string{"pkg/a.py", fastapi, "pkg/b.py", fastapi, "run.py", "from uvicorn import run\ndef main():\n  run('pkg.b:app')\n"}, "pkg.b:app fastapi uvicorn"},
		"fastapi run":               {[]string{"a.py", fastapi, "b.py", fastapi, "Dockerfile", "FROM x\nCMD [\"fastapi\", \"run\", \"b.py\", \"--port\", \"80\"]\n"}, "b:app fastapi uvicorn"},
		"hypercorn":                 {[]string{"a.py", fastapi, "Procfile", "web: hypercorn a:app --bind 0.0.0.0:$PORT\n"}, "a:app fastapi hypercorn"},
		"gunicorn with class":       {[]string{"a.py", fastapi, "Procfile", "web: gunicorn -w 4 -k uvicorn.workers.UvicornWorker a:app\n"}, "a:app fastapi uvicorn"},
		"wrong hint":                {[]string{"a.py", fastapi, "Procfile", "web: uvicorn b:app\n"}, "a:app fastapi uvicorn"},
		"factory of its package":    {[]string{"src/shop/__init__.py", "", "src/shop/app.py", "from fastapi import FastAPI\ndef create_app(settings=None) -> FastAPI:\n  return FastAPI()\n", "src/shop/main.py", "from .app import create_app\napp = create_app(1)\n"}, "shop.main:app fastapi uvicorn"},
		"factory with arguments":    {[]string{"src/shop/__init__.py", "", "src/shop/app.py", "from fastapi import FastAPI\ndef create_app(settings):\n  app = FastAPI()\n  return app\n", "src/shop/main.py", "from .app import create_app\napp = create_app(1)\n"}, "shop.main:app fastapi uvicorn"},
		"factory by absolute name":  {[]string{"src/shop/__init__.py", "", "src/shop/app.py", "from fastapi import FastAPI\ndef create_app(settings):\n  app = FastAPI()\n  return app\n", "src/shop/main.py", "from shop.app import create_app\napp = create_app(1)\n"}, "shop.main:app fastapi uvicorn"},
		"object of its package":     {[]string{"src/shop/__init__.py", "", "src/shop/app.py", "from fastapi import FastAPI\napp = FastAPI()\n", "src/shop/main.py", "from .app import app\nimport uvicorn\ndef main():\n  uvicorn.run(app)\n"}, "shop.app:app fastapi uvicorn"},
		"completed elsewhere":       {[]string{"shop/core.py", fastapi, "shop/main.py", "from .core import app\nfrom .routes import router\napp.include_router(router)\n", "shop/routes.py", ""}, "shop.main:app fastapi uvicorn"},
		"completed by an import":    {[]string{"shop/__init__.py", "from flask import Flask\napp = Flask(1)\nfrom shop import views\n", "shop/views.py", "from shop import app\napp.register_blueprint(1)\n"}, "shop:app flask gunicorn"},
		"what it is given":          {[]string{"m.py", "from flask import Flask\nfrom x import other\napp = Flask(1)\ndef instrument(app):\n  return app\nthing = instrument(other)\n"}, "m:app flask gunicorn"},
		"factory of own module":     {[]string{"src/shop/__init__.py", "", "src/shop/main.py", "from fastapi import FastAPI\ndef create_app(settings):\n  return FastAPI()\napp = create_app(1)\n"}, "shop.main:app fastapi uvicorn"},
		"factory by its annotation": {[]string{"src/shop/__init__.py", "", "src/shop/app.py", "from fastapi import FastAPI\ndef create_app(settings) -> FastAPI:\n  return build(settings)\n", "src/shop/main.py", "from .app import create_app\napp = create_app(1)\n"}, "shop.main:app fastapi uvicorn"},
		"a factory in a block":      {[]string{"m.py", "try:\n\timport x\nexcept ImportError:\n\tfrom flask import Flask\n\tdef make():\n\t\treturn Flask(1)\nelse:\n  y = 1\n"}, "m:make() flask gunicorn"},
		"half a function":           {[]string{"m.py", fastapi + "if x: def f(): return app\ndef g("}, "m:app fastapi uvicorn"},
		"celery":                    {[]string{"a.py", fastapi, "c.py", "from celery import Celery\napp = Celery()\n"}, "a:app fastapi uvicorn"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := readFiles(t, Options{}, test.files...)
			got := ""
			switch {
			case err != nil && !errors.Is(err, ErrNoProject):
				got = err.Error()
			case found != nil && found.App != nil:
				got = found.App.Object
				if found.App.Factory {
					got += "()"
				}
				got += " " + found.App.Framework + " " + found.App.Server
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// What is found is what is taken when it is named, as init writes it into the settings.
func TestFoundAppCanBeNamed(t *testing.T) {
	for name, files := range map[string][]string{
		"two levels down":  {"src/backend/main.py", "from routers import a\n" + fastapi, "src/backend/routers/a.py", ""},
		"beside a program": {"main.py", "import sys\n", "src/backend/main.py", "from routers import a\n" + fastapi, "src/backend/routers/a.py", "", "src/other/main.py", ""},
		"of Django":        {"a/b/manage.py", "", "a/b/core/wsgi.py", wsgi},
	} {
		t.Run(name, func(t *testing.T) {
			files = append(files, "requirements.txt", "x\n")
			found, err := readFiles(t, Options{}, files...)
			if err != nil || found.App == nil {
				t.Fatalf("got %+v, %v", found, err)
			}
			named, err := readFiles(t, Options{App: found.App.Object}, files...)
			if err != nil || !cmp.Equal(named.App, found.App) || named.Root != found.Root {
				t.Errorf("got %+v, %v, and named %+v", found, err, named)
			}
		})
	}
}

func TestPython(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		want  string
	}{
		"nothing":         {nil, "3.13"},
		"from":            {[]string{"pyproject.toml", "[project]\nrequires-python = '>=3.10'"}, "3.13"},
		"newer":           {[]string{"pyproject.toml", "[project]\nrequires-python = '>=3.14'"}, "3.14"},
		"older":           {[]string{"pyproject.toml", "[project]\nrequires-python = '<3.12,>=3.10'"}, "3.11"},
		"compatible":      {[]string{"pyproject.toml", "[project]\nrequires-python = '~=3.11.2'"}, "3.11"},
		"one patch":       {[]string{"pyproject.toml", "[project]\nrequires-python = '==3.12.*'"}, "3.12"},
		"not one":         {[]string{"pyproject.toml", "[project]\nrequires-python = '>=3.11,!=3.13.*'"}, "3.12"},
		"caret":           {[]string{"pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.9'"}, "3.13"},
		"tilde":           {[]string{"pyproject.toml", "[tool.poetry.dependencies]\npython = '~3.12'"}, "3.12"},
		"alternatives":    {[]string{"pyproject.toml", "[tool.poetry.dependencies]\npython = '~3.10 || ~3.12'"}, "3.12"},
		"exact wins":      {[]string{"pyproject.toml", "[project]\nrequires-python = '>=3.10'", ".python-version", "# here\ncpython-3.11.4\n"}, "3.11"},
		"heroku":          {[]string{"runtime.txt", "python-3.12.8\n"}, "3.12"},
		"Pipfile":         {[]string{"Pipfile", "[requires]\npython_version = '3.11'\n"}, "3.11"},
		"setup.py":        {[]string{"setup.py", "import setuptools\nsetuptools.setup(python_requires='>=3.8, <3.11')\n"}, "3.10"},
		"a name of pyenv": {[]string{".python-version", "my-env\n"}, "3.13"},
		"of three parts":  {[]string{".python-version", "# a\npypy3.10-7.3.12\r\n3.12.1\r\n3.11\r\n"}, "3.12"},
		"only 3":          {[]string{".python-version", "3"}, "3.13"},
		"range of uv":     {[]string{".python-version", ">=3.11,<3.13"}, "3.12"},
		"free-threaded":   {[]string{".python-version", "3.14t"}, "3.14"},
		"of pyenv":        {[]string{".python-version", "3.14-dev"}, "3.14"},
		"of uv":           {[]string{".python-version", "cpython@3.12.4+freethreaded"}, "3.12"},
		"a mark":          {[]string{".python-version", "\ufeff3.11"}, "3.11"},
		"UTF-16":          {[]string{".python-version", "\xff\xfe3\x00.\x001\x001\x00\r\x00\n\x00"}, "3.11"},
		"the other way":   {[]string{".python-version", "\xfe\xff\x003\x00.\x001\x001"}, "3.11"},
		"one bar":         {[]string{"pyproject.toml", "[tool.poetry.dependencies]\npython = '~3.10 | ~3.12'"}, "3.12"},
	} {
		found, err := readFiles(t, Options{}, append([]string{"main.py", fastapi}, test.files...)...)
		if err != nil || found.Python != test.want {
			t.Errorf("%s: got %+v, %v, want %s", name, found, err, test.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		want  string
	}{
		"no version of CPython": {[]string{".python-version", "\n# a\npypy3.10\x1b[31m\nother\n"}, `.python-version:3 says "pypy3.10\x1b[31m", which is no version of CPython and is passed over`},
		"no dependencies":       {[]string{"requirements/app.txt", "fastapi\n"}, "no dependencies are written down, and main.py needs some: name them in requirements.txt, or lock them with uv, Poetry or Pipenv"},
		"a password":            {[]string{"requirements.txt", "a https://me:secret@host/a\n"}, `requirements.txt:1 is no requirement that can be understood: "a https://…@host/a"`},
		"a control sequence":    {[]string{"Procfile", "web: uvicorn \x1b[2J:app\n"}, "Procfile:1 names the app :app, which is passed over: it is not module:attribute"},
		"PDM":                   {[]string{"pyproject.toml", "project.dependencies = ['fastapi']\n", "pdm.lock", ""}, "pdm.lock is not read, so that every build may get other versions: write what it has into requirements.txt, as pdm export --prod -o requirements.txt does"},
		"a lock of pip":         {[]string{"pylock.toml", ""}, "pylock.toml is not read, so that every build may get other versions: write what it has into requirements.txt"},
		"another lock of pip":   {[]string{"pylock.web.toml", ""}, "pylock.web.toml is not read, so that every build may get other versions: write what it has into requirements.txt"},
	} {
		found, err := readFiles(t, Options{}, append([]string{"main.py", fastapi}, test.files...)...)
		if err != nil || !slices.Contains(found.Warnings, test.want) {
			t.Errorf("%s: got %+v, %v", name, found, err)
		}
	}
	found, err := readFiles(t, Options{}, "main.py", fastapi, "requirements.txt", "fastapi==0.115.0\nuvicorn==0.34.0\n", "pdm.lock", "", ".python-version", "3.12\n")
	if err != nil || len(found.Warnings) > 0 {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestContradictingPythons(t *testing.T) {
	found, err := readFiles(t, Options{}, "main.py", fastapi, ".python-version", "3.11\n", "pyproject.toml", "[project]\nrequires-python = '>=3.12'\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := ".python-version:1 says Python 3.11, but pyproject.toml:2 says >=3.12"; len(found.Warnings) == 0 || !strings.Contains(strings.Join(found.Warnings, "\n"), want) {
		t.Errorf("warnings are %q", found.Warnings)
	}
}

func TestPort(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		want  int
		from  string
	}{
		"default":         {nil, 8000, "default"},
		"Procfile":        {[]string{"Procfile", "web: gunicorn main:app -b :${PORT:-7000}\n"}, 7000, "Procfile:1"},
		"Procfile, open":  {[]string{"Procfile", "web: uvicorn main:app --port $PORT\n"}, 8000, "default"},
		"Dockerfile":      {[]string{"Dockerfile", "FROM x\nEXPOSE 5000/tcp\n"}, 5000, "Dockerfile:2"},
		"its command":     {[]string{"Dockerfile", "FROM x\nEXPOSE 5000\nCMD uvicorn main:app --port=5001\n"}, 5001, "Dockerfile:3"},
		"of a variable":   {[]string{"Dockerfile", "FROM x\nENV PORT=9000\nEXPOSE ${PORT-8000}\n"}, 9000, "Dockerfile:3"},
		"by a variable":   {[]string{"Dockerfile", "FROM x\nENV PORT=9001\nCMD uvicorn main:app --port ${PORT:-8000}\n"}, 9001, "Dockerfile:3"},
		"of a stage":      {[]string{"Dockerfile", "FROM x AS run\nCMD [\"uvicorn\", \"main:app\", \"--port\", \"5004\"]\nFROM run\n"}, 5004, "Dockerfile:2"},
		"in two parts":    {[]string{"Dockerfile", "FROM x\nENTRYPOINT [\"uvicorn\", \"main:app\"]\nCMD [\"--port\", \"5005\"]\n"}, 5005, "Dockerfile:3"},
		"behind another":  {[]string{"Dockerfile", "FROM x\nCMD alembic upgrade head && timeout 60 uvicorn main:app --port 5006\n"}, 5006, "Dockerfile:2"},
		"in a shell":      {[]string{"Dockerfile", "FROM x\nENTRYPOINT [\"sh\", \"-c\", \"exec uvicorn main:app --port ${PORT:-5002}\"]\n"}, 5002, "Dockerfile:2"},
		"gunicorn.conf":   {[]string{"gunicorn.conf.py", "workers = 2\nbind = '0.0.0.0:6000'\n"}, 6000, "gunicorn.conf.py:2"},
		"uvicorn.run":     {[]string{"run.py", "import uvicorn\nimport main\nuvicorn.run(main.app, port=6001)\n"}, 6001, "run.py:3"},
		"for root":        {[]string{"Dockerfile", "FROM x\nEXPOSE 8080\nCMD uvicorn main:app --port 80\n"}, 8000, "default"},
		"not a port":      {[]string{"run.py", "import uvicorn\nimport main\nuvicorn.run(main.app, port=70000)\n"}, 8000, "default"},
		"broken Procfile": {[]string{"Procfile", "web: uvicorn 'main:app --port 1\n"}, 8000, "default"},
	} {
		found, err := readFiles(t, Options{}, append([]string{"main.py", fastapi}, test.files...)...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		from := ""
		for _, one := range found.Evidence {
			if one.What == "port" {
				from = one.Source
			}
		}
		if found.Port != test.want || from != test.from {
			t.Errorf("%s: got %d from %s, want %d from %s", name, found.Port, from, test.want, test.from)
		}
	}
}

// A port that is asked for is taken, and something is said when it takes root.
func TestLowPort(t *testing.T) {
	for port, warnings := range map[int]int{80: 1, 1024: 0} {
		found, err := readFiles(t, Options{Port: port}, "main.py", fastapi, "requirements.txt", "uvicorn")
		if err != nil || found.Port != port || len(found.Warnings) != warnings {
			t.Errorf("%d: got %+v, %v", port, found, err)
		}
	}
}

func TestPreference(t *testing.T) {
	named := "[project]\nname = 'a'\ndependencies = ['fastapi']\n"
	for name, test := range map[string]struct {
		files []string
		want  Kind
		warn  string
	}{
		"pins before pyproject":     {[]string{"pyproject.toml", named, "requirements.txt", "fastapi==0.165.0\n"}, Requirements, ""},
		"pyproject before wishes":   {[]string{"pyproject.toml", named, "requirements.txt", "fastapi\n"}, PEP621, "requirements.txt is passed over for pyproject.toml"},
		"the project itself":        {[]string{"pyproject.toml", named, "requirements.txt", "-e .\n"}, PEP621, ""},
		"pins before a Pipfile":     {[]string{"Pipfile", "[packages]\nfastapi = '*'\n", "requirements.txt", "fastapi==0.165.0\n"}, Requirements, "Pipfile is passed over for requirements.txt"},
		"a Pipfile before wishes":   {[]string{"Pipfile", "[packages]\nfastapi = '*'\n", "requirements.txt", "fastapi\n"}, Pipenv, "requirements.txt is passed over for Pipfile"},
		"requirements and setup.py": {[]string{"setup.py", "from setuptools import setup\nsetup(install_requires=['fastapi'])\n", "requirements.txt", "fastapi\n"}, Requirements, "setup.py is passed over for requirements.txt"},
		"setup.py alone":            {[]string{"setup.py", "from setuptools import setup\nneeds = ['fastapi']\nsetup(install_requires=needs, extras_require={'dev': ['pytest']})\n"}, Setuptools, ""},
		"nothing":                   {nil, None, ""},
	} {
		found, err := readFiles(t, Options{}, append([]string{"main.py", fastapi}, test.files...)...)
		if err != nil || found.Dependencies.Kind != test.want {
			t.Errorf("%s: got %+v, %v", name, found, err)
			continue
		}
		if test.want != None && !cmp.Equal(found.Dependencies.Names, []string{"fastapi"}) {
			t.Errorf("%s: the names are %q", name, found.Dependencies.Names)
		}
		if test.warn != "" && !strings.Contains(strings.Join(found.Warnings, "\n"), test.warn) {
			t.Errorf("%s: the warnings are %q", name, found.Warnings)
		}
	}
}

// TestOtherSystems checks that what is only for other systems is no dependency of an image.
func TestOtherSystems(t *testing.T) {
	for name, files := range map[string][]string{
		"requirements": {"requirements.txt", "fastapi\nuvicorn\npsycopg2; sys_platform == 'win32'\n"},
		"exact":        {"requirements.txt", "fastapi==0.1\nuvicorn==0.1\npsycopg2==2.9 ; platform_system == 'Windows'\n"},
		"poetry":       {"pyproject.toml", "[tool.poetry.dependencies]\nfastapi = '*'\nuvicorn = '*'\npsycopg2 = {version = '*', platform = 'win32'}\n"},
		"git":          {"requirements.txt", "fastapi\nuvicorn\ntools @ git+ssh://git@h.example/tools ; os_name == 'nt'\n"},
	} {
		found, err := readFiles(t, Options{}, append([]string{"main.py", fastapi}, files...)...)
		if err != nil || len(found.Libraries.Build)+len(found.Libraries.Run) > 0 || strings.Join(found.Dependencies.Names, " ") != "fastapi uvicorn" {
			t.Errorf("%s: got %+v, %v, %v", name, found.Libraries, found.Dependencies.Names, err)
		}
	}
}

// Every entry of the table is normalized, or it would never be found.
func TestLibrariesAreSorted(t *testing.T) {
	found, err := readFiles(t, Options{}, "main.py", fastapi, "requirements.txt", "fastapi\nuvicorn\nMySQLClient\npsycopg2\npsycopg[binary]\nopencv_python\n")
	if err != nil {
		t.Fatal(err)
	}
	optional, err := readFiles(t, Options{}, "main.py", fastapi, "pyproject.toml", "[tool.poetry.dependencies]\nfastapi = '*'\npsycopg2 = {version = '*', optional = true}\n")
	if err != nil || len(optional.Libraries.Build) > 0 || len(optional.Dependencies.Names) != 1 {
		t.Errorf("got %+v, %v", optional, err)
	}
	want := Libraries{
		Build: []string{"build-essential", "default-libmysqlclient-dev", "libpq-dev", "pkg-config"},
		Run:   []string{"libgl1", "libglib2.0-0t64", "libmariadb3", "libpq5"},
	}
	if diff := cmp.Diff(want, found.Libraries); diff != "" {
		t.Error(diff)
	}
}

// FuzzRead holds that no content of the files that are read makes Read panic, and
// that what it finds is complete.
func FuzzRead(f *testing.F) {
	names := []string{"main.py", "pyproject.toml", "requirements.txt", "uv.lock", "poetry.lock", "Pipfile", "Pipfile.lock", "Procfile", "Dockerfile", "setup.cfg", "setup.py", ".python-version"}
	f.Add(uint(0), []byte(fastapi), uint(1), []byte("[project]\nname = 'a'\ndependencies = ['fastapi']\n"))
	f.Add(uint(2), []byte("-r requirements.txt\nfastapi==1 \\\n --hash=sha256:0 # x\n"), uint(9), []byte("[options]\ninstall_requires =\n  a\n"))
	f.Add(uint(5), []byte("[packages]\na = {extras=['b']}\n"), uint(6), []byte(`{"default": {"a": {"version": "==1"}}}`))
	f.Add(uint(7), []byte("web: gunicorn -b :${PORT:-1} main:app\n"), uint(8), []byte("FROM a\nEXPOSE 1\nCMD [\"uvicorn\"]\n"))
	f.Add(uint(0), []byte("from main import *\nfrom .. import main as c\nd = c.b = b(c)\ndef b(): return a\n"), uint(4), []byte("[[package]]\nname = 'a'\n"))
	f.Fuzz(func(t *testing.T, first uint, one []byte, second uint, other []byte) {
		tree := fstest.MapFS{"app.py": {Data: []byte(fastapi)}}
		tree[names[first%uint(len(names))]] = &fstest.MapFile{Data: one}
		tree[names[second%uint(len(names))]] = &fstest.MapFile{Data: other}
		found, err := readFS(source{files: tree}, ".", Options{})
		switch {
		case err != nil && found != nil:
			t.Error("a project and an error")
		case err != nil:
		case found.Python == "" || found.Port < 1 || found.Port > 65535 || len(found.Code) == 0 || !fs.ValidPath(found.Root):
			t.Errorf("incomplete: %+v", found)
		}
	})
}

func TestLocal(t *testing.T) {
	lock := `version = 1
[[package]]
name = "stock"
version = "1.0"
source = { editable = "libs/stock" }
dependencies = [{ name = "names" }]
[[package]]
name = "names"
version = "1.0"
source = { directory = "libs/names" }
[[package]]
name = "shop"
version = "1.0"
source = { virtual = "." }
dependencies = [{ name = "stock" }]
[package.metadata]
requires-dist = [{ name = "stock", editable = "libs/stock" }]
`
	for name, test := range map[string]struct {
		files  []string
		want   []string
		itself bool
		warns  string
	}{
		"of a workspace": {
			files: []string{
				"pyproject.toml", "[project]\nname = 'shop'\ndependencies = ['stock']\n[tool.uv.sources]\nstock = {workspace = true}\n", "uv.lock", lock,
				"libs/stock/pyproject.toml", "", "libs/names/pyproject.toml", "",
			},
			want: []string{"libs/names", "libs/stock"},
		},
		"without a slash": {files: []string{"requirements.txt", "-e libs\n", "libs/pyproject.toml", ""}, want: []string{"libs"}},
		"with an extra":   {files: []string{"requirements.txt", "libs/stock[all]\n", "libs/stock/setup.py", ""}, want: []string{"libs/stock"}},
		"a wheel":         {files: []string{"requirements.txt", "vendor/stock-1.0-py3-none-any.whl\n", "vendor/stock-1.0-py3-none-any.whl", ""}, want: []string{"vendor/stock-1.0-py3-none-any.whl"}},
		"the project":     {files: []string{"requirements.txt", "flask\n-e .[all]\n"}, itself: true, warns: "requirements.txt:2 installs the project itself"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := readFiles(t, Options{}, append([]string{"main.py", fastapi}, test.files...)...)
			if err != nil {
				t.Fatal(err)
			}
			if d := found.Dependencies; !slices.Equal(d.Local, test.want) || d.Itself != test.itself || d.Hashed {
				t.Errorf("got %+v", d)
			}
			if !strings.Contains(strings.Join(found.Warnings, "\n"), test.warns) {
				t.Errorf("warnings are %q", found.Warnings)
			}
		})
	}
}

// TestWhatTestsNeed has a file for tests and one for development.
func TestWhatTestsNeed(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		want  string
	}{
		"tests only":                  {[]string{"requirements-test.txt", "pytest\n"}, "requirements-test.txt: pytest"},
		"development only":            {[]string{"requirements-dev.txt", "pytest\nruff\n"}, "requirements-dev.txt: pytest ruff"},
		"development includes tests":  {[]string{"requirements-dev.txt", "-r requirements-test.txt\nruff\n", "requirements-test.txt", "pytest\n"}, "requirements-test.txt: pytest"},
		"development repeats tests":   {[]string{"requirements/dev.txt", "Pytest==9\nhttpx\n", "requirements/test.txt", "pytest\n"}, "requirements/test.txt: pytest"},
		"development lacks something": {[]string{"requirements-dev.txt", "ruff\nhttpx\n", "requirements-test.txt", "pytest\nhttpx\n"}, "requirements-dev.txt: httpx ruff"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := readFiles(t, Options{}, append(test.files, "main.py", fastapi, "requirements.txt", "fastapi\nuvicorn\n")...)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(found.Dev.Files, " ") + ": " + strings.Join(found.Dev.Names, " "); got != test.want {
				t.Errorf("the tests need %s, want %s", got, test.want)
			}
		})
	}
}
