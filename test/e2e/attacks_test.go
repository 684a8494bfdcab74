//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

type (
	request = registrytest.Request
	answer  = registrytest.Answer
)

// attack is one attempt to reach what belongs to another namespace.
type attack struct {
	what string
	request
	// authorizations are sent in place of A's; an empty one sends none.
	authorizations []string
	// want is the code of the first answer; zero is any refusal, and own is any
	// answer about A's own content.
	want int
	// text replaces the request.
	text string
}

const own = -1

// victim is what belongs to B and A tries to reach.
type victim struct {
	registrytest.PodPort
	a, b credentials.User
	// checks are the requests between attacks.
	checks *http.Client
	// own and other are the repositories of A and of B.
	own, other string
	// secret is B's tag, and in B's layer and configuration.
	secret, blob, manifest string
}

// TestRegistryIsolation uses the credentials of one namespace, or none, to read, write
// and delete the images of another one.
func TestRegistryIsolation(t *testing.T) {
	t.Parallel()
	ns, neighbor := env.Neighbors(t)
	v := victim{own: ns.Name + "/app", other: neighbor.Name + "/app", secret: "only-of-b-" + strings.ToLower(rand.Text()[:12])}
	v.b, _ = registrytest.Credentials(t, ns.Cluster, neighbor.Name)
	user, ca := registrytest.Credentials(t, ns.Cluster, ns.Name)
	v.a, v.PodPort = user, registrytest.Front(t, ns.Cluster, ca)
	v.checks = &http.Client{Transport: v.Transport(t)}
	var stored v1.Image
	stored, v.blob = registrytest.NewImage(t, v.secret)
	digest, err := stored.Digest()
	env.Check(t, err)
	v.manifest = digest.String()
	registrytest.Push(t, v.PodPort, v.b, v.other, v.secret, stored)
	mine, _ := registrytest.NewImage(t, "of A")
	registrytest.Push(t, v.PodPort, v.a, v.own, "v1", mine)
	registrytest.Push(t, v.PodPort, v.a, v.own, "v2", mine)

	for _, group := range []struct {
		name    string
		attacks []attack
	}{
		{"plain requests", v.plain()},
		{"paths", v.paths()},
		{"headers", v.headers()},
		{"smuggling", v.smuggling()},
		{"mounts", v.mounts()},
		{"users", v.users()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, attack := range group.attacks {
				v.try(t, attack)
			}
		})
	}
	t.Run("HTTP/2", v.overHTTP2)
	t.Run("uploads", v.uploads)
	t.Run("storage", func(t *testing.T) { storageWithoutCertificate(t, ns, v, ca) })
	t.Run("node access", func(t *testing.T) { nodeAccess(t, ns, v) })
	t.Run("mirror", func(t *testing.T) { mirror(t, ns, v) })
	t.Run("builds", func(t *testing.T) { buildCertificate(t, ns, neighbor) })
	t.Run("legitimate requests", v.legitimate)
	t.Run("from a pod", func(t *testing.T) { fromPod(t, ns) })
}

// try makes an attack and checks its answers, and that nothing has changed.
func (v victim) try(t *testing.T, a attack) {
	t.Helper()
	text := a.text
	if text == "" {
		authorizations := a.authorizations
		if authorizations == nil {
			authorizations = []string{registrytest.Basic(v.a.Name, v.a.Password)}
		}
		text = a.Text(slices.DeleteFunc(slices.Clone(authorizations), func(basicAuth string) bool { return basicAuth == "" })...)
	}
	line, _, _ := strings.Cut(text, "\r\n")
	answers := v.Send(t, text)
	codes := make([]int, len(answers))
	for i, answer := range answers {
		codes[i] = answer.Code
		if strings.Contains(answer.Body+fmt.Sprint(answer.Header), v.secret) && !strings.Contains(line, v.secret) {
			t.Errorf("%s: answer %d has what only B knows: %+v", a.what, i+1, answer)
		}
		if answer.Header.Get("Docker-Content-Digest") == v.manifest || strings.Contains(answer.Body, `"layers"`) {
			t.Errorf("%s: answer %d is B's manifest: %+v", a.what, i+1, answer)
		}
	}
	t.Logf("%-60s %s: %v", a.what, registrytest.Shorten(line), codes)
	first := 0
	if len(codes) > 0 {
		first = codes[0]
	}
	switch {
	case first == 0, a.want == own:
		// A closed connection without an answer is a refusal, too.
	case a.want == 0 && first < http.StatusBadRequest:
		t.Errorf("%s: got %d and should have been refused: %s", a.what, first, answers[0].Body)
	case a.want > 0 && first != a.want:
		t.Errorf("%s: got %d, want %d: %s", a.what, first, a.want, answers[0].Body)
	}
	v.unchanged(t, a.what)
}

// unchanged checks that B's images are the same, and that A has none of them.
func (v victim) unchanged(t *testing.T, what string) {
	t.Helper()
	for _, check := range []struct {
		user   credentials.User
		method string
		path   string
		code   int
	}{
		{v.a, http.MethodHead, v.own + "/blobs/" + v.blob, http.StatusNotFound},
		{v.b, http.MethodHead, v.other + "/blobs/" + v.blob, http.StatusOK},
		{v.b, http.MethodHead, v.other + "/manifests/" + v.secret, http.StatusOK},
		{v.b, http.MethodGet, v.other + "/tags/list", http.StatusOK},
	} {
		got := v.ask(t, check.user, check.method, check.path)
		if got.Code != check.code {
			t.Errorf("after %s: %s %s of %s: got %d, want %d", what, check.method, check.path, check.user.Name, got.Code, check.code)
		}
		if check.method == http.MethodGet && !strings.Contains(got.Body, `["`+v.secret+`"]`) {
			t.Errorf("after %s: B's tags are %s", what, got.Body)
		}
		if strings.Contains(check.path, "/manifests/") && got.Header.Get("Docker-Content-Digest") != v.manifest {
			t.Errorf("after %s: B's tag is now %s", what, got.Header.Get("Docker-Content-Digest"))
		}
	}
}

