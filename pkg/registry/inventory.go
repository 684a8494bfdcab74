package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// configLimit bounds what is read of an image's configuration; those of large
// images have some hundred kilobytes.
const configLimit = 8 << 20

// sourceTagDigits is how much of the digest is in a build context's tag.
const sourceTagDigits = 32

// SourceTag is the tag of a build context: the day it is used on, UTC, and the
// first digits of its digest. The day is the only time that a build context has:
// everything else of it is a function of its files.
func SourceTag(digest v1.Hash, now time.Time) string {
	return now.UTC().Format(time.DateOnly) + "-" + digest.Hex[:sourceTagDigits]
}

// SourceDay returns the day in a tag of SourceTag. Another tag has none.
func SourceDay(tag string) (day time.Time, ok bool) {
	if len(tag) != len(time.DateOnly)+1+sourceTagDigits {
		return time.Time{}, false
	}
	day, err := time.Parse(time.DateOnly, tag[:len(time.DateOnly)])
	return day, err == nil
}

// Descriptor is a blob or a manifest that a manifest refers to.
type Descriptor struct {
	// Digest is sha256:<hex>.
	Digest string
	// Size is in bytes, as stored: compressed.
	Size int64
}

// Manifest is a manifest as the registry stores it.
type Manifest struct {
	Digest    string
	MediaType string
	// Raw is the manifest itself, which Digest is of.
	Raw []byte
	// Config is the configuration of an image; the zero Descriptor for an index.
	Config Descriptor
	// Layers are those of an image, and Children the manifests of an index.
	Layers, Children []Descriptor
	// Subject is the digest of the manifest that this one is a statement about, a
	// signature for example; usually empty.
	Subject string
}

// Blobs are all that is stored for the manifest beside its children, itself
// included.
func (m *Manifest) Blobs() []Descriptor {
	blobs := []Descriptor{{Digest: m.Digest, Size: int64(len(m.Raw))}}
	if m.Config.Digest != "" {
		blobs = append(blobs, m.Config)
	}
	return append(blobs, m.Layers...)
}

// Catalog lists every repository of the registry, sorted: names without the
// host. The platform's own login is needed for it; others get ErrDenied or
// ErrUnauthorized. Repositories whose last manifest was deleted are among them.
func (c *Client) Catalog(ctx context.Context) ([]string, error) {
	var repositories []string
	err := c.retry(ctx, func() (err error) {
		repositories, err = c.puller.Catalog(ctx, c.registry)
		return err
	})
	if err != nil {
		return nil, explain(ctx, "list the repositories of "+c.host, err)
	}
	slices.Sort(repositories)
	return slices.Compact(repositories), nil
}

