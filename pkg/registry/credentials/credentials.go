// Package credentials creates and renews the registry's certificates and users.
package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	certLifetime = 2 * 365 * 24 * time.Hour
	// renewBefore is long enough for setup to renew in time if it runs once a year.
	renewBefore = 400 * 24 * time.Hour
	// backdate tolerates nodes whose clocks are behind.
	backdate = time.Hour
)

// User is the name and password of one user of the registry.
type User struct {
	Name     string
	Password string
}

// Credentials are all the secrets of the registry. Certificates and keys are
// PEM. The zero value holds nothing.
type Credentials struct {
	// CACertificate starts with the certificate of CAKey. The certificates that it replaced
	// follow as long as they are valid.
	CACertificate, CAKey []byte
	// Front is the certificate that clients see, Storage the one that the front sees, and
	// Client the one by which the storage identifies the front.
	Front, Storage, Client Pair
	// Accounts is the user file of the registry: one line per user with the name and the bcrypt
	// hash of the password.
	Accounts []byte
	// HTTPSecret signs the state of uploads between requests.
	HTTPSecret []byte
	// Users holds one user per namespace.
	Users map[string]User
}

// Pair is a certificate and its key.
type Pair struct{ Certificate, Key []byte }

// Request describes what the registry needs.
type Request struct {
	// FrontHost and StorageHost are the host names of the front and the storage.
	FrontHost, StorageHost string
	// Namespaces each get a user of their own.
	Namespaces []string
	// Rotate creates a new user, with another name, for each namespace.
	Rotate bool
	Now    time.Time
}

// Ensure returns existing, and creates whatever is missing, invalid or about to expire. It
// keeps everything else byte for byte, so that a second run changes nothing, and drops users
// that are not requested. A CA that is about to expire stays trusted beside its replacement.
func Ensure(existing Credentials, request Request) (Credentials, error) {
	result, now := existing, request.Now
	ca, err := tls.X509KeyPair(existing.CACertificate, existing.CAKey)
	switch {
	case len(existing.CACertificate) > 0 && err != nil:
		// Everything trusts the CA, so replacing it is a decision of its own.
		return Credentials{}, fmt.Errorf("read the registry's CA: %w", err)
	case err != nil || ca.Leaf.NotAfter.Before(now.Add(renewBefore)):
		made, err := newCA(now)
		if err != nil {
			return Credentials{}, fmt.Errorf("make the registry's CA: %w", err)
		}
		result.CAKey = made.Key
		result.CACertificate = slices.Concat(made.Certificate, unexpired(existing.CACertificate, now))
		if ca, err = tls.X509KeyPair(made.Certificate, made.Key); err != nil {
			return Credentials{}, fmt.Errorf("read the registry's CA: %w", err)
		}
	default:
		result.CACertificate = unexpired(existing.CACertificate, now)
	}
	for _, pair := range []struct {
		*Pair
		host  string
		usage x509.ExtKeyUsage
	}{
		{&result.Front, request.FrontHost, x509.ExtKeyUsageServerAuth},
		{&result.Storage, request.StorageHost, x509.ExtKeyUsageServerAuth},
		{&result.Client, request.FrontHost, x509.ExtKeyUsageClientAuth},
	} {
		if valid(*pair.Pair, ca.Leaf, pair.host, pair.usage, now) {
			continue
		}
		if *pair.Pair, err = newCertificate(ca, pair.host, pair.usage, now); err != nil {
			return Credentials{}, fmt.Errorf("make the registry's certificate: %w", err)
		}
	}
	if len(result.HTTPSecret) == 0 {
		result.HTTPSecret = []byte(randomText(32))
	}
	result.Users = make(map[string]User, len(request.Namespaces))
	for _, namespace := range request.Namespaces {
		user, ok := existing.Users[namespace]
		switch {
		case !ok:
			user = User{Name: namespace, Password: randomText(32)}
		case request.Rotate:
			// Another name, so that both users work until no pod needs the old one.
			user = User{Name: namespace + "." + randomText(4), Password: randomText(32)}
		}
		result.Users[namespace] = user
	}
	result.Accounts, err = accounts(existing.Accounts, result.Users)
	return result, err
}

