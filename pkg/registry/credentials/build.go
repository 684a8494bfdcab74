package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// buildDomain ends the host in the URI that a build's certificate has.
	buildDomain = ".build.pyflow.internal"
	// buildScheme is the scheme of that URI.
	buildScheme = "pyflow"

	trusted   = "trusted"
	untrusted = "untrusted"
)

// Build is what a build may do in the registry: push one tag of one repository, read what it
// builds on, and, if it is trusted, write the cache of that repository.
type Build struct {
	// Repository is the image's, as the registry names it: NAMESPACE/APP, or below it.
	Repository string
	// Tag is the only one that the build may write.
	Tag string
	// Untrusted builds read the cache and do not write it, and read no other app's image.
	Untrusted bool
}

// Builder signs the certificates of the builds of a namespace.
type Builder struct{ ca tls.Certificate }

// NewBuilder returns the builder of a namespace's CA. The error is ErrNoBuilder if there is none.
func NewBuilder(pair Pair) (*Builder, error) {
	if len(pair.Certificate) == 0 {
		return nil, ErrNoBuilder
	}
	ca, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return nil, fmt.Errorf("read the CA of the namespace's builds: %w", err)
	}
	return &Builder{ca}, nil
}

// ErrNoBuilder reports that a namespace has no CA for builds.
var ErrNoBuilder = errors.New("the namespace has no CA for builds: run kubectl pyflow setup for it")

// Sign returns a certificate, with the CA's after it, by which a build authenticates at the
// registry from now until the lifetime is over. The key is a new one.
func (b *Builder) Sign(build Build, lifetime time.Duration, now time.Time) (Pair, error) {
	namespace, path, ok := strings.Cut(build.Repository, "/")
	if !ok || path == "" || build.Tag == "" {
		return Pair{}, fmt.Errorf("certificate of a build: %s:%s is no tag of an app's repository", build.Repository, build.Tag)
	}
	trust := trusted
	if build.Untrusted {
		trust = untrusted
	}
	scope := &url.URL{Scheme: buildScheme, Host: namespace + buildDomain, Path: "/" + trust + "/" + path + ":" + build.Tag}
	pair, err := sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "build"},
		URIs:        []*url.URL{scope},
		NotBefore:   now.Add(-backdate),
		NotAfter:    earlier(now.Add(lifetime), b.ca.Leaf.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, &b.ca)
	if err != nil {
		return Pair{}, fmt.Errorf("sign the certificate of a build: %w", err)
	}
	pair.Certificate = slices.Concat(pair.Certificate, encode(b.ca.Certificate[0]))
	return pair, nil
}

// builders returns the CA of each user, and keeps those that are still good. The CA has the
// name of the user: whoever gets a new one gets a new CA.
func builders(existing map[string]Pair, users map[string]User, root tls.Certificate, now time.Time) (map[string]Pair, error) {
	all := make(map[string]Pair, len(users))
	for namespace, user := range users {
		pair := existing[namespace]
		if !validBuilder(pair, root.Leaf, user.Name, now) {
			var err error
			if pair, err = newBuilder(root, namespace, user.Name, now); err != nil {
				return nil, fmt.Errorf("make the CA for the builds of namespace %s: %w", namespace, err)
			}
		}
		all[namespace] = pair
	}
	return all, nil
}

// newBuilder makes a CA that signs certificates of clients with URIs of one namespace, and no
// further CA.
func newBuilder(root tls.Certificate, namespace, name string, now time.Time) (Pair, error) {
	return sign(&x509.Certificate{
		Subject:                     pkix.Name{CommonName: name},
		NotBefore:                   now.Add(-backdate),
		NotAfter:                    earlier(now.Add(certLifetime), root.Leaf.NotAfter),
		KeyUsage:                    x509.KeyUsageCertSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedURIDomains:         []string{namespace + buildDomain},
		// No certificate names these, so none with such a name is valid.
		PermittedDNSDomains: []string{namespace + buildDomain},
	}, &root)
}

func validBuilder(pair Pair, root *x509.Certificate, name string, now time.Time) bool {
	parsed, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil || parsed.Leaf.Subject.CommonName != name {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err = parsed.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: now.Add(renewBefore),
	})
	return err == nil
}
