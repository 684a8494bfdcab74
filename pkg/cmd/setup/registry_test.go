package setup

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
	"os"
	"path/filepath"
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

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"ghcr.io":                       {"ghcr.io", ""},
		"ghcr.io/my-org":                {"ghcr.io", "my-org"},
		"https://ghcr.io/my-org/":       {"ghcr.io", "my-org"},
		"registry:5000":                 {"registry:5000", ""},
		"10.89.0.2:30555/org/pyflow":    {"10.89.0.2:30555", "org/pyflow"},
		"registry.example.com/a/b/c":    {"registry.example.com", "a/b/c"},
		"docker.io/me":                  {"index.docker.io", "me"},
		"123.dkr.ecr.eu.amazonaws.com/": {"123.dkr.ecr.eu.amazonaws.com", ""},
	} {
		if got, err := parseAddress(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"http://registry.example.com":  "with TLS",
		"ftp://registry.example.com":   "with TLS",
		"my-org":                       "does not start with a registry's host",
		"my-org/app":                   "does not start with a registry's host",
		"ghcr.io/My-Org":               "no repository can start with My-Org",
		"ghcr.io/a//b":                 "no repository can start with a//b",
		"ghcr.io/../b":                 "no repository can start with ../b",
		"ghcr.io/app:tag":              "no repository can start with app:tag",
		"user:password@ghcr.io/my-org": "no registry can have that host",
		"ghcr io.x":                    "no registry can have that host",
		"localhost:5000":               "on themselves",
		"127.0.0.1:5000/x":             "on themselves",
		"[::1]:5000":                   "on themselves",
	} {
		if got, err := parseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %+v, %v, want an error with %q", text, got, err, want)
		}
	}
}

// authority makes a CA, and a certificate of it for 127.0.0.1.
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

func TestParseRegistryCA(t *testing.T) {
	now := time.Now()
	good, _ := authority(t, now.Add(-time.Hour), now.Add(time.Hour))
	old, _ := authority(t, now.Add(-2*time.Hour), now.Add(-time.Hour))
	early, _ := authority(t, now.Add(time.Hour), now.Add(2*time.Hour))
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("key")})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")})
	both := slices.Concat([]byte("# subject: company CA\n"), good, []byte("\n"), good, []byte("the end\n"))
	if got, err := parseRegistryCA(both, now); err != nil || !bytes.Equal(got, slices.Concat(good, good)) {
		t.Errorf("got %q, %v, want the two certificates alone", got, err)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":       {nil, "no PEM certificate"},
		"text":        {[]byte("no certificate"), "no PEM certificate"},
		"DER":         {[]byte{0x30, 0x82, 0x01}, "no PEM certificate"},
		"private key": {slices.Concat(good, key), "ec private key"},
		"broken":      {broken, "can not be read"},
		"expired":     {slices.Concat(good, old), "CN=company CA in it expired on"},
		"too early":   {early, "not valid before"},
	} {
		if got, err := parseRegistryCA(test.data, now); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, %v, want an error with %q", name, got, err, test.want)
		}
	}
}

