// Package registry is the client of the registry that the platform pushes to: the one in the
// cluster, through a port-forward, or an external one.
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
	"syscall"
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

// awaitEvery is the interval between two attempts of Await.
const awaitEvery = time.Second

// The errors of the registry, in addition to those of the connection to it.
var (
	// ErrUnauthorized reports that the registry does not know the user or the password.
	ErrUnauthorized = errors.New("the registry refused the credentials")
	// ErrDenied reports that the user may not do this in the repository.
	ErrDenied = errors.New("the registry denied access to the repository")
	// ErrNotFound reports that the registry has no such manifest.
	ErrNotFound = errors.New("not found in the registry")
	// ErrFull reports that the registry has no room left for a push.
	ErrFull = errors.New("the registry's volume is full")
	// ErrUnreachable reports that nothing answers at the address of an external registry.
	ErrUnreachable = errors.New("the registry cannot be reached")
	// ErrNoTLS reports that a registry speaks plain HTTP. The client sends no password over it.
	ErrNoTLS = errors.New("the registry does not speak TLS")
	// ErrNoRegistry reports that a server other than a registry answers.
	ErrNoRegistry = errors.New("what answers there is not a registry")
	// ErrUnavailable reports that the registry answers and the storage behind it does not.
	ErrUnavailable = errors.New("the registry's storage does not answer")
	// ErrCertificate reports that the given CA did not sign the registry's certificate for its
	// name and this time.
	ErrCertificate = errors.New("the registry's certificate is not trusted")
)

// Options select a registry and the way to it.
type Options struct {
	// Host is the name of the registry in references and in its certificate, with a port if it
	// is not 443.
	Host string
	// Username and Password are for basic authentication, or to get a token if the registry
	// requires one.
	Username, Password string
	// CA holds the PEM certificates that may sign the registry's certificate. The client trusts
	// no others. If CA is empty, it trusts those of the system.
	CA []byte
	// Dial opens the connections; the address is always that of Host. If it is nil, the client
	// uses the network, and the proxy of the environment if there is one.
	Dial podforward.DialFunc
}

// Client is a client of one registry. It is safe for concurrent use and keeps connections open
// until Close.
type Client struct {
	host      string
	registry  name.Registry
	auth      authn.Authenticator
	transport tlsTransport
	puller    *remote.Puller
	// pusher deletes.
	pusher *remote.Pusher
	// pauses are the times to wait between the attempts of an upload.
	pauses []time.Duration
	now    func() time.Time
	// chunk is the size of the pieces in which a layer is sent, so that an upload can resume
	// after its connection broke; zero sends layers as a whole. See stallLimit and
	// resumeTimeout for the other two.
	chunk         int64
	stall, resume time.Duration
}

// New returns a client. It opens no connection.
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
			MaxIdleConnsPerHost: 8,
			WriteBufferSize:     64 << 10,
			ReadBufferSize:      64 << 10,
		}},
		pauses: []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second},
		now:    time.Now,

		stall:  stallLimit,
		resume: resumeTimeout,
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
		// Every TLS record is a frame of the port-forward.
		trust.DynamicRecordSizingDisabled = true
	}
	if client.puller, err = remote.NewPuller(settings(client)...); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if client.pusher, err = remote.NewPusher(settings(client)...); err != nil {
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

// tlsTransport refuses requests without TLS. The library also tries plain HTTP if the host has
// a private address, and would send the password over it.
type tlsTransport struct{ *http.Transport }

var errInTheClear = errors.New("nothing is sent without TLS")

// RoundTrip sends the request if it uses HTTPS.
func (t tlsTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		return nil, errInTheClear
	}
	return t.Transport.RoundTrip(request)
}

// Close closes idle connections. The client remains usable.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Ping checks once that the registry is reachable, that it is a registry, that its certificate
// is valid and that it accepts the credentials. Errors hold ErrUnauthorized, ErrCertificate,
// ErrUnreachable, ErrNoTLS, ErrNoRegistry or those of the podforward.DialFunc.
func (c *Client) Ping(ctx context.Context) error {
	act := "registry " + c.host
	// NewWithContext finds out how to authenticate, and fetches a token if the registry
	// requires one.
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
	// The connection can be reused only if the body is read to its end.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	return nil
}

// explainFirst is explain for the first requests to a registry. A server that is not a registry
// has answers that a registry never gives.
func explainFirst(ctx context.Context, act string, err error) error {
	var answer *transport.Error
	if ctx.Err() == nil && errors.As(err, &answer) && len(answer.Errors) == 0 {
		switch status := answer.StatusCode; {
		case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		default:
			// Leaves out the answer itself, which may be a long page.
			return fmt.Errorf("%s: %w: it answers %d %s", act, ErrNoRegistry, status, http.StatusText(status))
		}
	}
	return explain(ctx, act, err)
}

// cutTries is how many connections in a row may be cut off before Await returns the error.
const cutTries = 5

