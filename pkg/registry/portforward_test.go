package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

const (
	namespace = "pyflow-system"
	podName   = "registry-0"
)

// apiServer is as much of an API server as a port-forward needs: the list of
// pods, and the upgrade with the kubelet's part behind it.
type apiServer struct {
	server *httptest.Server

	mu          sync.Mutex
	pod         *corev1.Pod
	target      string // where the pod's port is
	noWebSocket bool
	forbidden   bool
	hang        chan struct{}
	reset       bool // end a refused connection as roughly as a kubelet does
	upgrades    []string
	connections []httpstream.Connection
}

func newAPIServer(t *testing.T, target string) *apiServer {
	t.Helper()
	s := &apiServer{pod: readyPod(), target: target}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/"+namespace+"/pods/"+podName, func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if s.pod == nil {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(apierrors.NewNotFound(corev1.Resource("pods"), podName).Status())
			return
		}
		s.pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		_ = json.NewEncoder(w).Encode(s.pod)
	})
	mux.HandleFunc("/api/v1/namespaces/"+namespace+"/pods/{pod}/portforward", s.forward)
	s.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.disconnect()
		s.server.Close()
	})
	return s
}

func readyPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

func (s *apiServer) forward(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hang, forbidden, noWebSocket := s.hang, s.forbidden, s.noWebSocket
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if forbidden {
		verb := "create"
		if r.Method == http.MethodGet {
			verb = "get"
		}
		status := apierrors.NewForbidden(corev1.Resource("pods/portforward"), r.PathValue("pod"), fmt.Errorf("no %s", verb)).Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(status)
		return
	}
	kind := "spdy"
	if r.Method == http.MethodGet {
		kind = "websocket"
	}
	if noWebSocket && kind == "websocket" {
		http.Error(w, "you must specify at least 1 port", http.StatusBadRequest)
		return
	}
	kubelet := &kubelet{api: s, waiting: map[string]httpstream.Stream{}}
	var connection httpstream.Connection
	if kind == "websocket" {
		upgrader := gorilla.Upgrader{Subprotocols: []string{constants.WebsocketsSPDYTunnelingPortForwardV1}}
		socket, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		if connection, err = spdy.NewServerConnection(portforward.NewTunnelingConnection("server", socket), kubelet.stream); err != nil {
			return
		}
	} else {
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
			return
		}
		if connection = spdy.NewResponseUpgrader().UpgradeResponse(w, r, kubelet.stream); connection == nil {
			return
		}
	}
	s.mu.Lock()
	s.upgrades = append(s.upgrades, kind+" "+r.PathValue("pod"))
	s.connections = append(s.connections, connection)
	s.mu.Unlock()
	<-connection.CloseChan()
}

// disconnect ends the port-forwards that are open.
func (s *apiServer) disconnect() {
	s.mu.Lock()
	connections := s.connections
	s.connections = nil
	s.mu.Unlock()
	for _, connection := range connections {
		_ = connection.Close()
	}
}

func (s *apiServer) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *apiServer) opened() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.upgrades...)
}

// kubelet pairs the streams of one port-forward and connects them to the target.
type kubelet struct {
	api     *apiServer
	mu      sync.Mutex
	waiting map[string]httpstream.Stream
}

func (k *kubelet) stream(stream httpstream.Stream, replySent <-chan struct{}) error {
	headers := stream.Headers()
	if headers.Get(corev1.PortHeader) != "5000" {
		return fmt.Errorf("port is %q", headers.Get(corev1.PortHeader))
	}
	id := headers.Get(corev1.PortForwardRequestIDHeader)
	k.mu.Lock()
	defer k.mu.Unlock()
	other := k.waiting[id]
	if other == nil {
		k.waiting[id] = stream
		return nil
	}
	delete(k.waiting, id)
	data, refusals := stream, other
	if data.Headers().Get(corev1.StreamType) != corev1.StreamTypeData {
		data, refusals = refusals, data
	}
	go func() {
		<-replySent
		k.connect(data, refusals)
	}()
	return nil
}

func (k *kubelet) connect(data, refusals httpstream.Stream) {
	k.api.mu.Lock()
	target, reset := k.api.target, k.api.reset
	k.api.mu.Unlock()
	defer func() { _ = data.Close() }()
	defer func() { _ = refusals.Close() }()
	backend, err := net.Dial("tcp", target)
	if err != nil {
		fmt.Fprintf(refusals, "error forwarding port 5000 to pod: connection refused")
		if reset {
			_ = data.Reset()
			_ = refusals.Reset()
		}
		return
	}
	defer func() { _ = backend.Close() }()
	go func() {
		_, _ = io.Copy(backend, data)
		_ = backend.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(data, backend)
}

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

func newTestDialer(t *testing.T, s *apiServer) DialFunc {
	t.Helper()
	cfg := &rest.Config{Host: s.server.URL}
	client, err := kubernetes.NewForConfig(cfg)
	must(t, err)
	dial, err := Dialer(cfg, client, namespace, podName, 5000)
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
			s := newAPIServer(t, listen(t, echo))
			s.noWebSocket = kind == "spdy"
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
			if opened := s.opened(); len(opened) != 1 || opened[0] != kind+" registry-0" {
				t.Errorf("port-forwards opened: %q, want one by %s", opened, kind)
			}
		})
	}
}

func TestDialerConcurrently(t *testing.T) {
	s := newAPIServer(t, listen(t, echo))
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
	if opened := s.opened(); len(opened) != 1 {
		t.Errorf("port-forwards opened: %q", opened)
	}
}

