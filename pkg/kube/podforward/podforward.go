// Package podforward connects to a port of a pod from inside the process, through
// the API server.
package podforward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/kubectl/pkg/util/podutils"
	"k8s.io/streaming/pkg/httpstream"
)

var (
	// ErrNoPod reports that the pod does not exist.
	ErrNoPod = errors.New("there is no such pod")
	// ErrNotReady reports that the pod exists and is not ready.
	ErrNotReady = errors.New("the pod is not ready")
)

// DialFunc opens a connection, as the DialContext of an http.Transport does. The
// network and the address may be ignored.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer returns a DialFunc that connects to a port of a pod and ignores the
// address. It names the pod instead of selecting it, so the user needs permission
// for this pod only. It uses the API server's port-forward inside the process,
// without a local port: over a WebSocket or, if the server or a proxy refuses
// that, over SPDY.
//
// All connections share one port-forward. If it breaks, the next dial looks up the
// pod again. It closes with the last connection. A dial does not prove that
// something listens on the port: if nothing does, the first read fails.
//
// Errors wrap ErrNoPod, ErrNotReady, or the API server's answer as an
// apierrors.APIStatus. The client must be a real one: a fake has no URLs.
func Dialer(cfg *rest.Config, client kubernetes.Interface, namespace, pod string, port int) (DialFunc, error) {
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("port-forward: %d is not a port", port)
	}
	// Check the configuration here, so that a dial fails only because of the cluster.
	if _, err := rest.HTTPClientFor(cfg); err != nil {
		return nil, fmt.Errorf("port-forward: %w", err)
	}
	f := &forwarder{
		cfg:       rest.CopyConfig(cfg),
		client:    client,
		namespace: namespace,
		pod:       pod,
		port:      port,
		turn:      make(chan struct{}, 1),
	}
	return f.dial, nil
}

// forwarder keeps the tunnel that its connections share.
type forwarder struct {
	cfg       *rest.Config
	client    kubernetes.Interface
	namespace string
	pod       string
	port      int

	// turn holds a value while a dial reads or replaces current.
	turn    chan struct{}
	current *tunnel
}

func (f *forwarder) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	for {
		t, fresh, err := f.acquire(ctx)
		if err != nil {
			return nil, fmt.Errorf("port-forward to %s in %s: %w", "pod "+f.pod, f.namespace, err)
		}
		connection, err := t.connect(ctx, f.port)
		if err == nil {
			return connection, nil
		}
		// An existing tunnel may have broken unnoticed; a new one has not.
		if fresh || ctx.Err() != nil {
			return nil, fmt.Errorf("port-forward to pod %s/%s: %w", f.namespace, t.pod, err)
		}
	}
}

// acquire returns a tunnel with one more user, and reports whether it is new.
func (f *forwarder) acquire(ctx context.Context) (t *tunnel, fresh bool, err error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if f.current != nil && f.current.acquire() {
		return f.current, false, nil
	}
	t, err = f.open(ctx)
	if err != nil {
		return nil, false, err
	}
	f.current = t
	return t, true, nil
}

// open finds a ready pod and upgrades a connection to it.
func (f *forwarder) open(ctx context.Context) (*tunnel, error) {
	if err := f.check(ctx); err != nil {
		return nil, err
	}
	target := f.client.CoreV1().RESTClient().Post().
		Resource("pods").Namespace(f.namespace).Name(f.pod).SubResource("portforward").URL()

	type result struct {
		connection httpstream.Connection
		err        error
	}
	// The dialers take no context, so an abandoned dial is cleaned up when it
	// returns.
	results := make(chan result, 1)
	go func() {
		connection, err := f.upgrade(target)
		results <- result{connection, err}
	}()
	select {
	case r := <-results:
		if r.err != nil {
			return nil, fmt.Errorf("pod %s: %w", f.pod, r.err)
		}
		return &tunnel{connection: r.connection, pod: f.pod, users: 1}, nil
	case <-ctx.Done():
		go func() {
			if r := <-results; r.connection != nil {
				_ = r.connection.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// check returns an error with what the pod waits for, unless it is ready.
func (f *forwarder) check(ctx context.Context) error {
	pod, err := f.client.CoreV1().Pods(f.namespace).Get(ctx, f.pod, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return ErrNoPod
	case err != nil:
		return err
	case !ready(pod):
		return fmt.Errorf("%w: %s", ErrNotReady, unready(pod))
	}
	return nil
}

func ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning && podutils.IsPodReady(pod)
}

// unready returns why a pod is not ready, in a few words.
func unready(pod *corev1.Pod) string {
	reason := string(pod.Status.Phase)
	if pod.DeletionTimestamp != nil {
		reason = "Terminating"
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			reason = condition.Reason + ": " + condition.Message
		}
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "" {
			reason = waiting.Reason
			if waiting.Message != "" {
				reason += ": " + waiting.Message
			}
			break
		}
	}
	return "pod " + pod.Name + " is " + reason
}

// upgrade opens the port-forward as kubectl does: over a WebSocket, and over SPDY
// if the upgrade fails. The upgrade failure has a type of k8s.io/streaming, which
// the functions of the same names in apimachinery do not recognize.
func (f *forwarder) upgrade(target *url.URL) (httpstream.Connection, error) {
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, f.cfg)
	if err != nil {
		return nil, err
	}
	connection, err := negotiate(overWebSocket)
	if err == nil || !httpstream.IsUpgradeFailure(err) && !httpstream.IsHTTPSProxyError(err) {
		return connection, err
	}
	transport, upgrader, spdyErr := spdy.RoundTripperFor(f.cfg)
	if spdyErr != nil {
		return nil, spdyErr
	}
	connection, spdyErr = negotiate(spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target))
	if spdyErr == nil {
		return connection, nil
	}
	return nil, refusal(err, spdyErr)
}

