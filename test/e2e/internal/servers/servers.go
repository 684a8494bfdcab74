//go:build e2e

// Package servers has servers that tests run in their own process, for pods of the
// cluster.
package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// CA signs certificates for addresses.
type CA struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	// PEM is the certificate.
	PEM []byte
}

// NewCA returns a CA that nothing trusts.
func NewCA(t *testing.T) *CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	env.Check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e registry root"}, SubjectKeyId: []byte("e2e registry root"),
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	env.Check(t, err)
	return &CA{key: key, certificate: template, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// Issue returns certificate and key, PEM.
func (ca *CA) Issue(t *testing.T, address string, notAfter time.Time) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	env.Check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: ca.certificate.NotBefore, NotAfter: notAfter,
		IPAddresses: []net.IP{net.ParseIP(address)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.certificate, private.Public(), ca.key)
	env.Check(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(private)
	env.Check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// File writes the CA's certificate, as it is handed out.
func (ca *CA) File(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.PEM")
	env.Check(t, os.WriteFile(file, ca.PEM, 0o600))
	return file
}

// Serve answers on a listener as long as the test lives.
func Serve(t *testing.T, listener net.Listener, handler http.HandlerFunc) {
	t.Helper()
	// Clients that refuse the certificate are part of the test.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-stopped
	})
}
