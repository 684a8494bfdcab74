// Package kube turns kubeconfig flags into the clients that every verb uses, and
// knows what all of them meet in an API server.
package kube

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
)

// Clients are everything that a verb talks to the cluster with, for one context
// of the kubeconfig.
type Clients struct {
	// Config is the connection; callers copy it before changing it.
	Config *rest.Config
	// Namespace is the one of -n, else of the context, else "default".
	Namespace string

	Kube      kubernetes.Interface
	Dynamic   dynamic.Interface
	Tekton    tekton.Interface
	Discovery discovery.CachedDiscoveryInterface
	Mapper    meta.RESTMapper
}

// ErrNoKubeconfig says that nothing tells which cluster to talk to.
var ErrNoKubeconfig = errors.New("no kubeconfig: there is no cluster to talk to")

// New makes the clients from kubeconfig flags. It reads files and talks to no
// server.
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
	// Without a kubeconfig, a --server and a pod's own credentials, the library
	// falls back to a port of this machine.
	if clientcmdapi.IsConfigEmpty(&raw) && config.Host == "http://localhost:8080" {
		return nil, ErrNoKubeconfig
	}
	// The API server's own priority and fairness is the limit, as for kubectl.
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
