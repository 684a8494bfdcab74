//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// counting is a project that serves text and writes a numbered line ten times a second. Further
// settings follow its table.
func counting(t *testing.T, name, text, settings string) string {
	t.Helper()
	return env.Project(t, name, map[string]string{
		"Dockerfile": "FROM " + env.SmallBase + "\nCOPY index.html /app/\nWORKDIR /app\nEXPOSE 8000\n" +
			`CMD ["sh", "-c", "trap exit TERM; httpd -f -p 8000 & n=0; while true; do echo line $n; n=$((n+1)); sleep 0.1; done"]` + "\n",
		"index.html":     text,
		"pyproject.toml": "[tool.kubectl-pyflow]\n" + settings + "\n",
	})
}

// kubectl runs kubectl in a namespace.
func kubectl(t *testing.T, ns *env.NS, args ...string) env.Result {
	t.Helper()
	return ns.Run(t, nil, "kubectl", append([]string{"-n", ns.Name}, args...)...)
}

// TestApps lists an app in every format, and after a release that cannot run with its reason.
func TestApps(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	if r := ns.Pyflow(t, "apps").Succeeded(t); r.Stdout != "" {
		t.Errorf("an empty namespace has no app\n%s", r)
	}
	digest, _ := ns.Build(t, counting(t, "listed", "one", "replicas = 2")).Released(t)
	ns.Pyflow(t, "apps").Succeeded(t).Prints(t, "NAME", "listed", "2/2", "Healthy", digest[:19])
	ns.Pyflow(t, "apps", "-A", "-o", "wide").Succeeded(t).Prints(t, "NAMESPACE", ns.Name, digest, "deployment.apps/listed")
	if r := ns.Pyflow(t, "apps", "-o", "name").Succeeded(t); r.Stdout != "listed\n" {
		t.Errorf("-o name should print the name\n%s", r)
	}
	if r := ns.Pyflow(t, "apps", "--no-headers", "-l", "pyflow.dev/app=other").Succeeded(t); r.Stdout != "" {
		t.Errorf("the selector selects no app\n%s", r)
	}
	list := &status.AppList{}
	r := ns.Pyflow(t, "apps", "-o", "json").Succeeded(t)
	if err := json.Unmarshal([]byte(r.Stdout), list); err != nil || list.Kind != status.AppListKind || len(list.Items) != 1 || list.Items[0].Digest != digest {
		t.Fatalf("the list is no JSON of the app: %v\n%s", err, r)
	}

	watching := ns.Start(t, nil, "apps", "-w", "--no-headers")
	watching.Prints(t, "listed")
	kubectl(t, ns, "set", "image", "deployment/listed", "*=127.0.0.1:1/none@"+digest).Succeeded(t)
	watching.Prints(t, "Unhealthy (")
	env.Check(t, watching.Cmd.Process.Signal(syscall.SIGINT))
	if r := watching.Ends(t); r.Code != 130 {
		t.Errorf("the exit code should have been 130\n%s", r)
	}
}

var numbered = regexp.MustCompile(`^\[(\S+)\] line (\d+)$`)

// gapless wants the numbered lines of every replica, each once and in order, and returns how
// many replicas wrote them.
func gapless(t *testing.T, log string) int {
	t.Helper()
	next := map[string]int{}
	for line := range strings.Lines(log) {
		match := numbered.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			t.Fatalf("this line is not one of a replica: %q", line)
		}
		n, err := strconv.Atoi(match[2])
		env.Check(t, err)
		if want, known := next[match[1]]; known && n != want {
			t.Fatalf("replica %s: line %d comes where line %d should", match[1], n, want)
		}
		next[match[1]] = n + 1
	}
	return len(next)
}

// TestAppLog reads the log of two replicas, and follows it over a rollout.
func TestAppLog(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	ns.Build(t, counting(t, "talking", "one", "replicas = 2")).Released(t)
	run := ns.RunList(t, "talking")[0].Name
	if r := ns.Pyflow(t, "logs", "talking").Succeeded(t); gapless(t, r.Stdout) != 2 {
		t.Errorf("it should have the lines of two replicas\n%s", r)
	}
	if r := ns.Pyflow(t, "logs", "--tail", "3").Succeeded(t); strings.Count(r.Stdout, "\n") != 6 {
		t.Errorf("it should have three lines of each replica of the only app\n%s", r)
	}
	if r := ns.Pyflow(t, "logs", "talking/talking", "--since", "1s", "--timestamps").Succeeded(t); !strings.HasPrefix(r.Stdout, "20") || strings.Contains(r.Stdout, "] line 0\n") {
		t.Errorf("it should have the lines of the last second with their time\n%s", r)
	}
	ns.Pyflow(t, "logs", "talking", "--previous").Succeeded(t).Says(t, "no container of app talking has restarted")
	ns.Pyflow(t, "logs", "talkin").Failed(t, `"talkin"`, "hint: ", "talking")
	ns.Pyflow(t, "logs", "talking", "--build").Succeeded(t).Prints(t, "[build] ")
	ns.Pyflow(t, "logs", run).Succeeded(t).Prints(t, "[build] ")

	following := ns.Start(t, nil, "logs", "talking", "-f", "--tail", "5")
	following.Prints(t, "] line ")
	kubectl(t, ns, "rollout", "restart", "deployment/talking").Succeeded(t)
	kubectl(t, ns, "rollout", "status", "deployment/talking").Succeeded(t)
	env.Eventually(t, "wait for the lines of the new replicas", func(context.Context) error {
		if n := strings.Count(following.Stdout.String(), "] line 20\n"); n < 2 {
			return fmt.Errorf("%d of them came so far", n)
		}
		return nil
	})
	env.Check(t, following.Cmd.Process.Signal(syscall.SIGINT))
	r := following.Ends(t)
	if replicas := gapless(t, r.Stdout); r.Code != 130 || replicas != 4 {
		t.Errorf("it should have the lines of two old and two new replicas, not of %d\n%s", replicas, r)
	}
	if strings.Count(r.Stdout, "] line 0\n") != 2 {
		t.Error("the new replicas should start with their first line")
	}
}
