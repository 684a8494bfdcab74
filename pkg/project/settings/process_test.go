package settings_test

import (
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
)

// All mistakes in processes are reported at once, each at its place.
func TestProcessErrors(t *testing.T) {
	_, err := settings.Parse([]byte(`[tool.kubectl-pyflow]
entrypoint = "main:app"
resources.limits.cpu = "1"
[tool.kubectl-pyflow.processes]
web = { command = "gunicorn main:app", replicas = 2 }
Mail = "celery worker"
empty = ""
none = { replicas = 1 }
open = "a 'b"
number = 1
release = { command = "migrate", schedule = "@daily", timeout = "10" }
[tool.kubectl-pyflow.processes.report]
command = "report"
schedule = "0 25 * * *"
replicas = 3
timezone = "Berlin"
concurrency = "queue"
[tool.kubectl-pyflow.processes.worker]
comand = "a"
command = "a"
replicas = -1
timeout = "1m"
timezone = "Etc/UTC"
env = { "A B" = "hunter2" }
resources = { requests = { cpu = "2" } }
`))
	want := []string{
		`pyproject.toml:2:1: tool.kubectl-pyflow.entrypoint: the process web starts the web application, too: remove one of them`,
		`pyproject.toml:5:40: tool.kubectl-pyflow.processes.web.replicas: the web process has the setting of this name in [tool.kubectl-pyflow]: set it there`,
		`pyproject.toml:6:1: tool.kubectl-pyflow.processes.Mail: the name of a process has lower case letters, digits and hyphens, a letter first and no hyphen last`,
		`pyproject.toml:7:1: tool.kubectl-pyflow.processes.empty: it has no command`,
		`pyproject.toml:8:1: tool.kubectl-pyflow.processes.none: it has no command`,
		`pyproject.toml:9:1: tool.kubectl-pyflow.processes.open: a quote or a command is not closed`,
		`pyproject.toml:10:1: tool.kubectl-pyflow.processes.number: write the command as a string, or a table with the key command`,
		`pyproject.toml:11:34: tool.kubectl-pyflow.processes.release.schedule: the release process runs before each rollout`,
		`pyproject.toml:11:55: tool.kubectl-pyflow.processes.release.timeout: "10" is not a duration of whole seconds, such as 90s or 1h30m`,
		`pyproject.toml:14:1: tool.kubectl-pyflow.processes.report.schedule: "0 25 * * *" is not a schedule: write minute, hour, day of the month, month and day of the week, such as "30 4 * * *"`,
		`pyproject.toml:15:1: tool.kubectl-pyflow.processes.report.replicas: a process with a schedule runs once at a time`,
		`pyproject.toml:16:1: tool.kubectl-pyflow.processes.report.timezone: "Berlin" is not a time zone, such as Europe/Berlin or Etc/UTC`,
		`pyproject.toml:17:1: tool.kubectl-pyflow.processes.report.concurrency: "queue" is not one of Forbid, Allow and Replace`,
		`pyproject.toml:19:1: tool.kubectl-pyflow.processes.worker.comand: no such setting; did you mean command?`,
		`pyproject.toml:21:1: tool.kubectl-pyflow.processes.worker.replicas: -1 is negative`,
		`pyproject.toml:22:1: tool.kubectl-pyflow.processes.worker.timeout: a process that runs all the time has no timeout`,
		`pyproject.toml:23:1: tool.kubectl-pyflow.processes.worker.timezone: this key goes with schedule`,
		`pyproject.toml:24:9: tool.kubectl-pyflow.processes.worker.env."A B": this is not the name of a variable`,
		`pyproject.toml:25:28: tool.kubectl-pyflow.processes.worker.resources.requests.cpu: cpu is requested 2, more than its limit of 1`,
	}
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing: %s", want[i])
		case i >= len(want):
			t.Errorf("too much: %s", got[i])
		case !strings.HasPrefix(got[i], want[i]):
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("an error repeats the value of a variable")
	}
}
