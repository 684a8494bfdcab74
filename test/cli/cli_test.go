// Package cli tests the command line where it needs no cluster. Each file in testdata
// is a script of commands and what they print.
package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/completion"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestMain(m *testing.M) {
	run := func() {
		streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
		os.Exit(cmd.Run(context.Background(), streams, completion.Args(os.Args)))
	}
	testscript.Main(m, map[string]func(){"kubectl-pyflow": run, completion.Name: run})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", env.WorkDir+"/kubeconfig")
			for name, handler := range servers() {
				server := httptest.NewServer(handler)
				env.Defer(server.Close)
				env.Setenv(name, server.URL)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command and compares its exit code: exits CODE COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = err.Error()
	}
	if code != args[0] && code != "exit status "+args[0] {
		ts.Fatalf("%v: got %s, want %s", args[1:], code, args[0])
	}
}

// servers returns the HTTP servers that scripts may name as --server, each by the
// variable with its URL.
func servers() map[string]http.Handler {
	reply := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, text)
		}
	}
	// A platform is installed, with the namespace team-a, which is not set up.
	api := http.NewServeMux()
	api.HandleFunc("/api/v1/namespaces/"+manifests.SystemNamespace+"/configmaps/"+manifests.ConfigName,
		reply(`{"apiVersion": "v1", "kind": "ConfigMap", "data": {"`+manifests.ConfigKey+`": "{}"}}`))
	api.HandleFunc("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
		reply(`{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": true}}`))
	api.HandleFunc("/version", reply(`{"gitVersion": "v1.36.3"}`))
	for _, namespace := range []string{manifests.SystemNamespace, "team-a"} {
		api.HandleFunc("/api/v1/namespaces/"+namespace, reply(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "`+namespace+`"}}`))
	}
	return map[string]http.Handler{
		"API_SERVER":   api,
		"EMPTY_SERVER": http.NotFoundHandler(),
		"FAILING_SERVER": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of order", http.StatusInternalServerError)
		}),
		"WEB_PAGE": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html>Log in</html>")
		}),
	}
}
