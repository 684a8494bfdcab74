package attestation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// The types of PEM blocks that cosign writes. cosignKey is the former name.
const (
	sigstoreKey = "ENCRYPTED SIGSTORE PRIVATE KEY"
	cosignKey   = "ENCRYPTED COSIGN PRIVATE KEY"
	publicKey   = "PUBLIC KEY"
)

// The errors of keys.
var (
	// ErrPassword reports that the password does not open the key.
	ErrPassword = errors.New("the password is not that of the key")
	// ErrKey reports a key that cosign generate-key-pair has not made.
	ErrKey = errors.New("it is not a key as cosign generate-key-pair makes it (ECDSA, P-256)")
)

// Key signs statements.
type Key struct{ private *ecdsa.PrivateKey }

// ParseKey reads a private key in the format of cosign: PEM, encrypted with a password, which may
// be empty. Errors hold ErrKey or ErrPassword, and nothing of the key.
func ParseKey(text, password []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil || (block.Type != sigstoreKey && block.Type != cosignKey) {
		return nil, fmt.Errorf("read the private key: %w", ErrKey)
	}
	der, err := encrypted.Decrypt(block.Bytes, password)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", ErrPassword)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", ErrKey)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("read the private key: %w", ErrKey)
	}
	return &Key{private}, nil
}

// Public returns the key that verifies what k signs.
func (k *Key) Public() *PublicKey { return &PublicKey{&k.private.PublicKey} }

// PublicKey verifies statements.
type PublicKey struct{ key *ecdsa.PublicKey }

// ParsePublicKey reads a public key as PEM. Errors hold ErrKey.
func ParsePublicKey(text []byte) (*PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != publicKey {
		return nil, fmt.Errorf("read the public key: %w", ErrKey)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the public key: %w", ErrKey)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("read the public key: %w", ErrKey)
	}
	return &PublicKey{key}, nil
}

// hint identifies the key in a bundle, as cosign does: the digest of its DER form.
func (k *PublicKey) hint() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
