//go:build e2e

package console

import (
	"net"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// TestBuildRepository builds a repository from the page. A mistake in the form is shown
// beside it, and nothing starts.
func TestBuildRepository(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	repository := serveRepository(t, ns, env.Page(t, "shop", "from git", ""))
	tb := open(t, serve(t, ns), "/runs")
	tb.press(t, "Build a repository")
	tb.fill(t, "Repository", "https://user:password@git.example.com/shop.git")
	tb.press(t, "Build a repository")
	tb.shows(t, "put them into a Secret")
	if runs := ns.RunList(t); len(runs) != 0 {
		t.Errorf("a run started: %+v", runs)
	}
	tb.fill(t, "Repository", repository)
	tb.fill(t, "Branch, tag or commit", "main")
	tb.shows(t, "kubectl pyflow build --namespace="+ns.Name+" --git="+repository+" --revision=main --detach")
	tb.press(t, "Build a repository")
	tb.until(t, `location.pathname.startsWith("/runs/`+ns.Name+`/shop-")`)
	tb.shows(t, "Succeeded", repository+" at main", "Roll out")
	tb.press(t, "shop")
	tb.shows(t, "Healthy", "1 of 1 ready")
}

// serveRepository serves a directory as the branch main of a repository, and returns the URL
// for pods.
func serveRepository(t *testing.T, ns *env.NS, dir string) string {
	t.Helper()
	root := t.TempDir()
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "--all"},
		{"-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "commit", "--quiet", "--message=first"},
		{"clone", "--quiet", "--bare", dir, filepath.Join(root, "shop.git")},
	} {
		git(t, dir, args...)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(ns.AddressForPods(t), "0"))
	env.Check(t, err)
	backend := &cgi.Handler{
		Path: filepath.Join(git(t, dir, "--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=" + os.DevNull},
	}
	servers.Serve(t, listener, backend.ServeHTTP)
	return "http://" + listener.Addr().String() + "/shop.git"
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir, command.Env = dir, append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
