// Package registry talks to the registry inside of the cluster, through the API
// server's port-forward.
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
)

// What the registry can answer, beside the errors of the way to it.
var (
	// ErrUnauthorized says that the registry does not know the user or the password.
	ErrUnauthorized = errors.New("the registry refused the credentials")
	// ErrDenied says that the user may not do this in that repository.
	ErrDenied = errors.New("the registry denied access to the repository")
	// ErrNotFound says that the registry has no such manifest.
	ErrNotFound = errors.New("not found in the registry")
	// ErrCertificate says that the registry's certificate is not one that the
	// given CA signed for its name and this time.
	ErrCertificate = errors.New("the registry's certificate is not trusted")
)

// Options says which registry it is and how to get there.
type Options struct {
	// Host is the registry's name in references and in its certificate, with a
	// port if that is not 443.
	Host string
	// Username and Password are for basic authentication.
	Username, Password string
	// CA holds the PEM certificates that may sign the registry's; no others are
	// trusted, and not those of the system.
	CA []byte
	// Dial opens the connections; the address it is given is always the host's.
	Dial DialFunc
}

// Client is a client of one registry. It is safe for concurrent use and keeps
// connections open until Close.
type Client struct {
	host      string
	registry  name.Registry
	auth      authn.Authenticator
	transport *http.Transport
	// pauses are the times to wait before an upload is tried again.
	pauses []time.Duration
}

// New returns a client. It connects to nothing yet.
func New(opts Options) (*Client, error) {
	registry, err := name.NewRegistry(opts.Host, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if opts.Dial == nil {
		return nil, errors.New("registry: no way to dial it")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(opts.CA) {
		return nil, errors.New("registry: the CA holds no PEM certificate")
	}
	hostname, port, err := net.SplitHostPort(opts.Host)
	if err != nil {
		hostname, port = opts.Host, "443"
	}
	home := net.JoinHostPort(hostname, port)
	return &Client{
		host:     opts.Host,
		registry: registry,
		auth:     &authn.Basic{Username: opts.Username, Password: opts.Password},
		transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if address != home {
					return nil, fmt.Errorf("the registry redirects to %s, which the port-forward does not reach", address)
				}
				return opts.Dial(ctx, network, address)
			},
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS12,
				RootCAs:    roots,
				ServerName: hostname,
				// Every record is a frame of the port-forward.
				DynamicRecordSizingDisabled: true,
			},
			TLSHandshakeTimeout: 20 * time.Second,
			IdleConnTimeout:     90 * time.Second,
			MaxIdleConnsPerHost: 4,
			WriteBufferSize:     64 << 10,
			ReadBufferSize:      64 << 10,
		},
		pauses: []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second},
	}, nil
}

// Close ends the connections that are idle. The client can be used again.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Ping checks that the registry can be reached, that its certificate is good and
// that it takes the credentials. Errors hold ErrUnauthorized, ErrCertificate or
// those of the DialFunc. It is tried once.
func (c *Client) Ping(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.host+"/v2/", http.NoBody)
	if err != nil {
		return fmt.Errorf("registry %s: %w", c.host, err)
	}
	credentials, err := authn.Authorization(ctx, c.auth)
	if err != nil {
		return fmt.Errorf("registry %s: %w", c.host, err)
	}
	request.SetBasicAuth(credentials.Username, credentials.Password)
	client := &http.Client{Transport: c.transport}
	response, err := client.Do(request)
	if err != nil {
		return explain(ctx, "registry "+c.host, err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return explain(ctx, "registry "+c.host, err)
	}
	// Read to its end, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	return nil
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
// no tag. The repository is a name without the host, <namespace>/<app>/source.
//
// Nothing is sent that the registry has. Progress, when set, is called with the
// layer's bytes sent so far and in all, from other goroutines but one at a time
// and never after PushSource returned; a new attempt starts at zero again, and
// the last call says all. It must be quick. Transient errors are tried
// again for about 15 seconds in all, the upload from its start. When ctx is done
// PushSource returns at once.
//
// Errors hold ErrUnauthorized, ErrDenied, ErrCertificate or those of the
// DialFunc, and never a credential.
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
	err = c.retry(ctx, func() error { return remote.Write(reference, image, c.options(ctx)...) })
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

// ImageSize returns the compressed size of an image in bytes: its configuration
// and all of its layers, also those that it shares with other images. If the
// digest is an index the linux/amd64 image of it counts. Errors hold ErrNotFound
// beside those of PushSource.
func (c *Client) ImageSize(ctx context.Context, repository, digest string) (int64, error) {
	target, err := c.repository(repository)
	if err != nil {
		return 0, err
	}
	reference, err := name.NewDigest(target.String()+"@"+digest, name.StrictValidation)
	if err != nil {
		return 0, fmt.Errorf("registry: %w", err)
	}
	var manifest *v1.Manifest
	err = c.retry(ctx, func() error {
		image, err := remote.Image(reference, c.options(ctx)...)
		if err != nil {
			return err
		}
		manifest, err = image.Manifest()
		return err
	})
	if err != nil {
		return 0, explain(ctx, "read image "+reference.String(), err)
	}
	size := manifest.Config.Size
	for i := range manifest.Layers {
		size += manifest.Layers[i].Size
	}
	return size, nil
}

func (c *Client) repository(path string) (name.Repository, error) {
	repository, err := name.NewRepository(c.registry.RegistryStr()+"/"+path, name.StrictValidation)
	if err != nil {
		return name.Repository{}, fmt.Errorf("registry: %w", err)
	}
	return repository, nil
}

// options leaves the retries out: the library's own sleep through a cancel.
func (c *Client) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuth(c.auth),
		remote.WithTransport(c.transport),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	}
}

// retry does it until it succeeds, fails for good or has no pause left.
func (c *Client) retry(ctx context.Context, do func() error) error {
	for _, pause := range c.pauses {
		err := do()
		if err == nil || ctx.Err() != nil || !transient(err) {
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
	if errors.As(err, &answer) {
		return answer.Temporary() || answer.StatusCode >= http.StatusInternalServerError
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code == 0 || code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
	}
	return !errors.Is(err, ErrNoPod) && !untrusted(err)
}

func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// explain names the act and gives an error of the registry its type.
func explain(ctx context.Context, act string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", act, ctx.Err())
	}
	var kind error
	var answer *transport.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusUnauthorized:
		kind = ErrUnauthorized
	case errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden:
		kind = ErrDenied
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		kind = ErrNotFound
	case untrusted(err):
		kind = ErrCertificate
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
	content, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = true
	l.reader = &countedReader{ReadCloser: content, layer: l}
	return l.reader, nil
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
