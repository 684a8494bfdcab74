package registry

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
)

const (
	host     = "registry.pyflow-system.svc"
	username = "team-a"
	password = "s3cr3t-p4ssw0rd"
	source   = "team-a/shop/source"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testRegistry is a registry over TLS with basic authentication that records the requests.
type testRegistry struct {
	address string
	ca      []byte

	mu       sync.Mutex
	requests []string
	// intercept may answer a request instead of the registry.
	intercept func(w http.ResponseWriter, r *http.Request) bool
}

func newTestRegistry(t *testing.T, name string, notAfter time.Time) *testRegistry {
	t.Helper()
	certificate, ca := newCertificate(t, name, notAfter)
	tr := &testRegistry{ca: ca}
	registry := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.mu.Lock()
		tr.requests = append(tr.requests, r.Method+" "+r.URL.Path)
		intercept := tr.intercept
		tr.mu.Unlock()
		user, pass, _ := r.BasicAuth()
		switch {
		case user != username || pass != password:
			w.Header().Set("WWW-Authenticate", `Basic realm="pyflow"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		case intercept != nil && intercept(w, r):
		default:
			registry.ServeHTTP(w, r)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	tr.address = server.Listener.Addr().String()
	return tr
}

func newCertificate(t *testing.T, name string, notAfter time.Time) (certificate tls.Certificate, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if address := net.ParseIP(name); address != nil {
		template.IPAddresses = []net.IP{address}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// dial ignores the address, as the port-forward does.
func (tr *testRegistry) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, tr.address)
}

func (tr *testRegistry) asked(method string) []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var found []string
	for _, request := range tr.requests {
		if strings.HasPrefix(request, method+" ") {
			found = append(found, request)
		}
	}
	return found
}

func (tr *testRegistry) forget(intercept func(w http.ResponseWriter, r *http.Request) bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.requests, tr.intercept = nil, intercept
}

func newTestClient(t *testing.T, tr *testRegistry, change func(*Options)) *Client {
	t.Helper()
	opts := Options{Host: host, Username: username, Password: password, CA: tr.ca, Dial: tr.dial}
	if change != nil {
		change(&opts)
	}
	client, err := New(opts)
	must(t, err)
	t.Cleanup(client.Close)
	client.pauses = []time.Duration{time.Millisecond, time.Millisecond}
	return client
}

func soon() time.Time { return time.Now().Add(time.Hour) }

// newLayer returns a layer that does not compress.
func newLayer(t *testing.T, size int64) v1.Layer {
	t.Helper()
	layer, err := random.Layer(size, types.OCILayer)
	must(t, err)
	return layer
}

func TestPushSource(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	client := newTestClient(t, tr, nil)
	layer := newLayer(t, 1<<20)
	digest, err := layer.Digest()
	must(t, err)
	size, err := layer.Size()
	must(t, err)
	annotations := map[string]string{"pyflow.dev/app": "shop", "a": "b"}

	var calls []int64
	first, err := client.PushSource(t.Context(), source, layer, annotations, func(complete, total int64) {
		if total != size {
			t.Errorf("total is %d, want %d", total, size)
		}
		calls = append(calls, complete)
	})
	must(t, err)
	if !strings.HasPrefix(first.Reference, host+"/"+source+"@sha256:") || first.Layer != digest || !first.Uploaded {
		t.Errorf("pushed %+v", first)
	}
	if len(calls) < 3 || !slices.IsSorted(calls) || calls[len(calls)-1] != size {
		t.Errorf("progress was %d", calls)
	}

	// The second push sends one request and no content.
	tr.forget(nil)
	calls = nil
	second, err := client.PushSource(t.Context(), source, layer, annotations, func(complete, _ int64) { calls = append(calls, complete) })
	must(t, err)
	if second.Reference != first.Reference || second.Uploaded || !slices.Equal(calls, []int64{size}) {
		t.Errorf("second push is %+v with progress %d, want %+v", second, calls, first)
	}
	if sent := slices.Concat(tr.asked("POST"), tr.asked("PUT"), tr.asked("PATCH")); len(sent) != 0 {
		t.Errorf("second push sent %q", sent)
	}

	// Another annotation is another artifact over the same layer.
	third, err := client.PushSource(t.Context(), source, layer, map[string]string{"a": "c"}, nil)
	must(t, err)
	if third.Reference == first.Reference || third.Uploaded || len(tr.asked("PATCH")) != 0 {
		t.Errorf("third push is %+v after %+v and sent %q", third, first, tr.asked("PATCH"))
	}

	wantArtifact(t, client, first.Reference, layer, annotations)
}

// wantArtifact pulls as the fetch step does, and looks for the layer as the build does.
func wantArtifact(t *testing.T, client *Client, reference string, layer v1.Layer, annotations map[string]string) {
	t.Helper()
	options := []crane.Option{crane.WithTransport(client.transport), crane.WithAuth(client.auth), crane.WithContext(t.Context())}
	image, err := crane.Pull(reference, options...)
	must(t, err)
	must(t, validate.Image(image))
	dir := t.TempDir()
	must(t, crane.SaveOCI(image, dir))
	digest, err := layer.Digest()
	must(t, err)
	got, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", digest.Hex))
	must(t, err)
	content, err := layer.Compressed()
	must(t, err)
	want, err := io.ReadAll(content)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("the blob has %d bytes, the layer %d", len(got), len(want))
	}
	manifest, err := image.Manifest()
	must(t, err)
	if len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != "application/vnd.oci.image.layer.v1.tar+gzip" ||
		manifest.MediaType != "application/vnd.oci.image.manifest.v1+json" ||
		manifest.Config.MediaType != "application/vnd.oci.image.config.v1+json" {
		t.Errorf("manifest is %+v", manifest)
	}
	for key, value := range annotations {
		if manifest.Annotations[key] != value {
			t.Errorf("annotations are %v, want %v", manifest.Annotations, annotations)
		}
	}
}

// The digest is part of what makes a second build free, so it must not change.
func TestSourceImageGolden(t *testing.T) {
	image, err := sourceImage(static.NewLayer([]byte("layer"), types.OCILayer), map[string]string{"b": "2", "a": "1"})
	must(t, err)
	digest, err := image.Digest()
	must(t, err)
	if want := "sha256:687fc384fbc517090fc1f68220b53fde4fd45ddabb347b50d5a2a471a41e7e54"; digest.String() != want {
		manifest, _ := image.RawManifest()
		config, _ := image.RawConfigFile()
		t.Errorf("digest is %s, want %s\n%s\n%s", digest, want, manifest, config)
	}
}

func TestPushSourceRetries(t *testing.T) {
	tests := map[string]struct {
		path   string
		answer func(w http.ResponseWriter)
	}{
		"unavailable":         {"PATCH", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }},
		"too many requests":   {"PUT", func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }},
		"at the first look":   {"HEAD", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }},
		"a broken connection": {"PATCH", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			var failures atomic.Int32
			tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != test.path || failures.Add(1) > 1 {
					return false
				}
				test.answer(w)
				return true
			})
			ref, err := newTestClient(t, tr, nil).PushSource(t.Context(), source, newLayer(t, 300_000), nil, nil)
			must(t, err)
			if !ref.Uploaded || failures.Load() < 2 {
				t.Errorf("pushed %+v after %d", ref, failures.Load())
			}
		})
	}
}

func TestPushSourceGivesUp(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return r.Method == http.MethodPatch
	})
	_, err := newTestClient(t, tr, nil).PushSource(t.Context(), source, newLayer(t, 1000), nil, nil)
	// The configuration and the layer are sent at the same time.
	if count := len(tr.asked("PATCH")); err == nil || !strings.Contains(err.Error(), "503") || count < 3 || count > 6 {
		t.Errorf("error is %v after %d attempts", err, count)
	}
	wantNoSecrets(t, err)
}

func wantNoSecrets(t *testing.T, err error) {
	t.Helper()
	// The password alone, and both in the form of a header.
	for _, secret := range []string{password, "dGVhbS1hOnMzY3IzdC1wNHNzdzByZA"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a credential is in %q", err)
		}
	}
}

func TestClientErrors(t *testing.T) {
	_, otherCA := newCertificate(t, host, soon())
	tests := map[string]struct {
		name     string
		notAfter time.Time
		change   func(*Options)
		status   int
		want     error
		says     string
	}{
		"wrong password": {change: func(o *Options) { o.Password = "wrong" }, want: ErrUnauthorized, says: "refused the credentials"},
		"no credentials": {change: func(o *Options) { o.Username, o.Password = "", "" }, want: ErrUnauthorized},
		"denied":         {status: http.StatusForbidden, want: ErrDenied},
		"another CA":     {change: func(o *Options) { o.CA = otherCA }, want: ErrCertificate, says: "unknown authority"},
		"another name":   {name: "elsewhere.svc", want: ErrCertificate, says: "elsewhere.svc"},
		"expired":        {notAfter: time.Now().Add(-time.Hour), want: ErrCertificate, says: "expired"},
		"no way there": {change: func(o *Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, podforward.ErrNoPod }
		}, want: podforward.ErrNoPod},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.name == "" {
				test.name = host
			}
			if test.notAfter.IsZero() {
				test.notAfter = soon()
			}
			tr := newTestRegistry(t, test.name, test.notAfter)
			if test.status != 0 {
				tr.forget(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(test.status); return true })
			}
			var dials atomic.Int32
			client := newTestClient(t, tr, func(o *Options) {
				if test.change != nil {
					test.change(o)
				}
				dial := o.Dial
				o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					dials.Add(1)
					return dial(ctx, network, address)
				}
			})
			_, pushErr := client.PushSource(t.Context(), source, newLayer(t, 10), nil, nil)
			_, manifestErr := client.Manifest(t.Context(), source, "sha256:"+strings.Repeat("0", 64))
			for act, err := range map[string]error{"ping": client.Ping(t.Context()), "push": pushErr, "manifest": manifestErr} {
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s: error is %v, want %v", act, err, test.want)
					continue
				}
				wantNoSecrets(t, err)
			}
			// Waiting would not help. The library dials twice for one attempt at most.
			if dials.Load() > 4 {
				t.Errorf("dialed %d times", dials.Load())
			}
		})
	}
}

func TestPing(t *testing.T) {
	must(t, newTestClient(t, newTestRegistry(t, host, soon()), nil).Ping(t.Context()))
}

// TestPingWithToken authenticates with a registry that issues tokens.
func TestPingWithToken(t *testing.T) {
	var tr *testRegistry
	certificate, ca := newCertificate(t, "127.0.0.1", soon())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && user == username && pass == password:
			_, _ = io.WriteString(w, `{"token":"good"}`)
		case r.URL.Path == "/token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Header.Get("Authorization") != "Bearer good":
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+r.Host+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	tr = &testRegistry{address: server.Listener.Addr().String(), ca: ca}
	for password, want := range map[string]error{password: nil, "wrong": ErrUnauthorized} {
		client, err := New(Options{Host: tr.address, Username: username, Password: password, CA: tr.ca})
		must(t, err)
		if err := client.Ping(t.Context()); !errors.Is(err, want) {
			t.Errorf("password %q: error is %v, want %v", password, err, want)
		}
	}
}

func TestAwait(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	var away atomic.Int32
	tr.forget(func(w http.ResponseWriter, _ *http.Request) bool {
		if away.Add(-1) < 0 {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	for name, test := range map[string]struct {
		away     int32
		password string
		calls    int
		want     error
	}{
		"there":          {password: password},
		"comes back":     {away: 2, password: password, calls: 1},
		"not worth it":   {password: "wrong", want: ErrUnauthorized},
		"away and wrong": {away: 1, password: "wrong", want: ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			away.Store(test.away)
			client := newTestClient(t, tr, func(opts *Options) { opts.Password = test.password })
			calls := 0
			err := client.Await(t.Context(), func(err error) {
				calls++
				if !errors.Is(err, ErrUnavailable) {
					t.Errorf("waits because of %v", err)
				}
			})
			if !errors.Is(err, test.want) || calls != test.calls {
				t.Errorf("error is %v, called %d times; want %v and %d", err, calls, test.want, test.calls)
			}
		})
	}
	for name, test := range map[string]struct {
		cuts  int32
		fails bool
	}{"cut off twice": {cuts: 2}, "cut off for ever": {cuts: 1000, fails: true}} {
		t.Run(name, func(t *testing.T) {
			cutting := newTestRegistry(t, host, soon())
			var cuts atomic.Int32
			cuts.Store(test.cuts)
			cutting.forget(func(http.ResponseWriter, *http.Request) bool {
				if cuts.Add(-1) < 0 {
					return false
				}
				panic(http.ErrAbortHandler)
			})
			if err := newTestClient(t, cutting, nil).Await(t.Context(), nil); (err != nil) != test.fails {
				t.Errorf("the error is %v", err)
			}
		})
	}
	t.Run("never", func(t *testing.T) {
		away.Store(1000)
		ctx, cancel := context.WithCancel(t.Context())
		err := newTestClient(t, tr, nil).Await(ctx, func(error) { cancel() })
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestPushSourceIsCanceled(t *testing.T) {
	layer := newLayer(t, 5<<20)
	t.Run("while it sends", func(t *testing.T) {
		tr := newTestRegistry(t, host, soon())
		ctx, cancel := context.WithCancel(t.Context())
		var after atomic.Bool
		tr.forget(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch {
				cancel()
				// The handler returns when the client is gone, which it notices after it has
				// read the body.
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}
			return r.Method == http.MethodPatch
		})
		_, err := newTestClient(t, tr, nil).PushSource(ctx, source, layer, nil, func(int64, int64) {
			if after.Load() {
				t.Error("progress after the end")
			}
		})
		after.Store(true)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("while it waits", func(t *testing.T) {
		tr := newTestRegistry(t, host, soon())
		ctx, cancel := context.WithCancel(t.Context())
		tr.forget(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			time.AfterFunc(50*time.Millisecond, cancel)
			return true
		})
		client := newTestClient(t, tr, nil)
		client.pauses = []time.Duration{time.Hour}
		_, err := client.PushSource(ctx, source, layer, nil, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("while it dials", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := newTestClient(t, newTestRegistry(t, host, soon()), func(o *Options) {
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				cancel()
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		if _, err := client.PushSource(ctx, source, layer, nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestRedirectElsewhereIsNotFollowed(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			return false
		}
		http.Redirect(w, r, "https://storage.example.com/blob", http.StatusTemporaryRedirect)
		return true
	})
	err := newTestClient(t, tr, nil).Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), "redirects to storage.example.com:443") {
		t.Errorf("error is %v", err)
	}
}

func TestNewChecksItsOptions(t *testing.T) {
	_, ca := newCertificate(t, host, soon())
	dial := (&net.Dialer{}).DialContext
	for name, opts := range map[string]Options{
		"bad CA":   {Host: host, Dial: dial, CA: []byte("-----BEGIN")},
		"bad host": {Host: "not a host/", Dial: dial, CA: ca},
		"no host":  {Dial: dial, CA: ca},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	client, err := New(Options{Host: host, CA: ca, Dial: dial})
	must(t, err)
	if _, err := client.PushSource(t.Context(), "Not A Name", newLayer(t, 1), nil, nil); err == nil {
		t.Error("any repository name is good")
	}
}

func TestFullVolume(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		// The answer of CNCF Distribution.
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"write /var/lib/registry/docker/registry/v2/repositories/team-a/shop/source/_uploads/01a20447/data: no space left on device"}]}`)
		return true
	})
	_, err := newTestClient(t, tr, nil).PushSource(t.Context(), source, newLayer(t, 1000), nil, nil)
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("error is %v, want %v", err, ErrFull)
	}
	// Once for the configuration and once for the layer.
	if count := len(tr.asked("PATCH")); count > 2 {
		t.Errorf("%d uploads were started, each of which would leave a part behind", count)
	}
	wantNoSecrets(t, err)
}