func negotiate(dialer httpstream.Dialer) (httpstream.Connection, error) {
	connection, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		if connection != nil {
			_ = connection.Close()
		}
		return nil, err
	}
	if protocol != portforward.PortForwardProtocolV1Name {
		_ = connection.Close()
		return nil, fmt.Errorf("the server speaks %q, not %q", protocol, portforward.PortForwardProtocolV1Name)
	}
	return connection, nil
}

// refusal merges two errors: the first attempt has the type; the second has the
// message, because it asks for the verb that users are granted.
func refusal(overWebSocket, overSPDY error) error {
	var failure *httpstream.UpgradeFailureError
	var status *apierrors.StatusError
	if !errors.As(overWebSocket, &failure) || !errors.As(failure.Cause, &status) {
		return overSPDY
	}
	refused := &apierrors.StatusError{ErrStatus: *status.ErrStatus.DeepCopy()}
	refused.ErrStatus.Message = strings.TrimPrefix(overSPDY.Error(), "unable to upgrade connection: ")
	return refused
}

// tunnel is one port-forward to one pod.
type tunnel struct {
	connection httpstream.Connection
	pod        string

	mu     sync.Mutex
	users  int
	nextID int
	broken bool
}

// acquire adds a user and returns true, unless the tunnel has ended.
func (t *tunnel) acquire() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken || t.users == 0 || t.lost() {
		return false
	}
	t.users++
	return true
}

// release removes a user, and closes the tunnel with the last one.
func (t *tunnel) release() {
	t.mu.Lock()
	t.users--
	last := t.users == 0
	t.mu.Unlock()
	if last {
		_ = t.connection.Close()
	}
}

// retire makes the next dial open another tunnel; open connections continue.
func (t *tunnel) retire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = true
}

func (t *tunnel) lost() bool {
	select {
	case <-t.connection.CloseChan():
		return true
	default:
		return false
	}
}

func (t *tunnel) requestID() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextID++
	return strconv.Itoa(t.nextID)
}

// connect opens a connection for a user that acquire added. If it fails, it
// releases the user and retires the tunnel.
func (t *tunnel) connect(ctx context.Context, port int) (net.Conn, error) {
	type result struct {
		refusals, data httpstream.Stream
		err            error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		r.refusals, r.data, r.err = t.streams(port)
		results <- r
	}()
	select {
	case r := <-results:
		if r.err != nil {
			t.retire()
			go t.release() // closing it may block on the network
			return nil, r.err
		}
		return newConn(t, r.refusals, r.data, port), nil
	case <-ctx.Done():
		// The network may be dead.
		t.retire()
		go func() {
			r := <-results
			t.remove(r.refusals, r.data)
			t.release()
		}()
		return nil, ctx.Err()
	}
}

// streams creates the pair that is one connection to the port.
func (t *tunnel) streams(port int) (refusals, data httpstream.Stream, err error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, t.requestID())
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	refusals, err = t.connection.CreateStream(headers)
	if err != nil {
		return nil, nil, fmt.Errorf("create the error stream: %w", err)
	}
	// Nothing is written to it; closing it informs the other side.
	_ = refusals.Close()
	headers = headers.Clone()
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err = t.connection.CreateStream(headers)
	if err != nil {
		t.remove(refusals)
		return nil, nil, fmt.Errorf("create the data stream: %w", err)
	}
	return refusals, data, nil
}

// remove ends streams in both directions.
func (t *tunnel) remove(streams ...httpstream.Stream) {
	for _, stream := range streams {
		if stream != nil {
			_ = stream.Reset()
			t.connection.RemoveStreams(stream)
		}
	}
}
