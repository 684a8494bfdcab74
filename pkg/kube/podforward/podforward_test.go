package podforward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward/podforwardtest"
)

// listen runs a server on a TCP port and returns its address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				serve(connection)
			}()
		}
	}()
	return listener.Addr().String()
}

func echo(connection net.Conn) { _, _ = io.Copy(connection, connection) }

func newTestDialer(t *testing.T, s *podforwardtest.Server) DialFunc {
	t.Helper()
	cfg := s.Config()
	client, err := kubernetes.NewForConfig(cfg)
	must(t, err)
	dial, err := Dialer(cfg, client, podforwardtest.Namespace, podforwardtest.PodName, 5000)
	must(t, err)
	return dial
}

func mustDial(t *testing.T, dial DialFunc) net.Conn {
	t.Helper()
	connection, err := dial(t.Context(), "tcp", "anything:443")
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// wantEcho sends text and reads it back.
func wantEcho(t *testing.T, connection net.Conn, text string) {
	t.Helper()
	_, err := connection.Write([]byte(text))
	must(t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(connection, got)
	must(t, err)
	if string(got) != text {
		t.Errorf("echo of %q is %q", text, got)
	}
}

func TestDialer(t *testing.T) {
	for _, kind := range []string{"websocket", "spdy"} {
		t.Run(kind, func(t *testing.T) {
			s := podforwardtest.NewServer(t, listen(t, echo))
			s.NoWebSocket = kind == "spdy"
			dial := newTestDialer(t, s)
			first, second := mustDial(t, dial), mustDial(t, dial)
			wantEcho(t, first, "first")
			wantEcho(t, second, "second")
			if got := first.RemoteAddr().String(); got != "registry-0:5000" {
				t.Errorf("remote address is %s", got)
			}

			// Much at once, both ways, past what any buffer holds.
			large := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
			go func() { _, _ = first.Write(large) }()
			got := make([]byte, len(large))
			_, err := io.ReadFull(first, got)
			must(t, err)
			if !bytes.Equal(got, large) {
				t.Error("the echo of 4 MiB differs")
			}
			if opened := s.Opened(); len(opened) != 1 || opened[0] != kind+" registry-0" {
				t.Errorf("port-forwards opened: %q, want one by %s", opened, kind)
			}
		})
	}
}

func TestDialerConcurrently(t *testing.T) {
	s := podforwardtest.NewServer(t, listen(t, echo))
	dial := newTestDialer(t, s)
	keep := mustDial(t, dial)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			connection, err := dial(t.Context(), "", "")
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = connection.Close() }()
			wantEcho(t, connection, strings.Repeat(fmt.Sprint(i), 1000))
		})
	}
	group.Wait()
	wantEcho(t, keep, "still there")
	if opened := s.Opened(); len(opened) != 1 {
		t.Errorf("port-forwards opened: %q", opened)
	}
}

func TestDialerClosesWithTheLastConnection(t *testing.T) {
	s := podforwardtest.NewServer(t, listen(t, echo))
	dial := newTestDialer(t, s)
	connection := mustDial(t, dial)
	wantEcho(t, connection, "x")
	closed := s.Oldest().CloseChan()
	must(t, connection.Close())
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the port-forward is still open")
	}
	wantEcho(t, mustDial(t, dial), "y")
	if opened := s.Opened(); len(opened) != 2 {
		t.Errorf("port-forwards opened: %q", opened)
	}
}

func TestDialerEndOfData(t *testing.T) {
	s := podforwardtest.NewServer(t, listen(t, func(connection net.Conn) { _, _ = connection.Write([]byte("goodbye")) }))
	connection := mustDial(t, newTestDialer(t, s))
	got, err := io.ReadAll(connection)
	if err != nil || string(got) != "goodbye" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestDialerNothingListens(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	for name, reset := range map[string]bool{"closed": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			s := podforwardtest.NewServer(t, closed.Addr().String())
			s.Reset = reset
			dial := newTestDialer(t, s)
			connection := mustDial(t, dial)
			_, err := connection.Read(make([]byte, 1))
			if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "port-forward to pod registry-0:5000: ") {
				t.Errorf("error is %v", err)
			}
			// A reset may overtake the message.
			if !reset && !strings.HasSuffix(err.Error(), "connection refused") {
				t.Errorf("error is %v", err)
			}

			// The pod was replaced: the next dial finds the new one.
			s.Change(func() {
				s.Pod, s.Target, s.Reset = podforwardtest.ReadyPod(), listen(t, echo), false
			})
			wantEcho(t, mustDial(t, dial), "hello")
			if opened := strings.Join(s.Opened(), ","); opened != "websocket registry-0,websocket registry-0" {
				t.Errorf("port-forwards opened: %q", opened)
			}
		})
	}
}

