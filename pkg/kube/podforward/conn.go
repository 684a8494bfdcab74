package podforward

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/streaming/pkg/httpstream"
)

const (
	// reasonTimeout is how long the end of the data waits for the reason, which
	// arrives on another stream.
	reasonTimeout = time.Second
	// lingerTimeout is how long the other side has to end a connection that was
	// closed here, before it is reset.
	lingerTimeout = 2 * time.Second
	// errorLimit bounds an error message.
	errorLimit = 8 << 10
)

// conn is one connection through a tunnel. A stream of the tunnel has no deadlines
// and cannot be closed during a write, so the streams are copied from and to one
// end of a pipe, and conn is the other end.
type conn struct {
	net.Conn
	pod addr

	mu  sync.Mutex
	err error
}

var _ net.Conn = (*conn)(nil)

func newConn(t *tunnel, errorStream, dataStream httpstream.Stream, port int) *conn {
	here, there := net.Pipe()
	c := &conn{Conn: here, pod: addr(net.JoinHostPort(t.pod, strconv.Itoa(port)))}
	refused := make(chan error, 1)
	go func() {
		message, err := io.ReadAll(io.LimitReader(errorStream, errorLimit))
		if text := strings.TrimSpace(string(message)); text != "" {
			err = errors.New(text)
			// The pod may be gone: the next connection looks it up again. This
			// one has ended, even if its data stream has not.
			t.retire()
			time.AfterFunc(reasonTimeout, func() { _ = dataStream.Reset() })
		}
		refused <- err
	}()

	received := make(chan struct{})
	go func() {
		defer close(received)
		n, err := io.Copy(there, dataStream)
		if errors.Is(err, io.ErrClosedPipe) {
			// Closed here; discard the rest.
			_, _ = io.Copy(io.Discard, dataStream)
			return
		}
		c.end(t, refused, n)
		_ = there.Close()
	}()
	go func() {
		_, _ = io.Copy(dataStream, there)
		_ = dataStream.Close()
		timer := time.NewTimer(lingerTimeout)
		defer timer.Stop()
		select {
		case <-received:
		case <-timer.C:
		}
		_ = there.Close()
		t.remove(dataStream, errorStream)
		t.release()
	}()
	return c
}

// end records why the data ended after n bytes.
func (c *conn) end(t *tunnel, refused <-chan error, n int64) {
	expired := make(chan struct{})
	timer := time.AfterFunc(reasonTimeout, func() { close(expired) })
	defer timer.Stop()
	var err error
	select {
	case err = <-refused:
	case <-expired:
	}
	if err == nil {
		// A broken tunnel ends its streams before it reports that it broke. So a
		// connection that the pod closed properly ends this much later, which
		// matters only for answers without a length.
		select {
		case <-t.connection.CloseChan():
			err = errors.New("lost connection to the pod")
		case <-expired:
		}
	}
	switch {
	case err != nil:
	case n == 0:
		// The message with the reason can get lost when its stream is reset.
		err = errors.New("the connection was closed without an answer")
	default:
		return
	}
	t.retire()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("port-forward to pod %s: %w", c.pod, err)
}

// reason returns why the other side ended the connection, or err if it gave none.
func (c *conn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}

// Read reads what the pod sent. At the end it returns io.EOF or the error of the
// port-forward.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = c.reason(io.EOF)
	}
	return n, err
}

// Write sends to the pod. It returns when the tunnel has taken the data.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = c.reason(err)
	}
	return n, err
}

// LocalAddr returns a placeholder: there is no local port.
func (c *conn) LocalAddr() net.Addr { return addr("in-process") }

// RemoteAddr returns the pod's name and the port.
func (c *conn) RemoteAddr() net.Addr { return c.pod }

type addr string

func (a addr) Network() string { return "port-forward" }
func (a addr) String() string  { return string(a) }
