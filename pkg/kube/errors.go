package kube

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ErrNoKubeconfig reports that there is no kubeconfig.
var ErrNoKubeconfig = errors.New("no kubeconfig: there is no cluster to talk to")

// NoContextError reports that the kubeconfig has contexts, and none is current.
type NoContextError struct {
	// Contexts are the names of the contexts, sorted.
	Contexts []string
}

func (e *NoContextError) Error() string { return "the kubeconfig has no current context" }

// NotAPIServerError reports that an HTML page came where the API server was expected.
type NotAPIServerError struct {
	// URL is the server's.
	URL string
}

func (e *NotAPIServerError) Error() string {
	return fmt.Sprintf("%s answers with a web page: it is not a Kubernetes API server", e.URL)
}

// NamespaceNotFoundError reports that a namespace does not exist.
type NamespaceNotFoundError struct{ Namespace string }

func (e *NamespaceNotFoundError) Error() string {
	return fmt.Sprintf("namespace %q does not exist", e.Namespace)
}

// fallbackHost is what the kubeconfig loader falls back to without a cluster.
const fallbackHost = "http://localhost:8080"

// checkContext returns an error if host is only the loader's fallback.
func checkContext(raw clientcmdapi.Config, host string) error {
	switch {
	case host != fallbackHost:
		return nil
	case clientcmdapi.IsConfigEmpty(&raw):
		return ErrNoKubeconfig
	case raw.CurrentContext != "" || len(raw.Contexts) == 0:
		return nil
	}
	for _, cluster := range raw.Clusters {
		if cluster.Server == fallbackHost {
			return nil
		}
	}
	return &NoContextError{Contexts: slices.Sorted(maps.Keys(raw.Contexts))}
}

// RejectPages makes requests with config fail with a *NotAPIServerError when an HTML
// page answers. A page with a status of 500 or above is left to the client: a proxy
// in front of the API server sends it while the API server is down.
func RejectPages(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return pages{next} })
}

// pages rejects HTML pages.
type pages struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p pages) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := p.next.RoundTrip(request)
	if err != nil || response.StatusCode >= http.StatusInternalServerError {
		return response, err
	}
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind != "text/html" {
		return response, nil
	}
	_ = response.Body.Close()
	return nil, &NotAPIServerError{URL: request.URL.Scheme + "://" + request.URL.Host}
}

// WrappedRoundTripper implements net.RoundTripperWrapper, so that others find the
// transport below.
func (p pages) WrappedRoundTripper() http.RoundTripper { return p.next }

// ServerFailure returns the HTTP status and the reason with which the API server
// failed, and whether err is such a failure.
func ServerFailure(err error) (code int, reason string, ok bool) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code < http.StatusInternalServerError || isWebhookUnreachable(err) {
		return 0, "", false
	}
	code, reason = int(status.Status().Code), string(status.Status().Reason)
	if reason == "" {
		reason = http.StatusText(code)
	}
	return code, reason, true
}
