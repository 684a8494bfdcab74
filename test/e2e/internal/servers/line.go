//go:build e2e

package servers

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// Line is the network between the plugin and the API server: it counts what goes
// up, and can break.
type Line struct {
	listener net.Listener
	server   string
	// Up counts the bytes that went up.
	Up atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
	// marks are what to do, once each, when so many bytes have gone up.
	marks []Mark
	// frozen reports that nothing answers, and stopped that nothing listens.
	frozen, stopped bool
	// gate is locked while nothing passes.
	gate sync.RWMutex
}

// Mark is what to do when so many bytes have gone up.
type Mark struct {
	At int64
	Do func()
}

// NewLine returns a line to the cluster and a kubeconfig that leads through it.
func NewLine(t *testing.T, c *env.Cluster, marks ...Mark) (*Line, string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	env.Check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	env.Check(t, err)
	l := &Line{listener: listener, conns: map[net.Conn]bool{}, marks: marks}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	server, err := url.Parse(cluster.Server)
	env.Check(t, err)
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
	env.Check(t, clientcmd.WriteToFile(*config, file))

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
		l.Cut()
		serving.Wait()
	})
	return l, file
}

func (l *Line) serve(client net.Conn) {
	defer client.Close()
	l.mu.Lock()
	frozen, stopped := l.frozen, l.stopped
	l.mu.Unlock()
	if stopped {
		return
	}
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
		_, _ = io.Copy(gated{client, &l.gate}, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(gated{io.MultiWriter(server, l), &l.gate}, client)
}

// gated passes on what is written while its gate is open.
type gated struct {
	io.Writer
	gate *sync.RWMutex
}

func (g gated) Write(p []byte) (int, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Writer.Write(p)
}

func (l *Line) keep(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		l.conns[conn] = true
	}
}

func (l *Line) drop(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		delete(l.conns, conn)
	}
}

// Write counts the bytes.
func (l *Line) Write(p []byte) (int, error) {
	up := l.Up.Add(int64(len(p)))
	var due []Mark
	l.mu.Lock()
	for len(l.marks) > 0 && up >= l.marks[0].At {
		due, l.marks = append(due, l.marks[0]), l.marks[1:]
	}
	l.mu.Unlock()
	for _, mark := range due {
		mark.Do()
	}
	return len(p), nil
}

// Cut breaks every connection.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// Pause lets nothing pass and breaks no connection, as when the API server hangs, until resume is
// called.
func (l *Line) Pause() (resume func()) {
	l.gate.Lock()
	return l.gate.Unlock
}

// Freeze breaks every connection, and leaves new ones without an answer.
func (l *Line) Freeze() {
	l.mu.Lock()
	l.frozen = true
	l.mu.Unlock()
	l.Cut()
}

// Stop breaks every connection, and new ones at once, as when the API server is down.
func (l *Line) Stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.Cut()
}

// Resume ends Freeze and Stop. Connections that had no answer break.
func (l *Line) Resume() {
	l.mu.Lock()
	l.frozen, l.stopped = false, false
	l.mu.Unlock()
	l.Cut()
}
