//go:build e2e

package disruptive

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

const (
	manyFiles   = 100_000
	randomBytes = 300 << 20
)

// TestBrokenConnection breaks the connection to the cluster, and restarts the API
// server, while builds need them.
func TestBrokenConnection(t *testing.T) {
	ns := theApp(t)
	t.Run("while a log is followed", func(t *testing.T) {
		t.Parallel()
		followedLog(t, ns)
	})
	t.Run("while a context is sent", func(t *testing.T) {
		t.Parallel()
		sentContext(t, ns)
	})
}

// followedLog checks that every line of a log arrives once and in order.
func followedLog(t *testing.T, ns *app) {
	const name, lines = "talkative", 300
	dir := env.Project(t, name, map[string]string{
		"Dockerfile": fmt.Sprintf("FROM busybox:1.37\nRUN for i in $(seq %d); do echo line $i of it; sleep 0.1; done\n", lines),
	})
	way, kubeconfig := servers.NewLine(t, ns.Cluster)
	ctx, cancel := context.WithTimeout(t.Context(), env.CommandLimit)
	defer cancel()
	cmd := ns.Command(ctx, "kubectl", "pyflow", "build", "-n", ns.Name, "--no-deploy", dir)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	stderr := &env.Output{}
	cmd.Stdout, cmd.Stderr = &env.Output{}, stderr
	env.Check(t, cmd.Start())
	said := func(line int) {
		t.Helper()
		env.Eventually(t, fmt.Sprintf("wait for line %d", line), func(context.Context) error {
			if !strings.Contains(stderr.String(), fmt.Sprintf("line %d of it", line)) {
				return errors.New(stderr.String())
			}
			return nil
		})
	}
	for _, line := range []int{20, 60} {
		said(line)
		way.Cut()
	}
	said(100)
	if env.IsMachine() {
		ns.Machine(t).Run(t, "restart-apiserver").Succeeded(t)
	}
	r := env.Finish(t, cmd, cmd.Wait).Succeeded(t)
	printed := regexp.MustCompile(`\[build\] line (\d+) of it`).FindAllStringSubmatch(r.Stderr, -1)
	for i, line := range printed {
		if line[1] != strconv.Itoa(i+1) {
			t.Fatalf("line %s comes where %d should\n%s", line[1], i+1, r)
		}
	}
	if len(printed) != lines {
		t.Errorf("%d of %d lines were printed\n%s", len(printed), lines, r)
	}
}

// hugeProject has a hundred thousand small files, names and entries of every kind,
// and one large file that nothing compresses.
func hugeProject(t *testing.T, name string) string {
	t.Helper()
	dir := env.Project(t, name, map[string]string{
		"Dockerfile":    "FROM scratch\nCOPY main.py /\nCOPY odd /odd\n",
		"main.py":       "print(1)\n",
		".dockerignore": "*.log\n",
		".env":          "PASSWORD=not-really\n",
		"odd/new\nline": "1", "odd/bad\xffutf8": "2", "odd/ leading": "3", "odd/-rf": "4", "odd/*?[x]": "5", "odd/back\\slash": "6",
		"odd/" + strings.Repeat("n", 250): "7", "odd/山/é": "8",
		strings.Repeat("deep/", 100) + "file": "9",
	})
	env.Check(t, os.MkdirAll(filepath.Join(dir, "empty", "inner"), 0o755))
	for link, target := range map[string]string{"current": "main.py", "odd/up": "../main.py", "dangling": "nowhere", "loop": "loop", "directory": "odd"} {
		env.Check(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	for i := range manyFiles {
		sub := filepath.Join(dir, "many", fmt.Sprint(i/1000))
		if i%1000 == 0 {
			env.Check(t, os.MkdirAll(sub, 0o755))
		}
		env.Check(t, os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), []byte(fmt.Sprint(i)), 0o644))
	}
	large, err := os.Create(filepath.Join(dir, "large.bin"))
	env.Check(t, err)
	_, err = io.CopyN(large, rand.Reader, randomBytes)
	env.Check(t, errors.Join(err, large.Close()))
	return dir
}

// sentContext uploads a context that is large in every way. The upload resumes, and
// does not send again what has arrived.
func sentContext(t *testing.T, ns *app) {
	dir := hugeProject(t, "big")
	var way *servers.Line
	half := make(chan struct{})
	way, kubeconfig := servers.NewLine(t, ns.Cluster,
		servers.Mark{At: randomBytes / 5, Do: func() { way.Cut() }},
		servers.Mark{At: randomBytes * 2 / 5, Do: func() { way.Cut() }},
		servers.Mark{At: randomBytes / 2, Do: func() { close(half) }},
	)

	ctx, cancel := context.WithTimeout(t.Context(), env.CommandLimit)
	defer cancel()
	cmd := ns.Command(ctx, "kubectl", "pyflow", "build", dir, "-n", ns.Name, "--no-deploy")
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = &env.Output{}, &env.Output{}
	env.Check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	outcome := func() env.Result { return env.Finish(t, cmd, func() error { return <-ended }) }
	select {
	case <-half:
		// A restart of the server closes the connections, and takes longer.
		if env.IsMachine() {
			ns.Machine(t).Run(t, "restart-apiserver").Succeeded(t)
		}
	case err := <-ended:
		ended <- err
		t.Fatalf("it ended before half of the context was sent\n%s", outcome())
	}
	r := outcome().Succeeded(t)
	if !env.DigestPattern.MatchString(r.Stdout) {
		t.Errorf("stdout should have a digest\n%s", r)
	}
	// A new upload after any of the breaks would send at least half of it again.
	if up := way.Up.Load(); up > randomBytes*13/10 {
		t.Errorf("%d bytes were sent for a context of %d\n%s", up, randomBytes, r)
	}
	if !strings.Contains(r.Stderr, ".env looks like a secret") || !strings.Contains(r.Stderr, "large.bin has 300 MiB") {
		t.Errorf("stderr should warn of .env and large.bin\n%s", r)
	}
}
