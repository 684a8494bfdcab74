// Package kube makes clients from kubeconfig flags, and classifies the errors that
// all of them may get from an API server.
package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	// Registers the auth plugins that a kubeconfig may name: oidc, and the hints of azure and gcp.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/rest"

	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
)

// Clients are the clients for one context of the kubeconfig.
type Clients struct {
	// Config is the connection. Copy it before a change.
	Config *rest.Config
	// Namespace is that of --namespace, otherwise of the context, otherwise "default".
	Namespace string

	Kube      kubernetes.Interface
	Dynamic   dynamic.Interface
	Tekton    tekton.Interface
	Discovery discovery.CachedDiscoveryInterface
	Mapper    meta.RESTMapper
}

// New returns clients for kubeconfig flags. It reads files and sends no request.
// Errors are ErrNoKubeconfig, a *NoContextError, or about the kubeconfig itself.
func New(getter genericclioptions.RESTClientGetter) (*Clients, error) {
	loader := getter.ToRawKubeConfigLoader()
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config, err := getter.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	if err := checkContext(raw, config.Host); err != nil {
		return nil, err
	}
	// As for kubectl, the API server's priority and fairness is the limit.
	config.QPS, config.Burst = -1, 0
	c := &Clients{Config: config, Namespace: namespace}
	if c.Discovery, err = getter.ToDiscoveryClient(); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	if c.Mapper, err = getter.ToRESTMapper(); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	if c.Kube, err = kubernetes.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	if c.Dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	if c.Tekton, err = tekton.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Host, err)
	}
	return c, nil
}
