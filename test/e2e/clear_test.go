//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestCredentialsInClear gives setup and build credentials where others could read them: in
// arguments, in what is sent without TLS, and in the files of a build. Nothing is changed, sent or
// repeated.
func TestCredentialsInClear(t *testing.T) {
	ns := env.KeptNamespace(t)
	const password = "e2e-Planted-9f3b1c"
	token := "ghp_" + strings.Repeat("aB3dE6gH9k", 3) + "1Z2y3X"
	before := ns.Inventory(t)
	runs := len(ns.Runs(t))
	refused := func(r env.Result, code int, words ...string) {
		t.Helper()
		r.FailedWith(t, code, words...)
		if strings.Contains(r.Stdout+r.Stderr, password) || strings.Contains(r.Stdout+r.Stderr, token) {
			t.Errorf("the credentials are printed\n%s", r)
		}
		if after := len(ns.Runs(t)); after != runs {
			t.Errorf("%d runs were created\n%s", after-runs, r)
		}
	}
	for _, arg := range []string{"PIP_INDEX_URL=https://me:" + password + "@pypi.shop.internal/simple", "TOKEN=" + token} {
		name, _, _ := strings.Cut(arg, "=")
		refused(ns.Pyflow(t, "setup", "--build-arg", arg), 2, "--build-arg", name, "--build-env "+name)
		dockerfile := "FROM " + env.SmallBase + "\nARG " + name + "\n"
		refused(ns.Pyflow(t, "build", env.Project(t, "argument", map[string]string{"Dockerfile": dockerfile}), "--no-deploy", "--build-arg", arg), 2, "--build-secret")
	}

	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	secret := ns.Secret(t, "git-in-clear", map[string]string{"username": "me", "password": password})
	refused(ns.Pyflow(t, "build", "--git", server.URL+"/shop.git", "--git-secret", secret, "--no-deploy"), 2, "http sends credentials in clear")
	if n := asked.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}

	planted := map[string]string{
		".npmrc":                "//registry.npmjs.org/:_authToken=npm_" + strings.Repeat("aB3dE6gH9k", 3) + "1Z2y3X\n",
		"pip.conf":              "[global]\nindex-url = https://me:" + password + "@pypi.shop.internal/simple\n",
		"prod.tfvars":           "github_token = \"" + token + "\"\n",
		"account.json":          "{\"type\": \"service_account\", \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n" + strings.Repeat("MIIEvQIBADANBgkqhkiG9w0B", 8) + "\\n-----END PRIVATE KEY-----\\n\"}\n",
		"deploy_key":            "-----BEGIN OPENSSH PRIVATE KEY-----\n" + strings.Repeat("b3BlbnNzaC1rZXktdjEAAAAABG5v\n", 6) + "-----END OPENSSH PRIVATE KEY-----\n",
		"conf/settings-live.py": "GITHUB = \"" + token + "\"\n",
	}
	files := map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nCOPY . /app\n"}
	allow := []string{"--no-deploy"}
	for name, text := range planted {
		files[name] = text
		alone := env.Project(t, "planted", map[string]string{"Dockerfile": files["Dockerfile"], name: text})
		refused(ns.Pyflow(t, "build", alone, "--no-deploy"), 1, name, "--allow-secret-file")
		allow = append(allow, "--allow-secret-file", name)
	}
	dir := env.Project(t, "planted", files)
	refused(ns.Pyflow(t, append([]string{"build", dir}, allow[:len(allow)-2]...)...), 1, allow[len(allow)-1], "--allow-secret-file")
	ns.Unchanged(t, before)
	ns.Build(t, append([]string{dir}, allow...)...).Succeeded(t)
}
