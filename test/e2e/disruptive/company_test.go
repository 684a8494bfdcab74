//go:build e2e

package disruptive

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// onlyByProxy is a host that only the proxy resolves.
const onlyByProxy = "packages.invalid"

// company is the infrastructure of a company: a CA, a package index with its
// certificate and a password, and a proxy with a password.
type company struct {
	// ca is the file with the CA's certificate, host the index's name for pods.
	ca, host string
	// proxy is the proxy's host:port for pods.
	proxy string
	// password is that of both. It must be in no other place.
	password string

	mu sync.Mutex
	// proxied are the hosts that the proxy was asked for.
	proxied []string
}

// newCompany starts the servers in this process. Pods reach the index by a
// Service without a selector, so that it has a name, as it would have.
func newCompany(t *testing.T, ns *app) *company {
	t.Helper()
	c := &company{host: "packages." + ns.Name + ".svc", password: rand.Text()}
	certificate := c.issue(t)
	address := ns.AddressForPods(t)

	index, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	env.Check(t, err)
	servers.Serve(t, tls.NewListener(index, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}),
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/open" {
				return
			}
			if _, password, _ := r.BasicAuth(); password != c.password {
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			servers.Packages(w, r)
		})
	port := int32(index.Addr().(*net.TCPAddr).Port)
	_, err = ns.Kube.CoreV1().Services(ns.Name).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "packages"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	portName := "https"
	_, err = ns.Kube.DiscoveryV1().EndpointSlices(ns.Name).Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "packages", Labels: map[string]string{discoveryv1.LabelServiceName: "packages"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}}},
	}, metav1.CreateOptions{})
	env.Check(t, err)

	proxy, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	env.Check(t, err)
	c.proxy = proxy.Addr().String()
	servers.Serve(t, proxy, c.serveProxy)
	return c
}

// issue makes the CA and the index's certificate.
func (c *company) issue(t *testing.T) tls.Certificate {
	t.Helper()
	sign := func(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) []byte {
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		env.Check(t, err)
		return der
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	env.Check(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	env.Check(t, err)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "e2e company root"}, SubjectKeyId: []byte("e2e company root"),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca := sign(template, template, caKey, caKey)
	server := sign(&x509.Certificate{
		DNSNames: []string{c.host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, template, key, caKey)
	c.ca = filepath.Join(t.TempDir(), "company-ca.pem")
	env.Check(t, os.WriteFile(c.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca}), 0o600))
	return tls.Certificate{Certificate: [][]byte{server}, PrivateKey: key}
}

// serveProxy asks for the password, serves the index under a name that exists
// nowhere else, and passes on what is for others, as base images.
func (c *company) serveProxy(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+c.password)) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	c.mu.Lock()
	c.proxied = append(c.proxied, r.URL.Hostname())
	c.mu.Unlock()
	if r.URL.Hostname() == onlyByProxy {
		servers.Packages(w, r)
		return
	}
	(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}).ServeHTTP(w, r)
}

