// Package nodeaccess chooses how nodes reach the registry, and proves it: every node
// pulls an image.
package nodeaccess

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// probeFile is the only file of the image, and its command. It is not executable.
const probeFile = "pyflow-node-access-probe"

// ProbeImage returns an image for nodes to pull, for all Linux platforms that
// Kubernetes supports: one layer of a few hundred bytes, with one file that contains
// the nonce. The same nonce yields the same digests. Images with different nonces have
// no blob in common, so no node has a part of a new one.
//
// The command of the image is not executable. A container never runs, and fails only
// after the node has pulled the image.
func ProbeImage(nonce string) (v1.ImageIndex, error) {
	layer, err := probeLayer(nonce)
	if err != nil {
		return nil, fmt.Errorf("probe image: %w", err)
	}
	platforms := []v1.Platform{
		{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "arm64"},
		{OS: "linux", Architecture: "arm", Variant: "v7"},
		{OS: "linux", Architecture: "ppc64le"},
		{OS: "linux", Architecture: "s390x"},
		{OS: "linux", Architecture: "riscv64"},
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range platforms {
		image, err := platformImage(platform, layer)
		if err != nil {
			return nil, fmt.Errorf("probe image for %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &platform},
		})
	}
	return index, nil
}

func platformImage(platform v1.Platform, layer v1.Layer) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Cmd: []string{"/" + probeFile}, User: "65532:65532", WorkingDir: "/"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(image, layer)
}

func probeLayer(nonce string) (v1.Layer, error) {
	if nonce == "" {
		return nil, errors.New("no nonce")
	}
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	err := archive.WriteHeader(&tar.Header{Name: probeFile, Mode: 0o444, Size: int64(len(nonce)), Format: tar.FormatUSTAR})
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(archive, nonce); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression))
}
