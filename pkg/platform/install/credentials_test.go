package install

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	fakeregistry "github.com/google/go-containerregistry/pkg/registry"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// TestCredentialsAfterAnInterruptedRotation checks that the old credentials stay valid
// until the next run, which continues with the new ones.
func TestCredentialsAfterAnInterruptedRotation(t *testing.T) {
	found := cluster(nil)
	config := manifests.Config{Namespaces: []string{"team-b"}}
	decide := func(rotate bool) secrets {
		t.Helper()
		decided, err := ownCredentials(Request{Namespace: "team-b", RotateCredentials: rotate}, found, config)
		if err != nil {
			t.Fatal(err)
		}
		found.Credentials = decided.Credentials
		return decided
	}
	first := decide(false)
	if first.interimAccounts != nil {
		t.Errorf("nothing was replaced, but old accounts stay valid: %s", first.interimAccounts)
	}
	rotated := decide(true)
	if rotated.interimAccounts == nil || rotated.replaced != first.Users["team-b"] {
		t.Errorf("the old credentials are %s and must stay valid for now: %s", rotated.replaced.Name, rotated.interimAccounts)
	}
	found.Credentials.Accounts = rotated.interimAccounts
	again := decide(false)
	if string(again.interimAccounts) != string(rotated.interimAccounts) || again.Users["team-b"] != rotated.Users["team-b"] {
		t.Errorf("old and new credentials must both be valid: %s", again.interimAccounts)
	}
	if ended := decide(false); ended.interimAccounts != nil || string(ended.Accounts) != string(rotated.Accounts) {
		t.Errorf("only the new credentials must be valid: %s", ended.Accounts)
	}
}

// authority returns a CA, and a certificate for 127.0.0.1 that it signed.
func authority(t *testing.T, notBefore, notAfter time.Time) (ca []byte, server tls.Certificate) {
	t.Helper()
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter,
			BasicConstraintsValid: true,
		}
	}
	key := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		return key
	}
	caKey, serverKey := key(), key()
	root, leaf := template("company CA"), template("registry")
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	caDER, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	must(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, serverKey.Public(), caKey)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: serverKey}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestExternal checks the credentials against a registry in the process, as setup does
// before it changes anything.
func TestExternal(t *testing.T) {
	now := time.Now()
	ca, certificate := authority(t, now.Add(-time.Hour), now.Add(time.Hour))
	foreign, _ := authority(t, now.Add(-time.Hour), now.Add(time.Hour))
	inner := fakeregistry.New(fakeregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case password != "right":
			w.Header().Set("WWW-Authenticate", `Basic realm="company"`)
			w.WriteHeader(http.StatusUnauthorized)
		case user == "reader" && r.Method == http.MethodPost:
			w.WriteHeader(http.StatusForbidden)
		default:
			inner.ServeHTTP(w, r)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()

	dockerConfig := func(namespace, name, host, user, password string) *corev1.Secret {
		config, err := manifests.DockerConfig(credentials.User{Name: user, Password: password}, host)
		must(t, err)
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: config, manifests.CAKey: ca},
		}
	}
	secrets := []runtime.Object{
		dockerConfig("team-b", "good", host, "writer", "right"),
		dockerConfig("team-b", "wrong", host, "writer", "not-"+"right"),
		dockerConfig("team-b", "reader", host, "reader", "right"),
		dockerConfig("team-b", "elsewhere", "ghcr.io", "writer", "right"),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team-b", Name: "opaque"}, Type: corev1.SecretTypeOpaque},
	}
	remembered := dockerConfig(manifests.SystemNamespace, manifests.RegistrySecret, host, "writer", "right")
	config := manifests.Config{
		Registry:   manifests.RegistryConfig{External: true, Host: host, Prefix: "org"},
		Namespaces: []string{"team-a", "team-b"},
	}
	for name, test := range map[string]struct {
		request Request
		before  *manifests.Config
		objects []runtime.Object
		want    error
		says    string
	}{
		"a Secret":                  {request: Request{RegistrySecret: "good", RegistryCA: ca}},
		"remembered":                {before: &config, objects: []runtime.Object{remembered}},
		"a new Secret, known CA":    {request: Request{RegistrySecret: "good"}, before: &config, objects: []runtime.Object{remembered}},
		"no credentials":            {request: Request{RegistryCA: ca}, says: "--registry-secret"},
		"no remembered credentials": {before: &config, says: "are gone"},
		"no such Secret":            {request: Request{RegistrySecret: "absent", RegistryCA: ca}, says: "no such Secret in namespace team-b"},
		"a Secret of another type":  {request: Request{RegistrySecret: "opaque", RegistryCA: ca}, says: "of type Opaque"},
		"for another registry":      {request: Request{RegistrySecret: "elsewhere", RegistryCA: ca}, says: `but for ["ghcr.io"]`},
		"a wrong password":          {request: Request{RegistrySecret: "wrong", RegistryCA: ca}, want: registry.ErrUnauthorized},
		"no permission to push":     {request: Request{RegistrySecret: "reader", RegistryCA: ca}, want: registry.ErrDenied},
		"no CA":                     {request: Request{RegistrySecret: "good"}, want: registry.ErrCertificate},
		"a foreign CA":              {request: Request{RegistrySecret: "good", RegistryCA: foreign}, want: registry.ErrCertificate},
		"forgets the CA":            {request: Request{RegistryCA: []byte{}}, before: &config, objects: []runtime.Object{remembered}, want: registry.ErrCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			clients := &kube.Clients{Kube: fake.NewClientset(slices.Concat(secrets, test.objects)...)}
			test.request.Namespace = "team-b"
			got, err := externalCredentials(t.Context(), clients, test.request, &platform.Cluster{Config: test.before}, config)
			if test.want == nil && test.says == "" {
				user := credentials.User{Name: "writer", Password: "right"}
				if err != nil || !bytes.Equal(got.CACertificate, ca) || len(got.Users) != 3 ||
					got.Users["team-a"] != user || got.Users["team-b"] != user || got.Users[manifests.SystemNamespace] != user {
					t.Errorf("got %+v, %v", got.Users, err)
				}
				return
			}
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("error is %v, want %v %q", err, test.want, test.says)
			}
			if strings.Contains(err.Error(), "not-right") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}
