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
	// resumableChunk is how much of a layer one request sends. A layer that fits
	// into one is sent as a whole.
	resumableChunk = 16 << 20
	// stallLimit is how long a request may send nothing.
	stallLimit = 2 * time.Minute
	// resumePatience is how long an upload that has begun may get no further: a
	// laptop changes its network, an API server starts again, a pod moves.
	resumePatience = 5 * time.Minute
	// restartLimit is how often it goes on after what repeats itself as a rule: an
	// upload that the registry has lost, or that arrived as something else.
	restartLimit = 3
	// drainLimit bounds what is read of an answer that nothing needs.
	drainLimit = 8 << 10
)

var (
	errStalled = errors.New("the connection to the registry does not send any more")
	// errLost says that the upload is not what it was, errAnswer that it can not be
	// told.
	errLost   = errors.New("the registry has lost the upload")
	errAnswer = errors.New("the registry does not say where the upload goes on")
)

// upload sends one layer in chunks, as the OCI distribution specification has it,
// and goes on where the registry has got to when a connection breaks.
//
// The library that does the rest sends a layer in one request, which a broken
// connection loses. Only the registry in the cluster is sent chunks: others have
// rules of their own about their sizes, or do not take them.
type upload struct {
	client     *Client
	repository name.Repository
	layer      *countedLayer

	// location is where the upload goes on, nil before it has begun. It is known
	// to be at offset unless it is uncertain.
	location  *url.URL
	offset    int64
	uncertain bool
	restarts  int
}

// upload makes sure that the registry has the layer.
func (c *Client) upload(ctx context.Context, repository name.Repository, layer *countedLayer) error {
	u := &upload{client: c, repository: repository, layer: layer}
	begun, furthest, restarts := false, int64(0), 0
	// blocked is when it failed first since it last got further.
	var blocked time.Time
	for attempt := 0; ; attempt++ {
		err := u.proceed(ctx)
		if err == nil || ctx.Err() != nil || !u.prepare(err) {
			return err
		}
		if u.offset > furthest || u.restarts > restarts {
			furthest, restarts, attempt, blocked = u.offset, u.restarts, 0, time.Time{}
		}
		begun = begun || u.offset > 0
		if blocked.IsZero() {
			blocked = time.Now()
		}
		// What has not begun is tried as often as anything else.
		if tired := time.Since(blocked) > c.patience; tired || !begun && attempt >= len(c.pauses) || len(c.pauses) == 0 {
			return err
		}
		// None of them is better than the one that has just failed.
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

// prepare says whether it is worth going on after an error, and from where.
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
		// The way was open for what has been sent. An API server that has just
		// started does not know its rules yet, and a pod that moves is gone for a
		// moment.
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
		// It is somewhere else than we thought.
		return true
	case has(transport.BlobUploadUnknownErrorCode, transport.DigestInvalidErrorCode), answer.StatusCode == http.StatusNotFound:
		// The registry has lost it, or put it together from pieces that overlap.
		return restart()
	case has(transport.BlobUploadInvalidErrorCode):
		// A registry that was started again does not know the state in the location;
		// asked for the upload, it gives a new one.
		u.restarts++
		return u.restarts <= restartLimit
	}
	return false
}

// proceed does what is left to do.
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

// begin asks for an upload, unless the layer is there.
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
		// Nothing, or one byte: the two look the same.
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

// complete ends the upload. The registry may read all of it for its digest, so
// there is no limit to how long that takes.
func (u *upload) complete(ctx context.Context) error {
	target := *u.location
	query := target.Query()
	query.Set("digest", u.layer.digest.String())
	target.RawQuery = query.Encode()
	_, err := u.do(ctx, http.MethodPut, &target, nil, http.StatusCreated, http.StatusNoContent)
	return err
}

// follow takes over where an answer says that the upload goes on.
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

// answer is what the registry said, but for the body.
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

// Read reads, and says that it was asked to.
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
	login, err := u.client.auth.Authorization()
	if err != nil {
		return answer{}, err
	}
	request.SetBasicAuth(login.Username, login.Password)
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
	// To its end, so that the connection can be used again.
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, drainLimit))
	return answer{target, response.StatusCode, response.Header}, err
}
