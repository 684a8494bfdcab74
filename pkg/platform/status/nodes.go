package status

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
)

// node holds what the report needs of a node, because lists of nodes are long.
type node struct {
	name    string
	address string
	ready   bool
	// linux reports that it is a real node that runs Linux: the nodes of EKS Fargate and of
	// virtual kubelets have no loopback address for the registry.
	linux bool
	// version is that of the kubelet, pulled the number of images of the registry that the
	// kubelet reports.
	version string
	pulled  int
}

// listNodes returns all nodes by name; known is false when the user may not list them. host
// is the registry as nodes know it.
func listNodes(ctx context.Context, kube kubernetes.Interface, host string) (nodes []node, known bool, err error) {
	err = each(ctx, access.Permission{Verb: "list", Resource: "nodes"}, "",
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return kube.CoreV1().Nodes().List(ctx, options)
		},
		func(object *corev1.Node) { nodes = append(nodes, newNode(object, host)) })
	if missing, err := denied(err); missing != nil || err != nil {
		return nil, false, err
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return nodes, true, nil
}

func newNode(object *corev1.Node, host string) node {
	n := node{
		name: object.Name, version: object.Status.NodeInfo.KubeletVersion,
		linux: object.Labels[corev1.LabelOSStable] == string(corev1.Linux) &&
			object.Labels["eks.amazonaws.com/compute-type"] != "fargate" && object.Labels["type"] != "virtual-kubelet",
	}
	for _, address := range object.Status.Addresses {
		if address.Type == corev1.NodeInternalIP && n.address == "" {
			n.address = address.Address
		}
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			n.ready = condition.Status == corev1.ConditionTrue
		}
	}
	for _, image := range object.Status.Images {
		if host != "" && slices.ContainsFunc(image.Names, func(name string) bool { return strings.HasPrefix(name, host+"/") }) {
			n.pulled++
		}
	}
	return n
}

// addresses returns the addresses of the ready nodes.
func addresses(nodes []node) []string {
	var result []string
	for _, node := range nodes {
		if node.ready && node.address != "" {
			result = append(result, node.address)
		}
	}
	return result
}
