package registry

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Push stores an index, the images that it lists, and a tag that names it; it moves an existing
// tag. It returns the digest of the index as sha256:<hex>. The repository is a name without the
// host.
//
// Push sends only the blobs and manifests that the registry does not have. It retries transient
// errors for about 15 seconds in total. When ctx is done Push returns at once. Errors are those
// of PushSource.
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
	err = retryWhile(ctx, c.pauses, pushable, func() error { return remote.WriteIndex(reference, index, c.options(ctx)...) })
	if err != nil {
		return "", explain(ctx, "push "+reference.String(), err)
	}
	return hash.String(), nil
}
