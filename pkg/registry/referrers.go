package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// emptyConfig is the configuration of an artifact, as the OCI image specification has it for
	// those that have none.
	emptyConfig = "{}"
	emptyType   = "application/vnd.oci.empty.v1+json"
)

// Artifact is a file about an image, such as an SBOM, which the registry keeps beside the image:
// a manifest with one layer, whose subject is the image (OCI 1.1).
type Artifact struct {
	// Type is the artifactType of the manifest, and the media type of its layer.
	Type string
	// Content is the layer. Referrers leaves it out.
	Content []byte
	// Annotations are those of the manifest.
	Annotations map[string]string
	// Digest is that of the manifest. Attach ignores it.
	Digest string
}

// Artifacts are the files about images in the repositories of one registry.
type Artifacts struct{ client *Client }

// NewArtifacts returns the artifacts of the registry of client. It opens no connection.
func NewArtifacts(client *Client) Artifacts { return Artifacts{client} }

// Attach stores an artifact about the image subject, sha256:<hex>, in the image's repository, and
// returns the digest of its manifest. What is there already is not stored twice. In a registry
// without a list of referrers the tag sha256-<hex> names an index of them. Two calls for one image
// must not run at once: in such a registry the index would lose one of the artifacts. Errors are
// those of PushSource, and ErrNotFound if there is no such image.
func (a Artifacts) Attach(ctx context.Context, repository, subject string, artifact Artifact) (digest string, err error) {
	target, err := a.client.repository(repository)
	if err != nil {
		return "", err
	}
	act := "push " + artifact.Type + " of " + target.Digest(subject).String()
	config := static.NewLayer([]byte(emptyConfig), emptyType)
	layer := static.NewLayer(artifact.Content, types.MediaType(artifact.Type))
	err = a.updateReferrers(ctx, repository, subject, func() error {
		image, err := remote.Head(target.Digest(subject), a.client.options(ctx)...)
		if err != nil {
			return err
		}
		manifest, err := artifactManifest(artifact, *image, config, layer)
		if err != nil {
			return err
		}
		for _, part := range []v1.Layer{config, layer} {
			if err := remote.WriteLayer(target, part, a.client.options(ctx)...); err != nil {
				return err
			}
		}
		digest = manifest.Digest
		return remote.Put(target.Digest(digest), storedManifest{manifest}, a.client.options(ctx)...)
	})
	if err != nil {
		return "", explain(ctx, act, err)
	}
	return digest, nil
}

// artifactManifest returns the manifest of an artifact. It depends only on its arguments.
func artifactManifest(artifact Artifact, subject v1.Descriptor, config, layer v1.Layer) (*Manifest, error) {
	manifest := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: artifact.Type,
		Subject:     &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: artifact.Annotations,
	}
	for _, part := range []struct {
		layer v1.Layer
		into  func(v1.Descriptor)
	}{
		{config, func(d v1.Descriptor) { manifest.Config = d }},
		{layer, func(d v1.Descriptor) { manifest.Layers = []v1.Descriptor{d} }},
	} {
		media, err := part.layer.MediaType()
		if err != nil {
			return nil, err
		}
		digest, err := part.layer.Digest()
		if err != nil {
			return nil, err
		}
		size, err := part.layer.Size()
		if err != nil {
			return nil, err
		}
		part.into(v1.Descriptor{MediaType: media, Digest: digest, Size: size})
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	return ParseManifest(raw)
}

// Delete deletes an artifact by its digest. The list of referrers goes on to name it.
func (a Artifacts) Delete(ctx context.Context, repository, digest string) error {
	return a.client.DeleteManifest(ctx, repository, digest)
}

// updateReferrers calls write, which stores a referrer of subject. Where a tag names the index of
// the referrers, every write makes another index, and leaves the former one without a tag: it is
// deleted, since nothing would ever find it. It stays if the registry does not let the user delete.
func (a Artifacts) updateReferrers(ctx context.Context, repository, subject string, write func() error) error {
	before, err := a.referrersIndex(ctx, repository, subject)
	if err != nil {
		return err
	}
	if err := retryWhile(ctx, a.client.pauses, pushable, write); err != nil || before == "" {
		return err
	}
	after, err := a.referrersIndex(ctx, repository, subject)
	if err == nil && after != before {
		_ = a.client.DeleteManifest(ctx, repository, before)
	}
	return err
}