// ask sends requests as ordinary clients do, on connections that stay open.
func (v victim) ask(t *testing.T, user credentials.User, method, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+manifests.RegistryHost+"/v2/"+path, http.NoBody)
	env.Check(t, err)
	r.Header.Set("Accept", string(types.OCIManifestSchema1))
	r.SetBasicAuth(user.Name, user.Password)
	response, err := v.checks.Do(r)
	env.Check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	env.Check(t, err)
	return answer{Code: response.StatusCode, Header: response.Header, Body: string(body)}
}

func (v victim) plain() []attack {
	repository := "/v2/" + v.other + "/"
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	var attacks []attack
	for _, r := range []request{
		{Method: "GET", Target: repository + "tags/list"},
		{Method: "GET", Target: repository + "manifests/" + v.secret},
		{Method: "GET", Target: repository + "manifests/" + v.manifest},
		{Method: "HEAD", Target: repository + "manifests/" + v.manifest},
		{Method: "GET", Target: repository + "blobs/" + v.blob},
		{Method: "HEAD", Target: repository + "blobs/" + v.blob},
		{Method: "POST", Target: repository + "blobs/uploads/"},
		{Method: "POST", Target: repository + "blobs/uploads/?digest=" + registrytest.Sum("x"), Body: "x"},
		{Method: "PUT", Target: repository + "manifests/" + v.secret, Headers: []string{"Content-Type: application/vnd.oci.image.manifest.v1+json"}, Body: manifest},
		{Method: "PUT", Target: repository + "manifests/evil", Headers: []string{"Content-Type: application/vnd.oci.image.manifest.v1+json"}, Body: manifest},
		{Method: "DELETE", Target: repository + "manifests/" + v.manifest},
		{Method: "DELETE", Target: repository + "manifests/" + v.secret},
		{Method: "DELETE", Target: repository + "blobs/" + v.blob},
		{Method: "GET", Target: "/v2/_catalog"},
		{Method: "GET", Target: "/v2/_catalog?n=100"},
		{Method: "GET", Target: "/v2/_catalog?n=1&last=a"},
		{Method: "HEAD", Target: "/v2/_catalog"},
		{Method: "GET", Target: "/v2/pyflow-system/probe/tags/list"},
		{Method: "POST", Target: "/v2/pyflow-system/probe/blobs/uploads/"},
	} {
		attacks = append(attacks, attack{what: "the repository of another", request: r, want: http.StatusForbidden},
			attack{what: "the repository of another without credentials", request: r, authorizations: []string{""}, want: http.StatusUnauthorized})
	}
	for _, method := range []string{"OPTIONS", "TRACE", "PROPFIND", "get", "LINK"} {
		attacks = append(attacks, attack{what: "another method", request: request{Method: method, Target: repository + "tags/list"}})
	}
	return attacks
}

