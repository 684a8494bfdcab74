//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

const (
	manyFiles   = 100_000
	randomBytes = 300 << 20
)

// line is the network between the plugin and the API server: it counts what goes
// up, and can break.
type line struct {
	listener net.Listener
	server   string
	up       atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	// marks are what to do, once each, when so many bytes have gone up.
	marks []mark
	// frozen says that nobody answers any more.
	frozen bool
}

type mark struct {
	at int64
	do func()
}

// newLine returns a line to the cluster and a kubeconfig that leads through it.
func (j *journey) newLine(t *testing.T, marks ...mark) (*line, string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(j.kubeconfig)
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	l := &line{listener: listener, conns: map[net.Conn]bool{}, marks: marks}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(cluster.Server)
	check(t, err)
	l.server = server.Host
	if server.Port() == "" {
		l.server = net.JoinHostPort(server.Hostname(), "443")
	}
	if cluster.TLSServerName == "" {
		cluster.TLSServerName = server.Hostname()
	}
	server.Host = listener.Addr().String()
	cluster.Server = server.String()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	check(t, clientcmd.WriteToFile(*config, file))

	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { l.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
		serving.Wait()
	})
	return l, file
}

func (l *line) serve(client net.Conn) {
	defer client.Close()
	l.mu.Lock()
	frozen := l.frozen
	l.mu.Unlock()
	if frozen {
		l.keep(client)
		defer l.drop(client)
		_, _ = io.Copy(io.Discard, client)
		return
	}
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		// As when nothing listens.
		return
	}
	defer server.Close()
	l.keep(client, server)
	defer l.drop(client, server)
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(io.MultiWriter(server, l), client)
}

func (l *line) keep(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		l.conns[conn] = true
	}
}

func (l *line) drop(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		delete(l.conns, conn)
	}
}

// Write counts.
func (l *line) Write(p []byte) (int, error) {
	up := l.up.Add(int64(len(p)))
	var due []mark
	l.mu.Lock()
	for len(l.marks) > 0 && up >= l.marks[0].at {
		due, l.marks = append(due, l.marks[0]), l.marks[1:]
	}
	l.mu.Unlock()
	for _, mark := range due {
		mark.do()
	}
	return len(p), nil
}

// cut breaks every connection.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// freeze breaks every connection, and leaves new ones without an answer.
func (l *line) freeze() {
	l.mu.Lock()
	l.frozen = true
	l.mu.Unlock()
	l.cut()
}

// hugeProject has a hundred thousand small files, names and entries of every kind,
// and one large file that nothing compresses.
func hugeProject(t *testing.T, name string) string {
	t.Helper()
	dir := project(t, name, map[string]string{
		"Dockerfile":    "FROM scratch\nCOPY main.py /\nCOPY odd /odd\n",
		"main.py":       "print(1)\n",
		".dockerignore": "*.log\n",
		".env":          "PASSWORD=not-really\n",
		"odd/new\nline": "1", "odd/bad\xffutf8": "2", "odd/ leading": "3", "odd/-rf": "4", "odd/*?[x]": "5", "odd/back\\slash": "6",
		"odd/" + strings.Repeat("n", 250): "7", "odd/山/é": "8",
		strings.Repeat("deep/", 100) + "file": "9",
	})
	check(t, os.MkdirAll(filepath.Join(dir, "empty", "inner"), 0o755))
	for link, target := range map[string]string{"current": "main.py", "odd/up": "../main.py", "dangling": "nowhere", "loop": "loop", "directory": "odd"} {
		check(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	for i := range manyFiles {
		sub := filepath.Join(dir, "many", fmt.Sprint(i/1000))
		if i%1000 == 0 {
			check(t, os.MkdirAll(sub, 0o755))
		}
		check(t, os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), []byte(fmt.Sprint(i)), 0o644))
	}
	large, err := os.Create(filepath.Join(dir, "large.bin"))
	check(t, err)
	_, err = io.CopyN(large, rand.Reader, randomBytes)
	check(t, errors.Join(err, large.Close()))
	return dir
}

// bigContext builds a context that is large in every way: the upload goes on, and
// what is there is not sent again.
func (j *journey) bigContext(t *testing.T) {
	t.Parallel()
	t.Run("refused", j.refusedContext)

	dir := hugeProject(t, "big")
	var way *line
	half := make(chan struct{})
	way, kubeconfig := j.newLine(t,
		mark{randomBytes / 5, func() { way.cut() }},
		mark{randomBytes * 2 / 5, func() { way.cut() }},
		mark{randomBytes / 2, func() { close(half) }},
	)

	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := j.command(ctx, "kubectl", "pyflow", "build", dir, "-n", j.namespace, "--no-deploy")
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = &output{}, &output{}
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	outcome := func() result { return finish(t, cmd, func() error { return <-ended }) }
	select {
	case <-half:
		// A server that starts again takes the connections with it, and longer.
		if os.Getenv("PYFLOW_CLUSTER_TOOL") != "" {
			j.machine(t).run(t, "restart-apiserver").succeeded(t)
		}
	case err := <-ended:
		ended <- err
		t.Fatalf("it ended before half of the context was sent\n%s", outcome())
	}
	r := outcome().succeeded(t)
	if !digestPattern.MatchString(r.stdout) {
		t.Errorf("stdout should have a digest\n%s", r)
	}
	// Beginning anew after any of the breaks would be half of it more at least.
	if up := way.up.Load(); up > randomBytes*13/10 {
		t.Errorf("%d bytes were sent for a context of %d\n%s", up, randomBytes, r)
	}
	if !strings.Contains(r.stderr, ".env looks like a secret") || !strings.Contains(r.stderr, "large.bin has 300 MiB") {
		t.Errorf("stderr should warn of .env and large.bin\n%s", r)
	}
}

// refusedContext has entries that no build can be given. All of them are named,
// and nothing is sent.
func (j *journey) refusedContext(t *testing.T) {
	dir := project(t, "refused", map[string]string{"Dockerfile": "FROM scratch\nCOPY main.py /\n", "main.py": "", "private/key": "x"})
	check(t, os.Symlink("/etc/passwd", filepath.Join(dir, "outside")))
	check(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	check(t, os.Chmod(filepath.Join(dir, "private", "key"), 0))
	runs := len(j.runs(t, j.namespace))

	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := j.command(ctx, "kubectl", "pyflow", "build", dir, "-n", j.namespace, "--no-deploy")
	if os.Geteuid() == 0 {
		// Root reads everything, unless it may not.
		setpriv, err := exec.LookPath("setpriv")
		check(t, err)
		const all = "-dac_override,-dac_read_search"
		cmd.Args = append([]string{setpriv, "--inh-caps=" + all, "--bounding-set=" + all, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = setpriv
	}
	r := finish(t, cmd, cmd.Run).failed(t, "3 entries of the build context can not be packed",
		"outside: symbolic link points outside of the build context: /etc/passwd",
		"pipe: not a regular file", "private/key: permission denied", "hint: ")
	if after := len(j.runs(t, j.namespace)); after != runs {
		t.Errorf("%d runs were created\n%s", after-runs, r)
	}
}