// TestCompany sets a company's CA, index and proxy for builds, and removes them. It runs
// in its own namespace, and the other namespace gets the same settings.
func TestCompany(t *testing.T) {
	ns := theApp(t)
	other := env.Namespace(t).Name
	setup := func(flags ...string) env.Result {
		t.Helper()
		return ns.Pyflow(t, append([]string{"setup"}, flags...)...).Succeeded(t)
	}
	build := func(dir string) env.Result {
		t.Helper()
		return ns.Build(t, dir, "--port", "8000")
	}
	t.Cleanup(func() {
		// The context of the test has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), env.SettleLimit)
		defer cancel()
		forget := ns.Command(ctx, "kubectl", "pyflow", "setup", "-n", other, "--build-ca", "", "--build-env", "")
		if out, err := forget.CombinedOutput(); err != nil {
			t.Errorf("forget what builds get: %v\n%s", err, out)
		}
	})
	company := newCompany(t, ns)
	install := "pip install --no-cache-dir --disable-pip-version-check company-greeting"
	dir := env.Project(t, "company", map[string]string{"Dockerfile": fmt.Sprintf(`FROM python:3.13-slim AS packages
RUN %s --target /packages
RUN ["python", "-c", "import urllib.request; print(urllib.request.urlopen('https://%s/open').read())"]
FROM python:3.13-slim
COPY --from=packages /packages /packages
USER nobody
RUN %s --target /tmp/again && python -c "import sys; sys.path.insert(0, '/packages'); import company_greeting; print(company_greeting.text)"
CMD ["python", "-m", "http.server", "8000"]
`, install, company.host, install)})

	setup("--build-env", fmt.Sprintf("PIP_INDEX_URL=https://me:%s@%s/simple/", company.password, company.host), "--build-env", "PIP_RETRIES=0")
	build(dir).Failed(t, "CERTIFICATE_VERIFY_FAILED")

	setup("--build-ca", company.ca)
	setup().Says(t, "nothing changed")
	t.Run("dry run", ns.DryRun)
	built := build(dir).Succeeded(t)
	built.Says(t, "hello from the company")
	wantNoTrace(t, ns, company, env.DigestPattern.FindString(built.Stdout))
	for _, namespace := range []string{ns.Name, other} {
		secret, err := ns.Kube.CoreV1().Secrets(namespace).Get(t.Context(), manifests.BuildSecret, metav1.GetOptions{})
		env.Check(t, err)
		if !strings.Contains(string(secret.Data["PIP_INDEX_URL"]), company.host) {
			t.Errorf("namespace %s has another index, or none", namespace)
		}
	}

	proxied := env.Project(t, "proxied", map[string]string{"Dockerfile": "FROM python:3.13-slim\nRUN " + install + "\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n"})
	setup("--build-env", fmt.Sprintf("HTTP_PROXY=http://me:%s@%s", company.password, company.proxy),
		"--build-env", "PIP_INDEX_URL=http://"+onlyByProxy+"/simple/", "--build-env", "PIP_TRUSTED_HOST="+onlyByProxy)
	build(proxied).Succeeded(t)
	company.mu.Lock()
	hosts := slices.Clone(company.proxied)
	company.mu.Unlock()
	if !slices.Contains(hosts, onlyByProxy) {
		t.Errorf("pip did not ask the proxy, which was asked for %q", hosts)
	}
	if slices.ContainsFunc(hosts, func(host string) bool { return strings.HasSuffix(host, ".svc") }) {
		t.Errorf("what is in the cluster went by the proxy: %q", hosts)
	}
	wantNoTrace(t, ns, company, "")

	setup("--build-ca", "", "--build-env", "")
	for _, namespace := range []string{ns.Name, other, manifests.SystemNamespace} {
		if _, err := ns.Kube.CoreV1().Secrets(namespace).Get(t.Context(), manifests.BuildSecret, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("namespace %s still has the secret %s: %v", namespace, manifests.BuildSecret, err)
		}
	}
	setup().Says(t, "nothing changed")
}

// wantNoTrace looks for the company's password and CA wherever they must not be:
// the image of the app company with that digest, the run, its pods and logs, and
// the configuration.
func wantNoTrace(t *testing.T, ns *app, company *company, digest string) {
	t.Helper()
	ca, err := os.ReadFile(company.ca)
	env.Check(t, err)
	needles := map[string]string{
		"the password": company.password,
		"the CA":       strings.Split(string(ca), "\n")[2],
		"the bundle":   "/kaniko/",
	}
	clean := func(place string, text []byte, what ...string) {
		t.Helper()
		for _, needle := range what {
			if bytes.Contains(text, []byte(needles[needle])) {
				t.Errorf("%s: %s is there", place, needle)
			}
		}
	}
	run := ns.Runs(t)[0]
	objects := func(place string, object any) {
		t.Helper()
		data, err := json.Marshal(object)
		env.Check(t, err)
		clean(place, data, "the password", "the CA")
	}
	objects("pipelinerun "+run.Name, run)
	list := metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run.Name}
	tasks, err := ns.Tekton.TektonV1().TaskRuns(ns.Name).List(t.Context(), list)
	env.Check(t, err)
	objects("taskruns", tasks.Items)
	pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), list)
	env.Check(t, err)
	objects("pods", pods.Items)
	for _, pod := range pods.Items {
		for _, container := range pod.Spec.Containers {
			log, err := ns.Kube.CoreV1().Pods(ns.Name).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).DoRaw(t.Context())
			env.Check(t, err)
			clean("log of "+pod.Name+"/"+container.Name, log, "the password", "the CA")
		}
	}
	config, err := ns.Kube.CoreV1().ConfigMaps(manifests.SystemNamespace).Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	env.Check(t, err)
	objects("configmap "+config.Name, config)
	if !strings.Contains(config.Data[manifests.ConfigKey], "PIP_INDEX_URL") {
		t.Errorf("the configuration does not name the variables:\n%s", config.Data[manifests.ConfigKey])
	}
	if digest == "" {
		return
	}

	image := registrytest.Image(t, ns.NS, "company", digest)
	settings, err := image.RawConfigFile()
	env.Check(t, err)
	clean("the image's configuration and history", settings, "the password", "the CA", "the bundle")
	if strings.Contains(string(settings), "PIP_INDEX_URL=") || strings.Contains(string(settings), "SSL_CERT_FILE") {
		t.Errorf("the image knows of the variables: %s", settings)
	}
	layers, err := image.Layers()
	env.Check(t, err)
	for i, layer := range layers {
		content, err := layer.Uncompressed()
		env.Check(t, err)
		data, err := io.ReadAll(content)
		env.Check(t, err)
		clean(fmt.Sprintf("layer %d of %d", i+1, len(layers)), data, "the password", "the CA")
	}
}
