package registry

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func day(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	must(t, err)
	return parsed
}

// A context is listed by its tag, which records the day of its use.
func TestPushSourceTags(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	client := newTestClient(t, tr, nil)
	layer := newLayer(t, 1000)
	var ref SourceRef
	push := func(at string) {
		t.Helper()
		client.now = func() time.Time { return day(t, at) }
		tr.forget(nil)
		var err error
		ref, err = client.PushSource(t.Context(), source, layer, nil, nil)
		must(t, err)
	}
	sent := func() []string { return slices.Concat(tr.asked("POST"), tr.asked("PUT"), tr.asked("PATCH")) }
	push("2026-03-09T23:00:00Z")
	push("2026-03-09T23:59:59Z")
	if len(sent()) != 0 {
		t.Errorf("the same day sent %q", sent())
	}
	push("2026-03-10T00:00:00Z")
	if len(sent()) != 1 || ref.Uploaded {
		t.Errorf("another day sent %q, want the tag's manifest alone", sent())
	}
	tags, err := client.Tags(t.Context(), source)
	must(t, err)
	_, digest, _ := strings.Cut(ref.Reference, "@sha256:")
	if want := []string{"2026-03-09-" + digest[:32], "2026-03-10-" + digest[:32]}; !slices.Equal(tags, want) {
		t.Errorf("tags are %q, want %q", tags, want)
	}
	for _, tag := range tags {
		manifest, err := client.Manifest(t.Context(), source, tag)
		must(t, err)
		if manifest.Digest != "sha256:"+digest {
			t.Errorf("tag %s is %s, want %s", tag, manifest.Digest, digest)
		}
	}
	if at, ok := SourceDay(tags[0]); !ok || !at.Equal(day(t, "2026-03-09T00:00:00Z")) {
		t.Errorf("the day of %s is %s", tags[0], at)
	}
	for _, other := range []string{"latest", "shop-x7k2p", "", strings.Repeat("x", len(tags[0]))} {
		if at, ok := SourceDay(other); ok {
			t.Errorf("the day of %q is %s", other, at)
		}
	}
}

// Garbage collection deletes what was sent before the manifest that refers to it.
func TestPushSourceSendsAgainWhatWasCollected(t *testing.T) {
	for _, code := range []string{"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN"} {
		t.Run(code, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			client := newTestClient(t, tr, nil)
			refused := 0
			tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") || refused > 0 {
					return false
				}
				refused++
				http.Error(w, `{"errors":[{"code":"`+code+`","message":"blob unknown to registry"}]}`, http.StatusBadRequest)
				return true
			})
			layer := newLayer(t, 1000)
			ref, err := client.PushSource(t.Context(), source, layer, nil, nil)
			must(t, err)
			if refused != 1 {
				t.Fatalf("refused %d times", refused)
			}
			wantArtifact(t, client, ref.Reference, layer, nil)
		})
	}
	// Any other error is permanent.
	tr := newTestRegistry(t, host, soon())
	tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		http.Error(w, `{"errors":[{"code":"MANIFEST_INVALID"}]}`, http.StatusBadRequest)
		return true
	})
	_, err := newTestClient(t, tr, nil).PushSource(t.Context(), source, newLayer(t, 10), nil, nil)
	if count := len(tr.asked("PUT")); err == nil || count > 3 {
		t.Errorf("error is %v after %q", err, tr.asked("PUT"))
	}
}