func TestDialerLosesItsConnection(t *testing.T) {
	s := podforwardtest.NewServer(t, listen(t, echo))
	dial := newTestDialer(t, s)
	connection := mustDial(t, dial)
	wantEcho(t, connection, "x")
	s.Disconnect()
	if _, err := connection.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "lost connection to the pod") {
		t.Errorf("error is %v", err)
	}
	wantEcho(t, mustDial(t, dial), "y")
	if opened := strings.Join(s.Opened(), ","); opened != "websocket registry-0,websocket registry-0" {
		t.Errorf("port-forwards opened: %q", opened)
	}
}

func TestDialerErrors(t *testing.T) {
	now := metav1.Now()
	leaving := podforwardtest.ReadyPod()
	leaving.DeletionTimestamp = &now
	pulling := podforwardtest.ReadyPod()
	pulling.Status = corev1.PodStatus{
		Phase: corev1.PodPending,
		ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"},
		}}},
	}
	unschedulable := podforwardtest.ReadyPod()
	unschedulable.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes"},
	}}
	starting := podforwardtest.ReadyPod()
	starting.Status.Conditions[0].Status = corev1.ConditionFalse
	tests := map[string]struct {
		pod  *corev1.Pod
		want error
		says string
	}{
		"none":          {want: ErrNoPod, says: "port-forward to pod " + podforwardtest.PodName + " in " + podforwardtest.Namespace},
		"leaving":       {pod: leaving, want: ErrNotReady, says: "pod registry-0 is Terminating"},
		"pulling":       {pod: pulling, want: ErrNotReady, says: "ImagePullBackOff: no such image"},
		"unschedulable": {pod: unschedulable, want: ErrNotReady, says: "Unschedulable: 0/1 nodes"},
		"starting":      {pod: starting, want: ErrNotReady, says: "is Running"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := podforwardtest.NewServer(t, "")
			s.Pod = test.pod
			_, err := newTestDialer(t, s)(t.Context(), "", "")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
		})
	}
	t.Run("forbidden", func(t *testing.T) {
		s := podforwardtest.NewServer(t, "")
		s.Forbidden = true
		_, err := newTestDialer(t, s)(t.Context(), "", "")
		var status apierrors.APIStatus
		if !errors.As(err, &status) || status.Status().Reason != metav1.StatusReasonForbidden || !strings.Contains(err.Error(), "no create") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("not a port", func(t *testing.T) {
		for _, port := range []int{0, -1, 65536} {
			if _, err := Dialer(&rest.Config{}, nil, podforwardtest.Namespace, podforwardtest.PodName, port); err == nil {
				t.Errorf("%d is a port", port)
			}
		}
	})
}

func TestDialerIsCanceled(t *testing.T) {
	s := podforwardtest.NewServer(t, listen(t, echo))
	s.Hang = make(chan struct{})
	dial := newTestDialer(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	results := make(chan error, 2)
	for range 2 { // one dials, one waits for it
		go func() {
			_, err := dial(ctx, "", "")
			results <- err
		}()
	}
	for range 2 {
		if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	}
	close(s.Hang)
	s.Change(func() { s.Hang = nil })
	wantEcho(t, mustDial(t, dial), "later")
}

func TestConnDeadlinesAndClose(t *testing.T) {
	silent := listen(t, func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) })
	s := podforwardtest.NewServer(t, silent)
	dial := newTestDialer(t, s)

	connection := mustDial(t, dial)
	must(t, connection.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error is %v, want %v", err, os.ErrDeadlineExceeded)
	}
	must(t, connection.SetDeadline(time.Time{}))
	_, err := connection.Write([]byte("after a deadline"))
	must(t, err)

	done := make(chan error, 1)
	go func() {
		_, err := connection.Read(make([]byte, 1))
		done <- err
	}()
	must(t, connection.Close())
	if err := <-done; err == nil {
		t.Error("read after close")
	}
	if _, err := connection.Write([]byte("x")); err == nil {
		t.Error("write after close")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
