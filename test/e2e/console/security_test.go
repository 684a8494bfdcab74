//go:build e2e

package console

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestAttacks tries what another page, another program and another user of the machine can
// try. No answer may hold anything of the cluster.
func TestAttacks(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	u := serve(t, ns)
	port := u.base[strings.LastIndex(u.base, ":")+1:]

	for name, test := range map[string]struct {
		method, path, host string
		header             map[string]string
		want               int
	}{
		"no key":                     {path: "/api/view/", want: http.StatusUnauthorized},
		"a wrong key":                {path: "/api/view/", header: map[string]string{"Authorization": "Bearer " + u.token[1:] + "x"}, want: http.StatusUnauthorized},
		"the key in the query":       {path: "/api/view/?token=" + u.token, want: http.StatusUnauthorized},
		"the key as a cookie":        {path: "/api/view/", header: map[string]string{"Cookie": "token=" + u.token}, want: http.StatusUnauthorized},
		"the key as a password":      {path: "/api/view/", header: map[string]string{"Authorization": "Basic " + u.token}, want: http.StatusUnauthorized},
		"a foreign host":             {path: "/api/about", host: "attacker.example", header: key(u), want: http.StatusMisdirectedRequest},
		"a foreign host and port":    {path: "/", host: "attacker.example:" + port, want: http.StatusMisdirectedRequest},
		"another port":               {path: "/", host: "127.0.0.1:1", want: http.StatusMisdirectedRequest},
		"a name of this machine":     {path: "/", host: "127.0.0.1.nip.io:" + port, want: http.StatusMisdirectedRequest},
		"another origin":             {method: http.MethodPost, path: "/api/actions/build", header: with(key(u), "Origin", "https://attacker.example"), want: http.StatusForbidden},
		"another site":               {path: "/api/about", header: with(key(u), "Sec-Fetch-Site", "cross-site"), want: http.StatusForbidden},
		"another port of loopback":   {path: "/api/about", header: with(key(u), "Sec-Fetch-Site", "same-site"), want: http.StatusForbidden},
		"a frame":                    {path: "/", header: map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, want: http.StatusForbidden},
		"a script of another origin": {path: "/static/console.js", header: map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, want: http.StatusForbidden},
		"a WebSocket":                {path: "/api/view/", header: map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": "https://attacker.example"}, want: http.StatusUnauthorized},
		"a path outside":             {path: "/static/../../../../etc/passwd", want: http.StatusTemporaryRedirect},
		"an encoded path outside":    {path: "/static/..%2f..%2f..%2fetc%2fpasswd", want: http.StatusNotFound},
		"a Secret":                   {path: "/api/view/objects/" + ns.Name + "/secrets/pyflow-registry", header: key(u), want: http.StatusOK},
		"an unknown action":          {method: http.MethodPost, path: "/api/actions/teardown", header: key(u), want: http.StatusNotFound},
		"a flag in place of a name":  {method: http.MethodPost, path: "/api/commands/cancel?x=1", header: key(u), want: http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			method := test.method
			if method == "" {
				method = http.MethodGet
			}
			code, body := request(t, u, method, test.path, test.host, test.header)
			t.Logf("%d %.80q", code, body)
			if code != test.want {
				t.Errorf("the answer is %d, not %d: %.200s", code, test.want, body)
			}
			for _, secret := range []string{ns.Name, u.token, "root:x:", "dockerconfigjson"} {
				if strings.Contains(body, secret) && name != "a Secret" {
					t.Errorf("the answer has %q", secret)
				}
			}
			if strings.Contains(body, "eyJ") {
				t.Errorf("the answer has a Secret's content: %.300s", body)
			}
		})
	}

	t.Run("only loopback", func(t *testing.T) {
		addresses, err := net.InterfaceAddrs()
		env.Check(t, err)
		for _, address := range addresses {
			ip, _, err := net.ParseCIDR(address.String())
			env.Check(t, err)
			if ip.IsLoopback() {
				continue
			}
			if conn, err := net.Dial("tcp", net.JoinHostPort(ip.String(), port)); err == nil {
				conn.Close()
				t.Errorf("it listens on %s", ip)
			}
		}
	})
	t.Run("another user of the machine", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root can become another user")
		}
		// It can connect, and it can read the arguments of every program.
		ps := exec.Command("ps", "-eo", "args")
		ps.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		text, err := ps.Output()
		env.Check(t, err)
		if strings.Contains(string(text), u.token) {
			t.Error("the key is among the arguments of a program")
		}
	})
	t.Run("in a browser", func(t *testing.T) { attackFromPage(t, u) })
	t.Run("injection", func(t *testing.T) {
		tb := open(t, u, "/")
		tb.shows(t, "Overview")
		for name, script := range map[string]string{
			"inline script":     `(() => { const s = document.createElement("script"); try { s.textContent = "window.hit = 1"; } catch { return false; } document.body.append(s); return window.hit === 1; })()`,
			"HTML sink":         `(() => { try { document.getElementById("view").innerHTML = "<img src=x onerror='window.hit = 1'>"; return true; } catch { return false; } })()`,
			"another origin":    `fetch("http://127.0.0.1:1/").then(() => true, () => false)`,
			"the key elsewhere": `document.cookie !== "" || location.href.includes("token")`,
		} {
			if is[bool](t, tb, script) {
				t.Errorf("%s works", name)
			}
		}
	})
}