// unexpired returns the PEM certificates that are still valid.
func unexpired(certificates []byte, now time.Time) []byte {
	var out []byte
	for block, rest := pem.Decode(certificates); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && now.Before(certificate.NotAfter) {
			out = append(out, pem.EncodeToMemory(block)...)
		}
	}
	return out
}

func newCA(now time.Time) (Pair, error) {
	return sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubectl-pyflow registry CA"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, nil)
}

func newCertificate(ca tls.Certificate, host string, usage x509.ExtKeyUsage, now time.Time) (Pair, error) {
	return sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: host},
		DNSNames:    []string{host},
		NotBefore:   now.Add(-backdate),
		NotAfter:    earlier(now.Add(certLifetime), ca.Leaf.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, &ca)
}

// sign issues template for a new key, signed by parent or by itself.
func sign(template *x509.Certificate, parent *tls.Certificate) (Pair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	issuer, signer := template, any(private)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, private.Public(), signer)
	if err != nil {
		return Pair{}, err
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}),
	}, nil
}

// valid reports whether the certificate can stay.
func valid(pair Pair, ca *x509.Certificate, host string, usage x509.ExtKeyUsage, now time.Time) bool {
	parsed, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err = parsed.Leaf.Verify(x509.VerifyOptions{
		DNSName: host, Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage},
		CurrentTime: now.Add(renewBefore),
	})
	return err == nil
}

// accounts returns the user file for users, and keeps lines that are still correct.
func accounts(existing []byte, users map[string]User) ([]byte, error) {
	lines := map[string]string{}
	for line := range strings.Lines(string(existing)) {
		if name, hash, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			lines[name] = hash
		}
	}
	names, hashes := make([]string, 0, len(users)), map[string]string{}
	for _, user := range users {
		hash := lines[user.Name]
		if bcrypt.CompareHashAndPassword([]byte(hash), []byte(user.Password)) != nil {
			// The password is 256 random bits. A higher cost makes it no safer, and each
			// request to the registry pays for it.
			made, err := bcrypt.GenerateFromPassword([]byte(user.Password), bcrypt.MinCost)
			if err != nil {
				return nil, fmt.Errorf("hash the password of registry user %s: %w", user.Name, err)
			}
			hash = string(made)
		}
		names, hashes[user.Name] = append(names, user.Name), hash
	}
	slices.Sort(names)
	var out bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&out, "%s %s\n", name, hashes[name])
	}
	return out.Bytes(), nil
}

// WithFormer returns a user file that keeps those users of before that other users of the same
// namespace have replaced, and reports whether there are any. It leaves out users of namespaces
// that accounts does not know.
func WithFormer(before, accounts []byte) (both []byte, replaced bool) {
	lines, namespaces := map[string]string{}, map[string]bool{}
	for line := range strings.Lines(string(accounts)) {
		name, _, _ := strings.Cut(line, " ")
		namespace, _, _ := strings.Cut(name, ".")
		lines[name], namespaces[namespace] = line, true
	}
	for line := range strings.Lines(string(before)) {
		name, _, _ := strings.Cut(line, " ")
		namespace, _, _ := strings.Cut(name, ".")
		if _, ok := lines[name]; !ok && namespaces[namespace] {
			lines[name], replaced = line, true
		}
	}
	return []byte(strings.Join(slices.Sorted(maps.Values(lines)), "")), replaced
}

// randomText returns that number of random bytes as hexadecimal digits.
func randomText(bytes int) string {
	random := make([]byte, bytes)
	// Read never fails: crypto/rand ends the program instead.
	_, _ = rand.Read(random)
	return hex.EncodeToString(random)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
