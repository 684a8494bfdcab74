package console

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
)

// policy is the Content-Security-Policy of every answer: nothing from elsewhere, no inline
// script or style, and HTML only through the one policy of console.js.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types pyflow"

// newToken returns 256 random bits as text for a URL.
func newToken() string {
	bits := make([]byte, 32)
	// Read never fails, and fills bits: crypto/rand.
	_, _ = rand.Read(bits)
	return base64.RawURLEncoding.EncodeToString(bits)
}

// guard lets only the page that this process has opened reach next:
//
//   - The Host must be this listener's loopback address: another
//     name that leads to it is none.
//   - Below /api/ the token must be in the Authorization header. There is no cookie, which a
//     browser would send for a page of another port as well, and no token in a query, which
//     ends up in histories and logs.
//   - A browser's request that changes something must come from this origin.
//
// Every answer forbids framing, sniffing, caching of data, and anything from another origin.
func guard(port, token string, next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "a page of another origin may not do this", http.StatusForbidden)
	}))
	inner := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cross-Origin-Embedder-Policy", "require-corp")
		header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		header.Set("Cache-Control", "no-store")
		switch {
		case !isLoopback(r.Host, port):
			http.Error(w, "this is not the address of kubectl pyflow ui", http.StatusMisdirectedRequest)
		case !fromThisOrigin(r):
			http.Error(w, "a page of another origin may not read this", http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, apiPrefix) && !hasToken(r, token):
			header.Set("WWW-Authenticate", "Bearer")
			http.Error(w, "open the address that kubectl pyflow ui prints", http.StatusUnauthorized)
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// isLoopback reports whether a Host header names a loopback address with our port.
func isLoopback(host, port string) bool {
	name, given, err := net.SplitHostPort(host)
	if err != nil || given != port {
		return false
	}
	if name == "localhost" {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// fromThisOrigin reports whether a request is not one that a page of another origin sends.
// Following a link to the page is allowed.
func fromThisOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" &&
		r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, apiPrefix)
}

func hasToken(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}
