package registry

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
	// lastWords is how long the end of the data waits for the reason, which
	// comes on another stream.
	lastWords = time.Second
	// lingering is how long the other side has to end a connection that was
	// closed here, before it is reset.
	lingering = 2 * time.Second
	// errorLimit bounds what is kept of an error message.
	errorLimit = 8 << 10
)

// conn is one connection through a tunnel. A stream of the tunnel has no
// deadlines and can not be closed while it is written to, so the streams are
// copied from and to one end of a pipe, and conn is the other end.
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
			// The pod may be gone: the next connection looks for another. This
			// one has ended, whether or not its data says so.
			t.retire()
			time.AfterFunc(lastWords, func() { _ = dataStream.Reset() })
		}
		refused <- err
	}()

	received := make(chan struct{})
	go func() {
		defer close(received)
		n, err := io.Copy(there, dataStream)
		if errors.Is(err, io.ErrClosedPipe) {
			// Closed here; what still comes is for nobody.
			_, _ = io.Copy(io.Discard, dataStream)
			return
		}
		c.end(t, refused, n)
		_ = there.Close()
	}()
	go func() {
		_, _ = io.Copy(dataStream, there)
		_ = dataStream.Close()
		timer := time.NewTimer(lingering)
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

// end finds out why the data ended, after n bytes of it.
func (c *conn) end(t *tunnel, refused <-chan error, n int64) {
	expired := make(chan struct{})
	timer := time.AfterFunc(lastWords, func() { close(expired) })
	defer timer.Stop()
	var err error
	select {
	case err = <-refused:
	case <-expired:
	}
	if err == nil {
		// A tunnel that broke ends its streams before it says that it broke. The
		// price is that a connection which the pod ended in good order tells so
		// that much later, which only one without a length to its answer feels.
		select {
		case <-t.connection.CloseChan():
			err = errors.New("lost connection to the pod")
		case <-expired:
		}
	}
	switch {
	case err != nil:
	case n == 0:
		// The message that tells why can get lost when its stream is reset.
		err = errors.New("the connection was closed without an answer")
	default:
		return
	}
	t.retire()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("port-forward to pod %s: %w", c.pod, err)
}

// reason returns why the other side ended the connection, or err if it just did.
func (c *conn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}

// Read reads what the pod sent. At the end it returns io.EOF, or the error of
// the port-forward if there was one.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = c.reason(io.EOF)
	}
	return n, err
}

// Write sends to the pod. It returns when the data was handed to the tunnel.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = c.reason(err)
	}
	return n, err
}

// LocalAddr says that there is no local port.
func (c *conn) LocalAddr() net.Addr { return addr("in-process") }

// RemoteAddr is the pod's name and the port.
func (c *conn) RemoteAddr() net.Addr { return c.pod }

type addr string

func (a addr) Network() string { return "port-forward" }
func (a addr) String() string  { return string(a) }
