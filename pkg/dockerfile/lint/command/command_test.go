package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// texts returns words, separated by commas.
func texts(words []shell.Word) string {
	var all []string
	for _, word := range words {
		all = append(all, word.Text)
	}
	return strings.Join(all, ",")
}

func TestParseInstall(t *testing.T) {
	for line, want := range map[string]string{
		"pip install a b==1":                              "pip install a,b==1 -r= -i=",
		"/opt/venv/bin/pip3.13 --quiet install a":         "pip install a -r= -i=",
		"python -I -m pip install -r r.txt --index-url=x": "pip install  -r=r.txt -i=x",
		"python3 -W ignore -Im pip install -rr.txt -Ui x": "pip install  -r=r.txt -i=x",
		"uv --no-cache pip install --system a":            "uv pip install a -r= -i=",
		"uv sync --frozen":                                "uv sync  -r= -i=",
		"poetry install --only main":                      "poetry install  -r= -i=",
		"pipenv sync":                                     "pipenv sync  -r= -i=",
		"pip":                                             "none",
		"pip uninstall a":                                 "none",
		"python -m http.server":                           "none",
		"python pip install":                              "none",
		"echo pip install":                                "none",
		"npm install":                                     "none",
	} {
		got := "none"
		if found, ok := ParseInstall(shell.Parse(line)[0]); ok {
			got = fmt.Sprintf("%s %s %s -r=%s -i=%s", found.Tool, found.Verb, texts(found.Arguments), texts(found.Requirements()), texts(found.Values("-i", "--index-url")))
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func TestSets(t *testing.T) {
	found, _ := ParseInstall(shell.Parse("A=1 B= pip install a")[0])
	for name, want := range map[string][2]bool{"A": {true, true}, "B": {false, true}, "C": {false, false}} {
		if value, set := found.Sets(name); value != want[0] || set != want[1] {
			t.Errorf("%s: got %t, %t, want %v", name, value, set, want)
		}
	}
}

func TestParseServer(t *testing.T) {
	for line, want := range map[string]string{
		"uvicorn a:b --port 80":                       "uvicorn uvicorn a:b,--port,80",
		"python -m uvicorn a:b":                       "uvicorn uvicorn a:b",
		"python -m flask.cli run":                     "flask flask.cli run",
		"python -u manage.py runserver":               "django manage.py runserver",
		"tini -- gunicorn a:b":                        "gunicorn gunicorn a:b",
		"uv run fastapi run":                          "fastapi fastapi run",
		"conda run -n x hypercorn a":                  "hypercorn hypercorn a",
		"./wait-for-it.sh db:5432 -- granian a":       "granian granian a",
		"gosu app daphne a":                           "daphne daphne a",
		"python main.py":                              "none",
		"celery worker":                               "none",
		"echo uvicorn":                                "none",
		"opentelemetry-instrument /venv/bin/gunicorn": "gunicorn /venv/bin/gunicorn ",
	} {
		got := "none"
		if found, ok := ParseServer(shell.Parse(line)[0]); ok {
			got = found.Kind + " " + found.Program.Text + " " + texts(found.Arguments)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func TestServerOption(t *testing.T) {
	server, _ := ParseServer(shell.Parse("gunicorn -w4 --bind=x --threads 8 a:b --preload")[0])
	for name, want := range map[string]string{"-w": "4", "--bind": "x", "--threads": "8", "--preload": "", "--none": "-"} {
		value, _, ok := server.Option(name)
		if !ok {
			value = "-"
		}
		if value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
}

func TestHasUnknown(t *testing.T) {
	for line, want := range map[string]bool{
		"uvicorn a:b --port $PORT": false, "uvicorn a:b $OPTIONS": true, "uvicorn $APP": true, "uvicorn a:b --reload $X": true, "uvicorn a:b": false,
	} {
		server, _ := ParseServer(shell.Parse(line)[0])
		if server.HasUnknown() != want {
			t.Errorf("%q: got %t", line, !want)
		}
	}
}
