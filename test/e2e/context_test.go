//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestFileDates changes a file and keeps its size. Whoever has the old one gets the new one,
// although the ETag is made of the file's date and size.
func TestFileDates(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "dates", "color: #ffffff", "")
	_, url := ns.Build(t, dir).Released(t)
	env.Serves(t, url, "#ffffff")
	status, body, etag := conditional(t, url, "")
	if status != http.StatusOK || etag == "" {
		t.Fatalf("GET %s: %d %q, ETag %q", url, status, body, etag)
	}
	if status, _, _ := conditional(t, url, etag); status != http.StatusNotModified {
		t.Errorf("an unchanged file is answered with %d", status)
	}
	env.Check(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("color: #000000"), 0o600))
	_, url = ns.Build(t, dir).Released(t)
	env.Serves(t, url, "#000000")
	env.Eventually(t, "wait for the changed file", func(context.Context) error {
		if status, body, now := conditional(t, url, etag); status != http.StatusOK || body != "color: #000000" {
			return fmt.Errorf("If-None-Match %s is answered with %d %q, ETag %s", etag, status, body, now)
		}
		return nil
	})
}

// conditional requests a page that the caller has already with an ETag.
func conditional(t *testing.T, url, etag string) (status int, body, now string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	env.Check(t, err)
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	response, err := http.DefaultClient.Do(request)
	env.Check(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	env.Check(t, err)
	return response.StatusCode, string(content), response.Header.Get("ETag")
}

// TestUser wants the pods to run as the image's user, or as the one of the settings: a name by its
// number, for an image that is built and for one that exists.
func TestUser(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "named", map[string]string{
		"Dockerfile": "FROM " + env.SmallBase + "\n" +
			"RUN printf 'app:x:10077:10078::/home/app:/bin/sh\\nweb:x:10088:10089::/home/app:/bin/sh\\n' >>/etc/passwd && mkdir -p -m 777 /home/app\n" +
			"WORKDIR /home/app\nUSER app\nEXPOSE 8000\n" +
			`CMD ["sh", "-c", "id -u >index.html && id -g >>index.html; trap exit TERM; httpd -f -p 8000 & wait"]` + "\n",
	})
	_, url := ns.Build(t, dir).Released(t)
	env.Serves(t, url, "10077\n10078\n")
	again := ns.Build(t, dir, "--env", "MODE=other")
	again.Says(t, "deploying it again")
	_, url = again.Released(t)
	env.Serves(t, url, "10077\n10078\n")

	env.Check(t, os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte("[tool.kubectl-pyflow]\nuser = \"web\"\n"), 0o600))
	named := ns.Build(t, dir)
	named.Says(t, "The pods run as web (pyproject.toml")
	_, url = named.Released(t)
	env.Serves(t, url, "10088\n10089\n")
	ns.Build(t, dir, "--user", "nowhere").Failed(t, `the user of the pods is "nowhere", and /etc/passwd of the image has no "nowhere"`)
	env.Serves(t, url, "10088\n10089\n")
}

// TestWorkspace builds a member of a workspace of uv: what it needs of the others travels, and
// nothing else. The Dockerfile that init keeps is the one that was built.
func TestWorkspace(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	root := env.Project(t, "sky", env.Tree(t, "ready-uv-workspace"))
	dir := filepath.Join(root, "apps", "moons")
	ns.Pyflow(t, "build", root).FailedWith(t, 1, "holds 3 projects, and one of them has an app", "kubectl pyflow build "+dir, "packages/orbits, packages/rings")
	r := ns.Build(t, dir, "--user", "10099")
	_, url := r.Released(t)
	r.Says(t, root+", of which apps/moons, packages/orbits, pyproject.toml, uv.lock travel",
		"context: ../../packages/orbits, the dependency orbits (../../uv.lock)", "The pods run as 10099 (--user)")
	env.Serves(t, url+"/healthz", "The Moon: 27.3 days")
	ns.Pyflow(t, "init", dir).Succeeded(t)
	kept := ns.Pyflow(t, "build", dir, "--show-dockerfile").Succeeded(t)
	if run := ns.RunsOf(t, "moons")[0]; run.Annotations["pyflow.dev/dockerfile"] != kept.Stdout {
		t.Errorf("what init keeps is not what was built\n%s", kept)
	}
	ns.Pyflow(t, "lint", dir).Succeeded(t)
}

// TestOddContext builds what docker builds: a Containerfile, with a pipe, links that lead
// nowhere and a virtual environment beside it. Each that is left out is named.
func TestOddContext(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "odd", map[string]string{
		"Containerfile":   "FROM " + env.SmallBase + "\nCOPY . /app/\nRUN test -L /app/outside && test -L /app/dangling && test ! -e /app/pipe && test ! -e /app/.venv && test ! -e /app/ignored\n",
		"Dockerfile.prod": "FROM scratch\n", ".containerignore": "ignored\n", "ignored": "", ".venv/pyvenv.cfg": "home = /usr/bin\n",
	})
	env.Check(t, os.Symlink("/etc/passwd", filepath.Join(dir, "outside")))
	env.Check(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	env.Check(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	ns.Build(t, dir, "--no-deploy").Succeeded(t).Says(t, "not used: Dockerfile.prod; name it with --file", "left out: pipe is a named pipe",
		"left out: .venv is a virtual environment", "outside is a link out of the build context, to /etc/passwd")
}
