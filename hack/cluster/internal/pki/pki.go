// Package pki makes the cluster's certificates and kubeconfigs.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// lifetime is longer than any of these clusters lives.
const lifetime = 365 * 24 * time.Hour

// Authority signs the certificates of one cluster.
type Authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// Subject is who or what a certificate is for.
type Subject struct {
	// Name is the common name: the user of a client certificate.
	Name string
	// Groups are the groups of a client certificate.
	Groups []string
	// DNSNames and IPs are what a serving certificate is valid for. With
	// either of them the certificate serves, too.
	DNSNames []string
	IPs      []netip.Addr
}

// NewAuthority makes an authority and writes ca.crt and ca.key to dir.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificate directory: %w", err)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(pkix.Name{CommonName: "pyflow-cluster"})
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read authority back: %w", err)
	}
	authority := &Authority{dir: dir, certificate: certificate, key: key, pem: encode("CERTIFICATE", der)}
	if err := authority.write("ca.crt", authority.pem); err != nil {
		return nil, err
	}
	return authority, authority.writeKey("ca.key", key)
}

// OpenAuthority reads the authority that NewAuthority made in source. What it
// issues goes to dir, with a copy of ca.crt.
func OpenAuthority(source, dir string) (*Authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(source, "ca.crt"), filepath.Join(source, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("read authority: its key is of another kind")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make certificate directory: %w", err)
	}
	authority := &Authority{dir: dir, certificate: pair.Leaf, key: key, pem: encode("CERTIFICATE", pair.Leaf.Raw)}
	return authority, authority.write("ca.crt", authority.pem)
}

// Issue writes name.crt and name.key.
func (a *Authority) Issue(name string, subject Subject) error {
	certificate, key, err := a.issue(subject)
	if err != nil {
		return fmt.Errorf("issue %s: %w", name, err)
	}
	if err := a.write(name+".crt", certificate); err != nil {
		return err
	}
	return a.writeKey(name+".key", key)
}

// KeyPair writes name.pub and name.key, for what is signed without a
// certificate.
func (a *Authority) KeyPair(name string) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode public key: %w", err)
	}
	if err := a.write(name+".pub", encode("PUBLIC KEY", public)); err != nil {
		return err
	}
	return a.writeKey(name+".key", key)
}

// Kubeconfig writes a kubeconfig to path with a client certificate of the
// subject.
func (a *Authority) Kubeconfig(path, server string, subject Subject) error {
	certificate, key, err := a.issue(subject)
	if err != nil {
		return fmt.Errorf("issue %s: %w", subject.Name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	encoded := base64.StdEncoding.EncodeToString
	content := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: pyflow
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: pyflow
  context:
    cluster: pyflow
    user: %s
current-context: pyflow
`, server, encoded(a.pem), subject.Name, encoded(certificate), encoded(encode("PRIVATE KEY", keyDER)), subject.Name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

func (a *Authority) issue(subject Subject) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template, err := newTemplate(pkix.Name{CommonName: subject.Name, Organization: subject.Groups})
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.DNSNames = subject.DNSNames
	for _, ip := range subject.IPs {
		template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
	}
	if len(subject.DNSNames)+len(subject.IPs) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate: %w", err)
	}
	return encode("CERTIFICATE", der), key, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

func newTemplate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		// A clock that is a little behind must not refuse it.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(lifetime),
	}, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (a *Authority) writeKey(name string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return a.write(name, encode("PRIVATE KEY", der))
}

func (a *Authority) write(name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
