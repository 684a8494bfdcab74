package images

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// formerRegistry has one manifest in each repository, with an index in one of them, and records
// what is deleted.
type formerRegistry struct {
	Writer
	deleted []string
}

func (r *formerRegistry) Catalog(context.Context) ([]string, error) {
	return []string{"mirror/team", "pyflow-system/team", "team-b/app", "team/app", "team/app/compare-x/slim", "team/app/source", "teams/app"}, nil
}

func (r *formerRegistry) Tags(_ context.Context, repository string) ([]string, error) {
	if repository == "team/app" {
		return []string{"index"}, nil
	}
	return []string{"v1"}, nil
}

func (r *formerRegistry) Manifest(_ context.Context, repository, reference string) (*registry.Manifest, error) {
	if reference == "index" {
		return &registry.Manifest{Digest: "sha256:index", Children: []registry.Descriptor{{Digest: "sha256:image"}}}, nil
	}
	return &registry.Manifest{
		Digest: "sha256:image", Config: registry.Descriptor{Digest: "sha256:config"},
		Layers: []registry.Descriptor{{Digest: "sha256:layer"}, {Digest: "sha256:layer"}},
	}, nil
}

func (r *formerRegistry) Created(context.Context, string, registry.Descriptor) (time.Time, error) {
	return time.Time{}, nil
}

func (r *formerRegistry) DeleteManifest(_ context.Context, repository, digest string) error {
	r.deleted = append(r.deleted, "manifest "+repository+"@"+digest)
	return nil
}

func (r *formerRegistry) DeleteBlob(_ context.Context, repository, digest string) error {
	// Several at once come in any order, so each is checked alone.
	if !strings.HasPrefix(repository, "team/") {
		return fmt.Errorf("a blob of %s is deleted", repository)
	}
	return nil
}

// TestDeleteNamespace wants everything of a namespace to go, an index before its parts, and nothing
// of a namespace whose name starts the same.
func TestDeleteNamespace(t *testing.T) {
	client := &formerRegistry{}
	var said []string
	err := DeleteNamespace(t.Context(), client, manifests.RegistryConfig{}, "team", func(repository string, count int) {
		said = append(said, fmt.Sprintf("%s %d", repository, count))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"manifest team/app@sha256:index", "manifest team/app@sha256:image",
		"manifest team/app/compare-x/slim@sha256:image", "manifest team/app/source@sha256:image",
	}
	if !slices.Equal(client.deleted, want) {
		t.Errorf("deleted are %q", client.deleted)
	}
	if !slices.Equal(said, []string{"team/app 2", "team/app/compare-x/slim 1", "team/app/source 1"}) {
		t.Errorf("it says %q", said)
	}
}
