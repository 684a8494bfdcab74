package project_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const (
	fastapi  = "from fastapi import FastAPI\n\napp = FastAPI()\n"
	settable = "[tool.kubectl-pyflow.processes]\n"
)

// Processes come from the settings, else from the Procfile, and each has its origin.
func TestProcesses(t *testing.T) {
	const dockerfile = "FROM python:3.13-slim\nUSER 1001\nCMD [\"a\"]\n"
	for name, test := range map[string]struct {
		files   map[string]string
		options project.Options
		want    []string
		line    string
		// cmd is in the Dockerfile.
		cmd      string
		warnings []string
	}{
		"none": {files: map[string]string{"main.py": fastapi}},
		"settings": {
			files: map[string]string{
				"main.py": fastapi, "Procfile": "other: a\n",
				"pyproject.toml": settable + "release = \"python migrate.py\"\nweb = \"uvicorn main:app --host 0.0.0.0 --port $PORT\"\nworker = {command = \"python work.py\", replicas = 3}\n" +
					"report = {command = \"python report.py > /tmp/log\", schedule = \"@daily\", timezone = \"Europe/Berlin\", timeout = \"1m\"}\n",
			},
			want: []string{
				`web web ["uvicorn" "main:app" "--host" "0.0.0.0" "--port" "$(PORT)"] x1 (settings: pyproject.toml:3)`,
				`report cron ["sh" "-c" "exec python report.py > /tmp/log"] x1 @daily Europe/Berlin 1m0s (settings: pyproject.toml:5)`,
				`worker worker ["python" "work.py"] x3 (settings: pyproject.toml:4)`,
				`release release ["python" "migrate.py"] x1 (settings: pyproject.toml:2)`,
			},
			line: "Processes (pyproject.toml): web, report (at @daily), worker, release (before the others)",
		},
		"no Procfile, by an empty table": {files: map[string]string{"main.py": fastapi, "Procfile": "worker: a\n", "pyproject.toml": settable}},
		"a Procfile": {
			files: map[string]string{"main.py": fastapi, "Procfile": "web: gunicorn main:app -b :$PORT\nSend_Mail: celery -A main worker\nrelease: ./migrate && echo $PORT\n"},
			want: []string{
				`web web ["gunicorn" "main:app" "-b" ":$(PORT)"] x1 (detected: Procfile:1)`,
				`send-mail worker ["celery" "-A" "main" "worker"] x1 (detected: Procfile:2)`,
				`release release ["sh" "-c" "./migrate && exec echo $$PORT"] x1 (detected: Procfile:3)`,
			},
			line: "Processes (Procfile): web, send-mail, release (before the others)",
		},
		"no web application": {
			files: map[string]string{"bot.py": "print()\n", ".python-version": "3.13\n", "Procfile": "bot: python bot.py\nrelease: python bot.py --register\n"},
			want:  []string{`bot worker ["python" "bot.py"] x1 (detected: Procfile:1)`, `release release ["python" "bot.py" "--register"] x1 (detected: Procfile:2)`},
			line:  "Processes (Procfile): bot, release (before the others)",
			cmd:   `CMD ["python", "bot.py"]`,
		},
		"another web application": {
			files: map[string]string{"app.py": "print()\n", ".python-version": "3.13\n", "pyproject.toml": settable + "web = \"streamlit run app.py --server.port $PORT --title '$'\"\n"},
			want:  []string{`web web ["streamlit" "run" "app.py" "--server.port" "$(PORT)" "--title" "$$"] x1 (settings: pyproject.toml:2)`},
			line:  "Processes (pyproject.toml): web",
			cmd:   `CMD ["streamlit", "run", "app.py", "--server.port", "8000", "--title", "$"]`,
		},
		"a Procfile beside a Dockerfile": {
			files: map[string]string{"Dockerfile": dockerfile, "Procfile": "web: gunicorn main:app\nworker: a\n"},
			want:  []string{`worker worker ["a"] x1 (detected: Procfile:2)`},
			line:  "Processes (Procfile): web, worker",
		},
		"a web process beside a Dockerfile": {
			files: map[string]string{"Dockerfile": dockerfile, "pyproject.toml": settable + "web = \"gunicorn main:app\"\n"},
			want:  []string{`web web ["gunicorn" "main:app"] x1 (settings: pyproject.toml:2)`},
			line:  "Processes (pyproject.toml): web",
		},
		"a Procfile whose app is not there": {
			files:    map[string]string{"main.py": fastapi, "Procfile": "web: gunicorn other:app\n"},
			warnings: []string{"Procfile:1 names the app other:app, which is passed over: there is no module other"},
		},
		"a Procfile whose server no pod reaches": {
			files:    map[string]string{"main.py": fastapi, "Procfile": "web: python -m uvicorn main:app\n"},
			warnings: []string{"Procfile:1: uvicorn listens on 127.0.0.1 by default, where no other pod reaches it: the command of the generated Dockerfile runs instead; name an address, such as 0.0.0.0"},
		},
		"a server of the settings that no pod reaches": {
			files:    map[string]string{"main.py": fastapi, "pyproject.toml": settable + "web = \"hypercorn main:app\"\n"},
			want:     []string{`web web ["hypercorn" "main:app"] x1 (settings: pyproject.toml:2)`},
			line:     "Processes (pyproject.toml): web",
			warnings: []string{"pyproject.toml:2: hypercorn listens on 127.0.0.1 by default, where no other pod reaches it: name an address, such as 0.0.0.0"},
		},
		"an entrypoint beside a Procfile": {
			files: map[string]string{"main.py": fastapi + "other = app\n", "Procfile": "web: gunicorn main:app\n", "pyproject.toml": "[tool.kubectl-pyflow]\nentrypoint = \"main:other\"\n"},
		},
		"manifests": {
			files: map[string]string{"Dockerfile": dockerfile, "deploy/kustomization.yaml": "", "Procfile": "web: a\nworker: b\n"},
		},
		"not deployed": {
			files: map[string]string{"main.py": fastapi, "Procfile": "worker: a\n"}, options: project.Options{NoDeploy: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, test.files)
			p, err := project.Resolve(dir, test.options)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if p.Deployment != nil {
				for _, one := range p.Deployment.Processes {
					process := one.Value
					text := fmt.Sprintf("%s %s %q x%d", process.Name, process.Kind(), process.Command, process.Replicas)
					if process.Schedule != "" {
						text += fmt.Sprintf(" %s %s %s", process.Schedule, process.TimeZone, process.Timeout)
					}
					got = append(got, fmt.Sprintf("%s (%s: %s)", text, one.Origin.Kind, one.Origin))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if line := p.Deployment.ProcessLine(); line != test.line {
				t.Errorf("got the line %q, want %q", line, test.line)
			}
			if text := string(p.Dockerfile.Value.Content); !strings.Contains(text, "\n"+test.cmd) {
				t.Errorf("no %s in\n%s", test.cmd, text)
			}
			if web := len(test.want) == 0 || name != "no web application"; p.Deployment != nil && p.Deployment.NoWeb == web {
				t.Errorf("NoWeb is %t", p.Deployment.NoWeb)
			}
			if name == "manifests" {
				test.warnings = []string{"Procfile:2: the process worker is not deployed: " + p.Manifests.Value + " has the manifests"}
			}
			for _, warning := range test.warnings {
				if !slices.Contains(p.Warnings(), warning) {
					t.Errorf("no %q in %q", warning, p.Warnings())
				}
			}
			if len(test.warnings) == 0 && strings.Contains(strings.Join(p.Warnings(), "\n"), "Procfile") {
				t.Errorf("warnings are %q", p.Warnings())
			}
		})
	}
}

// The command of the web process tells which app it starts, and where that listens.
func TestWebProcessIsAHint(t *testing.T) {
	p, err := project.Resolve(folder(t, map[string]string{
		"main.py": fastapi, "admin.py": fastapi, "Procfile": "web: uvicorn main:app\n",
		"pyproject.toml": settable + "web = \"uvicorn admin:app --host 0.0.0.0 --port 9000\"\n",
	}), project.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %s, %d %s", p.Entrypoint.Value, p.Entrypoint.Origin, p.Port.Value, p.Port.Origin); got != "admin:app pyproject.toml:2, 9000 pyproject.toml:2" {
		t.Errorf("got %s", got)
	}
}

func TestProcessErrors(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		options project.Options
		want    string
	}{
		"a name that is too long": {
			files: map[string]string{"pyproject.toml": settable + "worker-for-all-of-the-mail = \"a\"\n"}, options: project.Options{Name: strings.Repeat("a", 50)},
			want: "pyproject.toml:2: tool.kubectl-pyflow.processes.worker-for-all-of-the-mail: its object would be named " + strings.Repeat("a", 50) + "-worker-for-all-of-the-mail, which has 77 characters, and at most 63 are possible",
		},
		"a name of the Procfile": {
			files: map[string]string{"Procfile": "2nd: a\n"},
			want:  "Procfile:1: the process 2nd: the name of a process has lower case letters",
		},
		"two processes of one name": {
			files: map[string]string{"Procfile": "a_b: a\n# c\na-b: b\n"},
			want:  "Procfile:3: the process a-b is in Procfile:1, too: remove one of them",
		},
		"an open quote": {
			files: map[string]string{"Procfile": "worker: a 'b\n"},
			want:  "Procfile:1: the process worker: a quote or a command is not closed",
		},
		"no shell": {
			files: map[string]string{"pyproject.toml": settable + "worker = \"a && b\"\n"}, options: project.Options{Variant: generate.Distroless},
			want: "pyproject.toml:2: tool.kubectl-pyflow.processes.worker: only a shell can run this command, and the image has none",
		},
		"no shell in an own Dockerfile": {
			files: map[string]string{"Dockerfile": "FROM python:3.13 AS build\nFROM gcr.io/distroless/python3-debian13:nonroot\nCOPY --from=build /a /a\n", "Procfile": "worker: a $B\n"},
			want:  "Procfile:1: the process worker: only a shell can run this command",
		},
		"an entrypoint by flag": {
			files: map[string]string{"pyproject.toml": settable + "web = \"uvicorn main:app\"\n"}, options: project.Options{Entrypoint: "main:app"},
			want: "--entrypoint names the web application, and the process web of pyproject.toml:2 starts it: use one of them",
		},
		"resources against a flag": {
			files: map[string]string{"pyproject.toml": settable + "worker = {command = \"a\", resources.requests.cpu = \"2\"}\n"}, options: project.Options{Limits: resources("cpu", "1")},
			want: "pyproject.toml:2: tool.kubectl-pyflow.processes.worker: cpu is requested 2, more than its limit of 1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.files["main.py"], test.files[".python-version"] = fastapi, "3.13\n"
			_, err := project.Resolve(folder(t, test.files), test.options)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// What only a web process has is an error where there is none.
func TestNoWebProcess(t *testing.T) {
	replicas := int32(2)
	for name, test := range map[string]struct {
		settings string
		options  project.Options
		want     []string
	}{
		"without": {settings: "port = 9000\n"},
		"expose":  {options: project.Options{Expose: app.ExposeNone}},
		"flag":    {options: project.Options{Replicas: &replicas}, want: []string{"--replicas: this is for the web process, and the project has none: remove it, or add a process named web"}},
		"settings": {
			settings: "host = \"bot.example.com\"\nreplicas = 2\nprobes.liveness = \"/\"\n",
			want: []string{
				"pyproject.toml:3: tool.kubectl-pyflow.replicas: this is for", "pyproject.toml:2: tool.kubectl-pyflow.host: this is for",
				"pyproject.toml:4: tool.kubectl-pyflow.probes.liveness: this is for",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := project.Resolve(folder(t, map[string]string{
				"bot.py": "print()\n", ".python-version": "3.13\n", "Procfile": "bot: python bot.py\n", "pyproject.toml": "[tool.kubectl-pyflow]\n" + test.settings,
			}), test.options)
			if (err == nil) != (len(test.want) == 0) {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
}

// Settings have no effect on manifests of the user.
func TestProcessesOfManifests(t *testing.T) {
	_, err := project.Resolve(folder(t, map[string]string{"main.py": fastapi, "deploy/kustomization.yaml": "", "pyproject.toml": settable + "worker = \"a\"\n"}), project.Options{})
	if err == nil || !strings.Contains(err.Error(), "tool.kubectl-pyflow.processes has no effect on manifests of your own") {
		t.Errorf("got %v", err)
	}
}

// What the code seems to need is suggested until it is deployed or the user says what is.
func TestSuggestions(t *testing.T) {
	files := map[string]string{
		"main.py": fastapi, "requirements.txt": "fastapi\nuvicorn\ncelery\n", "jobs.py": "from celery import Celery\nqueue = Celery('jobs')\n",
	}
	const suggested = "Celery app jobs:queue (jobs.py:2): to deploy a process for it, add to [tool.kubectl-pyflow.processes] in pyproject.toml: worker = \"celery -A jobs:queue worker\"; without one, an empty table hides this"
	for name, test := range map[string]struct {
		file, content string
		options       project.Options
		want          []string
	}{
		"nothing":                  {"README.md", "", project.Options{}, []string{suggested}},
		"a Procfile":               {"Procfile", "worker: celery -A jobs worker\n", project.Options{}, nil},
		"a script of a Procfile":   {"Procfile", "worker: sleep 1 && celery -A jobs worker\n", project.Options{}, nil},
		"another Procfile":         {"Procfile", "worker: python work.py\n", project.Options{}, []string{suggested}},
		"an empty table":           {"pyproject.toml", settable, project.Options{}, nil},
		"nothing that is deployed": {"README.md", "", project.Options{NoDeploy: true}, nil},
	} {
		with := maps.Clone(files)
		with[test.file] = test.content
		p, err := project.Resolve(folder(t, with), test.options)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, project.Suggestions(p)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
