package nodeaccess

import (
	"archive/tar"
	"io"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pulled pushes an index to a registry and returns what a client pulls.
func pulled(t *testing.T, index v1.ImageIndex) v1.ImageIndex {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	reference, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/probe:latest")
	must(t, err)
	must(t, remote.WriteIndex(reference, index))
	index, err = remote.Index(reference)
	must(t, err)
	return index
}

// blobs returns the digests of everything that a node may pull, and the platforms.
func blobs(t *testing.T, index v1.ImageIndex) (digests, platforms []string) {
	t.Helper()
	index = pulled(t, index)
	must(t, validate.Index(index))
	digest, err := index.Digest()
	must(t, err)
	digests = append(digests, digest.String())
	manifest, err := index.IndexManifest()
	must(t, err)
	for _, entry := range manifest.Manifests {
		image, err := index.Image(entry.Digest)
		must(t, err)
		manifest, err := image.Manifest()
		must(t, err)
		config, err := image.ConfigFile()
		must(t, err)
		if !config.Platform().Equals(*entry.Platform) {
			t.Errorf("the platform is %s in the configuration and %s in the index", config.Platform(), entry.Platform)
		}
		platforms = append(platforms, entry.Platform.String())
		digests = append(digests, entry.Digest.String(), manifest.Config.Digest.String())
		for _, layer := range manifest.Layers {
			digests = append(digests, layer.Digest.String())
			if layer.Size > 1024 {
				t.Errorf("a layer has %d bytes", layer.Size)
			}
		}
	}
	return digests, platforms
}

func TestProbeImage(t *testing.T) {
	first, err := ProbeImage("one")
	must(t, err)
	again, err := ProbeImage("one")
	must(t, err)
	other, err := ProbeImage("two")
	must(t, err)

	digests, platforms := blobs(t, first)
	want := []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/ppc64le", "linux/s390x", "linux/riscv64"}
	if !slices.Equal(platforms, want) {
		t.Errorf("platforms are %q, want %q", platforms, want)
	}
	if same, _ := blobs(t, again); !slices.Equal(same, digests) {
		t.Errorf("the same nonce gave %q and %q", digests, same)
	}
	others, _ := blobs(t, other)
	for _, digest := range others {
		if slices.Contains(digests, digest) {
			t.Errorf("two nonces share %s", digest)
		}
	}

	manifest, err := first.IndexManifest()
	must(t, err)
	image, err := first.Image(manifest.Manifests[0].Digest)
	must(t, err)
	layers, err := image.Layers()
	must(t, err)
	content, err := layers[0].Uncompressed()
	must(t, err)
	archive := tar.NewReader(content)
	header, err := archive.Next()
	must(t, err)
	text, err := io.ReadAll(archive)
	must(t, err)
	config, err := image.ConfigFile()
	must(t, err)
	if string(text) != "one" || header.Mode&0o111 != 0 || !slices.Equal(config.Config.Cmd, []string{"/" + header.Name}) {
		t.Errorf("file %s (%o) holds %q, the command is %q", header.Name, header.Mode, text, config.Config.Cmd)
	}

	if _, err := ProbeImage(""); err == nil {
		t.Error("no error without a nonce")
	}
}