func TestDialerClosesWithTheLastConnection(t *testing.T) {
	s := newAPIServer(t, listen(t, echo))
	dial := newTestDialer(t, s)
	connection := mustDial(t, dial)
	wantEcho(t, connection, "x")
	s.mu.Lock()
	forward := s.connections[0]
	s.mu.Unlock()
	must(t, connection.Close())
	select {
	case <-forward.CloseChan():
	case <-time.After(20 * time.Second):
		t.Fatal("the port-forward is still open")
	}
	wantEcho(t, mustDial(t, dial), "y")
	if opened := s.opened(); len(opened) != 2 {
		t.Errorf("port-forwards opened: %q", opened)
	}
}

func TestDialerEndOfData(t *testing.T) {
	s := newAPIServer(t, listen(t, func(connection net.Conn) { _, _ = connection.Write([]byte("goodbye")) }))
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
			s := newAPIServer(t, closed.Addr().String())
			s.reset = reset
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
			s.change(func() {
				s.pod, s.target, s.reset = readyPod(), listen(t, echo), false
			})
			wantEcho(t, mustDial(t, dial), "hello")
			if opened := strings.Join(s.opened(), ","); opened != "websocket registry-0,websocket registry-0" {
				t.Errorf("port-forwards opened: %q", opened)
			}
		})
	}
}

func TestDialerLosesItsConnection(t *testing.T) {
	s := newAPIServer(t, listen(t, echo))
	dial := newTestDialer(t, s)
	connection := mustDial(t, dial)
	wantEcho(t, connection, "x")
	s.disconnect()
	if _, err := connection.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "lost connection to the pod") {
		t.Errorf("error is %v", err)
	}
	wantEcho(t, mustDial(t, dial), "y")
	if opened := strings.Join(s.opened(), ","); opened != "websocket registry-0,websocket registry-0" {
		t.Errorf("port-forwards opened: %q", opened)
	}
}

func TestDialerErrors(t *testing.T) {
	now := metav1.Now()
	leaving := readyPod()
	leaving.DeletionTimestamp = &now
	pulling := readyPod()
	pulling.Status = corev1.PodStatus{
		Phase: corev1.PodPending,
		ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"},
		}}},
	}
	unschedulable := readyPod()
	unschedulable.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes"},
	}}
	starting := readyPod()
	starting.Status.Conditions[0].Status = corev1.ConditionFalse
	tests := map[string]struct {
		pod  *corev1.Pod
		want error
		says string
	}{
		"none":          {want: ErrNoPod, says: "port-forward to pod " + podName + " in " + namespace},
		"leaving":       {pod: leaving, want: ErrNotReady, says: "pod registry-0 is Terminating"},
		"pulling":       {pod: pulling, want: ErrNotReady, says: "ImagePullBackOff: no such image"},
		"unschedulable": {pod: unschedulable, want: ErrNotReady, says: "Unschedulable: 0/1 nodes"},
		"starting":      {pod: starting, want: ErrNotReady, says: "is Running"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t, "")
			s.pod = test.pod
			_, err := newTestDialer(t, s)(t.Context(), "", "")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
		})
	}
	t.Run("forbidden", func(t *testing.T) {
		s := newAPIServer(t, "")
		s.forbidden = true
		_, err := newTestDialer(t, s)(t.Context(), "", "")
		var status apierrors.APIStatus
		if !errors.As(err, &status) || status.Status().Reason != metav1.StatusReasonForbidden || !strings.Contains(err.Error(), "no create") {
			t.Errorf("error is %v", err)
		}
		if transient(err) {
			t.Error("it would be tried again")
		}
	})
	t.Run("not a port", func(t *testing.T) {
		for _, port := range []int{0, -1, 65536} {
			if _, err := Dialer(&rest.Config{}, nil, namespace, podName, port); err == nil {
				t.Errorf("%d is a port", port)
			}
		}
	})
}

func TestDialerIsCanceled(t *testing.T) {
	s := newAPIServer(t, listen(t, echo))
	s.hang = make(chan struct{})
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
	close(s.hang)
	s.change(func() { s.hang = nil })
	wantEcho(t, mustDial(t, dial), "later")
}

func TestConnDeadlinesAndClose(t *testing.T) {
	silent := listen(t, func(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) })
	s := newAPIServer(t, silent)
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

// The whole way: the client over the dialer to a registry over TLS.
func TestPushSourceThroughPortForward(t *testing.T) {
	for _, kind := range []string{"websocket", "spdy"} {
		t.Run(kind, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			s := newAPIServer(t, tr.address)
			s.noWebSocket = kind == "spdy"
			client := newTestClient(t, tr, func(o *Options) { o.Dial = newTestDialer(t, s) })
			must(t, client.Ping(t.Context()))
			layer := newLayer(t, 8<<20)
			ref, err := client.PushSource(t.Context(), source, layer, nil, nil)
			must(t, err)
			if opened := s.opened(); len(opened) != 1 {
				t.Errorf("port-forwards opened: %q", opened)
			}
			wantArtifact(t, client, ref.Reference, layer, nil)
		})
	}
	t.Run("breaks once", func(t *testing.T) {
		tr := newTestRegistry(t, host, soon())
		s := newAPIServer(t, tr.address)
		client := newTestClient(t, tr, func(o *Options) { o.Dial = newTestDialer(t, s) })
		broken := false
		ref, err := client.PushSource(t.Context(), source, newLayer(t, 8<<20), nil, func(complete, _ int64) {
			if complete > 1<<20 && !broken {
				broken = true
				go s.disconnect()
			}
		})
		must(t, err)
		if !ref.Uploaded || !broken || len(s.opened()) < 2 {
			t.Errorf("pushed %+v over %q", ref, s.opened())
		}
	})
}
