package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func request(at time.Time, namespaces ...string) Request {
	return Request{
		FrontHost: "registry.pyflow-system.svc", StorageHost: "registry-storage.pyflow-system.svc",
		Namespaces: namespaces, Now: at,
	}
}

func ensure(t *testing.T, existing Credentials, request Request) Credentials {
	t.Helper()
	result, err := Ensure(existing, request)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// opens reports whether the user file accepts user.
func opens(accounts []byte, user User) bool {
	header := "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Name+":"+user.Password))
	return slices.ContainsFunc(parseAccounts(accounts), func(one account) bool {
		return one.name == user.Name && strings.HasPrefix(one.line, `"`+header+`" `)
	})
}

func TestEnsureKeepsWhatIsGood(t *testing.T) {
	first := ensure(t, Credentials{}, request(now, "a", "b"))
	second := ensure(t, first, request(now.Add(24*time.Hour), "a", "b"))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("a second run changed credentials:\n%s", diff)
	}
}

func TestEnsureUsers(t *testing.T) {
	first := ensure(t, Credentials{}, request(now, "a", "b"))
	second := ensure(t, first, request(now, "b", "c"))
	if second.Users["b"] != first.Users["b"] || !opens(second.Accounts, first.Users["b"]) {
		t.Error("namespace b lost its user")
	}
	if opens(second.Accounts, first.Users["a"]) {
		t.Error("a namespace that is gone still has access")
	}
	if !opens(second.Accounts, second.Users["c"]) || second.Users["c"].Password == second.Users["b"].Password {
		t.Error("namespace c has no user of its own")
	}
}

func TestEnsureReplacesALostPassword(t *testing.T) {
	first := ensure(t, Credentials{}, request(now, "a"))
	lost := first
	lost.Users = nil
	second := ensure(t, lost, request(now, "a"))
	if !opens(second.Accounts, second.Users["a"]) {
		t.Error("the registry would refuse the new password")
	}
	if opens(second.Accounts, first.Users["a"]) {
		t.Error("the lost password still opens the registry")
	}
}

func TestRotate(t *testing.T) {
	first := ensure(t, Credentials{}, request(now, "a", "b"))
	rotate := request(now, "a", "b")
	rotate.Rotate = true
	second := ensure(t, first, rotate)
	for namespace, user := range second.Users {
		old := first.Users[namespace]
		if user.Name == old.Name || user.Password == old.Password || !strings.HasPrefix(user.Name, namespace+".") {
			t.Errorf("namespace %s had user %s and has %s", namespace, old.Name, user.Name)
		}
		if opens(second.Accounts, old) || !opens(second.Accounts, user) {
			t.Errorf("namespace %s: only the new user should be valid", namespace)
		}
		both, replaced := WithFormer(first.Accounts, second.Accounts)
		if !replaced || !opens(both, old) || !opens(both, user) {
			t.Errorf("namespace %s: both users should be valid in between", namespace)
		}
	}
	again := ensure(t, second, rotate)
	if strings.Count(again.Users["a"].Name, ".") != 1 {
		t.Errorf("after two rotations the user is %s", again.Users["a"].Name)
	}
}

func TestWithFormer(t *testing.T) {
	const accounts = `"Basic Mg==" a.1 a` + "\n" + `"Basic Mg==" b b` + "\n"
	const old, other = `"Basic MQ==" a a` + "\n", `"Basic MQ==" a.2 a` + "\n"
	for name, test := range map[string]struct {
		before, both string
		replaced     bool
	}{
		"nothing before":     {"", accounts, false},
		"the same":           {accounts, accounts, false},
		"another password":   {strings.ReplaceAll(accounts, "Mg", "MQ"), accounts, false},
		"another name":       {old, old + accounts, true},
		"two of them":        {other + old, old + other + accounts, true},
		"a namespace gone":   {`"Basic MQ==" c c` + "\n", accounts, false},
		"one named after it": {`"Basic MQ==" a-c a-c` + "\n", accounts, false},
		"the former form":    {"a $2a$04$xKfJ\n", accounts, false},
	} {
		if both, replaced := WithFormer([]byte(test.before), []byte(accounts)); string(both) != test.both || replaced != test.replaced {
			t.Errorf("%s: got %v with\n%s", name, replaced, both)
		}
	}
}

func TestEnsureDropsExpiredCAs(t *testing.T) {
	first := ensure(t, Credentials{}, request(now))
	end := now.Add(caLifetime)
	second := ensure(t, first, request(end.Add(-time.Hour)))
	if !bytes.HasSuffix(second.CACertificate, first.CACertificate) {
		t.Fatal("the CA that was replaced should be trusted until its end")
	}
	third := ensure(t, second, request(end.Add(time.Hour)))
	if bytes.Contains(third.CACertificate, first.CACertificate) || !bytes.HasPrefix(second.CACertificate, third.CACertificate) {
		t.Error("after its end it should be gone, and the one in use be there")
	}
}

