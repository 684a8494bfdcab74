package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
)

const (
	// resumableChunk is how much of a layer one request sends. A layer that fits into one
	// request is sent as a whole.
	resumableChunk = 16 << 20
	// stallLimit is the time that a request may send nothing.
	stallLimit = 2 * time.Minute
	// resumeTimeout is the time that a started upload may make no progress, such as when a
	// laptop changes its network, an API server restarts or a pod moves.
	resumeTimeout = 5 * time.Minute
	// restartLimit is the number of restarts after an error that usually repeats: the registry
	// has lost the upload, or received other bytes.
	restartLimit = 3
	// drainLimit limits what is read of a body that is not needed.
	drainLimit = 8 << 10
)

var (
	errStalled = errors.New("the connection to the registry no longer sends")
	// errLost reports that the upload has another state than expected, errAnswer that its state
	// is unknown.
	errLost   = errors.New("the registry has lost the upload")
	errAnswer = errors.New("the registry does not report where the upload continues")
)

// upload sends one layer in chunks, as in the OCI distribution specification, and resumes from
// what the registry has when a connection breaks.
//
// The library sends a layer in one request, so that a broken connection loses all of it. Only
// the registry in the cluster gets chunks: other registries restrict their sizes or refuse
// them.
type upload struct {
	client     *Client
	repository name.Repository
	layer      *countedLayer

	// location is where the upload continues, nil before it has started. It is at offset unless
	// it is uncertain.
	location  *url.URL
	offset    int64
	uncertain bool
	restarts  int
}

