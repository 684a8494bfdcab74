package registry

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// layerOf returns a layer of files, in pairs of name and content.
func layerOf(t *testing.T, files ...string) v1.Layer {
	t.Helper()
	var text bytes.Buffer
	writer := tar.NewWriter(&text)
	for i := 0; i < len(files); i += 2 {
		must(t, writer.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}))
		_, err := writer.Write([]byte(files[i+1]))
		must(t, err)
	}
	must(t, writer.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil })
	must(t, err)
	return layer
}

func TestImageFile(t *testing.T) {
	client := newTestClient(t, newTestRegistry(t, host, soon()), nil)
	image, err := mutate.AppendLayers(empty.Image,
		layerOf(t, "etc/passwd", "lower", "etc/group", "staff"), layerOf(t, "./etc/passwd", "upper"), layerOf(t, "app/main.py", "x", "etc/empty", ""))
	must(t, err)
	repository, err := client.repository("team-a/shop")
	must(t, err)
	must(t, remote.Write(repository.Tag("files"), image, client.options(t.Context())...))
	digest, err := image.Digest()
	must(t, err)
	for name, want := range map[string]string{"etc/passwd": "upper", "/etc/group": "staff", "etc/empty": "", "app/main.py": "x"} {
		if got, err := ImageFile(t.Context(), client, "team-a/shop", digest.String(), name); err != nil || got == nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
	if got, err := ImageFile(t.Context(), client, "team-a/shop", digest.String(), "etc/shadow"); err != nil || got != nil {
		t.Errorf("a file that is not there is %q, %v", got, err)
	}
	if _, err := ImageFile(t.Context(), client, "team-a/none", digest.String(), "etc/passwd"); err == nil {
		t.Error("an image that is not there should be an error")
	}
}
