// Package credentials makes and keeps the registry's certificates and users.
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
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	certLifetime = 2 * 365 * 24 * time.Hour
	// renewBefore is long enough that a yearly run of setup renews in time.
	renewBefore = 400 * 24 * time.Hour
	// backdate tolerates nodes whose clocks are behind.
	backdate = time.Hour
)

// User is one login to the registry.
type User struct {
	Name     string
	Password string
}

// Credentials are all the secrets of the registry. Certificates and keys are
// PEM. The zero value holds nothing.
type Credentials struct {
	CACertificate, CAKey []byte
	Certificate, Key     []byte
	// Htpasswd is the registry's user file: one line per user, bcrypt.
	Htpasswd []byte
	// HTTPSecret signs the state of uploads between requests.
	HTTPSecret []byte
	// Users are the logins by namespace.
	Users map[string]User
}

// Ensure returns existing with whatever is missing, broken or about to expire
// made anew, for a registry reached under hosts and for users, one of each
// namespace. What is good is kept byte for byte, so that a second run changes
// nothing. A broken CA is an error: everything trusts it, so replacing it is a
// decision of its own.
func Ensure(existing Credentials, hosts, namespaces []string, now time.Time) (Credentials, error) {
	result := existing
	if len(existing.CACertificate) == 0 && len(existing.CAKey) == 0 {
		var err error
		if result.CACertificate, result.CAKey, err = newCA(now); err != nil {
			return Credentials{}, fmt.Errorf("make the registry's CA: %w", err)
		}
	}
	ca, err := tls.X509KeyPair(result.CACertificate, result.CAKey)
	if err != nil {
		return Credentials{}, fmt.Errorf("read the registry's CA: %w", err)
	}
	if now.After(ca.Leaf.NotAfter) {
		return Credentials{}, fmt.Errorf("the registry's CA expired on %s", ca.Leaf.NotAfter.Format(time.DateOnly))
	}
	if !valid(result.Certificate, result.Key, ca.Leaf, hosts, now) {
		if result.Certificate, result.Key, err = newCertificate(ca, hosts, now); err != nil {
			return Credentials{}, fmt.Errorf("make the registry's certificate: %w", err)
		}
	}
	if len(result.HTTPSecret) == 0 {
		result.HTTPSecret = []byte(randomText())
	}
	result.Users = make(map[string]User, len(namespaces))
	for _, namespace := range namespaces {
		user, ok := existing.Users[namespace]
		if !ok {
			user = User{Name: namespace, Password: randomText()}
		}
		result.Users[namespace] = user
	}
	result.Htpasswd, err = htpasswd(existing.Htpasswd, result.Users)
	return result, err
}

func newCA(now time.Time) (certificate, key []byte, err error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubectl-pyflow registry CA"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	return sign(template, nil)
}

func newCertificate(ca tls.Certificate, hosts []string, now time.Time) (certificate, key []byte, err error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0]},
		DNSNames:    hosts,
		NotBefore:   now.Add(-backdate),
		NotAfter:    earlier(now.Add(certLifetime), ca.Leaf.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return sign(template, &ca)
}

// sign issues template for a new key, by parent or by itself.
func sign(template *x509.Certificate, parent *tls.Certificate) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, err
	}
	issuer, signer := template, any(private)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, private.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), nil
}

// valid says whether the certificate can stay.
func valid(certificate, key []byte, ca *x509.Certificate, hosts []string, now time.Time) bool {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	until := earlier(now.Add(renewBefore), ca.NotAfter)
	for _, host := range hosts {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: until}); err != nil {
			return false
		}
	}
	return true
}

// htpasswd returns the user file for users: lines that hold are kept, so are
// the lines of users that are not asked for, which belong to other namespaces.
func htpasswd(existing []byte, users map[string]User) ([]byte, error) {
	lines := map[string]string{}
	for line := range strings.Lines(string(existing)) {
		if name, hash, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			lines[name] = hash
		}
	}
	for _, user := range users {
		if bcrypt.CompareHashAndPassword([]byte(lines[user.Name]), []byte(user.Password)) == nil {
			continue
		}
		// The password is 256 random bits, which no cost makes safer; each
		// request to the registry pays for it.
		hash, err := bcrypt.GenerateFromPassword([]byte(user.Password), bcrypt.MinCost)
		if err != nil {
			return nil, fmt.Errorf("hash the password of registry user %s: %w", user.Name, err)
		}
		lines[user.Name] = string(hash)
	}
	names := make([]string, 0, len(lines))
	for name := range lines {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&out, "%s:%s\n", name, lines[name])
	}
	return out.Bytes(), nil
}

// randomText is 256 random bits as hexadecimal digits.
func randomText() string {
	var random [32]byte
	// Never fails: crypto/rand ends the program instead.
	_, _ = rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