func TestRegistryFlags(t *testing.T) {
	now := time.Now()
	ca, _ := authority(t, now.Add(-time.Hour), now.Add(time.Hour))
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, ca, 0o600))
	for name, test := range map[string]struct {
		flags   Flags
		changed []string
		want    string
		check   func(*Options) bool
	}{
		"nothing": {Flags{}, nil, "", func(o *Options) bool { return o.Registry == nil && o.RegistryCA == nil && o.NodeAccess == "" }},
		"external": {
			Flags{Registry: "ghcr.io/my-org", RegistrySecret: "ghcr"},
			[]string{"registry", "registry-secret"},
			"", func(o *Options) bool {
				return *o.Registry == Address{"ghcr.io", "my-org"} && o.RegistrySecret == "ghcr" && o.RegistryCA == nil
			},
		},
		"with a CA": {
			Flags{Registry: "ghcr.io", RegistryCA: file},
			[]string{"registry", "registry-ca"},
			"", func(o *Options) bool { return bytes.Equal(o.RegistryCA, ca) },
		},
		"forget the CA":    {Flags{}, []string{"registry-ca"}, "", func(o *Options) bool { return o.RegistryCA != nil && len(o.RegistryCA) == 0 }},
		"back":             {Flags{}, []string{"registry"}, "", func(o *Options) bool { return *o.Registry == Address{} }},
		"back, with size":  {Flags{StorageSize: "5Gi"}, []string{"registry", "registry-storage-size"}, "", nil},
		"back, with login": {Flags{RegistrySecret: "ghcr"}, []string{"registry", "registry-secret"}, "goes back", nil},
		"back, with CA":    {Flags{RegistryCA: file}, []string{"registry", "registry-ca"}, "goes back", nil},
		"no address":       {Flags{Registry: "my-org"}, []string{"registry"}, "host", nil},
		"with size":        {Flags{Registry: "ghcr.io", StorageSize: "5Gi"}, []string{"registry", "registry-storage-size"}, "leave out", nil},
		"with class":       {Flags{Registry: "ghcr.io", StorageClass: "fast"}, []string{"registry", "registry-storage-class"}, "leave out", nil},
		"ephemeral":        {Flags{Registry: "ghcr.io", Ephemeral: true}, []string{"registry", "registry-ephemeral"}, "leave out", nil},
		"with rotation":    {Flags{Registry: "ghcr.io", Rotate: true}, []string{"registry", "rotate-credentials"}, "--registry-secret", nil},
		"no such file":     {Flags{Registry: "ghcr.io", RegistryCA: file + "x"}, []string{"registry", "registry-ca"}, "--registry-ca", nil},
		"unknown access":   {Flags{NodeAccess: "tunnel"}, []string{"node-access"}, "auto, hostport", nil},
		"empty access":     {Flags{}, []string{"node-access"}, "auto, hostport", nil},
		"known access":     {Flags{NodeAccess: "nodeport"}, []string{"node-access"}, "", func(o *Options) bool { return o.NodeAccess == manifests.NodeAccessNodePort }},
	} {
		t.Run(name, func(t *testing.T) {
			o := &Options{}
			err := test.flags.registry(o, func(flag string) bool { return slices.Contains(test.changed, flag) })
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error is %v, want one with %q", err, test.want)
			case test.check != nil && !test.check(o):
				t.Errorf("options are %+v", o)
			}
		})
	}
}

func TestConfigureRegistry(t *testing.T) {
	own := manifests.Config{
		Registry:   manifests.RegistryConfig{Host: manifests.RegistryHost, StorageSize: "50Gi", StorageClass: "fast"},
		NodeAccess: manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort, Proven: true},
	}
	external := own
	external.Registry.External, external.Registry.Host, external.Registry.Prefix = true, "ghcr.io", "org"
	proven := own.NodeAccess
	for name, test := range map[string]struct {
		before  *manifests.Config
		options Options
		want    manifests.RegistryConfig
		access  manifests.NodeAccessConfig
		refused string
	}{
		"first": {nil, Options{}, manifests.RegistryConfig{Host: manifests.RegistryHost, StorageSize: defaultStorageSize}, manifests.NodeAccessConfig{}, ""},
		"first, external": {
			nil,
			Options{Registry: &Address{"ghcr.io", "org"}},
			manifests.RegistryConfig{External: true, Host: "ghcr.io", Prefix: "org"},
			manifests.NodeAccessConfig{},
			"",
		},
		"to an external one": {&own, Options{Registry: &Address{"ghcr.io", "org"}}, external.Registry, manifests.NodeAccessConfig{}, ""},
		"back":               {&external, Options{Registry: &Address{}}, own.Registry, manifests.NodeAccessConfig{}, ""},
		"remembered":         {&external, Options{}, external.Registry, proven, ""},
		"another prefix": {
			&external,
			Options{Registry: &Address{"ghcr.io", "other"}},
			manifests.RegistryConfig{External: true, Host: "ghcr.io", Prefix: "other", StorageSize: "50Gi", StorageClass: "fast"},
			manifests.NodeAccessConfig{},
			"",
		},
		"a new login":           {&external, Options{RegistrySecret: "new"}, external.Registry, proven, ""},
		"login of our own":      {&own, Options{RegistrySecret: "x"}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "go with --registry"},
		"CA of our own":         {&own, Options{RegistryCA: []byte{}}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "go with --registry"},
		"rotate a foreign one":  {&external, Options{Rotate: true}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "the registry is ghcr.io"},
		"enlarge a foreign one": {&external, Options{StorageSize: pointer("60Gi")}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "the registry is ghcr.io"},
		"back to less":          {&external, Options{Registry: &Address{}, StorageSize: pointer("5Gi")}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "can not shrink"},
		"back to another class": {&external, Options{Registry: &Address{}, StorageClass: pointer("standard")}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "can not be changed"},
		"back to none":          {&external, Options{Registry: &Address{}, Ephemeral: pointer(true)}, manifests.RegistryConfig{}, manifests.NodeAccessConfig{}, "would delete"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := test.options.configure(cluster(test.before))
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("error is %v, want one with %q", err, test.refused)
				}
				return
			}
			config.Registry.NodeHost = ""
			if err != nil || config.Registry != test.want || config.NodeAccess != test.access {
				t.Errorf("got %+v and %+v, %v, want %+v and %+v", config.Registry, config.NodeAccess, err, test.want, test.access)
			}
		})
	}
}