// attackFromPage opens a page of another origin that fetches, posts, embeds and connects.
func attackFromPage(t *testing.T, u *ui) {
	t.Helper()
	page := fmt.Sprintf(`<!doctype html><title>attacker</title><script>
		window.results = {};
		const record = (name, promise) => promise.then(v => results[name] = String(v), e => results[name] = "refused");
		record("fetch", fetch(%[1]q + "/api/about", {headers: {Authorization: "Bearer x"}}).then(r => r.text()));
		record("no-cors", fetch(%[1]q + "/api/about", {mode: "no-cors"}).then(r => r.type + r.status));
		record("post", fetch(%[1]q + "/api/actions/build", {method: "POST", body: new URLSearchParams({git: "x"})}).then(r => r.text()));
		record("socket", new Promise((ok, no) => { const s = new WebSocket(%[1]q.replace("http", "ws") + "/api/view/"); s.onopen = () => ok("open"); s.onerror = no; }));
		record("frame", new Promise(ok => { const f = document.createElement("iframe"); f.src = %[1]q + "/"; f.onload = () => { try { ok(f.contentDocument === null ? "refused" : f.contentDocument.title || "refused"); } catch { ok("refused"); } }; document.documentElement.append(f); }));
		record("script", new Promise((ok, no) => { const s = document.createElement("script"); s.src = %[1]q + "/static/log.js"; s.onload = () => ok("loaded"); s.onerror = no; document.documentElement.append(s); }));
	</script>`, u.base)
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(attacker.Close)
	tb := blank(t)
	tb.run(t, chromedp.Navigate(attacker.URL))
	tb.until(t, `Object.keys(window.results).length === 6`)
	for name, result := range is[map[string]string](t, tb, `window.results`) {
		t.Logf("%s: %s", name, result)
		if result != "refused" && result != "opaque0" {
			t.Errorf("%s came back with %q", name, result)
		}
	}
}

func key(u *ui) map[string]string { return map[string]string{"Authorization": "Bearer " + u.token} }

func with(header map[string]string, name, value string) map[string]string {
	header[name] = value
	return header
}

// request sends a request as it is, without cleaning its path, and returns the beginning of
// the answer.
func request(t *testing.T, u *ui, method, path, host string, header map[string]string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, u.base, strings.NewReader(url.Values{"name": {"--all"}, "namespace": {"demo"}}.Encode()))
	env.Check(t, err)
	r.URL.Opaque = path
	r.Host = host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	env.Check(t, err)
	defer response.Body.Close()
	body := make([]byte, 4096)
	n, _ := io.ReadAtLeast(response.Body, body, 1)
	return response.StatusCode, string(body[:n])
}