// referrersIndex returns the digest of the index that a tag names; empty if there is none.
func (a Artifacts) referrersIndex(ctx context.Context, repository, subject string) (string, error) {
	digest, err := a.client.Digest(ctx, repository, strings.Replace(subject, ":", "-", 1))
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return digest, err
}

// Referrers lists the artifacts about the image subject, sha256:<hex>, without their content. It
// is empty for an image that does not exist. Errors are those of Manifest.
func (a Artifacts) Referrers(ctx context.Context, repository, subject string) ([]Artifact, error) {
	target, err := a.client.reference(repository, subject)
	if err != nil {
		return nil, err
	}
	digest, ok := target.(name.Digest)
	if !ok {
		return nil, fmt.Errorf("registry: %s is not a digest", subject)
	}
	var list *v1.IndexManifest
	err = retryWhile(ctx, a.client.pauses, transient, func() error {
		index, err := remote.Referrers(digest, a.client.options(ctx)...)
		if err != nil {
			return err
		}
		list, err = index.IndexManifest()
		return err
	})
	if err != nil {
		return nil, explain(ctx, "list the referrers of "+target.String(), err)
	}
	var found []Artifact
	for _, descriptor := range list.Manifests {
		found = append(found, Artifact{Type: descriptor.ArtifactType, Annotations: descriptor.Annotations, Digest: descriptor.Digest.String()})
	}
	return found, nil
}

// ErrArtifact reports a manifest that is not that of an Artifact.
var ErrArtifact = errors.New("it is not a file about an image")

// Artifact reads an artifact about the image subject, with its content, of at most 8 MiB. What the
// registry returns is checked against the digests, and the subject is that in the manifest itself,
// as the list of referrers is not signed by anybody. Errors are those of Manifest and ErrArtifact.
func (a Artifacts) Artifact(ctx context.Context, repository, subject, digest string) (*Artifact, error) {
	manifest, err := a.client.Manifest(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	var content v1.Manifest
	if err := json.Unmarshal(manifest.Raw, &content); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", digest, err)
	}
	if manifest.Subject != subject || len(content.Layers) != 1 || content.Layers[0].Size > configLimit {
		return nil, fmt.Errorf("read manifest %s: %w", digest, ErrArtifact)
	}
	artifact := &Artifact{Type: content.ArtifactType, Annotations: content.Annotations, Digest: manifest.Digest}
	if artifact.Content, err = a.client.Config(ctx, repository, descriptor(content.Layers[0])); err != nil {
		return nil, err
	}
	got, _, err := v1.SHA256(bytes.NewReader(artifact.Content))
	if err != nil || got != content.Layers[0].Digest {
		return nil, fmt.Errorf("read manifest %s: its layer has another digest", digest)
	}
	return artifact, nil
}

// Copy stores the artifacts about an image of another registry's repository in a repository that
// has the image, each with the same digest, and returns how many it has stored. Errors
// are those of Client.Copy.
func (a Artifacts) Copy(ctx context.Context, from Artifacts, source, digest, repository string) (int, error) {
	artifacts, err := from.Referrers(ctx, source, digest)
	if err != nil {
		return 0, err
	}
	target, err := a.client.repository(repository)
	if err != nil {
		return 0, err
	}
	copied := 0
	for _, artifact := range artifacts {
		reference, err := from.client.reference(source, artifact.Digest)
		if err != nil {
			return 0, err
		}
		if manifest, err := from.client.Manifest(ctx, source, artifact.Digest); err != nil || manifest.Config.Digest == "" {
			// An index, or an entry of the list without its artifact, is nothing that a tool reads.
			continue
		}
		image, err := remote.Image(reference, from.client.options(ctx)...)
		if err != nil {
			return 0, explain(ctx, "read "+reference.String(), err)
		}
		named := target.Digest(artifact.Digest)
		err = a.updateReferrers(ctx, repository, digest, func() error {
			return remote.Write(named, unmounted{image}, a.client.options(ctx)...)
		})
		if err != nil {
			return 0, explain(ctx, "push "+named.String(), err)
		}
		copied++
	}
	return copied, nil
}
