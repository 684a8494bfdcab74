//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// front returns the registry's front as a client with a certificate sees it.
func front(t *testing.T, ns *env.NS, ca []byte, certificate tls.Certificate) registrytest.PodPort {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return registrytest.Open(t, ns.Cluster, manifests.RegistryPod, manifests.RegistryPort, &tls.Config{
		RootCAs: roots, ServerName: manifests.RegistryHost,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	})
}

// codeOf sends a request without a password and returns the code of the answer; 0 for a
// connection that is refused.
func codeOf(t *testing.T, port registrytest.PodPort, r request) (code int, body string) {
	t.Helper()
	answers := port.Send(t, r.Text())
	if len(answers) == 0 {
		return 0, ""
	}
	return answers[0].Code, answers[0].Body
}

func signed(t *testing.T, builder *credentials.Builder, build credentials.Build, lifetime time.Duration) tls.Certificate {
	t.Helper()
	pair, err := builder.Sign(build, lifetime, time.Now())
	env.Check(t, err)
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	env.Check(t, err)
	return certificate
}

// buildCertificate uses the certificate of a build for what is not the build's.
func buildCertificate(t *testing.T, ns, neighbor *env.NS) {
	t.Helper()
	user, ca := registrytest.Credentials(t, ns.Cluster, ns.Name)
	theirs, _ := registrytest.Credentials(t, ns.Cluster, neighbor.Name)
	plain := registrytest.Front(t, ns.Cluster, ca)
	image, blob := registrytest.NewImage(t, "a build "+rand.Text())
	app, other, foreign, cache := ns.Name+"/build-app", ns.Name+"/build-other", neighbor.Name+"/build-app", manifests.CacheSuffix()
	for _, repository := range []string{app, app + "/source", app + cache, other, other + "/source", other + cache} {
		registrytest.Push(t, plain, user, repository, "v1", image)
	}
	registrytest.Push(t, plain, theirs, foreign, "v1", image)
	builder, err := platform.Builder(t.Context(), ns.Kube, ns.Name)
	env.Check(t, err)
	trusted := front(t, ns, ca, signed(t, builder, credentials.Build{Repository: app, Tag: "app-7"}, time.Hour))
	untrusted := front(t, ns, ca, signed(t, builder, credentials.Build{Repository: app, Tag: "app-7", Untrusted: true}, time.Hour))

	manifest := plain.Do(t, user, request{Method: "GET", Target: "/v2/" + app + "/manifests/v1"}).Body
	put := func(repository, reference string) request {
		return request{Method: "PUT", Target: "/v2/" + repository + "/manifests/" + reference, Body: manifest, Headers: []string{"Content-Type: application/vnd.oci.image.manifest.v1+json"}}
	}
	mount := func(into, from string) request {
		return request{Method: "POST", Target: "/v2/" + into + "/blobs/uploads/?from=" + strings.ReplaceAll(from, "/", "%2F") + "&mount=" + strings.Replace(blob, ":", "%3A", 1)}
	}
	get := func(path string) request { return request{Method: "GET", Target: "/v2/" + path} }
	const key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, try := range []struct {
		what                   string
		r                      request
		trustedCode, untrusted int
	}{
		{"the credentials are valid", get(""), 200, 200},
		{"own image", get(app + "/manifests/v1"), 200, 200},
		{"own layer", get(app + "/blobs/" + blob), 200, 200},
		{"own cache", get(app + cache + "/manifests/v1"), 200, 200},
		{"own tags", get(app + "/tags/list"), 200, 200},
		{"own tag", put(app, "app-7"), 201, 201},
		{"an upload", request{Method: "POST", Target: "/v2/" + app + "/blobs/uploads/"}, 202, 202},
		{"a mount from the own cache", mount(app, app+cache), 201, 201},
		{"an upload to the own cache", request{Method: "POST", Target: "/v2/" + app + cache + "/blobs/uploads/"}, 202, 403},
		{"a layer of the own cache", put(app+cache, key), 201, 403},
		{"a mount into the own cache", mount(app+cache, app), 201, 403},
		{"an image of another app, as a FROM", get(other + "/manifests/v1"), 200, 403},
		{"a mount from another app", mount(app, other), 201, 403},

		{"another own tag", put(app, "v1"), 403, 403},
		{"another own tag by digest", put(app, registrytest.Sum(manifest)), 403, 403},
		{"a tag in the cache that is no key", put(app+cache, "latest"), 403, 403},
		{"the tag of the own source", put(app+"/source", "app-7"), 403, 403},
		{"the own source", get(app + "/source/manifests/v1"), 403, 403},
		{"the source of another app", get(other + "/source/manifests/v1"), 403, 403},
		{"a layer of the source of another app", get(other + "/source/blobs/" + blob), 403, 403},
		{"the cache of another app", get(other + cache + "/manifests/v1"), 403, 403},
		{"a mount from the source of another app", mount(app, other+"/source"), 403, 403},
		{"a mount from the cache of another app", mount(app, other+cache), 403, 403},
		{"a layer into the cache of another app", put(other+cache, key), 403, 403},
		{"an upload to the cache of another app", request{Method: "POST", Target: "/v2/" + other + cache + "/blobs/uploads/"}, 403, 403},
		{"a mount into the cache of another app", mount(other+cache, app), 403, 403},
		{"a push to another app", put(other, "app-7"), 403, 403},
		{"an upload to another app", request{Method: "POST", Target: "/v2/" + other + "/blobs/uploads/"}, 403, 403},
		{"an app whose name begins alike", put(app+"x", "app-7"), 403, 403},
		{"a repository below the app", put(app+"/x", "app-7"), 403, 403},
		{"deleting the own image", request{Method: "DELETE", Target: "/v2/" + app + "/manifests/v1"}, 403, 403},
		{"deleting a layer of the cache", request{Method: "DELETE", Target: "/v2/" + app + cache + "/blobs/" + blob}, 403, 403},
		{"deleting the image of another app", request{Method: "DELETE", Target: "/v2/" + other + "/manifests/v1"}, 403, 403},
		{"the catalog", get("_catalog"), 403, 403},
		{"another namespace", get(foreign + "/manifests/v1"), 403, 403},
		{"a push to another namespace", put(foreign, "app-7"), 403, 403},
		{"a mount from another namespace", mount(app, foreign), 403, 403},
		{"writing to the mirror", put("mirror/x", "app-7"), 403, 403},
		{"dot segments", get(app + "/../build-other/source/manifests/v1"), 403, 403},
		{"an encoded slash", get(app + "%2F..%2Fbuild-other/manifests/v1"), 403, 403},
	} {
		for who, c := range map[string]struct {
			port registrytest.PodPort
			want int
		}{"trusted": {trusted, try.trustedCode}, "untrusted": {untrusted, try.untrusted}} {
			code, body := codeOf(t, c.port, try.r)
			t.Logf("%-45s %-9s %s %s: %d", try.what, who, try.r.Method, registrytest.Shorten(try.r.Target), code)
			if code != c.want {
				t.Errorf("%s, %s: got %d, want %d: %s", try.what, who, code, c.want, body)
			}
		}
	}

	// The password of the platform does not help who has a certificate.
	admin, _ := registrytest.Credentials(t, ns.Cluster, manifests.SystemNamespace)
	if got := trusted.Do(t, admin, get("_catalog")); got.Code != http.StatusForbidden {
		t.Errorf("a certificate beside a password: got %d", got.Code)
	}
	for what, port := range map[string]registrytest.PodPort{
		"expired":                     front(t, ns, ca, signed(t, builder, credentials.Build{Repository: app, Tag: "app-7"}, -time.Minute)),
		"for another namespace":       front(t, ns, ca, signed(t, builder, credentials.Build{Repository: foreign, Tag: "v1"}, time.Hour)),
		"of a CA below the namespace": front(t, ns, ca, subordinate(t, ns, app)),
	} {
		code, body := codeOf(t, port, get(app+"/manifests/v1"))
		t.Logf("a certificate %s: %d", what, code)
		if code != 0 && code < http.StatusBadRequest {
			t.Errorf("a certificate %s: got %d: %s", what, code, body)
		}
	}
	if got := plain.Do(t, user, get(other+cache+"/manifests/v1")); got.Code != http.StatusOK {
		t.Errorf("afterwards the cache of the other app answers %d", got.Code)
	}
}

