package kube_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// TestNewWithoutContext checks the errors for kubeconfigs that do not name a cluster.
func TestNewWithoutContext(t *testing.T) {
	const clusters = `
apiVersion: v1
kind: Config
clusters:
- {name: c, cluster: {server: "%s"}}
contexts:
- {name: prod, context: {cluster: c}}
- {name: dev, context: {cluster: c}}
`
	for name, test := range map[string]struct {
		text     string
		context  string
		contexts []string
		want     error
	}{
		"empty":              {"", "", nil, kube.ErrNoKubeconfig},
		"no current context": {fmt.Sprintf(clusters, "https://example.com"), "", []string{"dev", "prod"}, nil},
		"chosen by a flag":   {fmt.Sprintf(clusters, "https://example.com"), "dev", nil, nil},
		"local server":       {fmt.Sprintf(clusters, "http://localhost:8080"), "dev", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBERNETES_MASTER", "")
			file := filepath.Join(t.TempDir(), "config")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			flags := genericclioptions.NewConfigFlags(true)
			flags.KubeConfig, flags.Context = &file, &test.context
			_, err := kube.New(flags)
			var missing *kube.NoContextError
			switch {
			case errors.As(err, &missing):
				if !slices.Equal(missing.Contexts, test.contexts) {
					t.Errorf("contexts are %q, want %q", missing.Contexts, test.contexts)
				}
			case test.contexts != nil, !errors.Is(err, test.want):
				t.Errorf("error is %v, want %v, contexts %q", err, test.want, test.contexts)
			}
		})
	}
}

// TestRejectPages checks that pages are rejected, and answers of an API server are not.
func TestRejectPages(t *testing.T) {
	for name, test := range map[string]struct {
		kind     string
		code     int
		rejected bool
	}{
		"JSON":            {"application/json", 200, false},
		"page":            {"text/html; charset=utf-8", 200, true},
		"page, not found": {"text/html", 404, true},
		"bad gateway":     {"text/html", 502, false},
		"no type":         {"", 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{test.kind}
				w.WriteHeader(test.code)
				_, _ = io.WriteString(w, "<html>")
			}))
			defer server.Close()
			config := &rest.Config{Host: server.URL}
			kube.RejectPages(config)
			client, err := rest.HTTPClientFor(config)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Get(server.URL + "/api")
			if err == nil {
				response.Body.Close()
			}
			var page *kube.NotAPIServerError
			if errors.As(err, &page) != test.rejected {
				t.Fatalf("error is %v, want rejected %v", err, test.rejected)
			}
			if test.rejected && page.URL != server.URL {
				t.Errorf("URL is %s, want %s", page.URL, server.URL)
			}
		})
	}
}

func TestServerFailure(t *testing.T) {
	failed := func(code int32, reason metav1.StatusReason) error {
		return fmt.Errorf("list: %w", &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: reason}})
	}
	for name, test := range map[string]struct {
		err    error
		code   int
		reason string
	}{
		"unavailable":    {failed(503, metav1.StatusReasonServiceUnavailable), 503, "ServiceUnavailable"},
		"without reason": {failed(502, ""), 502, "Bad Gateway"},
		"not found":      {failed(404, metav1.StatusReasonNotFound), 0, ""},
		"webhook":        {apierrors.NewInternalError(errors.New(`failed calling webhook "v"`)), 0, ""},
		"other":          {errors.New("no"), 0, ""},
	} {
		code, reason, ok := kube.ServerFailure(test.err)
		if code != test.code || reason != test.reason || ok != (test.code != 0) {
			t.Errorf("%s: got %d %q %v, want %d %q", name, code, reason, ok, test.code, test.reason)
		}
	}
}