// Tags lists the tags of a repository, sorted. One that does not exist, or never
// had a tag, is ErrNotFound.
func (c *Client) Tags(ctx context.Context, repository string) ([]string, error) {
	target, err := c.repository(repository)
	if err != nil {
		return nil, err
	}
	var tags []string
	err = c.retry(ctx, func() (err error) {
		tags, err = c.puller.List(ctx, target)
		return err
	})
	if err != nil {
		return nil, explain(ctx, "list the tags of "+target.String(), err)
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// Manifest reads the manifest of a tag or a digest. Errors hold ErrNotFound
// beside those of PushSource.
func (c *Client) Manifest(ctx context.Context, repository, reference string) (*Manifest, error) {
	target, err := c.reference(repository, reference)
	if err != nil {
		return nil, err
	}
	var descriptor *remote.Descriptor
	err = c.retry(ctx, func() (err error) {
		descriptor, err = c.puller.Get(ctx, target)
		return err
	})
	if err != nil {
		return nil, explain(ctx, "read manifest "+target.String(), err)
	}
	manifest, err := parseManifest(descriptor.Manifest)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", target, err)
	}
	manifest.Digest, manifest.MediaType = descriptor.Digest.String(), string(descriptor.MediaType)
	return manifest, nil
}

// parseManifest reads an image manifest or an index, of OCI or Docker: their
// fields have the same names.
func parseManifest(raw []byte) (*Manifest, error) {
	var content struct {
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
		Subject   *v1.Descriptor  `json:"subject"`
	}
	if err := json.Unmarshal(raw, &content); err != nil {
		return nil, err
	}
	if content.Config == nil && content.Manifests == nil {
		return nil, errors.New("it is neither an image nor an index")
	}
	manifest := &Manifest{Raw: raw, Layers: stored(content.Layers), Children: stored(content.Manifests)}
	if content.Config != nil {
		manifest.Config = descriptor(*content.Config)
	}
	if content.Subject != nil {
		manifest.Subject = content.Subject.Digest.String()
	}
	return manifest, nil
}

// stored leaves out what a registry does not keep: layers that are elsewhere.
func stored(from []v1.Descriptor) []Descriptor {
	var to []Descriptor
	for _, d := range from {
		if len(d.URLs) == 0 {
			to = append(to, descriptor(d))
		}
	}
	return to
}

func descriptor(d v1.Descriptor) Descriptor {
	return Descriptor{Digest: d.Digest.String(), Size: d.Size}
}

// Created reads from an image's configuration when it was built. It is zero when
// the configuration does not say, or is none of an image.
func (c *Client) Created(ctx context.Context, repository string, config Descriptor) (time.Time, error) {
	content, err := c.Config(ctx, repository, config)
	if err != nil {
		return time.Time{}, err
	}
	var image struct {
		Created time.Time `json:"created"`
	}
	// Another kind of artifact may have anything for a configuration.
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(&image); err != nil {
		return time.Time{}, nil //nolint:nilerr // see above
	}
	return image.Created, nil
}

// Config reads an image's configuration, JSON, up to 8 MiB of it.
func (c *Client) Config(ctx context.Context, repository string, config Descriptor) ([]byte, error) {
	target, err := c.reference(repository, config.Digest)
	if err != nil {
		return nil, err
	}
	digest, ok := target.(name.Digest)
	if !ok {
		return nil, fmt.Errorf("registry: %s is not a digest", config.Digest)
	}
	var content []byte
	err = c.retry(ctx, func() error {
		layer, err := c.puller.Layer(ctx, digest)
		if err != nil {
			return err
		}
		reader, err := layer.Compressed()
		if err != nil {
			return err
		}
		defer reader.Close() //nolint:errcheck // only read
		content, err = io.ReadAll(io.LimitReader(reader, configLimit))
		return err
	})
	if err != nil {
		return nil, explain(ctx, "read configuration "+target.String(), err)
	}
	return content, nil
}

// DeleteManifest deletes a manifest with all of its tags. Its layers stay until
// the registry collects its garbage. One that is gone already is no error.
func (c *Client) DeleteManifest(ctx context.Context, repository, digest string) error {
	target, err := c.reference(repository, digest)
	if err != nil {
		return err
	}
	err = c.retry(ctx, func() error { return remote.Delete(target, c.options(ctx)...) })
	if err == nil {
		return nil
	}
	if err = explain(ctx, "delete manifest "+target.String(), err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// PutManifest stores a manifest whose parts the registry has, under its digest
// and under tags.
func (c *Client) PutManifest(ctx context.Context, repository string, manifest *Manifest, tags []string) error {
	for _, reference := range slices.Concat([]string{manifest.Digest}, tags) {
		target, err := c.reference(repository, reference)
		if err != nil {
			return err
		}
		err = c.retry(ctx, func() error { return remote.Put(target, storedManifest{manifest}, c.options(ctx)...) })
		if err != nil {
			return explain(ctx, "write manifest "+target.String(), err)
		}
	}
	return nil
}

// storedManifest is what the library pushes.
type storedManifest struct{ manifest *Manifest }

var _ remote.Taggable = storedManifest{}

// RawManifest is the manifest's bytes.
func (m storedManifest) RawManifest() ([]byte, error) { return m.manifest.Raw, nil }

// MediaType is the manifest's Content-Type.
func (m storedManifest) MediaType() (types.MediaType, error) {
	return types.MediaType(m.manifest.MediaType), nil
}

// reference makes a reference of a tag or a digest.
func (c *Client) reference(repository, reference string) (name.Reference, error) {
	target, err := c.repository(repository)
	if err != nil {
		return nil, err
	}
	separator := ":"
	if strings.Contains(reference, ":") {
		separator = "@"
	}
	parsed, err := name.ParseReference(target.String()+separator+reference, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return parsed, nil
}