func TestManifest(t *testing.T) {
	client := newTestClient(t, newTestRegistry(t, host, soon()), nil)
	repository, err := client.repository("team-a/shop")
	must(t, err)
	image, err := random.Image(1000, 2)
	must(t, err)
	built := day(t, "2026-03-09T12:00:00Z")
	image, err = mutate.CreatedAt(image, v1.Time{Time: built})
	must(t, err)
	must(t, remote.Write(repository.Tag("shop-1"), image, client.options(t.Context())...))
	index, ok := mutate.Subject(mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image}), mustDescriptor(t, image)).(v1.ImageIndex)
	if !ok {
		t.Fatal("an index with a subject is no index")
	}
	must(t, remote.WriteIndex(repository.Tag("multi"), index, client.options(t.Context())...))

	got, err := client.Manifest(t.Context(), "team-a/shop", "shop-1")
	must(t, err)
	want, err := image.Manifest()
	must(t, err)
	digest, err := image.Digest()
	must(t, err)
	blobs := []Descriptor{{digest.String(), int64(len(got.Raw))}, descriptor(want.Config), descriptor(want.Layers[0]), descriptor(want.Layers[1])}
	if got.Digest != digest.String() || got.MediaType != string(want.MediaType) || !reflect.DeepEqual(got.Blobs(), blobs) || got.Children != nil || got.Subject != "" {
		t.Errorf("image is %+v", got)
	}
	created, err := client.Created(t.Context(), "team-a/shop", got.Config)
	must(t, err)
	if !created.Equal(built) {
		t.Errorf("created is %s, want %s", created, built)
	}

	multi, err := client.Manifest(t.Context(), "team-a/shop", "multi")
	must(t, err)
	if len(multi.Children) != 1 || multi.Children[0].Digest != got.Digest || multi.Subject != got.Digest || multi.Config.Digest != "" || len(multi.Blobs()) != 1 {
		t.Errorf("index is %+v", multi)
	}

	// A tag is found without its manifest, and goes alone.
	if digest, err := client.Digest(t.Context(), "team-a/shop", "shop-1"); err != nil || digest != got.Digest {
		t.Errorf("the digest of the tag is %s, %v", digest, err)
	}
	if parsed, err := ParseManifest(got.Raw); err != nil || !reflect.DeepEqual(parsed, got) {
		t.Errorf("parsed again it is %+v, %v", parsed, err)
	}
	must(t, client.DeleteManifest(t.Context(), "team-a/shop", "shop-1"))
	must(t, client.DeleteManifest(t.Context(), "team-a/shop", "shop-1"))
	if _, err := client.Digest(t.Context(), "team-a/shop", "shop-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error is %v, want %v", err, ErrNotFound)
	}
	if _, err := client.Manifest(t.Context(), "team-a/shop", got.Digest); err != nil {
		t.Errorf("the manifest went with its tag: %v", err)
	}

	// Deletes the manifest with its signature, and restores it.
	must(t, client.DeleteManifest(t.Context(), "team-a/shop", got.Digest))
	if _, err := client.Manifest(t.Context(), "team-a/shop", got.Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("error is %v, want %v", err, ErrNotFound)
	}
	must(t, client.DeleteManifest(t.Context(), "team-a/shop", got.Digest))
	must(t, client.PutManifest(t.Context(), "team-a/shop", got, []string{"back"}))
	for _, reference := range []string{got.Digest, "back"} {
		back, err := client.Manifest(t.Context(), "team-a/shop", reference)
		must(t, err)
		if !reflect.DeepEqual(back, got) {
			t.Errorf("%s is %+v, want %+v", reference, back, got)
		}
	}
}

func mustDescriptor(t *testing.T, image v1.Image) v1.Descriptor {
	t.Helper()
	digest, err := image.Digest()
	must(t, err)
	return v1.Descriptor{Digest: digest, MediaType: "application/vnd.oci.image.manifest.v1+json"}
}

// Both lists come in pages, linked as Distribution links them.
func TestLists(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	client := newTestClient(t, tr, nil)
	tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
		pages := map[string][2]string{
			"/v2/_catalog":              {`{"repositories":["b","a"]}`, `{"repositories":["b","c"]}`},
			"/v2/team-a/shop/tags/list": {`{"name":"team-a/shop","tags":["2","1"]}`, `{"name":"team-a/shop","tags":["3"]}`},
			"/v2/team-a/gone/tags/list": {`{"name":"team-a/gone","tags":[]}`, ""},
		}
		page, ok := pages[r.URL.Path]
		if !ok {
			return false
		}
		content := page[0]
		if r.URL.Query().Get("last") == "x" {
			content = page[1]
		} else if page[1] != "" {
			w.Header().Set("Link", "<"+r.URL.Path+`?last=x&n=2>; rel="next"`)
		}
		_, _ = w.Write([]byte(content))
		return true
	})
	repositories, err := client.Catalog(t.Context())
	must(t, err)
	if !slices.Equal(repositories, []string{"a", "b", "c"}) {
		t.Errorf("catalog is %q", repositories)
	}
	for repository, want := range map[string][]string{"team-a/shop": {"1", "2", "3"}, "team-a/gone": {}} {
		tags, err := client.Tags(t.Context(), repository)
		must(t, err)
		if !slices.Equal(tags, want) {
			t.Errorf("tags of %s are %q, want %q", repository, tags, want)
		}
	}
	if _, err := client.Tags(t.Context(), "team-a/never"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error is %v, want %v", err, ErrNotFound)
	}
}