// TestExternal logs in to a real registry's interface, as setup does before it
// changes anything.
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

	login := func(namespace, name, host, user, password string) *corev1.Secret {
		config, err := manifests.DockerConfig(credentials.User{Name: user, Password: password}, host)
		must(t, err)
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: config, manifests.CAKey: ca},
		}
	}
	secrets := []runtime.Object{
		login("team-b", "good", host, "writer", "right"),
		login("team-b", "wrong", host, "writer", "not-"+"right"),
		login("team-b", "reader", host, "reader", "right"),
		login("team-b", "elsewhere", "ghcr.io", "writer", "right"),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team-b", Name: "opaque"}, Type: corev1.SecretTypeOpaque},
	}
	remembered := login(manifests.SystemNamespace, manifests.RegistrySecret, host, "writer", "right")
	config := manifests.Config{
		Registry:   manifests.RegistryConfig{External: true, Host: host, Prefix: "org"},
		Namespaces: []string{"team-a", "team-b"},
	}
	for name, test := range map[string]struct {
		options Options
		before  *manifests.Config
		objects []runtime.Object
		want    error
		says    string
	}{
		"a Secret":                  {options: Options{RegistrySecret: "good", RegistryCA: ca}},
		"remembered":                {before: &config, objects: []runtime.Object{remembered}},
		"a new Secret, known CA":    {options: Options{RegistrySecret: "good"}, before: &config, objects: []runtime.Object{remembered}},
		"no login":                  {options: Options{RegistryCA: ca}, says: "--registry-secret"},
		"the login is gone":         {before: &config, says: "is gone"},
		"no such Secret":            {options: Options{RegistrySecret: "absent", RegistryCA: ca}, says: "no such Secret in namespace team-b"},
		"a Secret of another type":  {options: Options{RegistrySecret: "opaque", RegistryCA: ca}, says: "of type Opaque"},
		"a login elsewhere":         {options: Options{RegistrySecret: "elsewhere", RegistryCA: ca}, says: `but for ["ghcr.io"]`},
		"a wrong password":          {options: Options{RegistrySecret: "wrong", RegistryCA: ca}, want: registry.ErrUnauthorized},
		"no right to push":          {options: Options{RegistrySecret: "reader", RegistryCA: ca}, want: registry.ErrDenied},
		"no CA":                     {options: Options{RegistrySecret: "good"}, want: registry.ErrCertificate},
		"a foreign CA":              {options: Options{RegistrySecret: "good", RegistryCA: foreign}, want: registry.ErrCertificate},
		"the CA is to be forgotten": {options: Options{RegistryCA: []byte{}}, before: &config, objects: []runtime.Object{remembered}, want: registry.ErrCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Clients = &kube.Clients{Kube: fake.NewClientset(slices.Concat(secrets, test.objects)...), Namespace: "team-b"}
			got, err := test.options.external(t.Context(), &platform.Cluster{Config: test.before}, config)
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