func TestEnsureRenews(t *testing.T) {
	first := ensure(t, Credentials{}, request(now))
	other := request(now)
	other.FrontHost = "other.svc"
	for name, test := range map[string]struct {
		request            Request
		front, storage, ca bool
		keepsOldCA         bool
	}{
		"soon after":            {request: request(now.Add(24 * time.Hour)), keepsOldCA: true},
		"close to its end":      {request: request(now.Add(certLifetime - renewBefore + time.Hour)), front: true, storage: true, keepsOldCA: true},
		"after its end":         {request: request(now.Add(certLifetime + time.Hour)), front: true, storage: true, keepsOldCA: true},
		"for another host":      {request: other, front: true, keepsOldCA: true},
		"close to the CA's end": {request: request(now.Add(caLifetime - renewBefore + time.Hour)), front: true, storage: true, ca: true, keepsOldCA: true},
		"after the CA's end":    {request: request(now.Add(caLifetime + time.Hour)), front: true, storage: true, ca: true},
	} {
		t.Run(name, func(t *testing.T) {
			result := ensure(t, first, test.request)
			for what, check := range map[string]struct{ renewed, want bool }{
				"front":   {!cmp.Equal(result.Front, first.Front), test.front},
				"storage": {!cmp.Equal(result.Storage, first.Storage), test.storage},
				"client":  {!cmp.Equal(result.Client, first.Client), test.front},
				"CA":      {!bytes.Equal(result.CAKey, first.CAKey), test.ca},
			} {
				if check.renewed != check.want {
					t.Errorf("%s: renewed is %v, want %v", what, check.renewed, check.want)
				}
			}
			if kept := bytes.HasSuffix(result.CACertificate, first.CACertificate); kept != test.keepsOldCA {
				t.Errorf("the old CA is trusted: %v, want %v", kept, test.keepsOldCA)
			}
			if again := ensure(t, result, test.request); !cmp.Equal(again, result) {
				t.Error("a second run changed credentials")
			}
		})
	}
}

func TestEnsureRefusesABrokenCA(t *testing.T) {
	good := ensure(t, Credentials{}, request(now))
	for name, broken := range map[string]Credentials{
		"garbage":     {CACertificate: []byte("x"), CAKey: []byte("y")},
		"key missing": {CACertificate: good.CACertificate},
		"foreign key": {CACertificate: good.CACertificate, CAKey: ensure(t, Credentials{}, request(now)).CAKey},
	} {
		if _, err := Ensure(broken, request(now)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestHandshake checks the certificates by real handshakes: each is valid only for its own end
// of its own connection.
func TestHandshake(t *testing.T) {
	c := ensure(t, Credentials{}, request(time.Now()))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CACertificate)
	for name, test := range map[string]struct {
		host           string
		server, client Pair
		ok             bool
	}{
		"to the front":                             {"registry.pyflow-system.svc", c.Front, Pair{}, true},
		"to the storage":                           {"registry-storage.pyflow-system.svc", c.Storage, c.Client, true},
		"to the storage without a certificate":     {"registry-storage.pyflow-system.svc", c.Storage, Pair{}, false},
		"to the storage with a server's":           {"registry-storage.pyflow-system.svc", c.Storage, c.Front, false},
		"to the storage where the front should be": {"registry.pyflow-system.svc", c.Storage, c.Client, false},
	} {
		t.Run(name, func(t *testing.T) {
			serverConfig := &tls.Config{Certificates: []tls.Certificate{load(t, test.server)}}
			if test.host != "registry.pyflow-system.svc" || test.client.Key != nil {
				serverConfig.ClientCAs, serverConfig.ClientAuth = roots, tls.RequireAndVerifyClientCert
			}
			clientConfig := &tls.Config{RootCAs: roots, ServerName: test.host}
			if test.client.Key != nil {
				clientConfig.Certificates = []tls.Certificate{load(t, test.client)}
			}
			client, server := net.Pipe()
			served := make(chan error, 1)
			go func() {
				served <- tls.Server(server, serverConfig).HandshakeContext(t.Context())
				_ = server.Close()
			}()
			err := tls.Client(client, clientConfig).HandshakeContext(t.Context())
			_ = client.Close()
			if err = errors.Join(err, <-served); (err == nil) != test.ok {
				t.Errorf("error is %v, want accepted %v", err, test.ok)
			}
		})
	}
}

func load(t *testing.T, pair Pair) tls.Certificate {
	t.Helper()
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// TestForget wants nothing of a former namespace to open the registry: neither a password, also one
// that a rotation has replaced, nor a certificate that the former CA signs.
func TestForget(t *testing.T) {
	first := ensure(t, Credentials{}, request(now, "a", "a-b"))
	rotate := request(now, "a", "a-b")
	rotate.Rotate = true
	rotated := ensure(t, first, rotate)
	rotated.Accounts, _ = WithFormer(first.Accounts, rotated.Accounts)
	if !opens(rotated.Accounts, first.Users["a"]) || !opens(rotated.Accounts, rotated.Users["a"]) {
		t.Fatal("a rotation revoked a password at once")
	}
	forgotten := Forget(rotated, []string{"a"})
	if len(rotated.Users) != 2 || len(rotated.Builders) != 2 {
		t.Error("it changed what it was given")
	}
	next := ensure(t, forgotten, request(now, "a", "a-b"))
	both, replaced := WithFormer(forgotten.Accounts, next.Accounts)
	for _, former := range []User{first.Users["a"], rotated.Users["a"]} {
		if opens(both, former) {
			t.Errorf("the password of %s opens the registry", former.Name)
		}
		if strings.Contains(string(Issuers(both)), "\"CN="+former.Name+"\"") {
			t.Errorf("certificates of the CA %s open the registry", former.Name)
		}
	}
	if !replaced || !opens(both, next.Users["a"]) || !opens(both, rotated.Users["a-b"]) || !opens(both, first.Users["a-b"]) {
		t.Errorf("the others cannot open it: %s", Issuers(both))
	}
	if next.Users["a"].Name == rotated.Users["a"].Name || string(next.Builders["a"].Key) == string(rotated.Builders["a"].Key) {
		t.Error("the namespace has its former CA")
	}
}
