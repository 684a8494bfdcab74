package status

import (
	"context"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Report describes the platform and the nodes of the cluster.
type Report struct {
	// Parts are those of Platform.
	Parts []Part
	// Nodes are sorted by name. NodesDenied names the permission without which they are not
	// known; empty if they are.
	Nodes       []Node
	NodesDenied string
	// NodeAccess is how nodes reach the registry, which is Registry for them.
	NodeAccess manifests.NodeAccessConfig
	Registry   string
	// Tekton is the installed or adopted Tekton Pipelines, Version the plugin that ran setup.
	Tekton  manifests.TektonConfig
	Version string
	// Namespaces are those that setup prepared, sorted.
	Namespaces []string
}

// Node is a node of the cluster.
type Node struct {
	Name, Address string
	// Version is that of the kubelet.
	Version string
	Ready   bool
	// Linux reports that the node runs Linux, and has a loopback address of its own.
	Linux bool
	// Pulled is the number of images of the registry among those that the kubelet reports,
	// which are the 50 largest by default.
	Pulled int
	// Served reports that a pod for node access is ready on the node; nil if that is not
	// known, or there are no such pods.
	Served *bool
}

// ReadReport returns the report, with the errors of Collect. Without a namespace in options,
// and without AllNamespaces, its parts leave out namespaces.
func ReadReport(ctx context.Context, clients Clients, options Options) (*Report, error) {
	c, err := newCollector(ctx, clients, options)
	if err != nil {
		return nil, err
	}
	report := &Report{
		NodeAccess: c.config.NodeAccess, Registry: c.config.Registry.NodeHost,
		Tekton: c.config.Tekton, Version: c.config.Version, Namespaces: c.config.Namespaces,
	}
	if report.Parts, err = c.parts(ctx); err != nil {
		return nil, err
	}
	if !c.nodesKnown {
		report.NodesDenied = access.Permission{Verb: "list", Resource: "nodes"}.String()
	}
	for _, n := range c.nodes {
		node := Node{Name: n.name, Address: n.address, Version: n.version, Ready: n.ready, Linux: n.linux, Pulled: n.pulled}
		if c.served != nil {
			node.Served = new(c.served[n.name])
		}
		report.Nodes = append(report.Nodes, node)
	}
	return report, nil
}
