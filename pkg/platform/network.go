package platform

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// maxNodes is how many nodes a cluster may have for a NetworkPolicy to list the address of each.
// The ports of their kubelets are closed in any case.
const maxNodes = 100

// Network is what the API server knows of the addresses of a cluster.
type Network struct {
	// Ranges are those of its pods, Services, nodes and API servers, CIDR, sorted. Services are
	// those of Services alone, as ServiceNetworks returns them.
	Ranges, Services []string
	// Pods reports that those of the pods of every node are among them: not every network tells.
	Pods bool
}

// ClusterNetwork reads the addresses of the cluster.
func ClusterNetwork(ctx context.Context, client kubernetes.Interface) (Network, error) {
	network := Network{Pods: true}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return network, fmt.Errorf("list nodes: %w", err)
	}
	var ranges []string
	for _, node := range nodes.Items {
		network.Pods = network.Pods && len(node.Spec.PodCIDRs) > 0
		ranges = append(ranges, node.Spec.PodCIDRs...)
		if len(nodes.Items) > maxNodes {
			continue
		}
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP {
				ranges = append(ranges, single(address.Address)...)
			}
		}
	}
	servers, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
	if err != nil {
		return network, fmt.Errorf("list the addresses of the API server: %w", err)
	}
	for _, slice := range servers.Items {
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				ranges = append(ranges, single(address)...)
			}
		}
	}
	if network.Services, err = ServiceNetworks(ctx, client); err != nil {
		return network, err
	}
	network.Ranges, err = manifests.ParseRanges(append(ranges, network.Services...))
	return network, err
}

// single returns the range of one address; nothing for what is none.
func single(address string) []string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	return []string{netip.PrefixFrom(parsed, parsed.BitLen()).String()}
}
