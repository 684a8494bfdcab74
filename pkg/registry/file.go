package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxFile is the size from which ImageFile does not return a file.
const maxFile = 1 << 20

// ImageFile returns a file of an image as its uppermost layer has it; nil if no layer has it. It
// reads the layers from the top, each to the file, and follows no links.
func ImageFile(ctx context.Context, c *Client, repository, digest, name string) ([]byte, error) {
	reference, err := c.reference(repository, digest)
	if err != nil {
		return nil, err
	}
	image, err := remote.Image(reference, c.options(ctx)...)
	if err != nil {
		return nil, explain(ctx, "read the image", err)
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, explain(ctx, "read the image", err)
	}
	slices.Reverse(layers)
	for _, layer := range layers {
		content, err := fileOf(layer, name)
		if err != nil || content != nil {
			return content, err
		}
	}
	return nil, nil
}

// fileOf returns a file of a layer; nil if the layer has none of that name.
func fileOf(layer v1.Layer, name string) (content []byte, err error) {
	text, err := layer.Uncompressed()
	if err != nil {
		return nil, fmt.Errorf("read a layer of the image: %w", err)
	}
	defer func() { err = errors.Join(err, text.Close()) }()
	reader := tar.NewReader(text)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read a layer of the image: %w", err)
		}
		if path.Clean("/"+header.Name) != path.Clean("/"+name) || header.Typeflag != tar.TypeReg {
			continue
		}
		if header.Size > maxFile {
			return nil, fmt.Errorf("%s in the image has %d bytes", name, header.Size)
		}
		content, err := io.ReadAll(io.LimitReader(reader, maxFile))
		if err != nil {
			return nil, fmt.Errorf("read a layer of the image: %w", err)
		}
		return append([]byte{}, content...), nil
	}
}
