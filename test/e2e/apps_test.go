//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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

// get returns what an address answers.
func get(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	env.Check(t, err)
	response, err := (&http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	env.Check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	env.Check(t, err)
	return string(body)
}

// TestOpen opens an app at its URL, and one without an outside address through a port-forward
// that survives its pods.
func TestOpen(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	_, url := ns.Build(t, counting(t, "reached", "from the node port", ""), "--open").Released(t)
	ns.Start(t, nil, "open", "--no-browser").Prints(t, url+"\n")
	ns.Build(t, counting(t, "hidden", "from the pod", `expose = "ClusterIP"`)).Succeeded(t)
	ns.Pyflow(t, "apps").Succeeded(t).Prints(t, "kubectl pyflow open hidden", url)
	ns.Pyflow(t, "open", "--no-browser").Failed(t, "runs 2 apps", "hidden, reached")
	ns.Pyflow(t, "open", "hidde").Failed(t, `"hidde"`, "hint: ", "hidden")

	open := ns.Start(t, nil, "open", "hidden", "--no-browser")
	open.Prints(t, "http://127.0.0.1:")
	local := strings.TrimSpace(open.Stdout.String())
	if got := get(t, local); got != "from the pod" {
		t.Errorf("the port-forward answers %q", got)
	}
	kubectl(t, ns, "delete", "pod", "-l", "pyflow.dev/app=hidden,app.kubernetes.io/name=hidden").Succeeded(t)
	if got := get(t, local); got != "from the pod" {
		t.Errorf("after its pod was replaced the port-forward answers %q", got)
	}
	env.Check(t, open.Cmd.Process.Signal(syscall.SIGINT))
	r := open.Ends(t)
	if r.Code != 130 || strings.Count(r.Stderr, "forwarding to pod hidden-") != 2 {
		t.Errorf("it should say which two pods it used\n%s", r)
	}
	// A name that the cluster does not know answers from nowhere.
	kubectl(t, ns, "create", "ingress", "hidden", "--rule=hidden.invalid/*=hidden:80").Succeeded(t)
	kubectl(t, ns, "label", "ingress", "hidden", "pyflow.dev/app=hidden").Succeeded(t)
	r = ns.Build(t, counting(t, "hidden", "again", `expose = "ClusterIP"`)).Succeeded(t)
	r.Prints(t, "url    http://hidden.invalid (does not answer from here: kubectl pyflow open hidden --namespace "+ns.Name+")")
}

// TestScale changes the replicas of an app, restarts them, and leaves them to an autoscaler.
func TestScale(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	ns.Build(t, counting(t, "scaled", "one", "")).Released(t)
	r := ns.Pyflow(t, "scale", "scaled", "3").Succeeded(t)
	if r.Stdout != "deployment/scaled scaled from 1 to 3 replicas\n" {
		t.Errorf("it should say what it did\n%s", r)
	}
	r.Says(t, "3 of 3 replicas ready", "Builds keep this number")
	ns.Pyflow(t, "apps").Succeeded(t).Prints(t, "3/3")
	before := kubectl(t, ns, "get", "pods", "-l", "app.kubernetes.io/name=scaled", "-o", "name").Succeeded(t).Stdout
	ns.Pyflow(t, "restart", "scaled").Succeeded(t).Prints(t, "deployment/scaled restarted").Says(t, "3 of 3 replicas ready")
	after := kubectl(t, ns, "get", "pods", "-l", "app.kubernetes.io/name=scaled", "--field-selector=status.phase=Running", "-o", "name").Succeeded(t).Stdout
	for pod := range strings.Lines(after) {
		if strings.Contains(before, pod) && !strings.Contains(kubectl(t, ns, "get", strings.TrimSpace(pod), "--ignore-not-found", "-o", "jsonpath={.metadata.deletionTimestamp}").Stdout, "T") {
			if kubectl(t, ns, "get", strings.TrimSpace(pod), "--ignore-not-found", "-o", "name").Stdout != "" {
				t.Errorf("pod %s was not replaced", pod)
			}
		}
	}
	ns.Pyflow(t, "scale", "scaled/scaled", "0", "--no-wait").Succeeded(t)
	ns.Pyflow(t, "apps").Succeeded(t).Prints(t, "0/0", "Stopped")
	kubectl(t, ns, "autoscale", "deployment/scaled", "--min=2", "--max=4").Succeeded(t)
	ns.Pyflow(t, "scale", "scaled", "3").Hints(t, "edit hpa scaled", "HorizontalPodAutoscaler scaled sets the replicas of deployment/scaled: from 2 to 4")
	ns.Pyflow(t, "scale", "scaled", "many").FailedWith(t, 2, `"many" is not a number of replicas`)
	ns.Pyflow(t, "restart", "scale").Failed(t, `"scale"`, "hint: ", "scaled")

	// A developer has the permissions, and a viewer learns which one is missing.
	kubectl(t, ns, "create", "rolebinding", "developer", "--clusterrole=pyflow-developer", "--user=developer").Succeeded(t)
	kubectl(t, ns, "create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer").Succeeded(t)
	kubectl(t, ns, "delete", "hpa", "scaled").Succeeded(t)
	ns.Pyflow(t, "scale", "scaled", "1", "--as", "developer", "--as-group", "system:authenticated").Succeeded(t)
	ns.Pyflow(t, "restart", "scaled", "--as", "developer", "--as-group", "system:authenticated").Succeeded(t)
	ns.Pyflow(t, "restart", "scaled", "--as", "viewer", "--as-group", "system:authenticated").Failed(t, "missing permissions: patch deployments.apps in namespace "+ns.Name)
}

// TestDelete deletes one of two apps, and leaves everything else.
func TestDelete(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	ns.Build(t, counting(t, "kept", "one", "")).Released(t)
	ns.Build(t, counting(t, "doomed", "one", "")).Released(t)
	kubectl(t, ns, "create", "configmap", "foreign").Succeeded(t)
	kubectl(t, ns, "label", "configmap", "foreign", "pyflow.dev/app=doomed").Succeeded(t)
	dry := ns.Pyflow(t, "delete", "doomed", "--dry-run").Succeeded(t)
	dry.Prints(t, "deployments.apps/doomed deleted (dry run)", "services/doomed", "pipelineruns.tekton.dev/doomed-", "of images, build contexts and cached layers")
	if strings.Contains(dry.Stdout, "foreign") || strings.Contains(dry.Stdout, "kept") {
		t.Errorf("it would delete what is not of the app\n%s", dry)
	}
	ns.Pyflow(t, "delete", "doomed").Hints(t, "--yes", "no terminal", "deployments.apps/doomed")
	ns.Pyflow(t, "delete", "doome", "--yes").Failed(t, `"doome"`, "hint: ", "doomed, kept")

	dir := env.Project(t, "doomed", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN sleep 900\n"})
	ns.Detached(t, dir)
	ns.Pyflow(t, "delete", "doomed", "--yes").Hints(t, "kubectl pyflow cancel doomed", "app doomed is being built")
	ns.Pyflow(t, "delete", "doomed", "--yes", "--force").Succeeded(t).Prints(t, "deployments.apps/doomed deleted")
	ns.Pyflow(t, "delete", "doomed", "--yes").Failed(t, `no app "doomed" runs`, "hint: ", "kept")
	if left := ns.ImageList(t); len(left.Items) != 1 {
		t.Errorf("the images of the other app should be left, and no others: %+v", left.Items)
	}
	for _, kind := range []string{"pipelineruns", "secrets", "services", "deployments"} {
		if r := kubectl(t, ns, "get", kind, "-o", "name").Succeeded(t); strings.Contains(r.Stdout, "doomed") {
			t.Errorf("%s of the app are left\n%s", kind, r)
		}
	}
	kubectl(t, ns, "get", "configmap", "foreign").Succeeded(t)
	ns.Pyflow(t, "apps").Succeeded(t).Prints(t, "kept", "1/1")

	// A viewer learns what is left and why, and the next call of a developer finishes it.
	for _, user := range []string{"viewer --clusterrole=view", "developer --clusterrole=pyflow-developer"} {
		name, role, _ := strings.Cut(user, " ")
		kubectl(t, ns, "create", "rolebinding", name, role, "--user="+name).Succeeded(t)
	}
	as := func(user string) env.Result {
		return ns.Pyflow(t, "delete", "kept", "--yes", "--keep-images", "--as", user, "--as-group", "system:authenticated")
	}
	as("viewer").Failed(t, "not deleted completely", "deployments.apps/kept", "delete deployments.apps in namespace "+ns.Name)
	as("developer").Succeeded(t).Prints(t, "deployments.apps/kept deleted")
	if r := ns.Pyflow(t, "images", "kept").Succeeded(t); !strings.Contains(r.Stdout, "kept") {
		t.Errorf("--keep-images should keep the image\n%s", r)
	}
}

// TestShell runs commands in the pod of an app, and beside one whose image has no shell.
func TestShell(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	ns.Build(t, counting(t, "shelled", "one", "")).Released(t)
	if r := ns.Pyflow(t, "shell", "shelled", "--", "cat", "/app/index.html").Succeeded(t); r.Stdout != "one" {
		t.Errorf("it should be the file of the app\n%s", r)
	}
	if r := ns.Pyflow(t, "shell", "shelled", "--", "sh", "-c", "echo oh >&2; exit 7"); r.Code != 7 || r.Stderr != "oh\n" {
		t.Errorf("the exit code and standard error should be those of the command\n%s", r)
	}
	piped := ns.Run(t, strings.NewReader("echo in $HOSTNAME\nexit 3\n"), "kubectl", "pyflow", "shell", "shelled", "-n", ns.Name)
	if piped.Code != 3 || !strings.HasPrefix(piped.Stdout, "in shelled-") {
		t.Errorf("the shell should read from a pipe\n%s", piped)
	}

	// An image without a shell: the web server of busybox alone.
	ns.Build(t, env.Project(t, "bare", map[string]string{
		"Dockerfile": "FROM " + env.SmallBase + " AS tools\nRUN cp /bin/busybox /httpd\nFROM scratch\nCOPY --from=tools /httpd /httpd\nCOPY index.html /app/\nEXPOSE 8000\nCMD [\"/httpd\", \"-f\", \"-p\", \"8000\", \"-h\", \"/app\"]\n",
		"index.html": "bare",
	})).Released(t)
	debug := ns.Run(t, strings.NewReader("id -u\ncat /proc/1/cmdline\n"), "kubectl", "pyflow", "shell", "bare", "-n", ns.Name).Succeeded(t)
	debug.Says(t, "Adding a debug container").Prints(t, "1000\n", "/httpd")
	kubectl(t, ns, "create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer").Succeeded(t)
	ns.Pyflow(t, "shell", "shelled", "--as", "viewer", "--as-group", "system:authenticated", "--", "true").Failed(t, "missing permissions: create pods/exec in namespace "+ns.Name)
}
