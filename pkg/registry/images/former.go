package images

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// Cleaner reads a registry and deletes what it has.
type Cleaner interface {
	Reader
	Writer
	// Catalog lists all repositories.
	Catalog(ctx context.Context) ([]string, error)
	// DeleteBlob removes a blob from a repository.
	DeleteBlob(ctx context.Context, repository, digest string) error
}

// DeleteNamespace deletes all that the registry has of a namespace: images, build contexts, cached
// layers and what else is in its repositories, with the blobs of the manifests, so that nothing of
// it is read by digest. It calls deleted with each repository that had manifests, and their number.
func DeleteNamespace(ctx context.Context, client Cleaner, config manifests.RegistryConfig, namespace string, deleted func(repository string, count int)) error {
	paths, err := client.Catalog(ctx)
	if err != nil {
		return err
	}
	prefix := config.Path(namespace, "")
	paths = slices.DeleteFunc(paths, func(path string) bool { return !strings.HasPrefix(path, prefix) })
	repositories := Catalog(paths)
	if err := Read(ctx, client, repositories); err != nil {
		return err
	}
	for _, repository := range repositories {
		if len(repository.Manifests) == 0 {
			continue
		}
		if err := empty(ctx, client, repository); err != nil {
			return fmt.Errorf("delete what a former namespace %s has stored: %w", namespace, err)
		}
		deleted(repository.Path, len(repository.Manifests))
	}
	return nil
}

// empty deletes the manifests of a repository, an index before its parts, and their blobs.
func empty(ctx context.Context, client Cleaner, repository *Repository) error {
	var blobs []registry.Descriptor
	for _, isIndex := range []bool{true, false} {
		for _, manifest := range repository.Manifests {
			if (len(manifest.Children) > 0) != isIndex {
				continue
			}
			if err := client.DeleteManifest(ctx, repository.Path, manifest.Digest); err != nil {
				return err
			}
			for _, blob := range manifest.Blobs() {
				if blob.Digest != manifest.Digest && !slices.Contains(blobs, blob) {
					blobs = append(blobs, blob)
				}
			}
		}
	}
	return inParallel(ctx, len(blobs), func(ctx context.Context, i int) error {
		return client.DeleteBlob(ctx, repository.Path, blobs[i].Digest)
	})
}
