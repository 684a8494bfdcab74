package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Only the page that has the key, at the listener's own address, gets past the guard.
func TestGuard(t *testing.T) {
	const token, port = "secret-key", "8080"
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	handler := guard(port, token, inner)
	const bearer = "Bearer " + token
	for name, test := range map[string]struct {
		method, url, host string
		header            [][2]string
		want              int
	}{
		"page":                      {url: "/", want: http.StatusTeapot},
		"page by name":              {url: "/", host: "localhost:8080", want: http.StatusTeapot},
		"page by IPv6":              {url: "/", host: "[::1]:8080", want: http.StatusTeapot},
		"link from elsewhere":       {url: "/runs", header: [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"}}, want: http.StatusTeapot},
		"data":                      {url: "/api/about", header: [][2]string{{"Authorization", bearer}, {"Sec-Fetch-Site", "same-origin"}}, want: http.StatusTeapot},
		"action":                    {method: "POST", url: "/api/actions/x", header: [][2]string{{"Authorization", bearer}, {"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://127.0.0.1:8080"}}, want: http.StatusTeapot},
		"no key":                    {url: "/api/about", want: http.StatusUnauthorized},
		"short key":                 {url: "/api/about", header: [][2]string{{"Authorization", "Bearer secret"}}, want: http.StatusUnauthorized},
		"key without scheme":        {url: "/api/about", header: [][2]string{{"Authorization", token}}, want: http.StatusUnauthorized},
		"key in the query":          {url: "/api/about?token=" + token, want: http.StatusUnauthorized},
		"key in a cookie":           {url: "/api/about", header: [][2]string{{"Cookie", "token=" + token}}, want: http.StatusUnauthorized},
		"foreign host":              {url: "/", host: "attacker.example:8080", want: http.StatusMisdirectedRequest},
		"foreign host with the key": {url: "/api/about", host: "attacker.example:8080", header: [][2]string{{"Authorization", bearer}}, want: http.StatusMisdirectedRequest},
		"host without port":         {url: "/", host: "127.0.0.1", want: http.StatusMisdirectedRequest},
		"host with another port":    {url: "/", host: "127.0.0.1:80", want: http.StatusMisdirectedRequest},
		"host that begins alike":    {url: "/", host: "127.0.0.1.example:8080", want: http.StatusMisdirectedRequest},
		"name below localhost":      {url: "/", host: "x.localhost:8080", want: http.StatusMisdirectedRequest},
		"address of the network":    {url: "/", host: "192.0.2.1:8080", want: http.StatusMisdirectedRequest},
		"no host":                   {url: "/", host: " ", want: http.StatusMisdirectedRequest},
		"another site":              {url: "/api/about", header: [][2]string{{"Authorization", bearer}, {"Sec-Fetch-Site", "cross-site"}}, want: http.StatusForbidden},
		"another port":              {url: "/api/about", header: [][2]string{{"Authorization", bearer}, {"Sec-Fetch-Site", "same-site"}}, want: http.StatusForbidden},
		"script tag":                {url: "/static/console.js", header: [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}, {"Sec-Fetch-Dest", "script"}}, want: http.StatusForbidden},
		"frame":                     {url: "/", header: [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "iframe"}}, want: http.StatusForbidden},
		"form":                      {method: "POST", url: "/", header: [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"}}, want: http.StatusForbidden},
		"action of another origin":  {method: "POST", url: "/api/actions/x", header: [][2]string{{"Authorization", bearer}, {"Origin", "https://attacker.example"}}, want: http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			if test.method == "" {
				test.method = http.MethodGet
			}
			if test.host == "" {
				test.host = "127.0.0.1:" + port
			}
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.url, nil)
			r.Host = test.host
			for _, header := range test.header {
				r.Header.Set(header[0], header[1])
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("got %d, want %d", w.Code, test.want)
			}
			csp := w.Header().Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
				if !strings.Contains(csp, part) {
					t.Errorf("the policy lacks %s: %s", part, csp)
				}
			}
			for _, never := range []string{"unsafe", "*", "http:", "data:"} {
				if strings.Contains(csp, never) {
					t.Errorf("the policy has %s: %s", never, csp)
				}
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" || len(w.Result().Cookies()) > 0 || w.Header().Get("X-Frame-Options") != "DENY" {
				t.Errorf("got the headers %v", w.Header())
			}
		})
	}
	if a, b := newToken(), newToken(); a == b || len(a) < 43 {
		t.Errorf("the keys are %q and %q", a, b)
	}
}
