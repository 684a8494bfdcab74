// Package attestation signs what is known of an image with a key in the format of cosign, and
// verifies it: the image itself, its SBOM and its provenance.
//
// Each is an in-toto statement in a Sigstore bundle, which is an artifact about the image in the
// registry. cosign 3 writes and verifies the same by default.
package attestation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// BundleType is the media type of a bundle, and the artifactType by which the registry keeps it.
const BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// The types of what is signed.
const (
	// Signature is the predicate of a signature of the image alone.
	Signature = "https://sigstore.dev/cosign/sign/v1"
	// SBOM is the predicate that is a CycloneDX document.
	SBOM = "https://cyclonedx.org/bom"
	// Provenance is the predicate that says how the image was built.
	Provenance = "https://slsa.dev/provenance/v1"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
)

// The errors of bundles.
var (
	// ErrBundle reports that a file is not a bundle with an in-toto statement.
	ErrBundle = errors.New("it is not a bundle with a statement")
	// ErrSignature reports that the key has not signed the statement.
	ErrSignature = errors.New("it is not signed by this key")
	// ErrSubject reports a signed statement about another image.
	ErrSubject = errors.New("it is about another image")
)

// Statement says something about one image.
type Statement struct {
	// Digest is that of the image, sha256:<hex>.
	Digest string
	// Type is that of Predicate: Signature, SBOM or Provenance, or one of another tool.
	Type string
	// Predicate is what is said, a JSON object.
	Predicate json.RawMessage
}

// inToto is a statement as https://in-toto.io/Statement/v1 has it.
type inToto struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// bundle is https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto as
// JSON, as far as a key without a transparency log needs it.
type bundle struct {
	MediaType            string   `json:"mediaType"`
	VerificationMaterial material `json:"verificationMaterial"`
	Envelope             *dsse    `json:"dsseEnvelope"`
}

type material struct {
	PublicKey struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
}

// dsse is an envelope of https://github.com/secure-systems-lab/dsse.
type dsse struct {
	Payload     []byte          `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []dsseSignature `json:"signatures"`
}

type dsseSignature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid,omitempty"`
}

// authenticated returns the bytes that are signed: the PAE of DSSE.
func (e *dsse) authenticated() []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload)
}

// Sign returns a bundle with a signed statement.
func (k *Key) Sign(statement Statement) ([]byte, error) {
	algorithm, hex, _ := strings.Cut(statement.Digest, ":")
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	// The predicate stays as it is, so that it can be compared with the document it is made of.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(inToto{
		Type: statementType, Subject: []subject{{Digest: map[string]string{algorithm: hex}}},
		PredicateType: statement.Type, Predicate: statement.Predicate,
	}); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	envelope := &dsse{Payload: bytes.TrimSpace(payload.Bytes()), PayloadType: payloadType}
	sum := sha256.Sum256(envelope.authenticated())
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	envelope.Signatures = []dsseSignature{{Sig: signature}}
	signed := bundle{MediaType: BundleType, Envelope: envelope}
	if signed.VerificationMaterial.PublicKey.Hint, err = k.Public().hint(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return json.Marshal(signed)
}

// Verify returns the statement in a bundle if k has signed it and it is about the image digest.
// Errors hold ErrBundle, ErrSignature or ErrSubject. Nothing of a statement that k has not signed
// is interpreted.
func (k *PublicKey) Verify(content []byte, digest string) (*Statement, error) {
	var signed bundle
	if err := json.Unmarshal(content, &signed); err != nil || signed.Envelope == nil || signed.Envelope.PayloadType != payloadType {
		return nil, ErrBundle
	}
	sum := sha256.Sum256(signed.Envelope.authenticated())
	valid := false
	for _, signature := range signed.Envelope.Signatures {
		valid = valid || ecdsa.VerifyASN1(k.key, sum[:], signature.Sig)
	}
	if !valid {
		return nil, ErrSignature
	}
	var statement inToto
	if err := json.Unmarshal(signed.Envelope.Payload, &statement); err != nil || !strings.HasPrefix(statement.Type, "https://in-toto.io/Statement/") {
		return nil, ErrBundle
	}
	algorithm, hex, _ := strings.Cut(digest, ":")
	if hex == "" || len(statement.Subject) != 1 || statement.Subject[0].Digest[algorithm] != hex {
		return nil, ErrSubject
	}
	return &Statement{Digest: digest, Type: statement.PredicateType, Predicate: statement.Predicate}, nil
}
