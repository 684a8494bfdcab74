package attestation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/sbom"
)

// Reader reads the artifacts about images.
type Reader interface {
	// Referrers lists the artifacts about an image, without their content.
	Referrers(ctx context.Context, repository, subject string) ([]registry.Artifact, error)
	// Artifact reads one of them.
	Artifact(ctx context.Context, repository, subject, digest string) (*registry.Artifact, error)
}

// Found is what a registry keeps about an image.
type Found struct {
	// Statements are those that the key has signed about the image.
	Statements []Statement
	// SBOMs are the documents that are attached as such. They are not signed.
	SBOMs []registry.Artifact
	// Others is the number of bundles that are not valid for the key and the image, and Reason
	// says why the last of them is not.
	Others int
	Reason error
}

// Find reads everything that is known about the image digest, and checks what is signed with key.
// A nil key signs nothing.
func Find(ctx context.Context, reader Reader, repository, digest string, key *PublicKey) (*Found, error) {
	artifacts, err := reader.Referrers(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	found := &Found{}
	for _, listed := range artifacts {
		artifact, err := reader.Artifact(ctx, repository, digest, listed.Digest)
		switch {
		case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrArtifact):
			continue // the list is not signed by anybody
		case err != nil:
			return nil, err
		}
		switch artifact.Type {
		case sbom.MediaType:
			found.SBOMs = append(found.SBOMs, *artifact)
		case BundleType:
			found.add(artifact.Content, digest, key)
		}
	}
	return found, nil
}

func (f *Found) add(content []byte, digest string, key *PublicKey) {
	err := ErrSignature
	if key != nil {
		var statement *Statement
		if statement, err = key.Verify(content, digest); err == nil {
			f.Statements = append(f.Statements, *statement)
			return
		}
	}
	f.Others++
	f.Reason = err
}

// Has reports whether a statement of a type is among them.
func (f *Found) Has(kind string) bool {
	return slices.ContainsFunc(f.Statements, func(s Statement) bool { return s.Type == kind })
}

// UnsignedError reports that an image lacks what it has to have.
type UnsignedError struct {
	// Digest is that of the image.
	Digest string
	// Missing are the types of statements that it lacks.
	Missing []string
	// Found has the statements that are valid.
	Found *Found
}

func (e *UnsignedError) Error() string {
	what := map[string]string{Signature: "signature", SBOM: "SBOM", Provenance: "provenance"}
	text := ""
	for _, kind := range e.Missing {
		if text != "" {
			text += " and no "
		}
		text += what[kind]
	}
	text = fmt.Sprintf("image %s has no %s that is valid for the key", e.Digest, text)
	if e.Found.Others > 0 {
		text += fmt.Sprintf(" (%d other: %v)", e.Found.Others, e.Found.Reason)
	}
	return text
}

// Advice says how to sign the image.
func (e *UnsignedError) Advice() []string {
	return []string{"sign it: kubectl pyflow images attest APP --sign-key cosign.key"}
}

// ErrDocument reports that an SBOM is attached to an image that is not the one that was signed.
var ErrDocument = errors.New("an SBOM is attached to the image that is not the signed one")

// Check returns an error if a statement of one of the types is missing, or if the SBOM that tools
// read without a key differs from the one that is signed.
func (f *Found) Check(digest string, kinds ...string) error {
	missing := slices.DeleteFunc(slices.Clone(kinds), f.Has)
	if len(missing) > 0 {
		return &UnsignedError{Digest: digest, Missing: missing, Found: f}
	}
	if !f.Has(SBOM) {
		return nil
	}
	for _, document := range f.SBOMs {
		if !f.says(SBOM, document.Content) {
			return fmt.Errorf("image %s: %w", digest, ErrDocument)
		}
	}
	return nil
}

// says reports whether one of the statements of a type has a predicate.
func (f *Found) says(kind string, predicate []byte) bool {
	return slices.ContainsFunc(f.Statements, func(s Statement) bool {
		return s.Type == kind && sameJSON(s.Predicate, predicate)
	})
}

// sameJSON reports whether two JSON documents differ in white space only.
func sameJSON(a, b []byte) bool {
	var first, second bytes.Buffer
	return json.Compact(&first, a) == nil && json.Compact(&second, b) == nil && bytes.Equal(first.Bytes(), second.Bytes())
}
