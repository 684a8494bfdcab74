package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// configLimit limits what is read of an image's configuration. Those of large images have some
// hundred kilobytes.
const configLimit = 8 << 20

// sourceTagDigits is the number of digits of the digest in the tag of a build context.
const sourceTagDigits = 32

// SourceTag returns the tag of a build context: the day of its use, in UTC, and the first
// digits of its digest. The tag is the only place for a time, because everything else in a
// build context depends only on its files.
func SourceTag(digest v1.Hash, now time.Time) string {
	return now.UTC().Format(time.DateOnly) + "-" + digest.Hex[:sourceTagDigits]
}

// SourceDay returns the day in a tag of SourceTag. ok is false for any other tag.
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
	// Raw is the manifest itself, of which Digest is the digest.
	Raw []byte
	// Config is the configuration of an image; the zero Descriptor for an index.
	Config Descriptor
	// Layers are those of an image. Children are the manifests of an index.
	Layers, Children []Descriptor
	// Subject is the digest of the manifest that this one describes, as a signature does;
	// usually empty.
	Subject string
}

// Blobs returns the manifest itself and what is stored for it, without its children.
func (m *Manifest) Blobs() []Descriptor {
	blobs := []Descriptor{{Digest: m.Digest, Size: int64(len(m.Raw))}}
	if m.Config.Digest != "" {
		blobs = append(blobs, m.Config)
	}
	return append(blobs, m.Layers...)
}

// Catalog lists all repositories of the registry, sorted, without the host. It includes those
// whose last manifest was deleted. It requires the credentials of the platform; other
// credentials get ErrDenied or ErrUnauthorized.
func (c *Client) Catalog(ctx context.Context) ([]string, error) {
	var repositories []string
	err := retryWhile(ctx, c.pauses, transient, func() (err error) {
		repositories, err = c.puller.Catalog(ctx, c.registry)
		return err
	})
	if err != nil {
		return nil, explain(ctx, "list the repositories of "+c.host, err)
	}
	slices.Sort(repositories)
	return slices.Compact(repositories), nil
}