// upload stores the layer in the registry.
func (c *Client) upload(ctx context.Context, repository name.Repository, layer *countedLayer) error {
	u := &upload{client: c, repository: repository, layer: layer}
	started, furthest, restarts := false, int64(0), 0
	// blocked is the time of the first failure since the last progress.
	var blocked time.Time
	for attempt := 0; ; attempt++ {
		err := u.proceed(ctx)
		if err == nil || ctx.Err() != nil || !u.prepare(err) {
			return err
		}
		if u.offset > furthest || u.restarts > restarts {
			furthest, restarts, attempt, blocked = u.offset, u.restarts, 0, time.Time{}
		}
		started = started || u.offset > 0
		if blocked.IsZero() {
			blocked = time.Now()
		}
		// An upload that has not started is tried as often as any other request.
		if exhausted := time.Since(blocked) > c.resume; exhausted || !started && attempt >= len(c.pauses) || len(c.pauses) == 0 {
			return err
		}
		// No idle connection is better than the one that has just failed.
		c.transport.CloseIdleConnections()
		timer := time.NewTimer(c.pauses[min(attempt, len(c.pauses)-1)])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// prepare reports whether to continue after an error, and sets where.
func (u *upload) prepare(err error) bool {
	u.uncertain = true
	restart := func() bool {
		u.restarts++
		u.location, u.offset = nil, 0
		return u.restarts <= restartLimit
	}
	var answer *transport.Error
	switch {
	case errors.Is(err, errAnswer):
		return false
	case errors.Is(err, errLost):
		return restart()
	case u.offset > 0 && (apierrors.IsForbidden(err) || errors.Is(err, podforward.ErrNoPod)):
		// The connection worked for what has been sent. An API server that has just started
		// does not know its RBAC rules yet, and a pod that moves is missing for a moment.
		u.restarts++
		return u.restarts <= restartLimit
	case transient(err):
		return true
	case !errors.As(err, &answer):
		return false
	}
	has := func(codes ...transport.ErrorCode) bool {
		return slices.ContainsFunc(answer.Errors, func(d transport.Diagnostic) bool { return slices.Contains(codes, d.Code) })
	}
	switch {
	case answer.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		// The registry has another offset than we assumed.
		return true
	case has(transport.BlobUploadUnknownErrorCode, transport.DigestInvalidErrorCode), answer.StatusCode == http.StatusNotFound:
		// The registry has lost the upload, or assembled it from pieces that overlap.
		return restart()
	case has(transport.BlobUploadInvalidErrorCode):
		// A registry that was restarted does not know the state in the location. Asked for the
		// upload, it returns a new location.
		u.restarts++
		return u.restarts <= restartLimit
	}
	return false
}

// proceed sends what is left.
func (u *upload) proceed(ctx context.Context) error {
	if u.location != nil && u.uncertain {
		if err := u.find(ctx); err != nil {
			return err
		}
	}
	if u.location == nil {
		there, err := u.begin(ctx)
		if there || err != nil {
			return err
		}
	}
	u.uncertain = false
	for u.offset < u.layer.size {
		if err := u.patch(ctx); err != nil {
			return err
		}
	}
	return u.complete(ctx)
}

// begin starts an upload, unless the registry has the layer.
func (u *upload) begin(ctx context.Context) (there bool, err error) {
	blobs := &url.URL{Scheme: "https", Host: u.client.registry.RegistryStr(), Path: "/v2/" + u.repository.RepositoryStr() + "/blobs/"}
	answer, err := u.do(ctx, http.MethodHead, blobs.JoinPath(u.layer.digest.String()), nil, http.StatusOK, http.StatusNotFound)
	if err != nil || answer.code == http.StatusOK {
		return err == nil, err
	}
	answer, err = u.do(ctx, http.MethodPost, blobs.JoinPath("uploads/"), nil, http.StatusAccepted)
	if err != nil {
		return false, err
	}
	u.offset = 0
	return false, u.follow(answer)
}

// find asks how much of the upload the registry has.
func (u *upload) find(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, u.client.stall, errStalled)
	defer cancel()
	answer, err := u.do(ctx, http.MethodGet, u.location, nil, http.StatusNoContent)
	if err != nil {
		return err
	}
	_, last, _ := strings.Cut(answer.header.Get("Range"), "-")
	end, err := strconv.ParseInt(last, 10, 64)
	if err != nil || end < 0 || end >= u.layer.size {
		return fmt.Errorf("%w: it has %q of it", errLost, answer.header.Get("Range"))
	}
	if end == 0 {
		// The answers for no byte and for one byte are the same.
		u.location, u.offset = nil, 0
		return nil
	}
	u.offset = end + 1
	u.layer.restart(u.offset)
	return u.follow(answer)
}

// patch sends the next chunk.
func (u *upload) patch(ctx context.Context) error {
	length := min(u.client.chunk, u.layer.size-u.offset)
	content, err := u.layer.from(u.offset)
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // only read
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(u.client.stall, func() { cancel(errStalled) })
	defer watch.Stop()
	chunk := &chunk{Reader: io.LimitReader(content, length), start: u.offset, length: length, moved: func() { watch.Reset(u.client.stall) }}
	answer, err := u.do(ctx, http.MethodPatch, u.location, chunk, http.StatusAccepted)
	if err != nil {
		return err
	}
	u.offset += length
	return u.follow(answer)
}

// complete finishes the upload. The registry may read all of it to compute its digest, so this
// has no timeout.
func (u *upload) complete(ctx context.Context) error {
	target := *u.location
	query := target.Query()
	query.Set("digest", u.layer.digest.String())
	target.RawQuery = query.Encode()
	_, err := u.do(ctx, http.MethodPut, &target, nil, http.StatusCreated, http.StatusNoContent)
	return err
}

// follow sets the location from an answer.
func (u *upload) follow(answer answer) error {
	location, err := answer.from.Parse(answer.header.Get("Location"))
	if err != nil || answer.header.Get("Location") == "" {
		return errAnswer
	}
	if location.Scheme != "https" || location.Host != answer.from.Host {
		return fmt.Errorf("%w here, but at %s", errAnswer, location.Host)
	}
	u.location = location
	return nil
}

// answer is a response without its body.
type answer struct {
	from   *url.URL
	code   int
	header http.Header
}

// chunk is the body of one request.
type chunk struct {
	io.Reader
	start, length int64
	moved         func()
}

// Read reads, and records that it was called.
func (c *chunk) Read(p []byte) (int, error) {
	c.moved()
	return c.Reader.Read(p)
}

// do sends a request and returns the answer if it has one of the expected codes.
func (u *upload) do(ctx context.Context, method string, target *url.URL, body *chunk, codes ...int) (answer, error) {
	var reader io.Reader = http.NoBody
	if body != nil {
		reader = body
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), reader)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		request.ContentLength = body.length
		request.Header.Set("Content-Type", "application/octet-stream")
		request.Header.Set("Content-Range", fmt.Sprintf("%d-%d", body.start, body.start+body.length-1))
	}
	credentials, err := u.client.auth.Authorization()
	if err != nil {
		return answer{}, err
	}
	request.SetBasicAuth(credentials.Username, credentials.Password)
	response, err := u.client.transport.RoundTrip(request)
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			return answer{}, errStalled
		}
		return answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if err := transport.CheckError(response, codes...); err != nil {
		return answer{}, err
	}
	// The connection can be reused only if the body is read to its end.
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, drainLimit))
	return answer{target, response.StatusCode, response.Header}, err
}
