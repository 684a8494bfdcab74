package nodeaccess

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Skipped is a node that is not probed.
type Skipped struct {
	Node string
	// NotReady reports that the DaemonSet runs on this node, which cannot pull now.
	// Otherwise the DaemonSet does not run on it.
	NotReady bool
	// Reason is a text for the user: "not ready: Kubelet stopped posting node status."
	Reason string
}

// Nodes returns the ready nodes on which the DaemonSet's pods run, and all other
// nodes, both sorted by name. Targets include cordoned nodes, because their pods may
// restart there.
//
// Nodes decides as the DaemonSet controller does: by nodeSelector, required node
// affinity and the taints NoSchedule and NoExecute.
func Nodes(ctx context.Context, client kubernetes.Interface, daemonSet *appsv1.DaemonSet) (targets []string, skipped []Skipped, err error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("list nodes: %w", err)
	}
	template := &daemonSet.Spec.Template
	affinity := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec})
	tolerations := append(slices.Clone(template.Spec.Tolerations), daemonTolerations(template.Spec.HostNetwork)...)
	for i := range nodes.Items {
		node := &nodes.Items[i]
		matches, err := affinity.Match(node)
		if err != nil {
			return nil, nil, fmt.Errorf("node affinity of daemonset %s: %w", daemonSet.Name, err)
		}
		taint, repelled := schedulinghelpers.FindMatchingUntoleratedTaint(klog.FromContext(ctx), node.Spec.Taints, tolerations,
			func(taint *corev1.Taint) bool {
				return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
			}, true)
		trouble := unready(node)
		switch {
		case !matches:
			skipped = append(skipped, Skipped{Node: node.Name, Reason: "not selected by daemonset " + daemonSet.Name})
		case repelled:
			skipped = append(skipped, Skipped{Node: node.Name, Reason: "daemonset " + daemonSet.Name + " does not tolerate taint " + taint.ToString()})
		case trouble != "":
			skipped = append(skipped, Skipped{Node: node.Name, NotReady: true, Reason: trouble})
		default:
			targets = append(targets, node.Name)
		}
	}
	slices.Sort(targets)
	slices.SortFunc(skipped, func(a, b Skipped) int { return strings.Compare(a.Node, b.Node) })
	return targets, skipped, nil
}

// daemonTolerations returns the tolerations that the DaemonSet controller adds to every
// pod:
// https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations
func daemonTolerations(hostNetwork bool) []corev1.Toleration {
	exists := func(key string, effect corev1.TaintEffect) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
	}
	tolerations := []corev1.Toleration{
		exists(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute),
		exists(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute),
		exists(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule),
		exists(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule),
		exists(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule),
		exists(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule),
	}
	if hostNetwork {
		tolerations = append(tolerations, exists(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule))
	}
	return tolerations
}

// unready returns why a node cannot pull; empty if it can.
func unready(node *corev1.Node) string {
	if node.DeletionTimestamp != nil {
		return "being deleted"
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type != corev1.NodeReady {
			continue
		}
		if condition.Status == corev1.ConditionTrue {
			return ""
		}
		return strings.TrimSuffix("not ready: "+strings.TrimSpace(condition.Message), ": ")
	}
	return "not ready"
}