// Tags lists the tags of a repository, sorted. It returns ErrNotFound for a repository that
// does not exist or never had a tag.
func (c *Client) Tags(ctx context.Context, repository string) ([]string, error) {
	target, err := c.repository(repository)
	if err != nil {
		return nil, err
	}
	var tags []string
	err = retryWhile(ctx, c.pauses, transient, func() (err error) {
		tags, err = c.puller.List(ctx, target)
		return err
	})
	if err != nil {
		return nil, explain(ctx, "list the tags of "+target.String(), err)
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// Manifest reads the manifest of a tag or a digest. Errors are those of PushSource and
// ErrNotFound.
func (c *Client) Manifest(ctx context.Context, repository, reference string) (*Manifest, error) {
	target, err := c.reference(repository, reference)
	if err != nil {
		return nil, err
	}
	var descriptor *remote.Descriptor
	err = retryWhile(ctx, c.pauses, transient, func() (err error) {
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

// Digest returns the digest of the manifest that has a tag, without reading the manifest.
// Errors are those of Manifest.
func (c *Client) Digest(ctx context.Context, repository, tag string) (string, error) {
	target, err := c.reference(repository, tag)
	if err != nil {
		return "", err
	}
	var descriptor *v1.Descriptor
	err = retryWhile(ctx, c.pauses, transient, func() (err error) {
		descriptor, err = c.puller.Head(ctx, target)
		return err
	})
	if err != nil {
		return "", explain(ctx, "find manifest "+target.String(), err)
	}
	return descriptor.Digest.String(), nil
}

// ParseManifest reads a manifest as the registry stores it.
func ParseManifest(raw []byte) (*Manifest, error) {
	manifest, err := parseManifest(raw)
	if err != nil {
		return nil, err
	}
	var content struct {
		MediaType string `json:"mediaType"`
	}
	_ = json.Unmarshal(raw, &content) // parseManifest has read it
	sum := sha256.Sum256(raw)
	manifest.Digest, manifest.MediaType = "sha256:"+hex.EncodeToString(sum[:]), content.MediaType
	return manifest, nil
}

// parseManifest reads an image manifest or an index. OCI and Docker use the same field names.
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
		return nil, errors.New("neither an image nor an index")
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

// stored leaves out layers that a registry does not store because they have URLs.
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

// Created reads from an image's configuration when it was built. It returns the zero time if
// the configuration has no time or is not that of an image.
func (c *Client) Created(ctx context.Context, repository string, config Descriptor) (time.Time, error) {
	content, err := c.Config(ctx, repository, config)
	if err != nil {
		return time.Time{}, err
	}
	return CreatedAt(content), nil
}

// CreatedAt returns the time in an image's configuration; the zero time if it has none or is
// not that of an image.
func CreatedAt(config []byte) time.Time {
	var image struct {
		Created time.Time `json:"created"`
	}
	// Another kind of artifact may have any configuration.
	if err := json.NewDecoder(bytes.NewReader(config)).Decode(&image); err != nil {
		return time.Time{}
	}
	return image.Created
}

// Config reads up to 8 MiB of an image's configuration, which is JSON.
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
	err = retryWhile(ctx, c.pauses, transient, func() error {
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

// DeleteManifest deletes a manifest with all of its tags, or of a tag the tag alone, which
// Distribution before version 3 refuses. The layers stay until the registry collects its
// garbage. What does not exist is not an error.
func (c *Client) DeleteManifest(ctx context.Context, repository, reference string) error {
	target, err := c.reference(repository, reference)
	if err != nil {
		return err
	}
	err = retryWhile(ctx, c.pauses, transient, func() error { return c.pusher.Delete(ctx, target) })
	if err == nil {
		return nil
	}
	if err = explain(ctx, "delete manifest "+target.String(), err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// DeleteBlob removes a blob from a repository: it is read there no more. Its bytes stay until the
// registry collects its garbage. What does not exist is not an error.
func (c *Client) DeleteBlob(ctx context.Context, repository, digest string) error {
	target, err := c.reference(repository, digest)
	if err != nil {
		return err
	}
	err = retryWhile(ctx, c.pauses, transient, func() error {
		authorized, err := transport.NewWithContext(ctx, c.registry, c.auth, c.transport, nil)
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, "https://"+c.host+"/v2/"+target.Context().RepositoryStr()+"/blobs/"+digest, http.NoBody)
		if err != nil {
			return err
		}
		response, err := (&http.Client{Transport: authorized}).Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close() //nolint:errcheck // only read
		return transport.CheckError(response, http.StatusAccepted, http.StatusNotFound)
	})
	if err != nil {
		return explain(ctx, "delete blob "+target.String(), err)
	}
	return nil
}

// PutManifest stores a manifest under its digest and under tags. The registry must have its
// parts.
func (c *Client) PutManifest(ctx context.Context, repository string, manifest *Manifest, tags []string) error {
	for _, reference := range slices.Concat([]string{manifest.Digest}, tags) {
		target, err := c.reference(repository, reference)
		if err != nil {
			return err
		}
		err = retryWhile(ctx, c.pauses, transient, func() error { return remote.Put(target, storedManifest{manifest}, c.options(ctx)...) })
		if err != nil {
			return explain(ctx, "write manifest "+target.String(), err)
		}
	}
	return nil
}

// storedManifest is a manifest in the form that the library pushes.
type storedManifest struct{ manifest *Manifest }

var _ remote.Taggable = storedManifest{}

// RawManifest returns the bytes of the manifest.
func (m storedManifest) RawManifest() ([]byte, error) { return m.manifest.Raw, nil }

// MediaType returns the Content-Type of the manifest.
func (m storedManifest) MediaType() (types.MediaType, error) {
	return types.MediaType(m.manifest.MediaType), nil
}

// reference returns the reference of a tag or a digest.
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
