// Package credentials creates and renews the registry's certificates and users.
package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
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
	// BuildCACertificate starts with the certificate of BuildCAKey, which signs the CAs of the
	// namespaces and nothing else. The storage does not trust it. Those that it replaced follow.
	BuildCACertificate, BuildCAKey []byte
	// Builders holds the CA of each namespace, which signs the certificates of its builds.
	Builders map[string]Pair
	// Accounts is the user file of the registry: one line per user with the header by which the
	// user authenticates, the name and the namespace. The passwords in it are not hashed: they
	// are 256 random bits, and whoever may read this file may read the key of the CA, too.
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
	var ca, buildCA tls.Certificate
	var err error
	for _, root := range []struct {
		ca               *tls.Certificate
		certificate, key *[]byte
		name             string
		pathLength       int
	}{
		{&ca, &result.CACertificate, &result.CAKey, "registry CA", 0},
		{&buildCA, &result.BuildCACertificate, &result.BuildCAKey, "build CA", 1},
	} {
		if *root.ca, err = ensureCA(root.certificate, root.key, root.name, root.pathLength, now); err != nil {
			return Credentials{}, err
		}
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
		if !ok || request.Rotate {
			// Another name than any user before: both work until no pod needs the old one, and
			// the CA of builds, which has the name, is no former one.
			user = User{Name: namespace + "." + randomText(4), Password: randomText(32)}
		}
		result.Users[namespace] = user
	}
	result.Accounts = accounts(result.Users)
	result.Builders, err = builders(existing.Builders, result.Users, buildCA, now)
	return result, err
}

// ensureCA replaces a CA that is missing or about to expire, and keeps those it replaced as
// long as they are valid.
func ensureCA(certificate, key *[]byte, name string, pathLength int, now time.Time) (tls.Certificate, error) {
	ca, err := tls.X509KeyPair(*certificate, *key)
	switch {
	case len(*certificate) > 0 && err != nil:
		// Everything trusts the CA, so replacing it is a decision of its own.
		return ca, fmt.Errorf("read the %s: %w", name, err)
	case err == nil && !ca.Leaf.NotAfter.Before(now.Add(renewBefore)):
		*certificate = unexpired(*certificate, now)
		return ca, nil
	}
	made, err := newCA(name, pathLength, now)
	if err != nil {
		return ca, fmt.Errorf("make the %s: %w", name, err)
	}
	*certificate, *key = slices.Concat(made.Certificate, unexpired(*certificate, now)), made.Key
	if ca, err = tls.X509KeyPair(made.Certificate, made.Key); err != nil {
		return ca, fmt.Errorf("read the %s: %w", name, err)
	}
	return ca, nil
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

func newCA(name string, pathLength int, now time.Time) (Pair, error) {
	return sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "kubectl-pyflow " + name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLength,
		MaxPathLenZero:        pathLength == 0,
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
		Certificate: encode(der),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}),
	}, nil
}

// encode returns a certificate as PEM.
func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
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

// accounts returns the user file for users.
func accounts(users map[string]User) []byte {
	var lines []string
	for namespace, user := range users {
		header := "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Name+":"+user.Password))
		lines = append(lines, fmt.Sprintf("%q %s %s\n", header, user.Name, namespace))
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

// account is one line of a user file.
type account struct{ line, name, namespace string }

// parseAccounts reads a user file. It skips what is no line of one: before there were build
// certificates, the file had another form.
func parseAccounts(file []byte) []account {
	var all []account
	for line := range strings.Lines(string(file)) {
		fields := strings.Fields(line)
		if len(fields) == 4 && fields[0] == `"Basic` {
			all = append(all, account{line, fields[2], fields[3]})
		}
	}
	return all
}

// Issuers returns the file by which the registry knows who signs the certificates of builds:
// one line per user of a user file, with the issuer, the name, the namespace and the word build. So a namespace's
// CA ends with the user that it is named after.
func Issuers(accounts []byte) []byte {
	var lines []string
	for _, one := range parseAccounts(accounts) {
		lines = append(lines, fmt.Sprintf("%q %s %s build\n", "CN="+one.name, one.name, one.namespace))
	}
	slices.Sort(lines)
	return []byte(strings.Join(slices.Compact(lines), ""))
}

// Forget returns credentials without the users and the CAs of namespaces, which get new ones then.
func Forget(existing Credentials, namespaces []string) Credentials {
	existing.Users, existing.Builders = maps.Clone(existing.Users), maps.Clone(existing.Builders)
	for _, namespace := range namespaces {
		delete(existing.Users, namespace)
		delete(existing.Builders, namespace)
	}
	var kept strings.Builder
	for _, one := range parseAccounts(existing.Accounts) {
		if !slices.Contains(namespaces, one.namespace) {
			kept.WriteString(one.line)
		}
	}
	existing.Accounts = []byte(kept.String())
	return existing
}

// WithFormer returns a user file that keeps those users of before that other users of the same
// namespace have replaced, and reports whether there are any. It leaves out users of namespaces
// that accounts does not know.
func WithFormer(before, accounts []byte) (both []byte, replaced bool) {
	lines, namespaces := map[string]string{}, map[string]bool{}
	for _, one := range parseAccounts(accounts) {
		lines[one.name], namespaces[one.namespace] = one.line, true
	}
	for _, one := range parseAccounts(before) {
		if _, ok := lines[one.name]; !ok && namespaces[one.namespace] {
			lines[one.name], replaced = one.line, true
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
