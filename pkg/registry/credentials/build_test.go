package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func builder(t *testing.T, c Credentials, namespace string) *Builder {
	t.Helper()
	b, err := NewBuilder(c.Builders[namespace])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verify verifies a chain as the registry's front does.
func verify(chain, roots []byte, at time.Time) (*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	options.Roots.AppendCertsFromPEM(roots)
	for _, intermediate := range certificates[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	_, err := certificates[0].Verify(options)
	return certificates[0], err
}

func TestSign(t *testing.T) {
	c := ensure(t, Credentials{}, request(now, "a", "b"))
	pair, err := builder(t, c, "a").Sign(Build{Repository: "a/app/compare-1/slim", Tag: "app-7", Untrusted: true}, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := verify(pair.Certificate, c.BuildCACertificate, now)
	if err != nil {
		t.Fatal(err)
	}
	if got := leaf.URIs[0].String(); got != "pyflow://a.build.pyflow.internal/untrusted/app/compare-1/slim:app-7" {
		t.Errorf("the certificate is for %s", got)
	}
	if leaf.Issuer.String() != "CN="+c.Users["a"].Name {
		t.Errorf("the issuer is %s, not the user %s", leaf.Issuer, c.Users["a"].Name)
	}
	if _, err := verify(pair.Certificate, c.BuildCACertificate, now.Add(time.Hour+time.Second)); err == nil {
		t.Error("it is valid after its lifetime")
	}
	if _, err := verify(pair.Certificate, c.CACertificate, now); err == nil {
		t.Error("the CA that the storage trusts has signed it")
	}
	for _, wrong := range []Build{{Repository: "a", Tag: "1"}, {Repository: "a/app"}, {}} {
		if _, err := builder(t, c, "a").Sign(wrong, time.Hour, now); err == nil {
			t.Errorf("%+v: signed", wrong)
		}
	}
	if _, err := NewBuilder(Pair{}); !errors.Is(err, ErrNoBuilder) {
		t.Errorf("no CA: %v", err)
	}
}

// TestBuilderIsLimited signs what the CA of a namespace may not sign.
func TestBuilderIsLimited(t *testing.T) {
	c := ensure(t, Credentials{}, request(now, "a", "b"))
	a := builder(t, c, "a")
	ofB, err := a.Sign(Build{Repository: "b/app", Tag: "1"}, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(ofB.Certificate, c.BuildCACertificate, now); err == nil {
		t.Error("the CA of a signs for b")
	}
	sub, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "b"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}, &a.ca)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := tls.X509KeyPair(sub.Certificate, sub.Key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := (&Builder{parsed}).Sign(Build{Repository: "a/app", Tag: "1"}, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(append(leaf.Certificate, c.Builders["a"].Certificate...), c.BuildCACertificate, now); err == nil {
		t.Error("the CA of a signs another CA")
	}
	server, err := sign(&x509.Certificate{
		URIs: []*url.URL{{Scheme: buildScheme, Host: "a" + buildDomain, Path: "/trusted/app:1"}}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &a.ca)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(append(server.Certificate, c.Builders["a"].Certificate...), c.BuildCACertificate, now); err == nil {
		t.Error("a certificate of a server is one of a client")
	}
}

func TestBuildersAreRenewed(t *testing.T) {
	first := ensure(t, Credentials{}, request(now, "a", "b"))
	if again := ensure(t, first, request(now.Add(24*time.Hour), "a", "b")); !cmp.Equal(again.Builders, first.Builders) {
		t.Error("a second run changed the CAs")
	}
	old := ensure(t, first, request(now.Add(certLifetime-renewBefore+time.Hour), "a", "b"))
	if cmp.Equal(old.Builders["a"], first.Builders["a"]) {
		t.Error("a CA close to its end stays")
	}
	rotate := request(now, "a", "b")
	rotate.Rotate = true
	rotated := ensure(t, first, rotate)
	if cmp.Equal(rotated.Builders["a"], first.Builders["a"]) {
		t.Error("a rotation keeps the CA")
	}
	both, _ := WithFormer(first.Accounts, rotated.Accounts)
	for _, issuer := range []string{first.Users["a"].Name, rotated.Users["a"].Name} {
		line := `"CN=` + issuer + `" ` + issuer + " a build\n"
		if !strings.Contains(string(Issuers(both)), line) {
			t.Errorf("in between, %s is missing in\n%s", line, Issuers(both))
		}
	}
	if old := first.Users["a"].Name; strings.Contains(string(Issuers(rotated.Accounts)), `"CN=`+old+`"`) {
		t.Error("after the rotation the old CA is still known")
	}
	swapped := first
	swapped.Builders = map[string]Pair{"a": first.Builders["b"], "b": first.Builders["a"]}
	if repaired := ensure(t, swapped, request(now, "a", "b")); cmp.Equal(repaired.Builders["a"], first.Builders["b"]) {
		t.Error("a has the CA of b")
	}
}
