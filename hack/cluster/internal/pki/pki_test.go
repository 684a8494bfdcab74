package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCertificatesVerify(t *testing.T) {
	dir := t.TempDir()
	authority, err := NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = authority.Issue("kubelet", Subject{
		Name: "system:node:n", Groups: []string{"system:nodes"},
		DNSNames: []string{"n"}, IPs: []netip.Addr{netip.MustParseAddr("192.0.2.2")},
	})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "kubelet.crt"), filepath.Join(dir, "kubelet.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	bundle, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(bundle) {
		t.Fatalf("no authority: %v", err)
	}
	for _, name := range []string{"192.0.2.2", "n"} {
		options := x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if _, err := pair.Leaf.Verify(options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := pair.Leaf.Subject; got.CommonName != "system:node:n" || got.Organization[0] != "system:nodes" {
		t.Errorf("subject is %v", got)
	}
}

func TestReopenedAuthoritySigns(t *testing.T) {
	source, dir := t.TempDir(), t.TempDir()
	if _, err := OpenAuthority(source, dir); err == nil {
		t.Error("an authority that is not there was opened")
	}
	if _, err := NewAuthority(source); err != nil {
		t.Fatal(err)
	}
	authority, err := OpenAuthority(source, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Issue("kubelet", Subject{Name: "n", DNSNames: []string{"n"}}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "kubelet.crt"), filepath.Join(dir, "kubelet.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{source, dir} {
		roots := x509.NewCertPool()
		bundle, err := os.ReadFile(filepath.Join(place, "ca.crt"))
		if err != nil || !roots.AppendCertsFromPEM(bundle) {
			t.Fatalf("no authority in %s: %v", place, err)
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "n"}); err != nil {
			t.Errorf("by the authority in %s: %v", place, err)
		}
	}
}

func TestClientCertificatesDoNotServe(t *testing.T) {
	dir := t.TempDir()
	authority, err := NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Issue("client", Subject{Name: "c"}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, usage := range pair.Leaf.ExtKeyUsage {
		if usage == x509.ExtKeyUsageServerAuth {
			t.Error("a client's certificate may serve")
		}
	}
}

func TestKubeconfigIsPrivate(t *testing.T) {
	authority, err := NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := authority.Kubeconfig(path, "https://192.0.2.2:6443", Subject{Name: "admin"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), "server: https://192.0.2.2:6443\n") {
		t.Errorf("%s, %v", content, err)
	}
}
