// Package podforwardtest has a fake API server for tests of port-forwards.
package podforwardtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	gorilla "github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// The pod that the server serves.
const (
	Namespace = "pyflow-system"
	PodName   = "registry-0"
)

// Server is a fake API server that serves one pod and its port-forward. Set its
// fields before the first request, or with Change.
type Server struct {
	// Pod is the pod it serves; nil answers 404.
	Pod *corev1.Pod
	// Target is the address behind the pod's port.
	Target string
	// NoWebSocket refuses port-forwards over a WebSocket.
	NoWebSocket bool
	// Forbidden denies every port-forward.
	Forbidden bool
	// Hang, unless nil, delays port-forwards until it is closed.
	Hang chan struct{}
	// Reset ends a refused connection abruptly, as a kubelet does.
	Reset bool

	server      *httptest.Server
	mu          sync.Mutex
	upgrades    []string
	connections []httpstream.Connection
}

// NewServer starts a server with a ready pod that forwards to target.
func NewServer(t *testing.T, target string) *Server {
	t.Helper()
	s := &Server{Pod: ReadyPod(), Target: target}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/"+Namespace+"/pods/"+PodName, func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if s.Pod == nil {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(apierrors.NewNotFound(corev1.Resource("pods"), PodName).Status())
			return
		}
		s.Pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		_ = json.NewEncoder(w).Encode(s.Pod)
	})
	mux.HandleFunc("/api/v1/namespaces/"+Namespace+"/pods/{pod}/portforward", s.forward)
	s.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Disconnect()
		s.server.Close()
	})
	return s
}

// ReadyPod returns a pod that accepts port-forwards.
func ReadyPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: PodName},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

func (s *Server) forward(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hang, forbidden, noWebSocket := s.Hang, s.Forbidden, s.NoWebSocket
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

// Disconnect ends the open port-forwards.
func (s *Server) Disconnect() {
	s.mu.Lock()
	connections := s.connections
	s.connections = nil
	s.mu.Unlock()
	for _, connection := range connections {
		_ = connection.Close()
	}
}

// Change changes fields of the server while it serves.
func (s *Server) Change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Oldest returns the oldest port-forward that Disconnect has not ended.
func (s *Server) Oldest() httpstream.Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections[0]
}

// Opened lists the port-forwards that were opened, as "websocket POD" or "spdy POD".
func (s *Server) Opened() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.upgrades...)
}

// kubelet pairs the streams of one port-forward and connects them to the target.
type kubelet struct {
	api     *Server
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
	target, reset := k.api.Target, k.api.Reset
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

// Config returns a client configuration for the server.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: s.server.URL} }
