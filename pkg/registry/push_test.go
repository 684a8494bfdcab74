package registry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const probes = "pyflow-system/node-access"

func newIndex(t *testing.T) v1.ImageIndex {
	t.Helper()
	index, err := random.Index(1000, 1, 3)
	must(t, err)
	return index
}

func TestPush(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	client := newTestClient(t, tr, nil)
	index := newIndex(t)
	want, err := index.Digest()
	must(t, err)

	digest, err := client.Push(t.Context(), probes, "latest", index)
	must(t, err)
	if digest != want.String() {
		t.Errorf("digest is %s, want %s", digest, want)
	}
	// The registry has all of it, by tag and by digest.
	for _, reference := range []string{host + "/" + probes + ":latest", host + "/" + probes + "@" + digest} {
		parsed, err := name.ParseReference(reference)
		must(t, err)
		pulled, err := remote.Index(parsed, client.options(t.Context())...)
		must(t, err)
		must(t, validate.Index(pulled))
	}

	// The second push sends no blob.
	tr.forget(nil)
	_, err = client.Push(t.Context(), probes, "latest", index)
	must(t, err)
	if sent := slices.Concat(tr.asked("POST"), tr.asked("PATCH")); len(sent) != 0 {
		t.Errorf("second push sent %q", sent)
	}

	// The tag moves.
	digest, err = client.Push(t.Context(), probes, "latest", newIndex(t))
	must(t, err)
	tagged, err := crane.Digest(host+"/"+probes+":latest", crane.WithTransport(client.transport), crane.WithAuth(client.auth))
	must(t, err)
	if tagged != digest {
		t.Errorf("the tag is %s, want %s", tagged, digest)
	}
}

func TestPushRetries(t *testing.T) {
	for _, method := range []string{"PATCH", "PUT"} {
		t.Run(method, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			var failures atomic.Int32
			tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != method || failures.Add(1) > 1 {
					return false
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			_, err := newTestClient(t, tr, nil).Push(t.Context(), probes, "latest", newIndex(t))
			must(t, err)
			if failures.Load() < 2 {
				t.Errorf("it was asked %d times", failures.Load())
			}
		})
	}
}

func TestPushErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		ctx        context.Context
		change     func(*Options)
		status     int
		repository string
		want       error
		says       string
	}{
		"wrong password":    {change: func(o *Options) { o.Password = "wrong" }, want: ErrUnauthorized},
		"denied":            {status: http.StatusForbidden, want: ErrDenied, says: "push " + host + "/" + probes + ":latest"},
		"cancelled":         {ctx: cancelled, want: context.Canceled},
		"no such name":      {repository: "Team A", says: "registry: "},
		"a broken registry": {status: http.StatusInternalServerError, says: "500"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			if test.status != 0 {
				tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodGet {
						return false
					}
					w.WriteHeader(test.status)
					return true
				})
			}
			ctx := t.Context()
			if test.ctx != nil {
				ctx = test.ctx
			}
			repository := probes
			if test.repository != "" {
				repository = test.repository
			}
			digest, err := newTestClient(t, tr, test.change).Push(ctx, repository, "latest", newIndex(t))
			if err == nil || digest != "" {
				t.Fatalf("digest is %q, error %v", digest, err)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %q, want it to say %q", err, test.says)
			}
			wantNoSecrets(t, err)
		})
	}
}