// subordinate returns a certificate for a build that a CA has signed, which the CA of the
// namespace has signed.
func subordinate(t *testing.T, ns *env.NS, repository string) tls.Certificate {
	t.Helper()
	secret, err := ns.Kube.CoreV1().Secrets(ns.Name).Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
	env.Check(t, err)
	ca, err := tls.X509KeyPair(secret.Data[manifests.BuilderCertificateKey], secret.Data[manifests.BuilderKeyKey])
	env.Check(t, err)
	issue := func(template, parent *x509.Certificate, signer any) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		env.Check(t, err)
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		env.Check(t, err)
		return der, key
	}
	sub, subKey := issue(&x509.Certificate{Subject: ca.Leaf.Subject, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true}, ca.Leaf, ca.PrivateKey)
	parent, err := x509.ParseCertificate(sub)
	env.Check(t, err)
	namespace, app, _ := strings.Cut(repository, "/")
	leaf, key := issue(&x509.Certificate{
		URIs:        []*url.URL{{Scheme: "pyflow", Host: namespace + ".build.pyflow.internal", Path: "/trusted/" + app + ":v1"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Subject: pkix.Name{CommonName: "build"},
	}, parent, subKey)
	return tls.Certificate{Certificate: [][]byte{leaf, sub, ca.Certificate[0]}, PrivateKey: key}
}

// thief is what a RUN does that looks for credentials, and uses those that it finds.
const thief = `
import http.client, os, re, ssl, sys
found = []
for top in ("/kaniko", "/tekton", "/workspace", "/registry", "/var/run", "/run", "/root"):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                text = open(path, "rb").read(1 << 16)
            except OSError:
                continue
            if b'"au' + b'th"' in text or b'"pass' + b'word"' in text or name == "token":
                found.append(path)
print("ATTACK passwords", found)
context = ssl.create_default_context(cafile="/kaniko/push/ca.crt")
context.load_cert_chain("/kaniko/push/tls.crt", "/kaniko/push/tls.key")
def ask(method, path, body=None):
    c = http.client.HTTPSConnection("registry.pyflow-system.svc", 443, context=context, timeout=30)
    c.request(method, path, body, {"Accept": "application/vnd.oci.image.manifest.v1+json", "Content-Type": "application/vnd.oci.image.manifest.v1+json"})
    r = c.getresponse()
    return r.status, r.read()
for line in sys.argv[1:]:
    method, _, path = line.partition(" ")
    print("ATTACK", ask(method, path, b"{}")[0], line)
`

// TestBuildStealsNothing builds a Dockerfile whose RUN looks for credentials, attacks other
// apps with them, and rewrites the results of the Task until it is killed.
func TestBuildStealsNothing(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	user, ca := registrytest.Credentials(t, ns.Cluster, ns.Name)
	plain := registrytest.Front(t, ns.Cluster, ca)
	image, _ := registrytest.NewImage(t, "of the victim")
	cache := manifests.CacheSuffix()
	for _, repository := range []string{"victim", "victim/source", "victim" + cache, "thief"} {
		registrytest.Push(t, plain, user, ns.Name+"/"+repository, "v1", image)
	}
	attacks := []string{
		"GET /v2/" + ns.Name + "/victim/source/manifests/v1",
		"PUT /v2/" + ns.Name + "/victim" + cache + "/manifests/" + strings.Repeat("a", 64),
		"POST /v2/" + ns.Name + "/victim" + cache + "/blobs/uploads/",
		"PUT /v2/" + ns.Name + "/victim/manifests/v1",
		"DELETE /v2/" + ns.Name + "/victim/manifests/v1",
		"PUT /v2/" + ns.Name + "/thief/manifests/v1",
		"DELETE /v2/" + ns.Name + "/thief/manifests/v1",
		"GET /v2/_catalog",
	}
	forged := "sha256:" + strings.Repeat("f", 64)
	liar := "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nwhile True:\n" +
		"    for d in ('/tekton/results', '/tekton/steps/step-digest/results', '/tekton/steps/step-build/results', '/kaniko/pushed'):\n" +
		"        for n in ('IMAGE_DIGEST', 'IMAGE_URL', 'digest', 'url'):\n" +
		"            try:\n                open(d + '/' + n, 'w').write('" + forged + "')\n            except OSError: pass\n" +
		"    try: open('/tekton/termination', 'w').write('[{\"key\":\"IMAGE_DIGEST\",\"value\":\"" + forged + "\",\"type\":1},{\"key\":\"digest\",\"value\":\"" + forged + "\",\"type\":4}]')\n    except OSError: pass\n" +
		"    time.sleep(0.01)\n"
	dir := env.Project(t, "thief", map[string]string{
		"thief.py": thief, "liar.py": liar,
		"Dockerfile": "FROM " + env.PythonBase + "\nUSER root\nCOPY *.py /\nRUN python /thief.py '" + strings.Join(attacks, "' '") + "'\nRUN python /liar.py >/dev/null 2>&1 </dev/null\nRUN sleep 2\n",
	})
	result := ns.Build(t, dir, "--name", "thief", "--no-deploy", "--output", "json").Succeeded(t)
	log := result.Stdout + result.Stderr
	runs := ns.RunsOf(t, "thief")
	if len(runs) != 1 {
		t.Fatalf("there are %d runs", len(runs))
	}
	logs, _ := ns.Traces(t, runs[0].Name)
	for _, text := range logs {
		log += text
	}
	if !strings.Contains(log, "ATTACK passwords []") {
		t.Errorf("the RUN found passwords, or did not run:\n%s", log)
	}
	for _, attack := range attacks {
		if !strings.Contains(log, "ATTACK 403 "+attack) {
			t.Errorf("%s: not refused in\n%s", attack, log)
		}
	}
	digest := ""
	for _, one := range runs[0].Status.Results {
		if strings.Contains(one.Value.StringVal, forged) {
			t.Errorf("the result %s is what the RUN wrote: %s", one.Name, one.Value.StringVal)
		}
		if one.Name == "IMAGE_DIGEST" {
			digest = one.Value.StringVal
		}
	}
	got := plain.Do(t, user, request{Method: "HEAD", Target: "/v2/" + ns.Name + "/thief/manifests/" + runs[0].Name})
	if pushed := got.Header.Get("Docker-Content-Digest"); pushed == "" || pushed != digest {
		t.Errorf("the registry has %s, the result of the run is %s", pushed, digest)
	}
	pods, err := ns.PodsOf(t.Context(), runs[0].Name)
	env.Check(t, err)
	for _, pod := range pods {
		for _, container := range pod.Spec.Containers {
			if container.Name == "step-build" {
				mountsNoLogin(t, pod, container)
			}
		}
	}
}

// mountsNoLogin checks that a container has no volume with the login of the namespace.
func mountsNoLogin(t *testing.T, pod corev1.Pod, container corev1.Container) {
	t.Helper()
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret == nil || volume.Secret.SecretName != manifests.RegistrySecret {
			continue
		}
		for _, mount := range container.VolumeMounts {
			if mount.Name == volume.Name {
				t.Errorf("container %s of pod %s mounts the Secret %s", container.Name, pod.Name, manifests.RegistrySecret)
			}
		}
	}
}

// TestUntrustedLeavesNoLayer builds the same source untrusted and then trusted: the trusted
// build takes neither the image nor a layer of the other one.
func TestUntrustedLeavesNoLayer(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "poison", map[string]string{"a.txt": rand.Text(), "Dockerfile": "FROM " + env.PythonBase + "\nCOPY a.txt /a.txt\nRUN date > /b.txt\n"})
	args := []string{dir, "--name", "poison", "--no-deploy", "--no-test"}
	ns.Build(t, append(args, "--untrusted")...).Succeeded(t)
	user, ca := registrytest.Credentials(t, ns.Cluster, ns.Name)
	if got := registrytest.Front(t, ns.Cluster, ca).Do(t, user, request{Method: "GET", Target: "/v2/" + ns.Name + "/poison" + manifests.CacheSuffix() + "/tags/list"}); got.Code != http.StatusNotFound {
		t.Errorf("the cache after an untrusted build: %d %s", got.Code, got.Body)
	}
	trusted := ns.Build(t, args...).Succeeded(t)
	if text := trusted.Stdout + trusted.Stderr; strings.Contains(text, "(cached)") || strings.Contains(text, "Nothing has changed") {
		t.Errorf("the trusted build took something of the untrusted one:\n%s", text)
	}
}