// paths are other ways to write B's address.
func (v victim) paths() []attack {
	a, _, _ := strings.Cut(v.own, "/")
	b, _, _ := strings.Cut(v.other, "/")
	rest := "/app/manifests/" + v.manifest
	encoded := fmt.Sprintf("%%%02x%s", b[0], b[1:])
	dots := func(dots string) string { return "/v2/" + a + "/" + dots + "/" + b + rest }
	var attacks []attack
	for _, target := range []struct{ what, target string }{
		{"dot segments", dots("..")},
		{"dot segments below the repository", "/v2/" + v.own + "/../../" + b + rest},
		{"dot segments in the reference", "/v2/" + v.own + "/manifests/../../../" + b + rest},
		{"dot segments up to the root", "/v2/" + v.own + "/../../../v2/" + b + rest},
		{"a dot segment", "/v2/./" + b + rest},
		{"encoded dot segments", dots("%2e%2e")},
		{"encoded dot segments, upper case", dots("%2E%2E")},
		{"a half encoded dot segment", dots(".%2e")},
		{"twice encoded dot segments", dots("%252e%252e")},
		{"encoded slashes around dots", "/v2/" + a + "%2f..%2f" + b + rest},
		{"encoded slashes around dots, upper case", "/v2/" + a + "%2F..%2F" + b + rest},
		{"twice encoded slashes", "/v2/" + a + "%252f..%252f" + b + rest},
		{"encoded slash in the name", "/v2/" + b + "%2fapp/manifests/" + v.manifest},
		{"encoded slash in the name, upper case", "/v2/" + b + "%2Fapp/manifests/" + v.manifest},
		{"encoded slash after v2", "/v2%2f" + b + rest},
		{"encoded letter", "/v2/" + encoded + rest},
		{"encoded letter of v2", "/%762/" + b + rest},
		{"encoded letter of manifests", "/v2/" + b + "/app/%6danifests/" + v.manifest},
		{"encoded colon", "/v2/" + b + "/app/manifests/" + strings.Replace(v.manifest, ":", "%3a", 1)},
		{"double slash before v2", "//v2/" + b + rest},
		{"double slash after v2", "/v2//" + b + rest},
		{"double slash in the name", "/v2/" + b + "/" + rest},
		{"backslashes", "/v2/" + a + `\..\` + b + rest},
		{"encoded backslashes", "/v2/" + a + "/..%5c" + b + rest},
		{"semicolon after dots", dots("..;")},
		{"semicolon before dots", "/v2/" + a + ";/../" + b + rest},
		{"semicolon after the name", "/v2/" + b + ";x" + rest},
		{"three dots", dots("...")},
		{"trailing dot", "/v2/" + b + "." + rest},
		{"trailing slash", "/v2/" + b + rest + "/"},
		{"overlong dots", dots("%c0%ae%c0%ae")},
		{"overlong dots of three bytes", dots("%e0%80%ae%e0%80%ae")},
		{"overlong slash", "/v2/" + a + "%c0%af..%c0%af" + b + rest},
		{"overlong dots as they are", dots("\xc0\xae\xc0\xae")},
		{"full-width dots", dots("．．")},
		{"encoded full-width dots", dots("%ef%bc%8e%ef%bc%8e")},
		{"full-width letter", "/v2/ｄ" + b[1:] + rest},
		{"encoded null byte", "/v2/" + b + "%00" + rest},
		{"encoded null byte before dots", "/v2/" + v.own + "%00/../../" + b + rest},
		{"null byte", "/v2/" + b + "\x00" + rest},
		{"encoded line break", "/v2/" + a + "%0d%0aX:%20/v2/" + b + rest},
		{"encoded space", "/v2/" + b + "%20" + rest},
		{"tab", "/v2/" + b + "\t" + rest},
		{"plus", "/v2/+" + b + rest},
		{"absolute form", "https://" + manifests.RegistryHost + "/v2/" + b + rest},
		{"absolute form to the storage", "https://" + manifests.StorageHost + "/v2/" + b + rest},
		{"absolute form with dots", "https://" + manifests.RegistryHost + dots("..")},
		{"absolute form with a user", "https://" + v.b.Name + ":x@" + manifests.RegistryHost + "/v2/" + b + rest},
		{"absolute form of a scheme of its own", "x:/v2/" + b + rest},
		{"opaque form", "x:v2/" + b + rest},
		{"authority", "//" + manifests.StorageHost + "/v2/" + b + rest},
		{"asterisk", "*"},
		{"no slash", "v2/" + b + rest},
		{"upper-case v2", "/V2/" + b + rest},
		{"upper-case name", "/v2/" + strings.ToUpper(b) + rest},
		{"v1", "/v1/" + b + rest},
		{"below a path", "/x/v2/" + b + rest},
		{"fragment after B's address", "/v2/" + b + rest + "#/v2/" + v.own},
		{"fragment as a name", "/v2/#/" + b + rest},
		{"encoded question mark", "/v2/" + v.own + "/tags/list%3f/../../../" + b + rest},
		{"catalog with a slash", "/v2/_catalog/"},
		{"encoded catalog", "/v2/%5fcatalog"},
		{"catalog after dots", "/v2/" + v.own + "/../../_catalog"},
		{"catalog after a double slash", "/v2//_catalog"},
		{"catalog of nothing", "/v2/_catalog?"},
		{"the base with a query", "/v2/?/" + b + rest},
		{"no repository below the namespace", "/v2/" + b + "/tags/list"},
		{"debug", "/debug/vars"},
		{"metrics", "/metrics"},
		{"Caddy's admin API", "/config/"},
		{"an address that is a file", "/etc/registry/auth/users"},
	} {
		attacks = append(attacks, attack{what: target.what, request: request{Method: "GET", Target: target.target}})
	}
	for what, target := range map[string]string{
		"query that looks like a path":           "/v2/" + v.own + "/tags/list?/../../../" + v.other + "/tags/list",
		"query with another name":                "/v2/" + v.own + "/tags/list?name=" + v.other + "&n=5&last=/v2/" + v.other,
		"fragment after A's address":             "/v2/" + v.own + "/tags/list#/../../../" + v.other + "/tags/list",
		"B's name below A's":                     "/v2/" + a + "/" + v.other + "/manifests/" + v.manifest,
		"B's digest in A's repository":           "/v2/" + v.own + "/manifests/" + v.manifest,
		"B's layer in A's repository":            "/v2/" + v.own + "/blobs/" + v.blob,
		"A's repository named like an operation": "/v2/" + a + "/manifests/" + v.other + "/tags/list",
	} {
		attacks = append(attacks, attack{what: what, request: request{Method: "GET", Target: target}, want: own})
	}
	return attacks
}

func (v victim) headers() []attack {
	mine, theirs := "/v2/"+v.own+"/tags/list", "/v2/"+v.other+"/tags/list"
	basicAuth, stranger := registrytest.Basic(v.a.Name, v.a.Password), registrytest.Basic(v.b.Name, "wrong")
	attacks := []attack{
		{what: "Authorization twice, A and then B", request: request{Method: "GET", Target: theirs}, authorizations: []string{basicAuth, stranger}, want: http.StatusUnauthorized},
		{what: "Authorization twice, B and then A", request: request{Method: "GET", Target: theirs}, authorizations: []string{stranger, basicAuth}, want: http.StatusUnauthorized},
		{what: "two credentials in one Authorization", request: request{Method: "GET", Target: theirs}, authorizations: []string{basicAuth + ", " + stranger}, want: http.StatusUnauthorized},
		{what: "Connection: Authorization", request: request{Method: "GET", Target: theirs, Headers: []string{"Connection: Authorization"}}, want: http.StatusForbidden},
		{what: "Proxy-Authorization alone", request: request{Method: "GET", Target: theirs, Headers: []string{"Proxy-Authorization: " + basicAuth}}, authorizations: []string{""}, want: http.StatusUnauthorized},
	}
	for _, header := range []string{
		"X-Original-URL: " + theirs, "X-Rewrite-URL: " + theirs, "X-Forwarded-User: " + v.b.Name,
		"X-Remote-User: " + v.b.Name, "Remote-User: pyflow-system", "X-Forwarded-Prefix: /v2/" + v.other, "X-Forwarded-Host: " + manifests.StorageHost,
		"X-Forwarded-Proto: http", "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1;host=" + manifests.StorageHost, "X-Real-IP: 127.0.0.1",
		"Host: " + manifests.StorageHost, "Host: localhost", "Host: ", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
		"Connection: close, Host, X-Forwarded-For", "Expect: 100-continue", "Range: bytes=0-10", "Authorization : " + stranger, "Content-Location: " + theirs,
	} {
		attacks = append(attacks,
			attack{what: "header " + strings.ReplaceAll(header, "\r\n", ", "), request: request{Method: "GET", Target: theirs, Headers: []string{header}}},
			attack{what: "header " + strings.ReplaceAll(header, "\r\n", ", "), request: request{Method: "GET", Target: mine, Headers: []string{header}}, want: own})
	}
	for _, header := range []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"} {
		for _, method := range []string{"GET", "POST"} {
			attacks = append(attacks, attack{what: header, request: request{Method: method, Target: "/v2/" + v.other + "/manifests/" + v.manifest, Headers: []string{header}}, want: http.StatusForbidden})
		}
	}
	return attacks
}

// smuggling hides a request in another one whose end two servers could see at
// different places.
func (v victim) smuggling() []attack {
	basicAuth := registrytest.Basic(v.a.Name, v.a.Password)
	hidden := request{Method: "GET", Target: "/v2/" + v.other + "/manifests/" + v.manifest}
	outer := func(headers []string, body string) string {
		return request{Method: "PATCH", Target: "/v2/" + v.own + "/blobs/uploads/x", Headers: headers, Body: body}.Text(basicAuth)
	}
	inner, stolen := hidden.Text(basicAuth), hidden.Text()
	return []attack{
		{what: "pipelined, the second without credentials", want: own, text: request{Method: "GET", Target: "/v2/" + v.own + "/tags/list"}.Text(basicAuth) + stolen},
		{what: "pipelined, the second to B", want: own, text: request{Method: "GET", Target: "/v2/" + v.own + "/tags/list"}.Text(basicAuth) + inner},
		{what: "length and chunks, chunks end first", text: outer([]string{fmt.Sprintf("Content-Length: %d", 5+len(inner)), "Transfer-Encoding: chunked"}, "0\r\n\r\n"+inner)},
		{what: "chunks and length, length ends first", text: outer([]string{"Transfer-Encoding: chunked", "Content-Length: 4"}, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner))},
		{what: "chunks of another spelling", text: outer([]string{"Transfer-Encoding: xchunked", fmt.Sprintf("Content-Length: %d", len(inner))}, inner)},
		{what: "chunks twice", text: outer([]string{"Transfer-Encoding: chunked", "Transfer-Encoding: identity"}, "0\r\n\r\n"+inner)},
		{what: "chunks after a space", text: outer([]string{"Transfer-Encoding : chunked", "Content-Length: 4"}, "0\r\n\r\n"+inner)},
		{what: "chunks on a folded line", text: outer([]string{"Transfer-Encoding:\r\n chunked", "Content-Length: 4"}, "0\r\n\r\n"+inner)},
		{what: "two lengths", text: outer([]string{"Content-Length: 0", fmt.Sprintf("Content-Length: %d", len(inner))}, inner)},
		{what: "a length with a sign", text: outer([]string{fmt.Sprintf("Content-Length: +%d", len(inner))}, inner)},
		{what: "a negative length", text: outer([]string{"Content-Length: -1"}, inner)},
		{what: "a chunk's size with a sign", text: outer([]string{"Transfer-Encoding: chunked"}, fmt.Sprintf("+%x\r\n%s\r\n0\r\n\r\n", len(inner), inner))},
		{what: "a chunk's extension with a line break", text: outer([]string{"Transfer-Encoding: chunked"}, "0;\n"+inner+"\r\n\r\n")},
		{what: "a header with a bare line break", text: "GET /v2/" + v.own + "/tags/list HTTP/1.1\r\nHost: x\r\nAuthorization: " + basicAuth + "\r\nX: y\n\nGET " + hidden.Target + " HTTP/1.1\r\n\r\n", want: own},
		{what: "two addresses on a line", text: "GET /v2/" + v.own + "/tags/list " + hidden.Target + " HTTP/1.1\r\nHost: x\r\nAuthorization: " + basicAuth + "\r\n\r\n"},
		{what: "HTTP/0.9", text: "GET " + hidden.Target + "\r\n\r\n"},
		{what: "HTTP/1.0 to B", text: "GET " + hidden.Target + " HTTP/1.0\r\nAuthorization: " + basicAuth + "\r\n\r\n", want: http.StatusForbidden},
		{what: "HTTP/2 without the handshake", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	}
}

// mounts are attempts to have the registry link B's layer into A's repository.
func (v victim) mounts() []attack {
	mount, b := "mount="+v.blob, v.other
	encoded := strings.ReplaceAll(b, "/", "%2F")
	var attacks []attack
	add := func(what, query string, headers []string, body string, want int) {
		attacks = append(attacks, attack{what: "mount: " + what, want: want, request: request{
			Method: "POST", Target: "/v2/" + v.own + "/blobs/uploads/" + query, Headers: headers, Body: body,
		}})
	}
	for _, query := range []struct {
		what, query string
	}{
		{"from B", "?" + mount + "&from=" + b},
		{"from B, encoded", "?mount=" + strings.Replace(v.blob, ":", "%3A", 1) + "&from=" + encoded},
		{"from B, encoded in lower case", "?" + mount + "&from=" + strings.ToLower(encoded)},
		{"from B, the other way round", "?from=" + b + "&" + mount},
		{"from A and B", "?" + mount + "&from=" + v.own + "&from=" + b},
		{"from B and A", "?" + mount + "&from=" + b + "&from=" + v.own},
		{"from A, mount, from B", "?from=" + v.own + "&" + mount + "&from=" + b},
		{"from B, mount, from A", "?from=" + b + "&" + mount + "&from=" + v.own},
		{"mount twice", "?" + mount + "&" + mount + "&from=" + b},
		{"encoded from", "?" + mount + "&%66rom=" + b},
		{"encoded from beside A", "?" + mount + "&from=" + v.own + "&%66rom=" + b},
		{"encoded from before A", "?%66rom=" + b + "&" + mount + "&from=" + v.own},
		{"encoded mount", "?%6dount=" + v.blob + "&from=" + b},
		{"from in capitals", "?" + mount + "&FROM=" + b},
		{"semicolon", "?" + mount + ";from=" + b},
		{"semicolon in A", "?" + mount + "&from=" + v.own + ";from=" + b},
		{"encoded ampersand", "?" + mount + "&from=" + v.own + "%26from=" + b},
		{"twice encoded slash", "?" + mount + "&from=" + strings.ReplaceAll(b, "/", "%252F")},
		{"encoded letter", fmt.Sprintf("?%s&from=%%%02x%s", mount, b[0], b[1:])},
		{"dots from A", "?" + mount + "&from=" + v.own + "/../../" + b},
		{"dots from mirror", "?" + mount + "&from=mirror/../" + b},
		{"leading slash", "?" + mount + "&from=/" + b},
		{"with the host", "?" + mount + "&from=" + manifests.RegistryHost + "/" + b},
		{"plus", "?" + mount + "&from=+" + b},
		{"null byte", "?" + mount + "&from=" + v.own + "%00" + b},
		{"line break", "?" + mount + "&from=" + v.own + "%0a" + b},
		{"array", "?" + mount + "&from[]=" + b},
		{"an upload as well", "?digest=" + v.blob + "&" + mount + "&from=" + b},
		{"an upload before a semicolon", "?digest=" + v.blob + ";" + mount + "&from=" + b},
		{"second question mark", "??" + mount + "&from=" + b},
		{"empty parameter", "?&" + mount + "&from=" + b},
		{"fragment", "?" + mount + "#&from=" + b},
		{"another algorithm", "?mount=sha512:" + strings.Repeat("0", 128) + "&from=" + b},
		{"from alone", "?from=" + b},
	} {
		add(query.what, query.query, nil, "", 0)
	}
	// A does not have the layer, so an upload starts in place of a mount.
	add("B's layer from A", "?"+mount+"&from="+v.own, nil, "", http.StatusAccepted)
	add("B's layer from what A does not have", "?"+mount+"&from="+strings.Split(v.own, "/")[0]+"/none", nil, "", http.StatusAccepted)
	add("B's layer from mirror", "?"+mount+"&from=mirror/none", nil, "", http.StatusAccepted)
	add("no repository", "?"+mount, nil, "", 0)

	form := mount + "&from=" + b
	multipart := "--x\r\nContent-Disposition: form-data; name=\"mount\"\r\n\r\n" + v.blob +
		"\r\n--x\r\nContent-Disposition: form-data; name=\"from\"\r\n\r\n" + b + "\r\n--x--\r\n"
	for _, kind := range []string{
		"application/x-www-form-urlencoded", "APPLICATION/X-WWW-FORM-URLENCODED", "application/x-www-form-urlencoded; charset=utf-8",
		" application/x-www-form-urlencoded ;", "application/x-www-form-urlencoded\r\nContent-Type: application/octet-stream",
		"application/octet-stream\r\nContent-Type: application/x-www-form-urlencoded", "application/octet-stream, application/x-www-form-urlencoded",
		"application/x-www-form-urlencoded\r\nConnection: Content-Type",
	} {
		what := "form as " + strings.ReplaceAll(kind, "\r\n", ", ")
		add(what, "", []string{"Content-Type: " + kind}, form, own)
		add(what+", the layer in the query", "?"+mount, []string{"Content-Type: " + kind}, "from="+b, 0)
		add(what+", beside A in the query", "?"+mount+"&from="+v.own, []string{"Content-Type: " + kind}, "from="+b, http.StatusAccepted)
	}
	for _, kind := range []string{
		"multipart/form-data; boundary=x", "Multipart/Form-Data; Boundary=x", `multipart/form-data; boundary="x"; charset=utf-8`,
		"application/octet-stream\r\nContent-Type: multipart/form-data; boundary=x", "multipart/mixed; boundary=x",
	} {
		what := "parts as " + strings.ReplaceAll(kind, "\r\n", ", ")
		add(what, "", []string{"Content-Type: " + kind}, multipart, own)
		add(what+", beside A in the query", "?"+mount+"&from="+v.own, []string{"Content-Type: " + kind}, multipart, http.StatusAccepted)
	}
	add("form in chunks", "", []string{"Content-Type: application/x-www-form-urlencoded", "Transfer-Encoding: chunked"},
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(form), form), own)
	for _, method := range []string{"PUT", "PATCH", "GET"} {
		attacks = append(attacks, attack{what: "mount: by " + method, request: request{
			Method: method, Target: "/v2/" + v.own + "/blobs/uploads/?" + form,
		}})
	}
	attacks = append(attacks, attack{what: "mount: on an upload", request: request{
		Method: "POST", Target: "/v2/" + v.own + "/blobs/uploads/x?" + form,
	}}, attack{what: "mount: as a new method", request: request{
		Method: "GET", Target: "/v2/" + v.own + "/blobs/uploads/?" + form, Headers: []string{"X-HTTP-Method-Override: POST"},
	}})
	return attacks
}

// users are credentials that resemble valid ones.
func (v victim) users() []attack {
	a, b := v.a, v.b
	var attacks []attack
	for what, basicAuth := range map[string]string{
		"B's name with A's password":            registrytest.Basic(b.Name, a.Password),
		"B's name with no password":             registrytest.Basic(b.Name, ""),
		"B's name alone":                        "Basic " + base64.StdEncoding.EncodeToString([]byte(b.Name)),
		"the platform's with A's password":      registrytest.Basic(manifests.SystemNamespace, a.Password),
		"a generation of B that does not exist": registrytest.Basic(b.Name+".ffff", a.Password),
		"a generation of A that does not exist": registrytest.Basic(a.Name+".ffff", a.Password),
		"a generation of A with B's name":       registrytest.Basic(a.Name+"."+b.Name, a.Password),
		"A's name with a colon and B's":         registrytest.Basic(a.Name+":"+b.Name, a.Password),
		"A's name with B's after a null byte":   registrytest.Basic(a.Name+"\x00"+b.Name, a.Password),
		"A's name with B's on another line":     registrytest.Basic(a.Name+"\n"+b.Name, a.Password),
		"A's name in capitals":                  registrytest.Basic(strings.ToUpper(a.Name), a.Password),
		"A's name with a space":                 registrytest.Basic(a.Name+" ", a.Password),
		"A's name with a slash":                 registrytest.Basic(a.Name+"/", a.Password),
		"A's password with a space":             registrytest.Basic(a.Name, a.Password+" "),
		"no name with A's password":             registrytest.Basic("", a.Password),
		"neither":                               registrytest.Basic("", ""),
		"an exclamation mark":                   registrytest.Basic("!", a.Password),
		"a placeholder":                         registrytest.Basic("{http.auth.user.id}", a.Password),
		"a pattern":                             registrytest.Basic(".*", a.Password),
		"a token":                               "Bearer " + a.Password,
		"a digest":                              `Digest username="` + b.Name + `"`,
		"no base64":                             "Basic !!!!",
		"no kind":                               base64.StdEncoding.EncodeToString([]byte(a.Name + ":" + a.Password)),
	} {
		for _, target := range []string{"/v2/", "/v2/" + v.other + "/tags/list"} {
			attacks = append(attacks, attack{what: "credentials: " + what, request: request{Method: "GET", Target: target}, authorizations: []string{basicAuth}, want: http.StatusUnauthorized})
		}
	}
	return attacks
}

// overHTTP2 asks for B's manifest by HTTP/2, which has no line breaks to abuse.
func (v victim) overHTTP2(t *testing.T) {
	t.Helper()
	transport := v.Transport(t)
	transport.ForceAttemptHTTP2 = true
	for _, target := range []string{
		"/v2/" + v.other + "/manifests/" + v.manifest, "/v2/" + v.own + "/../../" + v.other + "/manifests/" + v.manifest,
		"/v2/" + strings.ReplaceAll(v.other, "/", "%2f") + "/manifests/" + v.manifest, "/v2/_catalog",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+manifests.RegistryHost, http.NoBody)
		env.Check(t, err)
		r.URL.Opaque = target
		r.SetBasicAuth(v.a.Name, v.a.Password)
		response, err := transport.RoundTrip(r)
		env.Check(t, err)
		_ = response.Body.Close()
		t.Logf("%-60s %s: %d", "HTTP/2", registrytest.Shorten(target), response.StatusCode)
		if response.ProtoMajor != 2 || response.StatusCode != http.StatusForbidden {
			t.Errorf("GET %s by %s: got %d, want %d", target, response.Proto, response.StatusCode, http.StatusForbidden)
		}
	}
}

// uploads tries to take over an upload of B, and lets B finish it.
func (v victim) uploads(t *testing.T) {
	t.Helper()
	started := v.Wants(t, "B begins an upload", v.b, http.StatusAccepted, request{Method: "POST", Target: "/v2/" + v.other + "/blobs/uploads/"})
	location := strings.TrimPrefix(started.Header.Get("Location"), "https://"+manifests.RegistryHost)
	content := "first of B,"
	started = v.Wants(t, "B sends a first part", v.b, http.StatusAccepted, request{Method: "PATCH", Target: location, Body: content, Headers: []string{"Content-Range: 0-10"}})
	location = strings.TrimPrefix(started.Header.Get("Location"), "https://"+manifests.RegistryHost)
	stolen := strings.Replace(location, "/v2/"+v.other+"/", "/v2/"+v.own+"/", 1)
	address, state, _ := strings.Cut(stolen, "?")
	if stolen == location || !strings.Contains(state, "_state=") {
		t.Fatalf("the location of an upload is %s", location)
	}
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, r := range []request{
		{Method: "GET"},
		{Method: "HEAD"},
		{Method: "PATCH", Body: "evil"},
		{Method: "DELETE"},
		{Method: "PUT", Body: "evil"},
		{Method: "PUT", Headers: []string{form}, Body: state},
	} {
		query := ""
		if r.Method == http.MethodPut {
			query = "&digest=" + registrytest.Sum(content)
		}
		theirs := r
		theirs.Target = location + query
		v.try(t, attack{what: "B's upload", request: theirs, want: http.StatusForbidden})
		mine := r
		mine.Target = stolen + query
		v.try(t, attack{what: "B's upload in A's repository", request: mine})
		mine.Target = address + strings.Replace(query, "&", "?", 1)
		v.try(t, attack{what: "B's upload in A's repository without its state", request: mine})
		if got := v.Do(t, v.a, request{Method: "HEAD", Target: "/v2/" + v.own + "/blobs/" + registrytest.Sum(content)}); got.Code != http.StatusNotFound {
			t.Errorf("A has B's upload: %d", got.Code)
		}
	}
	v.Wants(t, "B ends its upload", v.b, http.StatusCreated, request{Method: "PUT", Target: location + "&digest=" + registrytest.Sum(content)})
}

// storageWithoutCertificate connects to the storage without the front's certificate.
func storageWithoutCertificate(t *testing.T, ns *env.NS, v victim, ca []byte) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	pair := func(secret, certificate, key string) tls.Certificate {
		t.Helper()
		stored, err := ns.Kube.CoreV1().Secrets(manifests.SystemNamespace).Get(t.Context(), secret, metav1.GetOptions{})
		env.Check(t, err)
		pair, err := tls.X509KeyPair(stored.Data[certificate], stored.Data[key])
		env.Check(t, err)
		return pair
	}
	stranger, err := credentials.Ensure(credentials.Credentials{}, credentials.Request{FrontHost: manifests.RegistryHost, StorageHost: manifests.StorageHost, Now: time.Now()})
	env.Check(t, err)
	foreign, err := tls.X509KeyPair(stranger.Client.Certificate, stranger.Client.Key)
	env.Check(t, err)
	for _, try := range []struct {
		what         string
		certificates []tls.Certificate
		opens        bool
	}{
		{"the storage without a certificate", nil, false},
		{"the storage with the front's server certificate", []tls.Certificate{pair(manifests.TLSName, "tls.crt", "tls.key")}, false},
		{"the storage with its own certificate", []tls.Certificate{pair(manifests.StorageTLSName, "tls.crt", "tls.key")}, false},
		{"the storage with a client certificate of another CA", []tls.Certificate{foreign}, false},
		{"the storage with the front's client certificate", []tls.Certificate{pair(manifests.TLSName, "client.crt", "client.key")}, true},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			storage := registrytest.Open(t, ns.Cluster, manifests.StorageName+"-0", manifests.RegistryPort, &tls.Config{
				RootCAs: roots, ServerName: manifests.StorageHost, MaxVersion: version,
				// The client sends only this certificate, whichever the storage asks for.
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(try.certificates) == 0 {
						return &tls.Certificate{}, nil
					}
					return &try.certificates[0], nil
				},
			})
			body, err := storage.Read(t.Context(), request{Method: "GET", Target: "/v2/" + v.other + "/tags/list"}.Text())
			t.Logf("%-60s %s: %v", try.what, tls.VersionName(version), err)
			if opened := err == nil && strings.Contains(body, v.secret); opened != try.opens {
				t.Errorf("%s: got %q, %v", try.what, body, err)
			}
			if err == nil && !try.opens {
				t.Errorf("%s: it answers %q", try.what, body)
			}
		}
	}
	answers := registrytest.Open(t, ns.Cluster, manifests.StorageName+"-0", manifests.RegistryPort, nil).Send(t, request{Method: "GET", Target: "/v2/_catalog"}.Text())
	t.Logf("%-60s %+v", "the storage without TLS", answers)
	if len(answers) == 0 || answers[0].Code != http.StatusBadRequest || strings.Contains(fmt.Sprint(answers), "repositories") {
		t.Errorf("the storage without TLS: %+v", answers)
	}
}

// nodeAccess tries what nodes may not do.
func nodeAccess(t *testing.T, ns *env.NS, v victim) {
	t.Helper()
	pods, err := ns.Kube.CoreV1().Pods(manifests.SystemNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + manifests.NodeAccessName})
	env.Check(t, err)
	if len(pods.Items) == 0 {
		t.Skip("no pod gives nodes access")
	}
	port := pods.Items[0].Spec.Containers[0].Ports[0].ContainerPort
	front := v.PodPort
	v.PodPort = registrytest.Open(t, ns.Cluster, pods.Items[0].Name, int(port), nil)
	unknown := credentials.User{Name: "nobody", Password: "none"}
	mine, theirs := "/v2/"+v.own+"/manifests/v1", "/v2/"+v.other+"/manifests/"+v.manifest
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"} {
		v.Wants(t, "the node-access proxy: writing", v.a, http.StatusMethodNotAllowed, request{Method: method, Target: mine})
	}
	v.Wants(t, "the node-access proxy: another method by header", v.a, http.StatusOK, request{Method: "GET", Target: mine, Headers: []string{"X-HTTP-Method-Override: DELETE"}})
	v.Wants(t, "the node-access proxy: wrong credentials", unknown, http.StatusUnauthorized, request{Method: "GET", Target: mine})
	if answers := v.Send(t, request{Method: "GET", Target: mine}.Text()); len(answers) == 0 || answers[0].Code != http.StatusUnauthorized {
		t.Errorf("the node-access proxy without credentials: %+v", answers)
	}
	v.Wants(t, "the node-access proxy: the repository of another", v.a, http.StatusForbidden, request{Method: "GET", Target: theirs})
	v.Wants(t, "the node-access proxy: dot segments", v.a, http.StatusForbidden, request{Method: "GET", Target: "/v2/" + v.own + "/../../" + v.other + "/manifests/" + v.manifest})
	v.Wants(t, "the node-access proxy: catalog", v.a, http.StatusForbidden, request{Method: "GET", Target: "/v2/_catalog"})
	v.Wants(t, "the node-access proxy: own image", v.a, http.StatusOK, request{Method: "GET", Target: mine})
	v.PodPort = front
	v.unchanged(t, "the node-access proxy")
	v.Wants(t, "A's image is still there", v.a, http.StatusOK, request{Method: "GET", Target: mine})
}

// mirror checks that everyone reads the mirror, and only the platform writes to it.
func mirror(t *testing.T, ns *env.NS, v victim) {
	t.Helper()
	platform, _ := registrytest.Credentials(t, ns.Cluster, manifests.SystemNamespace)
	shared, blob := registrytest.NewImage(t, "shared "+v.secret)
	digest, err := shared.Digest()
	env.Check(t, err)
	repository := manifests.MirrorRepository + "/" + v.secret + "/base"
	registrytest.Push(t, v.PodPort, platform, repository, "v1", shared)
	manifest := "/v2/" + repository + "/manifests/" + digest.String()
	v.Wants(t, "mirror: tags", v.a, http.StatusOK, request{Method: "GET", Target: "/v2/" + repository + "/tags/list"})
	v.Wants(t, "mirror: manifest", v.a, http.StatusOK, request{Method: "GET", Target: manifest})
	v.Wants(t, "mirror: layer", v.a, http.StatusOK, request{Method: "GET", Target: "/v2/" + repository + "/blobs/" + blob})
	for _, r := range []request{
		{Method: "POST", Target: "/v2/" + repository + "/blobs/uploads/"},
		{Method: "PUT", Target: "/v2/" + repository + "/manifests/v1", Body: "{}"},
		{Method: "PATCH", Target: "/v2/" + repository + "/blobs/uploads/x"},
		{Method: "DELETE", Target: manifest},
		{Method: "DELETE", Target: "/v2/" + repository + "/manifests/v1"},
		{Method: "DELETE", Target: "/v2/" + repository + "/blobs/" + blob},
		{Method: "GET", Target: "/v2/" + repository + "/../../../" + v.other + "/tags/list"},
		{Method: "GET", Target: "/v2/" + manifests.MirrorRepository + "x/base/tags/list"},
	} {
		v.Wants(t, "mirror: writing", v.a, http.StatusForbidden, r)
	}
	v.Wants(t, "mirror: a mount from it", v.a, http.StatusCreated, request{Method: "POST", Target: "/v2/" + v.own + "/blobs/uploads/?mount=" + blob + "&from=" + strings.ReplaceAll(repository, "/", "%2F")})
	v.Wants(t, "mirror: the layer that was mounted", v.a, http.StatusOK, request{Method: "GET", Target: "/v2/" + v.own + "/blobs/" + blob})
	v.Wants(t, "mirror: the platform reads its catalog", platform, http.StatusOK, request{Method: "GET", Target: "/v2/_catalog?n=1"})
	v.Wants(t, "mirror: the platform deletes", platform, http.StatusAccepted, request{Method: "DELETE", Target: manifest})
	v.Wants(t, "mirror: it is gone", v.a, http.StatusNotFound, request{Method: "GET", Target: manifest})
}

// legitimate makes the requests of everyday clients.
func (v victim) legitimate(t *testing.T) {
	t.Helper()
	a, repository := v.a, "/v2/"+v.own
	v.Wants(t, "the credentials are valid", a, http.StatusOK, request{Method: "GET", Target: "/v2/"})
	started := v.Wants(t, "an upload in parts", a, http.StatusAccepted, request{Method: "POST", Target: repository + "/blobs/uploads/"})
	location := func(got answer) string {
		return strings.TrimPrefix(got.Header.Get("Location"), "https://"+manifests.RegistryHost)
	}
	const content = "first,second"
	started = v.Wants(t, "its first part", a, http.StatusAccepted, request{Method: "PATCH", Target: location(started), Body: content[:6], Headers: []string{"Content-Range: 0-5", "Content-Type: application/octet-stream"}})
	state := v.Wants(t, "where it stands", a, http.StatusNoContent, request{Method: "GET", Target: location(started)})
	if got := state.Header.Get("Range"); got != "0-5" {
		t.Errorf("the upload stands at %s", got)
	}
	started = v.Wants(t, "its second part, in chunks", a, http.StatusAccepted, request{Method: "PATCH", Target: location(state), Body: "6\r\n" + content[6:] + "\r\n0\r\n\r\n", Headers: []string{"Transfer-Encoding: chunked", "Content-Type: application/octet-stream"}})
	v.Wants(t, "its end", a, http.StatusCreated, request{Method: "PUT", Target: location(started) + "&digest=" + registrytest.Sum(content)})
	if got := v.Wants(t, "what was uploaded", a, http.StatusOK, request{Method: "GET", Target: repository + "/blobs/" + registrytest.Sum(content)}); got.Body != content {
		t.Errorf("what was uploaded is %q", got.Body)
	}
	v.Wants(t, "an upload at once, for which it opens one in parts", a, http.StatusAccepted, request{Method: "POST", Target: repository + "/blobs/uploads/?digest=" + registrytest.Sum("at once"), Body: "at once"})
	other := strings.Replace(repository, "/app", "/other/cache", 1)
	for _, mount := range []string{"?mount=" + registrytest.Sum(content) + "&from=" + v.own, "?from=" + strings.ReplaceAll(v.own, "/", "%2F") + "&mount=" + strings.Replace(registrytest.Sum(content), ":", "%3A", 1)} {
		v.Wants(t, "a mount of one's own", a, http.StatusCreated, request{Method: "POST", Target: other + "/blobs/uploads/" + mount})
	}
	started = v.Wants(t, "an upload that is given up", a, http.StatusAccepted, request{Method: "POST", Target: repository + "/blobs/uploads/"})
	v.Wants(t, "its end", a, http.StatusNoContent, request{Method: "DELETE", Target: location(started)})

	page := v.Wants(t, "a page of tags", a, http.StatusOK, request{Method: "GET", Target: repository + "/tags/list?n=1"})
	next, _, ok := strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
	if !ok || !strings.Contains(page.Body, `["v1"]`) {
		t.Fatalf("the page is %s and the next one %q", page.Body, next)
	}
	if page = v.Wants(t, "the next page", a, http.StatusOK, request{Method: "GET", Target: next}); !strings.Contains(page.Body, `["v2"]`) {
		t.Errorf("the next page is %s", page.Body)
	}
	got := v.Wants(t, "an image", a, http.StatusOK, request{Method: "GET", Target: repository + "/manifests/v1"})
	digest := got.Header.Get("Docker-Content-Digest")
	v.Wants(t, "deleting a tag", a, http.StatusAccepted, request{Method: "DELETE", Target: repository + "/manifests/v2"})
	v.Wants(t, "the image without it", a, http.StatusOK, request{Method: "HEAD", Target: repository + "/manifests/" + digest})
	v.Wants(t, "deleting an image", a, http.StatusAccepted, request{Method: "DELETE", Target: repository + "/manifests/" + digest})
	v.Wants(t, "the image is gone", a, http.StatusNotFound, request{Method: "GET", Target: repository + "/manifests/v1"})
	v.Wants(t, "deleting a layer", a, http.StatusAccepted, request{Method: "DELETE", Target: repository + "/blobs/" + registrytest.Sum(content)})
}

// fromPod sends a request from a pod, which can reach Services.
func fromPod(t *testing.T, ns *env.NS) {
	t.Helper()
	const script = `
import os, ssl, http.client
insecure = ssl._create_unverified_context()
def ask(name, connection):
    try:
        connection.request("GET", "/v2/_catalog")
        print(name, connection.getresponse().status)
    except Exception as e:
        print(name, "refused", type(e).__name__)
ask("storage", http.client.HTTPSConnection("registry-storage.pyflow-system.svc", 443, context=insecure, timeout=60))
ask("front", http.client.HTTPSConnection("registry.pyflow-system.svc", 443, context=insecure, timeout=60))
ask("node", http.client.HTTPConnection(os.environ["NODE"], 5180, timeout=60))
ask("loopback", http.client.HTTPConnection("127.0.0.1", 5180, timeout=60))
`
	_, log := ns.RunPod(t, corev1.PodSpec{Containers: []corev1.Container{{
		Name: "python", Image: env.PythonBase, Command: []string{"python", "-c", script},
		Env: []corev1.EnvVar{{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}}}},
	}}})
	t.Logf("from a pod of A:\n%s", log)
	for _, line := range []string{"storage refused SSL", "front 401", "node refused", "loopback refused"} {
		if !strings.Contains(log, line) {
			t.Errorf("from a pod of A: %q is missing in\n%s", line, log)
		}
	}
}
