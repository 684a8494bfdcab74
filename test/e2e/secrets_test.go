//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// privateIndex is a package index that asks for the token, and counts who has it.
func privateIndex(t *testing.T, ns *env.NS, token string) (address string, let *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(ns.AddressForPods(t), "0"))
	env.Check(t, err)
	let = &atomic.Int32{}
	servers.Serve(t, listener, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "robot" || password != token {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		let.Add(1)
		servers.Packages(w, r)
	})
	return listener.Addr().String(), let
}

// TestPrivateIndex builds a project with a package of a private index: without its token the
// build is refused before anything is sent, with it the service runs, and the token is nowhere. A
// newline behind the token does no harm.
func TestPrivateIndex(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	token := rand.Text()
	address, let := privateIndex(t, ns, token)
	host, _, _ := net.SplitHostPort(address)
	dir := env.Project(t, "private", map[string]string{
		"requirements.txt": fmt.Sprintf("--extra-index-url http://robot:${PIP_TOKEN}@%s/simple/\n--trusted-host %s\ncompany-greeting==1.0\nstarlette==1.10.0\nuvicorn==0.54.0\n", address, host),
		"main.py": `from company_greeting import text
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = Starlette(routes=[Route("/", lambda request: PlainTextResponse(text))])
`,
	})
	refused := ns.Build(t, dir)
	refused.Failed(t, "the build lacks 1 secret", "PIP_TOKEN (requirements.txt:1)")
	refused.Hints(t, "--build-secret id=PIP_TOKEN,env=PIP_TOKEN")
	if runs := ns.Runs(t); len(runs) > 0 || let.Load() > 0 {
		t.Fatalf("there are %d runs\n%s", len(runs), refused)
	}
	ns.Pyflow(t, "build", dir, "--show-dockerfile").Succeeded(t).Says(t, "secret: PIP_TOKEN (requirements.txt:1)")

	_, url := ns.Start(t, []string{"PIP_TOKEN=" + token + "\n"}, "build", dir, "--build-secret", "id=PIP_TOKEN").Ends(t).Released(t)
	env.Serves(t, url, "hello from the company")
	if let.Load() == 0 {
		t.Error("pip did not log in to the index")
	}

	ns.Pyflow(t, "logs", "--all").Succeeded(t)
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	ns.Pyflow(t, "gather", "private", "-f", file).Succeeded(t)
	packed, err := os.ReadFile(file)
	env.Check(t, err)
	files := unpack(t, packed, ns.RunList(t, "private")[0].Name+"/")
	registry := registrytest.OpenReader(t, ns.Cluster)
	for _, needle := range []string{token, base64.StdEncoding.EncodeToString([]byte("robot:" + token))} {
		for name, text := range files {
			if strings.Contains(text, needle) {
				t.Errorf("the token is in %s of the bundle", name)
			}
		}
		ns.Leaks(t, needle)
		if places := registry.Holds(t, ns, "private", needle); len(places) > 0 {
			t.Errorf("the token is in %q", places)
		}
	}
}
