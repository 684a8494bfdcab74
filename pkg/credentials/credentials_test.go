package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
)

var (
	now   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hosts = []string{"registry.pyflow-system.svc"}
)

func ensure(t *testing.T, existing Credentials, namespaces []string, at time.Time) Credentials {
	t.Helper()
	result, err := Ensure(existing, hosts, namespaces, at)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestEnsureKeepsWhatIsGood(t *testing.T) {
	first := ensure(t, Credentials{}, []string{"a", "b"}, now)
	second := ensure(t, first, []string{"a", "b"}, now.Add(24*time.Hour))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("a second run changed credentials:\n%s", diff)
	}
}

func TestEnsureAddsANamespace(t *testing.T) {
	first := ensure(t, Credentials{}, []string{"a"}, now)
	second := ensure(t, first, []string{"b"}, now)
	if !bytes.HasPrefix(second.Htpasswd, first.Htpasswd) {
		t.Errorf("the line of namespace a is gone: %q", second.Htpasswd)
	}
	if second.Users["b"].Password == first.Users["a"].Password {
		t.Error("two namespaces share a password")
	}
}

func TestEnsureReplacesALostPassword(t *testing.T) {
	first := ensure(t, Credentials{}, []string{"a"}, now)
	lost := first
	lost.Users = nil
	second := ensure(t, lost, []string{"a"}, now)
	_, hash, _ := strings.Cut(strings.TrimSpace(string(second.Htpasswd)), ":")
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(second.Users["a"].Password)); err != nil {
		t.Errorf("the registry would refuse the new password: %v", err)
	}
	if bytes.Equal(first.Htpasswd, second.Htpasswd) {
		t.Error("the lost password still opens the registry")
	}
}

func TestEnsureRenewsTheCertificate(t *testing.T) {
	first := ensure(t, Credentials{}, nil, now)
	for name, test := range map[string]struct {
		hosts []string
		at    time.Time
		renew bool
	}{
		"soon after":             {hosts, now.Add(24 * time.Hour), false},
		"close to its end":       {hosts, now.Add(certLifetime - renewBefore + time.Hour), true},
		"after its end":          {hosts, now.Add(certLifetime + time.Hour), true},
		"for another host":       {[]string{"other.svc"}, now, true},
		"for one more host":      {append([]string{"other.svc"}, hosts...), now, true},
		"in the CA's last years": {hosts, now.Add(caLifetime - time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := Ensure(first, test.hosts, nil, test.at)
			if err != nil {
				t.Fatal(err)
			}
			if renewed := !bytes.Equal(result.Certificate, first.Certificate); renewed != test.renew {
				t.Errorf("renewed is %v, want %v", renewed, test.renew)
			}
			if !bytes.Equal(result.CACertificate, first.CACertificate) {
				t.Error("the CA changed: every client would have to learn it anew")
			}
		})
	}
}

func TestEnsureRefusesABrokenCA(t *testing.T) {
	good := ensure(t, Credentials{}, nil, now)
	for name, broken := range map[string]Credentials{
		"garbage":     {CACertificate: []byte("x"), CAKey: []byte("y")},
		"key missing": {CACertificate: good.CACertificate},
		"foreign key": {CACertificate: good.CACertificate, CAKey: ensure(t, Credentials{}, nil, now).CAKey},
	} {
		if _, err := Ensure(broken, hosts, nil, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Ensure(good, hosts, nil, now.Add(caLifetime+time.Hour)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired CA: got error %v", err)
	}
}

// TestCertificateServes proves the pair by a real handshake.
func TestCertificateServes(t *testing.T) {
	c := ensure(t, Credentials{}, nil, time.Now())
	pair, err := tls.X509KeyPair(c.Certificate, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CACertificate)
	client, server := net.Pipe()
	failed := make(chan error, 1)
	go func() {
		failed <- tls.Server(server, &tls.Config{Certificates: []tls.Certificate{pair}}).HandshakeContext(t.Context())
	}()
	err = tls.Client(client, &tls.Config{RootCAs: roots, ServerName: hosts[0]}).HandshakeContext(t.Context())
	if err != nil {
		t.Errorf("client: %v", err)
	}
	if err := <-failed; err != nil {
		t.Errorf("server: %v", err)
	}
	if expires := pair.Leaf.NotAfter; expires.Before(time.Now().Add(renewBefore)) {
		t.Errorf("a new certificate runs out on %s already", expires)
	}
}
