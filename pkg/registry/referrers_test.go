package registry

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const sbomType = "application/vnd.cyclonedx+json"

// pushImage stores an image with a tag, and returns its digest.
func pushImage(t *testing.T, client *Client, reference string) string {
	t.Helper()
	image, err := random.Image(100, 1)
	must(t, err)
	target, err := name.ParseReference(reference)
	must(t, err)
	must(t, remote.Write(target, image, client.options(t.Context())...))
	digest, err := image.Digest()
	must(t, err)
	return digest.String()
}

// TestAttach runs against a registry without a list of referrers, as CNCF Distribution is: a tag
// names the index of them.
func TestAttach(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	client := newTestClient(t, tr, nil)
	image := pushImage(t, client, host+"/team-a/shop:shop-7")
	const repository = "team-a/shop"
	sbom := Artifact{Type: sbomType, Content: []byte(`{"bomFormat":"CycloneDX"}`), Annotations: map[string]string{"a": "b"}}
	digest, err := NewArtifacts(client).Attach(t.Context(), repository, image, sbom)
	must(t, err)
	first, err := client.Digest(t.Context(), repository, strings.Replace(image, ":", "-", 1))
	must(t, err)

	// Once more changes nothing.
	again, err := NewArtifacts(client).Attach(t.Context(), repository, image, sbom)
	must(t, err)
	if again != digest {
		t.Errorf("the same artifact is %s and %s", digest, again)
	}
	_, err = NewArtifacts(client).Attach(t.Context(), repository, image, Artifact{Type: "application/x", Content: []byte("signed")})
	must(t, err)
	found, err := NewArtifacts(client).Referrers(t.Context(), repository, image)
	must(t, err)
	if len(found) != 2 || !slices.ContainsFunc(found, func(a Artifact) bool {
		return a.Type == sbomType && a.Digest == digest && a.Annotations["a"] == "b"
	}) {
		t.Errorf("the referrers are %+v", found)
	}
	read, err := NewArtifacts(client).Artifact(t.Context(), repository, image, digest)
	must(t, err)
	if string(read.Content) != string(sbom.Content) || read.Type != sbomType {
		t.Errorf("it reads %+v", read)
	}
	// The first index has no tag any more, and nobody would find it.
	if _, err := client.Manifest(t.Context(), repository, first); !errors.Is(err, ErrNotFound) {
		t.Errorf("the first index: %v", err)
	}

	// What describes one image is not taken for what describes another.
	other := pushImage(t, client, host+"/team-a/shop:shop-8")
	if _, err := NewArtifacts(client).Artifact(t.Context(), repository, other, digest); !errors.Is(err, ErrArtifact) {
		t.Errorf("the artifact of another image: %v", err)
	}
	if _, err := NewArtifacts(client).Attach(t.Context(), repository, "sha256:"+strings.Repeat("0", 64), sbom); !errors.Is(err, ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
	if found, err := NewArtifacts(client).Referrers(t.Context(), repository, other); err != nil || len(found) != 0 {
		t.Errorf("the referrers of an image without any are %v, %v", found, err)
	}
}

// TestArtifactIsChecked: whoever answers in place of the registry cannot change the content.
func TestArtifactIsChecked(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	client := newTestClient(t, tr, nil)
	image := pushImage(t, client, host+"/team-a/shop:shop-7")
	digest, err := NewArtifacts(client).Attach(t.Context(), "team-a/shop", image, Artifact{Type: sbomType, Content: []byte("what was built")})
	must(t, err)
	tr.forget(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		_, _ = w.Write([]byte("what an attacker has"))
		return true
	})
	if read, err := NewArtifacts(client).Artifact(t.Context(), "team-a/shop", image, digest); err == nil {
		t.Errorf("it reads %s", read.Content)
	}
}

func TestCopyReferrers(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	from, to := newTestClient(t, tr, nil), newTestClient(t, tr, nil)
	image := pushImage(t, from, host+"/staging/shop:shop-7")
	want := map[string]string{}
	for _, kind := range []string{sbomType, "application/x"} {
		digest, err := NewArtifacts(from).Attach(t.Context(), "staging/shop", image, Artifact{Type: kind, Content: []byte(kind)})
		must(t, err)
		want[digest] = kind
	}
	must(t, to.Copy(t.Context(), from, "staging/shop", image, "production/shop", "staging-shop-7"))
	for range 2 { // the second time has nothing left to do
		n, err := NewArtifacts(to).Copy(t.Context(), NewArtifacts(from), "staging/shop", image, "production/shop")
		must(t, err)
		if n != len(want) {
			t.Errorf("it copies %d", n)
		}
	}
	found, err := NewArtifacts(to).Referrers(t.Context(), "production/shop", image)
	must(t, err)
	if len(found) != len(want) {
		t.Errorf("the referrers are %+v", found)
	}
	for _, artifact := range found {
		read, err := NewArtifacts(to).Artifact(t.Context(), "production/shop", image, artifact.Digest)
		must(t, err)
		if want[artifact.Digest] != string(read.Content) {
			t.Errorf("%s has %s", artifact.Digest, read.Content)
		}
	}
	// The list may name what is not there.
	must(t, from.DeleteManifest(t.Context(), "staging/shop", found[0].Digest))
	if n, err := NewArtifacts(to).Copy(t.Context(), NewArtifacts(from), "staging/shop", image, "production/shop"); err != nil || n != len(want)-1 {
		t.Errorf("it copies %d, %v", n, err)
	}
}
