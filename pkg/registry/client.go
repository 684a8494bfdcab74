// Package registry talks to the platform's registry: the one inside of the
// cluster through the API server's port-forward, an external one directly.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
)

// awaitEvery is the time between two questions of Await.
const awaitEvery = time.Second

// What the registry can answer, beside the errors of the way to it.
var (
	// ErrUnauthorized says that the registry does not know the user or the password.
	ErrUnauthorized = errors.New("the registry refused the credentials")
	// ErrDenied says that the user may not do this in that repository.
	ErrDenied = errors.New("the registry denied access to the repository")
	// ErrNotFound says that the registry has no such manifest.
	ErrNotFound = errors.New("not found in the registry")
	// ErrFull says that the registry has no room left to store what is pushed.
	ErrFull = errors.New("the registry's volume is full")
	// ErrUnreachable says that nothing answers at the address of an external
	// registry.
	ErrUnreachable = errors.New("the registry can not be reached")
	// ErrNoTLS says that a registry speaks plain HTTP, by which no password is sent.
	ErrNoTLS = errors.New("the registry does not speak TLS")
	// ErrNoRegistry says that something else than a registry answers.
	ErrNoRegistry = errors.New("what answers there is not a registry")
	// ErrUnavailable says that the registry is there and what holds its images is
	// not.
	ErrUnavailable = errors.New("the registry's storage does not answer")
	// ErrCertificate says that the registry's certificate is not one that the
	// given CA signed for its name and this time.
	ErrCertificate = errors.New("the registry's certificate is not trusted")
)

// Options says which registry it is and how to get there.
type Options struct {
	// Host is the registry's name in references and in its certificate, with a
	// port if that is not 443.
	Host string
	// Username and Password are for basic authentication, or for a token where
	// the registry asks for one.
	Username, Password string
	// CA holds the PEM certificates that may sign the registry's; no others are
	// trusted, and not those of the system. Empty trusts those of the system.
	CA []byte
	// Dial opens the connections; the address it is given is always the host's.
	// Nil goes over the network, by the environment's proxy if there is one.
	Dial podforward.DialFunc
}

// Client is a client of one registry. It is safe for concurrent use and keeps
// connections open until Close.
type Client struct {
	host      string
	registry  name.Registry
	auth      authn.Authenticator
	transport tlsTransport
	puller    *remote.Puller
	// pauses are the times to wait before an upload is tried again.
	pauses []time.Duration
	now    func() time.Time
	// chunk is the size of the pieces of a layer of which an upload goes on after
	// its connection broke; zero sends layers as a whole. For stall and patience
	// see stallLimit and resumePatience.
	chunk           int64
	stall, patience time.Duration
}

// New returns a client. It connects to nothing yet.
func New(opts Options) (*Client, error) {
	registry, err := name.NewRegistry(opts.Host, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	hostname, port, err := net.SplitHostPort(opts.Host)
	if err != nil {
		hostname, port = opts.Host, "443"
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(opts.CA) > 0 {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(opts.CA) {
			return nil, errors.New("registry: the CA holds no PEM certificate")
		}
	}
	client := &Client{
		host:     opts.Host,
		registry: registry,
		auth:     &authn.Basic{Username: opts.Username, Password: opts.Password},
		transport: tlsTransport{&http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialNetwork,
			TLSClientConfig:     trust,
			TLSHandshakeTimeout: 20 * time.Second,
			IdleConnTimeout:     90 * time.Second,
			MaxIdleConnsPerHost: 4,
			WriteBufferSize:     64 << 10,
			ReadBufferSize:      64 << 10,
		}},
		pauses: []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second},
		now:    time.Now,

		stall:    stallLimit,
		patience: resumePatience,
	}
	if opts.Dial != nil {
		home := net.JoinHostPort(hostname, port)
		client.transport.Proxy = nil
		client.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != home {
				return nil, fmt.Errorf("the registry redirects to %s, which the port-forward does not reach", address)
			}
			return opts.Dial(ctx, network, address)
		}
		client.chunk = resumableChunk
		// Every record is a frame of the port-forward.
		trust.DynamicRecordSizingDisabled = true
	}
	if client.puller, err = remote.NewPuller(client.settings()...); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return client, nil
}

// dialNetwork connects to an external registry.
func dialNetwork(ctx context.Context, network, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return connection, nil
}

