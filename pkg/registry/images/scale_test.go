package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/cached"
)

// countingRegistry has images of which each has a tag, and counts the requests.
type countingRegistry struct {
	tags int

	mu       sync.Mutex
	requests map[string]int
}

func (r *countingRegistry) count(request string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests == nil {
		r.requests = map[string]int{}
	}
	r.requests[request]++
}

// counted returns the requests since the last call.
func (r *countingRegistry) counted() string {
	got := fmt.Sprint(r.requests)
	r.requests = nil
	return got
}

func (r *countingRegistry) Tags(context.Context, string) (tags []string, err error) {
	r.count("tags")
	for i := range r.tags {
		tags = append(tags, fmt.Sprintf("t%04d", i))
	}
	return tags, nil
}

func (r *countingRegistry) config(tag string) []byte {
	return fmt.Appendf(nil, `{"created":"2026-01-01T00:00:00Z","author":%q}`, tag)
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

func (r *countingRegistry) manifest(tag string) *registry.Manifest {
	config := r.config(tag)
	parsed, err := registry.ParseManifest(fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":%q,"size":%d}}`,
		digestOf(config), len(config)))
	if err != nil {
		panic(err)
	}
	return parsed
}

func (r *countingRegistry) Manifest(_ context.Context, _, reference string) (*registry.Manifest, error) {
	r.count("manifest")
	for i := range r.tags {
		tag := fmt.Sprintf("t%04d", i)
		if found := r.manifest(tag); tag == reference || found.Digest == reference {
			return found, nil
		}
	}
	return nil, registry.ErrNotFound
}

func (r *countingRegistry) Digest(_ context.Context, _, tag string) (string, error) {
	r.count("digest")
	return r.manifest(tag).Digest, nil
}

func (r *countingRegistry) Config(_ context.Context, _ string, config registry.Descriptor) ([]byte, error) {
	r.count("config")
	for i := range r.tags {
		if content := r.config(fmt.Sprintf("t%04d", i)); digestOf(content) == config.Digest {
			return content, nil
		}
	}
	return nil, registry.ErrNotFound
}

// What was read once costs one request for each tag, in another process too.
func TestReadIsCached(t *testing.T) {
	counting := &countingRegistry{tags: 100}
	cache, err := cached.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// The first read asks for some digests until it knows that it has none of the images: those
	// that it reads side by side.
	some := regexp.MustCompile(`digest:\d `)
	for i, want := range []string{"map[config:100 digest:1 manifest:100 tags:1]", "map[digest:100 tags:1]"} {
		last := 0
		var mu sync.Mutex
		reader := cached.NewReader(counting, cached.NewMemory(cache), false, func(done, total int) {
			mu.Lock()
			defer mu.Unlock()
			if last = max(last, done); total != counting.tags {
				t.Errorf("%d of %d tags", done, total)
			}
		})
		shop := &Repository{Path: "team/shop", Kind: Images, Namespace: "team", App: "shop"}
		if err := Read(t.Context(), reader, []*Repository{shop}); err != nil || len(shop.Manifests) != counting.tags || last != counting.tags {
			t.Fatalf("read %d images, reported %d, %v", len(shop.Manifests), last, err)
		}
		if got := some.ReplaceAllString(counting.counted(), "digest:1 "); got != want {
			t.Errorf("read %d: %s, want %s", i+1, got, want)
		}
	}
}

// slowWriter deletes a manifest in a second.
type slowWriter struct {
	mu        sync.Mutex
	now, most int
	order     []string
	broken    string
}

func (w *slowWriter) DeleteManifest(_ context.Context, _, digest string) error {
	w.mu.Lock()
	w.now++
	w.most = max(w.most, w.now)
	w.order = append(w.order, digest)
	w.mu.Unlock()
	time.Sleep(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now--
	if digest == w.broken {
		return errors.New("no connection")
	}
	return nil
}

func (w *slowWriter) PutManifest(context.Context, string, *registry.Manifest, []string) error {
	return nil
}

// Many manifests are deleted several at once, and an index before its images.
func TestDeleteInParallel(t *testing.T) {
	var stores []*Manifest
	for i := range 100 {
		stores = append(stores, stored(fmt.Sprintf("%03d", i), 0, []string{fmt.Sprint("t", i)}))
	}
	stores = append(stores, index("outer", 0, []string{"outer"}, "inner"), index("inner", 0, nil, "x", "y"), stored("x", 0, nil), stored("y", 0, nil))
	shop := repository(Images, "team/shop", stores...)
	plan := NewPlan([]*Repository{shop}, uses(), Rules{Now: testNow})
	if len(plan.Deletions) != 104 {
		t.Fatalf("%d are planned", len(plan.Deletions))
	}
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{}
		start := time.Now()
		deleted, err := Delete(t.Context(), w, plan.Deletions, func(int) {})
		if err != nil || len(deleted) != 104 || w.most != parallel {
			t.Errorf("deleted %d, at most %d at once, %v", len(deleted), w.most, err)
		}
		// Two for the indexes, one after the other, and 102 by eight.
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("it took %s", took)
		}
		if got := w.order[:2]; !slices.Equal(got, []string{sha("outer"), sha("inner")}) {
			t.Errorf("the first ones are %s", strings.Join(got, " "))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{broken: plan.Deletions[5].Manifest.Digest}
		deleted, err := Delete(t.Context(), w, plan.Deletions, func(int) {})
		if err == nil || len(deleted) < 5 || len(deleted) > 2+2*parallel {
			t.Errorf("deleted %d before an error, %v", len(deleted), err)
		}
		for _, d := range deleted {
			if d.Manifest.Digest == w.broken || !slices.Contains(w.order, d.Manifest.Digest) {
				t.Errorf("%s is not deleted", d.Manifest.Digest)
			}
		}
	})
}