// TestExternal uses a registry outside the cluster: over the network, at an address for which
// the library would also try plain HTTP.
func TestExternal(t *testing.T) {
	answer := func(status int, media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const page = "<html><body>a web page</body></html>"
	denied := `{"errors":[{"code":"NAME_UNKNOWN","message":"project team-a not found"}]}`
	for name, test := range map[string]struct {
		ping http.HandlerFunc
		push http.HandlerFunc
		// plain serves without TLS.
		plain bool
		want  error
		says  string
	}{
		"a registry":                {},
		"a web server":              {ping: answer(http.StatusNotFound, "text/html", page), want: ErrNoRegistry, says: "404 Not Found"},
		"a web page for everything": {ping: answer(http.StatusOK, "text/html; charset=utf-8", page), want: ErrNoRegistry, says: "a web page"},
		"an API":                    {ping: answer(http.StatusForbidden, "text/plain", "no"), want: ErrDenied, says: "403 Forbidden"},
		"a registry that is down":   {ping: answer(http.StatusBadGateway, "text/plain", "no"), says: "502"},
		"plain HTTP":                {plain: true, want: ErrNoTLS},
		"no permission to push":     {push: answer(http.StatusForbidden, "application/json", `{"errors":[{"code":"DENIED"}]}`), want: ErrDenied},
		"a repository to be made":   {push: answer(http.StatusNotFound, "application/json", denied), want: ErrNotFound, says: "project team-a not found"},
		"a page for pushing":        {push: answer(http.StatusOK, "text/html", page), want: ErrNoRegistry},
		"another web service":       {push: answer(http.StatusMethodNotAllowed, "text/html", page), want: ErrNoRegistry},
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int32
			handler := func(w http.ResponseWriter, r *http.Request) {
				if _, password, _ := r.BasicAuth(); password != "" && r.TLS == nil {
					sent.Add(1)
				}
				switch {
				case r.URL.Path == "/v2/" && test.ping != nil:
					test.ping(w, r)
				case r.URL.Path == "/v2/":
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					if r.Header.Get("Authorization") == "" {
						w.WriteHeader(http.StatusUnauthorized)
					}
				case test.push != nil:
					test.push(w, r)
				default:
					w.Header().Set("Location", "/v2/upload")
					w.WriteHeader(http.StatusAccepted)
				}
			}
			certificate, ca := newCertificate(t, host, soon())
			server := httptest.NewUnstartedServer(http.HandlerFunc(handler))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			if test.plain {
				server.Start()
			} else {
				server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
				server.StartTLS()
			}
			t.Cleanup(server.Close)
			client, err := New(Options{Host: server.Listener.Addr().String(), Username: username, Password: password, CA: ca})
			must(t, err)
			t.Cleanup(client.Close)
			client.transport.TLSClientConfig.ServerName = host

			err = client.Ping(t.Context())
			if err == nil {
				err = client.CheckPush(t.Context(), "team-a/shop/source")
			}
			if (err != nil) != (test.want != nil || test.says != "") || (test.want != nil && !errors.Is(err, test.want)) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			if err != nil {
				wantNoSecrets(t, err)
				if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), page) {
					t.Errorf("error is %v, want one with %q and without the page", err, test.says)
				}
			}
			if sent.Load() > 0 {
				t.Error("the password was sent in the clear")
			}
		})
	}
}

func TestExternalThatDoesNotAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	client, err := New(Options{Host: address, Username: username, Password: password})
	must(t, err)
	client.pauses = nil
	_, pushErr := client.PushSource(t.Context(), source, newLayer(t, 10), nil, nil)
	for act, err := range map[string]error{"ping": client.Ping(t.Context()), "push": pushErr, "check": client.CheckPush(t.Context(), source)} {
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "without TLS") {
			t.Errorf("%s: error is %v, want %v", act, err, ErrUnreachable)
		}
	}
}
