//go:build e2e

// Package registrytest reaches the registry of the platform past the plugin: byte for
// byte, as a client of its own, or to look at everything that it stores.
package registrytest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// PodPort is a port of one of the platform's pods, reached through the API server. What
// is sent to it arrives byte for byte.
type PodPort struct {
	dial podforward.DialFunc
	// trust is nil where plain HTTP is spoken.
	trust *tls.Config
}

// Open returns the way to a port of a pod; config is nil for plain HTTP.
func Open(t *testing.T, c *env.Cluster, pod string, port int, config *tls.Config) PodPort {
	t.Helper()
	cluster, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	env.Check(t, err)
	dial, err := podforward.Dialer(cluster, c.Kube, manifests.SystemNamespace, pod, port)
	env.Check(t, err)
	return PodPort{dial, config}
}

// Front returns the registry's front as clients of the cluster trust it.
func Front(t *testing.T, c *env.Cluster, ca []byte) PodPort {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the registry's CA holds no certificate")
	}
	return Open(t, c, manifests.RegistryPod, manifests.RegistryPort, &tls.Config{RootCAs: roots, ServerName: manifests.RegistryHost})
}

func (d PodPort) connect(ctx context.Context) (net.Conn, error) {
	connection, err := d.dial(ctx, "", "")
	if err == nil && d.trust != nil {
		connection = tls.Client(connection, d.trust)
	}
	if err == nil {
		err = connection.SetDeadline(time.Now().Add(env.SettleLimit))
	}
	return connection, err
}

// Answer is what came back to one request.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Send sends text as it is, and then a request without credentials that ends the connection. It returns all answers up to that one.
func (d PodPort) Send(t *testing.T, text string) []Answer {
	t.Helper()
	connection, err := d.connect(t.Context())
	env.Check(t, err)
	defer connection.Close()
	go func() {
		_, _ = io.WriteString(connection, text+"GET /healthz HTTP/1.1\r\nHost: "+manifests.RegistryHost+"\r\nConnection: close\r\n\r\n")
	}()
	reader := bufio.NewReader(connection)
	var answers []Answer
	for {
		var request *http.Request
		if len(answers) == 0 && strings.HasPrefix(text, "HEAD ") {
			request = &http.Request{Method: http.MethodHead}
		}
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			break
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			break
		}
		answers = append(answers, Answer{response.StatusCode, response.Header, string(body)})
		if response.Close {
			break
		}
	}
	return answers
}

// Request is the first line of a request, and what follows it.
type Request struct {
	Method, Target string
	Headers        []string
	Body           string
}

// Text returns the request as it is sent, with a header for each authorization.
func (r Request) Text(authorization ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	has := func(header string) bool {
		return slices.ContainsFunc(r.Headers, func(line string) bool { return strings.HasPrefix(strings.ToLower(line), header) })
	}
	if !has("host:") {
		fmt.Fprintf(&text, "Host: %s\r\n", manifests.RegistryHost)
	}
	if !has("accept:") {
		// Without it the registry has no such image.
		fmt.Fprintf(&text, "Accept: %s\r\n", types.OCIManifestSchema1)
	}
	for _, value := range authorization {
		fmt.Fprintf(&text, "Authorization: %s\r\n", value)
	}
	for _, line := range r.Headers {
		text.WriteString(line + "\r\n")
	}
	if !has("content-length:") && !has("transfer-encoding:") {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(r.Body))
	}
	text.WriteString("\r\n" + r.Body)
	return text.String()
}

// Basic returns the value of an Authorization header.
func Basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// Do sends a request of a user and returns the one answer. The front closes a connection
// whose request arrives while it reads its users again, which each setup makes it do; as the
// registry's clients do, Do then sends the request again.
func (d PodPort) Do(t *testing.T, user credentials.User, r Request) Answer {
	t.Helper()
	const attempts = 3
	for range attempts {
		if answers := d.Send(t, r.Text(Basic(user.Name, user.Password))); len(answers) > 0 {
			return answers[0]
		}
	}
	t.Fatalf("%s %s: no answer to %d requests", r.Method, r.Target, attempts)
	return Answer{}
}

// Wants sends a request and reports an answer with another code.
func (d PodPort) Wants(t *testing.T, what string, user credentials.User, code int, r Request) Answer {
	t.Helper()
	got := d.Do(t, user, r)
	t.Logf("%-60s %s %s: %d", what, r.Method, Shorten(r.Target), got.Code)
	if got.Code != code {
		t.Errorf("%s: %s %s: got %d, want %d: %s", what, r.Method, r.Target, got.Code, code, got.Body)
	}
	return got
}

// Shorten quotes text for a log line.
func Shorten(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > 150 {
		text = text[:150] + "…"
	}
	return fmt.Sprintf("%q", text)
}

// Credentials returns the registry credentials and the CA that setup put into a
// namespace.
func Credentials(t *testing.T, c *env.Cluster, namespace string) (credentials.User, []byte) {
	t.Helper()
	secret, err := c.Kube.CoreV1().Secrets(namespace).Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
	env.Check(t, err)
	user, err := manifests.ParseDockerConfig(secret.Data, manifests.RegistryHost)
	env.Check(t, err)
	return user, secret.Data[manifests.CAKey]
}

// Transport returns a way to the front for clients that make requests of their own.
func (d PodPort) Transport(t *testing.T) *http.Transport {
	t.Helper()
	transport := &http.Transport{DialContext: d.dial, TLSClientConfig: d.trust.Clone()}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// NewImage returns an image of one layer with that content, and the layer's digest.
func NewImage(t *testing.T, content string) (v1.Image, string) {
	t.Helper()
	layer := static.NewLayer([]byte(content), types.OCIUncompressedLayer)
	made, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	env.Check(t, err)
	digest, err := layer.Digest()
	env.Check(t, err)
	return made, digest.String()
}

// Push writes an image to the registry.
func Push(t *testing.T, d PodPort, user credentials.User, repository, tag string, pushed v1.Image) {
	t.Helper()
	reference, err := name.NewTag(manifests.RegistryHost + "/" + repository + ":" + tag)
	env.Check(t, err)
	env.Check(t, remote.Write(reference, pushed, remote.WithContext(t.Context()), remote.WithTransport(d.Transport(t)),
		remote.WithAuth(&authn.Basic{Username: user.Name, Password: user.Password})))
}

// Read sends a request and returns what is answered, or why nothing is.
func (d PodPort) Read(ctx context.Context, text string) (string, error) {
	connection, err := d.connect(ctx)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, text); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// Sum returns the digest of a text.
func Sum(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }
