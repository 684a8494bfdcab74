package registry

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Copy stores an image of another client's repository, by digest, in a repository of c with a tag,
// each by its own credentials. It sends only the blobs that the repository does not have.
// Repositories are names without the host. Errors are those of PushSource. An image that the
// source does not have is ErrNotFound.
func (c *Client) Copy(ctx context.Context, from *Client, source, digest, repository, tag string) error {
	reference, err := from.reference(source, digest)
	if err != nil {
		return err
	}
	target, err := c.repository(repository)
	if err != nil {
		return err
	}
	image, err := remote.Image(reference, from.options(ctx)...)
	if err != nil {
		return explain(ctx, "read "+reference.String(), err)
	}
	if got, err := image.Digest(); err != nil || got.String() != digest {
		return fmt.Errorf("read %s: it is not an image of one platform", reference)
	}
	named := target.Tag(tag)
	err = retryWhile(ctx, c.pauses, pushable, func() error { return remote.Write(named, unmounted{image}, c.options(ctx)...) })
	if err != nil {
		return explain(ctx, "push "+named.String(), err)
	}
	return nil
}

// unmounted is an image whose layers are sent. The registry could mount those of another of its
// repositories, but who may write to one may not read the other.
type unmounted struct{ v1.Image }

// Layers implements v1.Image.
func (u unmounted) Layers() ([]v1.Layer, error) {
	layers, err := u.Image.Layers()
	for i, layer := range layers {
		layers[i] = plainLayer{layer}
	}
	return layers, err
}

// plainLayer hides that a layer can be mounted.
type plainLayer struct{ v1.Layer }
