package pipindex

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRewrite(t *testing.T) {
	local := func(file link) string { return "/files/" + file.name() }
	const page = "https://index.test/simple/demo/"
	for name, test := range map[string]struct {
		in, want string
		links    []link
	}{
		"absolute, with a checksum": {
			in:    `<a href="https://files.test/p/demo-1.0.whl#sha256=AB12">demo-1.0.whl</a>`,
			want:  `<a href="/files/demo-1.0.whl#sha256=AB12">demo-1.0.whl</a>`,
			links: []link{{URL: "https://files.test/p/demo-1.0.whl", SHA256: "ab12"}},
		},
		"relative": {
			in:    `<a href='../../packages/demo-1.0.tar.gz'>x</a>`,
			want:  `<a href="/files/demo-1.0.tar.gz">x</a>`,
			links: []link{{URL: "https://index.test/packages/demo-1.0.tar.gz"}},
		},
		"relative to a base": {
			in:    `<base href="https://files.test/a/"><a href="demo.whl">x</a>`,
			want:  `<a href="/files/demo.whl">x</a>`,
			links: []link{{URL: "https://files.test/a/demo.whl"}},
		},
		"promised metadata": {
			in:    `<a href="/demo.whl" data-dist-info-metadata="sha256=1" data-requires-python="&gt;=3.8" data-core-metadata>x</a>`,
			want:  `<a href="/files/demo.whl" data-requires-python="&gt;=3.8">x</a>`,
			links: []link{{URL: "https://index.test/demo.whl"}},
		},
		"escaped, with a query": {
			in:    `<a class="$1" href="/demo.whl?a=1&amp;b=$2">x</a>`,
			want:  `<a class="$1" href="/files/demo.whl">x</a>`,
			links: []link{{URL: "https://index.test/demo.whl?a=1&b=$2"}},
		},
		"no link": {in: `<a name="top">x</a>`, want: `<a name="top">x</a>`},
	} {
		t.Run(name, func(t *testing.T) {
			got, links, err := rewrite(test.in, page, local)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if fmt.Sprint(links) != fmt.Sprint(test.links) {
				t.Errorf("links %v, want %v", links, test.links)
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	for name, want := range map[string]string{"Zope.Interface": "zope-interface", "a__-b": "a-b", "flask": "flask"} {
		if got := normalize(name); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// upstream is an index with one project, and a switch to turn it off.
type upstream struct {
	files map[string]string
	sum   string
	asked int
	down  bool
}

func (u *upstream) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	u.asked++
	switch {
	case u.down:
		http.Error(writer, "down", http.StatusServiceUnavailable)
	case request.URL.Path == "/simple/demo/":
		_, _ = fmt.Fprintf(writer, `<a href="/packages/demo-1.0.whl#sha256=%s">demo-1.0.whl</a>`, u.sum)
	case u.files[request.URL.Path] != "":
		_, _ = io.WriteString(writer, u.files[request.URL.Path])
	default:
		http.NotFound(writer, request)
	}
}

func newIndex(t *testing.T) (*upstream, *Index, *httptest.Server) {
	t.Helper()
	sum := sha256.Sum256([]byte("wheel"))
	source := &upstream{files: map[string]string{"/packages/demo-1.0.whl": "wheel"}, sum: hex.EncodeToString(sum[:])}
	origin := httptest.NewServer(source)
	t.Cleanup(origin.Close)
	index := &Index{
		Upstream: origin.URL + "/simple/", Dir: t.TempDir(), Client: origin.Client(),
		Log: slog.New(slog.DiscardHandler),
	}
	server := httptest.NewServer(index)
	t.Cleanup(server.Close)
	return source, index, server
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url) //nolint:noctx // a test server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// fileURL follows the only link of the demo project's page.
func fileURL(t *testing.T, server *httptest.Server) string {
	t.Helper()
	status, page := get(t, server.URL+"/simple/demo/")
	if status != http.StatusOK {
		t.Fatalf("page: %d %s", status, page)
	}
	_, after, _ := strings.Cut(page, `href="`)
	path, _, _ := strings.Cut(after, "#")
	return server.URL + path
}

func TestIndexServesFromTheDiskWhenUpstreamIsDown(t *testing.T) {
	source, index, server := newIndex(t)
	if status, body := get(t, fileURL(t, server)); status != http.StatusOK || body != "wheel" {
		t.Fatalf("file: %d %q", status, body)
	}
	source.down = true
	// As if the page had grown old.
	old := time.Now().Add(-2 * pageLifetime)
	if err := os.Chtimes(filepath.Join(index.Dir, "pages", "demo.html"), old, old); err != nil {
		t.Fatal(err)
	}
	asked := source.asked
	if status, body := get(t, fileURL(t, server)); status != http.StatusOK || body != "wheel" {
		t.Errorf("file: %d %q", status, body)
	}
	if source.asked != asked+1 {
		t.Errorf("upstream was asked %d times, want once, for the page", source.asked-asked)
	}
}

func TestIndexAsksOnceForAFreshPage(t *testing.T) {
	source, _, server := newIndex(t)
	for range 3 {
		fileURL(t, server)
	}
	if source.asked != 1 {
		t.Errorf("upstream was asked %d times", source.asked)
	}
}

func TestIndexRefusesAFileWithAnotherChecksum(t *testing.T) {
	source, _, server := newIndex(t)
	url := fileURL(t, server)
	source.files["/packages/demo-1.0.whl"] = "something else"
	if status, body := get(t, url); status != http.StatusBadGateway {
		t.Errorf("file: %d %q", status, body)
	}
	source.files["/packages/demo-1.0.whl"] = "wheel"
	if status, _ := get(t, url); status != http.StatusOK {
		t.Errorf("the wrong file was kept: %d", status)
	}
}

func TestIndexRefusesWhatItDoesNotKnow(t *testing.T) {
	_, _, server := newIndex(t)
	url := fileURL(t, server)
	key := strings.Split(url, "/")[5]
	for _, path := range []string{
		"/", "/simple/", "/simple/none/", "/files/demo/" + key + "/other.whl",
		"/files/other/" + key + "/demo-1.0.whl", "/files/demo/0/demo-1.0.whl", "/simple/..%2f..%2fetc/",
	} {
		if status, _ := get(t, server.URL+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestIndexRedirectsToTheNormalizedName(t *testing.T) {
	_, _, server := newIndex(t)
	if status, page := get(t, server.URL+"/simple/Demo"); status != http.StatusOK || !strings.Contains(page, "demo-1.0.whl") {
		t.Errorf("%d %s", status, page)
	}
}
