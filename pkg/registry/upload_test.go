package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
)

// uploads is the part of CNCF Distribution that the test registry lacks: an upload keeps what
// arrived of a chunk, and reports how much that is.
type uploads struct {
	mu   sync.Mutex
	data map[string][]byte
	next int
	// confirmed are the offsets in the answers to status requests.
	confirmed []int64
	// before may answer a request.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newUploads(tr *testRegistry) *uploads {
	u := &uploads{data: map[string][]byte{}}
	tr.forget(u.serve)
	return u
}

func refuse(w http.ResponseWriter, status int, code string) bool {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"test"}]}`, code)
	return true
}

func (u *uploads) serve(w http.ResponseWriter, r *http.Request) bool {
	prefix, id, ok := strings.Cut(r.URL.Path, "/blobs/uploads/")
	if u.before != nil && u.before(w, r) {
		return true
	}
	if !ok {
		return false
	}
	u.mu.Lock()
	if r.Method == http.MethodPost {
		u.next++
		id = strconv.Itoa(u.next)
		u.data[id] = nil
	}
	data, known := u.data[id]
	u.mu.Unlock()
	tell := func(status int) bool {
		u.mu.Lock()
		size := len(u.data[id])
		u.mu.Unlock()
		// A relative location, with a state that is valid for this offset only.
		w.Header().Set("Location", fmt.Sprintf("%s/blobs/uploads/%s?_state=%d", prefix, id, size))
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, size-1)))
		w.WriteHeader(status)
		return true
	}
	switch {
	case !known:
		return refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	case r.Method == http.MethodPost:
		return tell(http.StatusAccepted)
	case r.Method == http.MethodGet:
		u.mu.Lock()
		u.confirmed = append(u.confirmed, int64(len(data)))
		u.mu.Unlock()
		return tell(http.StatusNoContent)
	case r.FormValue("_state") != strconv.Itoa(len(data)):
		return refuse(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID")
	case r.Method == http.MethodPatch:
		start, _, ranged := strings.Cut(r.Header.Get("Content-Range"), "-")
		if ranged && start != strconv.Itoa(len(data)) {
			return refuse(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID")
		}
		var arrived bytes.Buffer
		_, err := io.Copy(&arrived, r.Body)
		u.mu.Lock()
		u.data[id] = append(slices.Clone(data), arrived.Bytes()...)
		u.mu.Unlock()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		return tell(http.StatusAccepted)
	}
	// From here the test registry handles the PUT, as one upload.
	u.mu.Lock()
	delete(u.data, id)
	u.mu.Unlock()
	sum := sha256.Sum256(data)
	if r.FormValue("digest") != "sha256:"+hex.EncodeToString(sum[:]) {
		return refuse(w, http.StatusBadRequest, "DIGEST_INVALID")
	}
	r.Method, r.URL.Path = http.MethodPost, prefix+"/blobs/uploads/"
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return false
}

const testChunk = 256 << 10

func newResumingClient(t *testing.T, tr *testRegistry, change func(*Options)) *Client {
	t.Helper()
	client := newTestClient(t, tr, change)
	client.chunk, client.resume = testChunk, time.Minute
	return client
}

// cut is a connection that breaks after a number of bytes.
type cut struct {
	net.Conn
	left int
	sent *atomic.Int64
}

func (c *cut) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	n, err := c.Conn.Write(p[:n])
	c.left -= n
	c.sent.Add(int64(n))
	if err == nil && n < len(p) {
		err = errors.Join(errors.New("cut"), c.Close())
	}
	return n, err
}

func TestUploadResumes(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	server := newUploads(tr)
	var dials, sent atomic.Int64
	client := newResumingClient(t, tr, func(o *Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := tr.dial(ctx, network, address)
			dial := int(dials.Add(1))
			if dial > 6 {
				return &cut{connection, 1 << 30, &sent}, err
			}
			return &cut{connection, 3*testChunk + dial*10_000, &sent}, err
		}
	})
	layer := newLayer(t, 24*testChunk+1234)
	size, err := layer.Size()
	must(t, err)
	var calls []int64
	ref, err := client.PushSource(t.Context(), source, layer, nil, func(complete, total int64) {
		if total != size {
			t.Errorf("total is %d, want %d", total, size)
		}
		calls = append(calls, complete)
	})
	must(t, err)
	if !ref.Uploaded || dials.Load() < 7 {
		t.Errorf("pushed %+v by %d connections", ref, dials.Load())
	}
	if extra := sent.Load() - size; extra > 6*testChunk {
		t.Errorf("sent %d bytes more than the layer's %d", extra, size)
	}
	// It resumed each time, and nothing started again.
	if posts := tr.asked("POST"); len(posts) != 2 {
		t.Errorf("uploads are %q", posts)
	}
	if len(server.confirmed) < 6 || slices.Contains(server.confirmed, 0) {
		t.Errorf("the registry confirmed %d", server.confirmed)
	}
	for i := 1; i < len(calls); i++ {
		if calls[i] < calls[i-1] && !slices.Contains(server.confirmed, calls[i]) {
			t.Errorf("progress went back from %d to %d, and %d are confirmed", calls[i-1], calls[i], server.confirmed)
		}
	}
	if calls[len(calls)-1] != size {
		t.Errorf("progress ended at %d of %d", calls[len(calls)-1], size)
	}
	tr.forget(nil)
	wantArtifact(t, client, ref.Reference, layer, nil)

	// The second push sends nothing.
	again, err := client.PushSource(t.Context(), source, layer, nil, nil)
	must(t, err)
	if again.Uploaded || len(tr.asked("POST")) != 0 {
		t.Errorf("second push is %+v and sent %q", again, tr.asked("POST"))
	}
}

func TestUploadRecovers(t *testing.T) {
	// Each function answers one request of the upload in its own way.
	tests := map[string]struct {
		method string
		answer func(u *uploads, w http.ResponseWriter, r *http.Request) bool
		// uploads counts the started ones, including that of the configuration.
		uploads int
	}{
		"unavailable": {method: "PATCH", uploads: 2, answer: func(_ *uploads, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}},
		"unavailable from the start": {method: "HEAD", uploads: 2, answer: func(_ *uploads, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}},
		"a connection that breaks": {method: "PATCH", uploads: 2, answer: func(*uploads, http.ResponseWriter, *http.Request) bool {
			panic(http.ErrAbortHandler)
		}},
		"another offset": {method: "PATCH", uploads: 2, answer: func(_ *uploads, w http.ResponseWriter, _ *http.Request) bool {
			return refuse(w, http.StatusRequestedRangeNotSatisfiable, "RANGE_INVALID")
		}},
		"another state": {method: "PATCH", uploads: 2, answer: func(_ *uploads, w http.ResponseWriter, _ *http.Request) bool {
			return refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID")
		}},
		"an upload that was purged": {method: "PATCH", uploads: 3, answer: func(u *uploads, w http.ResponseWriter, _ *http.Request) bool {
			u.mu.Lock()
			clear(u.data)
			u.mu.Unlock()
			return refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
		}},
		"a blob that is not what was sent": {method: "PUT", uploads: 3, answer: func(u *uploads, w http.ResponseWriter, _ *http.Request) bool {
			u.mu.Lock()
			clear(u.data)
			u.mu.Unlock()
			return refuse(w, http.StatusBadRequest, "DIGEST_INVALID")
		}},
		"the answer to the end is lost": {method: "PUT", uploads: 2, answer: func(_ *uploads, _ http.ResponseWriter, _ *http.Request) bool {
			panic(http.ErrAbortHandler)
		}},
		"a connection that sleeps": {method: "PATCH", uploads: 2, answer: func(_ *uploads, _ http.ResponseWriter, r *http.Request) bool {
			// The server notices that the client is gone once it has read the body.
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			server := newUploads(tr)
			var asked atomic.Int32
			server.before = func(w http.ResponseWriter, r *http.Request) bool {
				ofLayer := r.Method != http.MethodPatch || r.Header.Get("Content-Range") != ""
				// The second request, so that there is something to resume.
				turn := int32(2)
				if test.method != http.MethodPatch {
					turn = 1
				}
				return r.Method == test.method && ofLayer && asked.Add(1) == turn && test.answer(server, w, r)
			}
			client := newResumingClient(t, tr, nil)
			client.stall = 300 * time.Millisecond
			layer := newLayer(t, 3*testChunk)
			ref, err := client.PushSource(t.Context(), source, layer, nil, nil)
			must(t, err)
			if posts := tr.asked("POST"); len(posts) != test.uploads || !ref.Uploaded {
				t.Errorf("uploads are %q, %+v", posts, ref)
			}
			wantArtifact(t, client, ref.Reference, layer, nil)
		})
	}
}

func TestUploadGivesUp(t *testing.T) {
	const noSpace = `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"write /data: no space left on device"}]}`
	tests := map[string]struct {
		method string
		answer func(w http.ResponseWriter)
		resume time.Duration
		want   error
		says   string
		// attempts limits the number of requests.
		attempts int
	}{
		"denied in the middle":     {method: "PATCH", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, want: ErrDenied, attempts: 1},
		"credentials have expired": {method: "PATCH", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }, want: ErrUnauthorized, attempts: 1},
		"denied from the start":    {method: "POST", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, want: ErrDenied, attempts: 1},
		"denied at the end":        {method: "PUT", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, want: ErrDenied, attempts: 1},
		"full":                     {method: "PATCH", answer: func(w http.ResponseWriter) { http.Error(w, noSpace, http.StatusInternalServerError) }, want: ErrFull, attempts: 1},
		"never starts":             {method: "POST", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, want: ErrUnavailable, attempts: 3},
		"no time left":             {method: "PATCH", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, resume: time.Nanosecond, want: ErrUnavailable, attempts: 2},
		"lost again and again":     {method: "PUT", answer: func(w http.ResponseWriter) { refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN") }, want: ErrNotFound, attempts: 1 + restartLimit},
		"never the right digest":   {method: "PUT", answer: func(w http.ResponseWriter) { refuse(w, http.StatusBadRequest, "DIGEST_INVALID") }, says: "DIGEST_INVALID", attempts: 1 + restartLimit},
		"no location":              {method: "POST", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) }, says: "where the upload continues", attempts: 1},
		"a location elsewhere": {method: "POST", answer: func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://elsewhere.example.com/v2/x")
			w.WriteHeader(http.StatusAccepted)
		}, says: "elsewhere.example.com", attempts: 1},
		"a redirect": {method: "PATCH", answer: func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://elsewhere.example.com/v2/x")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, says: "307", attempts: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			server := newUploads(tr)
			var patches, asked atomic.Int32
			server.before = func(w http.ResponseWriter, r *http.Request) bool {
				// The first chunk always arrives.
				if r.Method != test.method || r.Method == http.MethodPatch && patches.Add(1) == 1 {
					return false
				}
				asked.Add(1)
				test.answer(w)
				return true
			}
			client := newResumingClient(t, tr, nil)
			if test.resume != 0 {
				client.resume = test.resume
			}
			_, err := client.PushSource(t.Context(), source, newLayer(t, 3*testChunk), nil, nil)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("error is %v, want %v %s", err, test.want, test.says)
			}
			if !strings.HasPrefix(err.Error(), "push "+host+"/"+source+": ") {
				t.Errorf("error is %v", err)
			}
			if count := int(asked.Load()); count > test.attempts {
				t.Errorf("%d attempts", count)
			}
			wantNoSecrets(t, err)
		})
	}
}

// The connection goes through an API server, which may be restarting.
func TestUploadWaitsForConnection(t *testing.T) {
	starting := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "registry-0", errors.New("no rules yet"))
	tests := map[string]struct {
		// refusals are the answers to the dials after the first.
		refusals []error
		want     error
	}{
		"a server that restarts":  {refusals: []error{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, apierrors.NewServiceUnavailable("starting"), starting, starting}},
		"a revoked permission":    {refusals: slices.Repeat([]error{starting}, restartLimit+1), want: starting},
		"a pod that restarts":     {refusals: []error{fmt.Errorf("%w: it is Terminating", podforward.ErrNotReady)}},
		"a pod that moves":        {refusals: []error{podforward.ErrNotReady, podforward.ErrNoPod, podforward.ErrNotReady}},
		"a registry that is gone": {refusals: slices.Repeat([]error{podforward.ErrNoPod}, restartLimit+1), want: podforward.ErrNoPod},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			newUploads(tr)
			var dials, sent atomic.Int64
			client := newResumingClient(t, tr, func(o *Options) {
				o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					dial := int(dials.Add(1))
					if dial > 1 && dial <= 1+len(test.refusals) {
						return nil, test.refusals[dial-2]
					}
					connection, err := tr.dial(ctx, network, address)
					left := 1 << 30
					if dial == 1 {
						left = 2 * testChunk
					}
					return &cut{connection, left, &sent}, err
				}
			})
			layer := newLayer(t, 4*testChunk)
			ref, err := client.PushSource(t.Context(), source, layer, nil, nil)
			if test.want != nil {
				if !errors.Is(err, test.want) || int(dials.Load()) > 1+len(test.refusals) {
					t.Errorf("error is %v after %d dials", err, dials.Load())
				}
				return
			}
			must(t, err)
			wantArtifact(t, client, ref.Reference, layer, nil)
			if posts := tr.asked("POST"); len(posts) != 2 {
				t.Errorf("uploads are %q", posts)
			}
		})
	}
}

func TestUploadIsCanceled(t *testing.T) {
	t.Run("while it sends", func(t *testing.T) {
		tr := newTestRegistry(t, host, soon())
		newUploads(tr)
		ctx, cancel := context.WithCancel(t.Context())
		var ended atomic.Bool
		_, err := newResumingClient(t, tr, nil).PushSource(ctx, source, newLayer(t, 8*testChunk), nil, func(complete, _ int64) {
			if ended.Load() {
				t.Error("progress after the end")
			}
			if complete > 2*testChunk {
				cancel()
			}
		})
		ended.Store(true)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("while it waits", func(t *testing.T) {
		tr := newTestRegistry(t, host, soon())
		server := newUploads(tr)
		ctx, cancel := context.WithCancel(t.Context())
		server.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPatch {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			time.AfterFunc(20*time.Millisecond, cancel)
			return true
		}
		client := newResumingClient(t, tr, nil)
		client.pauses = []time.Duration{time.Hour}
		if _, err := client.PushSource(ctx, source, newLayer(t, 3*testChunk), nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}

// Small layers, and every layer for an external registry, are sent as a whole.
func TestNotChunked(t *testing.T) {
	external, err := New(Options{Host: "registry.example.com"})
	must(t, err)
	if external.chunk != 0 {
		t.Errorf("an external registry is sent chunks of %d bytes", external.chunk)
	}
	tr := newTestRegistry(t, host, soon())
	var ranges atomic.Int32
	tr.forget(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Content-Range") != "" {
			ranges.Add(1)
		}
		return false
	})
	client := newTestClient(t, tr, nil)
	if client.chunk != resumableChunk {
		t.Errorf("the registry in the cluster is sent chunks of %d bytes", client.chunk)
	}
	_, err = client.PushSource(t.Context(), source, newLayer(t, 1<<20), nil, nil)
	must(t, err)
	if ranges.Load() != 0 {
		t.Errorf("%d requests were of a range", ranges.Load())
	}
}
