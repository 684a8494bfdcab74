//go:build e2e

package console

import (
	"net"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
		{"init", "--quiet", "--initial-branch=main"}, {"add", "--all"},
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

// TestRegistry analyzes, compares and deletes images, and prunes the registry, and sees the
// registry do it.
func TestRegistry(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	for _, text := range []string{"one", "two", "three"} {
		ns.Build(t, env.Page(t, "shop", text, "RUN echo "+text+" > /"+text+"\n"), "--no-deploy").Succeeded(t)
	}
	list := ns.ImageList(t).Items
	if len(list) != 3 {
		t.Fatalf("got %+v", list)
	}
	slices.Reverse(list)
	u := serve(t, ns)
	tb := open(t, u, "/registry/"+ns.Name+"/shop/"+list[0].Digest)
	tb.press(t, "Analyze")
	tb.shows(t, "kubectl pyflow images inspect")
	tb.press(t, "Analyze")
	tb.shows(t, "Largest files", "bin/busybox")

	tb.visit(t, u.url("/registry/compare?a="+ns.Name+"/shop@"+list[0].Digest+"&b="+ns.Name+"/shop@"+list[1].Digest))
	tb.shows(t, "RUN echo one > /one", "RUN echo two > /two")

	tb.visit(t, u.url("/registry/"+ns.Name+"/shop/"+list[0].Digest))
	tb.press(t, "Delete")
	tb.shows(t, "kubectl pyflow images delete")
	tb.press(t, "Delete")
	tb.until(t, `!document.querySelector("dialog[open]")`)
	if left := ns.ImageList(t).Items; len(left) != 2 {
		t.Errorf("%d images are left", len(left))
	}

	tb.visit(t, u.url("/registry/prune"))
	tb.fill(t, "Newest images to keep, per app", "0")
	tb.shows(t, "Would be freed")
	tb.press(t, "Delete and free the space")
	tb.press(t, "Delete and free the space")
	tb.until(t, `!document.querySelector("dialog[open]")`)
	tb.accessible(t, "after a prune")
}
