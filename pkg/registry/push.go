package registry

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Push makes sure that the registry has an index, the images that it lists, and a
// tag that names it; a tag that is there is moved. It returns the index's digest,
// as sha256:…. The repository is a name without the host.
//
// Blobs and manifests that the registry has are not sent again. Transient errors
// are tried again for about 15 seconds in all. When ctx is done Push returns at
// once. Errors hold the same as those of PushSource.
func (c *Client) Push(ctx context.Context, repository, tag string, index v1.ImageIndex) (digest string, err error) {
	target, err := c.repository(repository)
	if err != nil {
		return "", err
	}
	hash, err := index.Digest()
	if err != nil {
		return "", fmt.Errorf("push %s: %w", target, err)
	}
	reference := target.Tag(tag)
	err = c.retryWhile(ctx, pushable, func() error { return remote.WriteIndex(reference, index, c.options(ctx)...) })
	if err != nil {
		return "", explain(ctx, "push "+reference.String(), err)
	}
	return hash.String(), nil
}