const dialTimeout = 20 * time.Second

// tlsTransport sends nothing in the clear: the library tries plain HTTP as well
// where the host is a private address, and would take the password there.
type tlsTransport struct{ *http.Transport }

var errInTheClear = errors.New("nothing is sent without TLS")

// RoundTrip sends the request if it is for HTTPS.
func (t tlsTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		return nil, errInTheClear
	}
	return t.Transport.RoundTrip(request)
}

// Close ends the connections that are idle. The client can be used again.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Ping checks that the registry can be reached, that it is one, that its
// certificate is good and that it takes the credentials. Errors hold
// ErrUnauthorized, ErrCertificate, ErrUnreachable, ErrNoTLS, ErrNoRegistry or
// those of the podforward.DialFunc. It is tried once.
func (c *Client) Ping(ctx context.Context) error {
	act := "registry " + c.host
	// Finds out how to log in, and fetches a token where that is the way.
	authorized, err := transport.NewWithContext(ctx, c.registry, c.auth, c.transport, nil)
	if err != nil {
		return explainFirst(ctx, act, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.host+"/v2/", http.NoBody)
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	response, err := (&http.Client{Transport: authorized}).Do(request)
	if err != nil {
		return explain(ctx, act, err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return explainFirst(ctx, act, err)
	}
	if media, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";"); media == "text/html" {
		return fmt.Errorf("%s: %w: /v2/ is a web page", act, ErrNoRegistry)
	}
	// Read to its end, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	return nil
}

// explainFirst is explain for the first requests to a registry that nobody has
// used yet: what is none has answers that a registry never gives.
func explainFirst(ctx context.Context, act string, err error) error {
	var answer *transport.Error
	if ctx.Err() == nil && errors.As(err, &answer) && len(answer.Errors) == 0 {
		switch status := answer.StatusCode; {
		case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		default:
			// Not the answer itself, which may be a long page.
			return fmt.Errorf("%s: %w: it answers %d %s", act, ErrNoRegistry, status, http.StatusText(status))
		}
	}
	return explain(ctx, act, err)
}

// Await returns when the registry does its work, or with what will not get better
// by waiting. Waiting, when set, is called once if it does not do its work at
// first.
func (c *Client) Await(ctx context.Context, waiting func(error)) error {
	first := true
	var last error
	err := wait.PollUntilContextCancel(ctx, awaitEvery, true, func(ctx context.Context) (bool, error) {
		last = c.Ping(ctx)
		if !errors.Is(last, ErrUnavailable) && !errors.Is(last, podforward.ErrNotReady) {
			return true, last
		}
		if first && waiting != nil {
			waiting(last)
		}
		first = false
		return false, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// CheckPush checks that the credentials may push to a repository, by an upload
// that is given up. Errors are those of Ping, ErrDenied, and ErrNotFound when the
// repository would have to be made first.
func (c *Client) CheckPush(ctx context.Context, repository string) error {
	target, err := c.repository(repository)
	if err != nil {
		return err
	}
	// The library takes no context here; its transport does.
	err = remote.CheckPushPermission(target.Tag("latest"), keychain{c.auth}, boundTransport{ctx, c.transport})
	if err != nil {
		return explainFirst(ctx, "push to "+target.String(), err)
	}
	return nil
}

// keychain has the same login for everything.
type keychain struct{ auth authn.Authenticator }

// Resolve returns the login.
func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) { return k.auth, nil }

// boundTransport ends its requests with a context of its own.
type boundTransport struct {
	ctx   context.Context //nolint:containedctx // that is what it is for
	inner http.RoundTripper
}

// RoundTrip sends the request.
func (t boundTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return t.inner.RoundTrip(request.WithContext(t.ctx))
}

// SourceRef is a build context in the registry.
type SourceRef struct {
	// Reference is host/repository@digest.
	Reference string
	// Layer is the digest of the artifact's one layer, the context's tar.gz.
	Layer v1.Hash
	// Uploaded says whether the layer's bytes were sent, or were there already.
	Uploaded bool
}

// PushSource makes sure that the registry has the layer as an OCI artifact: an
// image manifest with one layer and a minimal configuration, which an ordinary
// client pulls. The manifest's digest is a function of the layer and the
// annotations alone, so the annotations must not hold a time. The manifest gets
// the tag of SourceTag, so that a registry can list it and says when it was used
// last. The repository is a name without the host, <namespace>/<app>/source.
//
// Nothing is sent that the registry has; of a context that was used last on
// another day the manifest is, for its tag. Progress, when set, is called with the
// layer's bytes sent so far and in all, from other goroutines but one at a time
// and never after PushSource returned; a new attempt starts where the last one can
// go on, and the last call says all. It must be quick.
//
// Transient errors are tried again for about 15 seconds in all; so is a push of
// which the registry's garbage collection has taken a part. A layer of more than
// 16 MiB goes to the registry in the cluster in chunks: when the connection breaks,
// the upload goes on from what the registry has got, as long as it gets further at
// least every five minutes. To an external registry, or when it is smaller, it is
// sent again from its start. When ctx is done PushSource returns at once.
//
// Errors hold ErrUnauthorized, ErrDenied, ErrFull, ErrCertificate, ErrUnreachable
// or those of the podforward.DialFunc, and never a credential.
func (c *Client) PushSource(ctx context.Context, repository string, layer v1.Layer, annotations map[string]string, progress func(complete, total int64)) (SourceRef, error) {
	target, err := c.repository(repository)
	if err != nil {
		return SourceRef{}, err
	}
	counted, err := newCountedLayer(layer, progress)
	if err != nil {
		return SourceRef{}, fmt.Errorf("push %s: %w", target, err)
	}
	image, err := sourceImage(counted, annotations)
	if err != nil {
		return SourceRef{}, fmt.Errorf("push %s: %w", target, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return SourceRef{}, fmt.Errorf("push %s: %w", target, err)
	}
	reference := target.Digest(digest.String())
	tag := target.Tag(SourceTag(digest, c.now()))
	if c.chunk > 0 && counted.size > c.chunk {
		err = c.upload(ctx, target, counted)
	}
	if err == nil {
		err = c.retryWhile(ctx, pushable, func() error { return remote.Write(tag, image, c.options(ctx)...) })
	}
	uploaded := counted.finish(err == nil)
	if err != nil {
		return SourceRef{}, explain(ctx, "push "+target.String(), err)
	}
	return SourceRef{Reference: reference.String(), Layer: counted.digest, Uploaded: uploaded}, nil
}

// sourceImage wraps a layer into the smallest image that is one.
func sourceImage(layer v1.Layer, annotations map[string]string) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(image, layer)
	if err != nil {
		return nil, err
	}
	if len(annotations) == 0 {
		return image, nil
	}
	annotated, ok := mutate.Annotations(image, annotations).(v1.Image)
	if !ok {
		return nil, errors.New("an annotated image is no image")
	}
	return annotated, nil
}

func (c *Client) repository(path string) (name.Repository, error) {
	repository, err := name.NewRepository(c.registry.RegistryStr()+"/"+path, name.StrictValidation)
	if err != nil {
		return name.Repository{}, fmt.Errorf("registry: %w", err)
	}
	return repository, nil
}

func (c *Client) options(ctx context.Context) []remote.Option {
	return append(c.settings(), remote.WithContext(ctx))
}

// settings leaves the retries out: the library's own sleep through a cancel.
func (c *Client) settings() []remote.Option {
	return []remote.Option{
		remote.WithAuth(c.auth),
		remote.WithTransport(c.transport),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	}
}

// retry does it until it succeeds, fails for good or has no pause left.
func (c *Client) retry(ctx context.Context, do func() error) error {
	return c.retryWhile(ctx, transient, do)
}

// retryWhile is retry for acts whose errors may go away in a way of their own.
func (c *Client) retryWhile(ctx context.Context, again func(error) bool, do func() error) error {
	for _, pause := range c.pauses {
		err := do()
		if err == nil || ctx.Err() != nil || !again(err) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
	return do()
}

// transient reports whether an error may go away by itself. An error of the
// network may, so the list is of those that do not.
func transient(err error) bool {
	var answer *transport.Error
	if full(err) {
		// And every attempt would leave a part of an upload there.
		return false
	}
	if errors.As(err, &answer) {
		return answer.Temporary() || answer.StatusCode >= http.StatusInternalServerError
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code == 0 || code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
	}
	var verification *tls.CertificateVerificationError
	return !errors.Is(err, podforward.ErrNoPod) && !errors.Is(err, http.ErrSchemeMismatch) && !errors.Is(err, errInTheClear) && !errors.As(err, &verification)
}

// noSpace is how CNCF Distribution, and others that store files, answer when their
// volume is full: the error of the system as the detail of an unknown one.
const noSpace = "no space left on device"

// SaysFull reports whether a line of log of a client such as Kaniko or crane says
// that the registry's volume is full, and not the client's own.
func SaysFull(line string) bool {
	return strings.Contains(line, noSpace) && strings.Contains(line, "UNKNOWN: unknown error")
}

func full(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode >= http.StatusInternalServerError && strings.Contains(answer.Error(), noSpace)
}

// pushable reports whether an error of a push may go away by pushing again: a
// transient one, or that a part of it is gone, for garbage collection takes what
// no manifest refers to yet.
func pushable(err error) bool {
	var answer *transport.Error
	return transient(err) || (errors.As(err, &answer) && slices.ContainsFunc(answer.Errors, func(d transport.Diagnostic) bool {
		switch d.Code {
		case transport.ManifestBlobUnknownErrorCode, transport.BlobUnknownErrorCode, transport.BlobUploadUnknownErrorCode:
			return true
		}
		return false
	}))
}

// explain names the act and gives an error of the registry its type.
func explain(ctx context.Context, act string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", act, ctx.Err())
	}
	var kind error
	var answer *transport.Error
	var verification *tls.CertificateVerificationError
	var operation *net.OpError
	switch {
	case full(err):
		kind = ErrFull
	case errors.As(err, &answer) && answer.StatusCode == http.StatusUnauthorized:
		kind = ErrUnauthorized
	case errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden:
		kind = ErrDenied
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		kind = ErrNotFound
	case errors.As(err, &verification):
		kind, err = ErrCertificate, verification
	case errors.Is(err, ErrUnreachable) && errors.As(err, &operation):
		kind, err = ErrUnreachable, operation
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s: %w", act, ErrNoTLS)
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusBadGateway || answer.StatusCode == http.StatusServiceUnavailable || answer.StatusCode == http.StatusGatewayTimeout):
		kind = ErrUnavailable
	default:
		return fmt.Errorf("%s: %w", act, err)
	}
	return fmt.Errorf("%s: %w: %w", act, kind, err)
}

// countedLayer reports how much of a layer was read, and whether it was at all.
type countedLayer struct {
	v1.Layer
	digest   v1.Hash
	size     int64
	progress func(complete, total int64)

	mu     sync.Mutex
	reader *countedReader
	opened bool
}

var _ v1.Layer = (*countedLayer)(nil)

func newCountedLayer(layer v1.Layer, progress func(complete, total int64)) (*countedLayer, error) {
	digest, err := layer.Digest()
	if err != nil {
		return nil, err
	}
	size, err := layer.Size()
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(_, _ int64) {}
	}
	return &countedLayer{Layer: layer, digest: digest, size: size, progress: progress}, nil
}

// Compressed opens the layer, which the library does only to send it.
func (l *countedLayer) Compressed() (io.ReadCloser, error) {
	return l.from(0)
}

// from opens the layer at an offset.
func (l *countedLayer) from(offset int64) (io.ReadCloser, error) {
	content, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	if seeker, ok := content.(io.Seeker); ok {
		_, err = seeker.Seek(offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, content, offset)
	}
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = true
	l.reader = &countedReader{ReadCloser: content, layer: l, read: offset}
	return l.reader, nil
}

// restart reports that so much of it has arrived, and that what was read beyond
// has to be read again.
func (l *countedLayer) restart(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader = nil
	l.progress(offset, l.size)
}

// finish ends the reports: a request that was given up may still be reading.
func (l *countedLayer) finish(complete bool) (opened bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader = nil
	if complete {
		l.progress(l.size, l.size)
	}
	return l.opened
}

type countedReader struct {
	io.ReadCloser
	layer *countedLayer
	read  int64
}

// Read reads, and reports it as long as no other reader has taken over.
func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.layer.mu.Lock()
	defer r.layer.mu.Unlock()
	r.read += int64(n)
	if n > 0 && r.layer.reader == r {
		r.layer.progress(r.read, r.layer.size)
	}
	return n, err
}