// Await waits until the registry works, and returns early with an error that waiting cannot
// help. It calls waiting, which may be nil, once if the registry does not work at first. A
// connection that is cut off, as by a front that reads its users again, is tried again a few times.
func (c *Client) Await(ctx context.Context, waiting func(error)) error {
	first, cut := true, 0
	var last error
	err := wait.PollUntilContextCancel(ctx, awaitEvery, true, func(ctx context.Context) (bool, error) {
		last = c.Ping(ctx)
		if errors.Is(last, io.EOF) || errors.Is(last, io.ErrUnexpectedEOF) || errors.Is(last, syscall.ECONNRESET) {
			if cut++; cut < cutTries {
				return false, nil
			}
			return true, last
		}
		cut = 0
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

// CheckPush checks that the credentials may push to a repository: it starts an upload and
// cancels it. Errors are those of Ping, ErrDenied, and ErrNotFound if the repository must be
// created first.
func (c *Client) CheckPush(ctx context.Context, repository string) error {
	target, err := c.repository(repository)
	if err != nil {
		return err
	}
	// The library takes no context here, but its transport does.
	err = remote.CheckPushPermission(target.Tag("latest"), keychain{c.auth}, boundTransport{ctx, c.transport})
	if err != nil {
		return explainFirst(ctx, "push to "+target.String(), err)
	}
	return nil
}

// keychain has the same credentials for everything.
type keychain struct{ auth authn.Authenticator }

// Resolve returns the credentials.
func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) { return k.auth, nil }

// boundTransport sends its requests with a context of its own.
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
	// Layer is the digest of the artifact's only layer, the tar.gz of the context.
	Layer v1.Hash
	// Uploaded reports whether the bytes of the layer were sent. It is false if the registry
	// had them already.
	Uploaded bool
}

// PushSource stores the layer in the registry as an OCI artifact: an image manifest with one
// layer and a minimal configuration, which an ordinary client can pull. The digest of the
// manifest depends only on the layer and the annotations, so the annotations must not hold a
// time. The manifest gets the tag of SourceTag, which makes it listable and records the day of
// its last use. The repository is a name without the host, <namespace>/<app>/source.
//
// PushSource sends only what the registry does not have, and the manifest if the context was
// last used on another day. It calls progress, which may be nil, with the bytes of the layer
// sent so far and in total, from other goroutines but one at a time and never after it
// returned. A new attempt starts where the last one can resume, and the last call reports all
// bytes. progress must be quick.
//
// PushSource retries transient errors for about 15 seconds in total, also if the registry's
// garbage collection deleted a part of the push. It sends a layer of more than 16 MiB to the
// registry in the cluster in chunks: if the connection breaks, the upload resumes from what the
// registry has, as long as it makes progress at least every five minutes. It sends a smaller
// layer, and any layer to an external registry, from its start again. When ctx is done
// PushSource returns at once.
//
// Errors hold ErrUnauthorized, ErrDenied, ErrFull, ErrCertificate, ErrUnreachable or those of
// the podforward.DialFunc, and never a credential.
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
		err = retryWhile(ctx, c.pauses, pushable, func() error { return remote.Write(tag, image, c.options(ctx)...) })
	}
	uploaded := counted.finish(err == nil)
	if err != nil {
		return SourceRef{}, explain(ctx, "push "+target.String(), err)
	}
	return SourceRef{Reference: reference.String(), Layer: counted.digest, Uploaded: uploaded}, nil
}

// sourceImage wraps a layer into a minimal image.
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
		return nil, errors.New("an annotated image is not an image")
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
	return append(settings(c), remote.WithContext(ctx))
}

// settings returns the options without retries: the library does not stop its pauses when the
// context ends.
func settings(c *Client) []remote.Option {
	return []remote.Option{
		remote.WithAuth(c.auth),
		remote.WithTransport(c.transport),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	}
}

// retryWhile calls do until it succeeds, fails with an error that again does not accept, or
// no pause between two attempts is left.
func retryWhile(ctx context.Context, pauses []time.Duration, again func(error) bool, do func() error) error {
	for _, pause := range pauses {
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

// transient reports whether an error may pass. Most network errors may, so the function lists
// those that do not.
func transient(err error) bool {
	var answer *transport.Error
	if full(err) {
		// Every attempt would leave a part of an upload behind.
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

// noSpace is the error of CNCF Distribution, and of other registries that store files, when
// their volume is full: the system's error as the detail of an unknown error.
const noSpace = "no space left on device"

// SaysFull reports whether a log line of a client such as Kaniko or crane states that the
// registry's volume, and not its own, is full.
func SaysFull(line string) bool {
	return strings.Contains(line, noSpace) && strings.Contains(line, "UNKNOWN: unknown error")
}

func full(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode >= http.StatusInternalServerError && strings.Contains(answer.Error(), noSpace)
}

// pushable reports whether pushing again may help: after a transient error, or if garbage
// collection deleted a part that no manifest referred to yet.
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

// explain adds the act to an error and gives an error of the registry its type.
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
	case errors.As(err, &answer) && kindOf(answer.StatusCode) != nil:
		kind = kindOf(answer.StatusCode)
	case errors.As(err, &verification):
		kind, err = ErrCertificate, verification
	case errors.Is(err, ErrUnreachable) && errors.As(err, &operation):
		kind, err = ErrUnreachable, operation
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s: %w", act, ErrNoTLS)
	default:
		return fmt.Errorf("%s: %w", act, err)
	}
	return fmt.Errorf("%s: %w: %w", act, kind, err)
}

// kindOf returns the error that an HTTP status of a registry stands for; nil for any other.
func kindOf(status int) error {
	return map[int]error{
		http.StatusUnauthorized:       ErrUnauthorized,
		http.StatusForbidden:          ErrDenied,
		http.StatusNotFound:           ErrNotFound,
		http.StatusBadGateway:         ErrUnavailable,
		http.StatusServiceUnavailable: ErrUnavailable,
		http.StatusGatewayTimeout:     ErrUnavailable,
	}[status]
}

// countedLayer reports how much of a layer was read, and whether it was opened at all.
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

// Compressed opens the layer. The library calls it only to send the layer.
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

// restart reports that offset bytes have arrived, and that the layer will be read again from
// there.
func (l *countedLayer) restart(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader = nil
	l.progress(offset, l.size)
}

// finish stops the reports: a canceled request may still be reading.
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

// Read reads, and reports the progress unless another reader has taken over.
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
