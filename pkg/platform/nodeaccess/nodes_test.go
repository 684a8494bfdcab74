package nodeaccess

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

func newDaemonSet(t *testing.T, podSpec string) *appsv1.DaemonSet {
	t.Helper()
	daemonSet := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "node-access"}}
	must(t, yaml.UnmarshalStrict([]byte(podSpec), &daemonSet.Spec.Template.Spec))
	return daemonSet
}

func taint(key string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(node *corev1.Node) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key, Effect: effect})
	}
}

func label(key, value string) func(*corev1.Node) {
	return func(node *corev1.Node) { node.Labels[key] = value }
}

func TestNodes(t *testing.T) {
	const everywhere = `
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{operator: Exists}]
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - {key: eks.amazonaws.com/compute-type, operator: NotIn, values: [fargate]}
            - {key: type, operator: NotIn, values: [virtual-kubelet]}
`
	notSelected := "not selected by daemonset node-access"
	tests := map[string]struct {
		spec  string
		nodes []*corev1.Node
		want  []string
		skip  []Skipped
	}{
		"none": {spec: everywhere},
		"ready ones, cordoned and tainted ones too": {
			spec: everywhere,
			nodes: []*corev1.Node{
				newNode("c", nil),
				newNode("b", func(node *corev1.Node) {
					node.Spec.Unschedulable = true
					taint("node.kubernetes.io/unschedulable", corev1.TaintEffectNoSchedule)(node)
				}),
				newNode("a", taint("gpu", corev1.TaintEffectNoExecute)),
			},
			want: []string{"a", "b", "c"},
		},
		"not ready": {
			spec: everywhere,
			nodes: []*corev1.Node{
				newNode("a", unreadyNode),
				newNode("b", func(node *corev1.Node) { node.Status.Conditions = nil }),
				newNode("c", nil),
			},
			want: []string{"c"},
			skip: []Skipped{
				{Node: "a", NotReady: true, Reason: "not ready: Kubelet stopped posting node status."},
				{Node: "b", NotReady: true, Reason: "not ready"},
			},
		},
		"virtual nodes and other systems": {
			spec: everywhere,
			nodes: []*corev1.Node{
				newNode("fargate", label("eks.amazonaws.com/compute-type", "fargate")),
				newNode("hybrid", label("eks.amazonaws.com/compute-type", "hybrid")),
				newNode("virtual", label("type", "virtual-kubelet")),
				newNode("windows", label("kubernetes.io/os", "windows")),
			},
			want: []string{"hybrid"},
			skip: []Skipped{{Node: "fargate", Reason: notSelected}, {Node: "virtual", Reason: notSelected}, {Node: "windows", Reason: notSelected}},
		},
		"without tolerations of its own": {
			spec: `{}`,
			nodes: []*corev1.Node{
				newNode("control", taint("node-role.kubernetes.io/control-plane", corev1.TaintEffectNoSchedule)),
				newNode("cordoned", taint("node.kubernetes.io/unschedulable", corev1.TaintEffectNoSchedule)),
				newNode("full", taint("node.kubernetes.io/memory-pressure", corev1.TaintEffectNoSchedule)),
				newNode("avoided", taint("old", corev1.TaintEffectPreferNoSchedule)),
				newNode("no-network", taint("node.kubernetes.io/network-unavailable", corev1.TaintEffectNoSchedule)),
			},
			want: []string{"avoided", "cordoned", "full"},
			skip: []Skipped{
				{Node: "control", Reason: "daemonset node-access does not tolerate taint node-role.kubernetes.io/control-plane:NoSchedule"},
				{Node: "no-network", Reason: "daemonset node-access does not tolerate taint node.kubernetes.io/network-unavailable:NoSchedule"},
			},
		},
		"in the node's network": {
			spec:  `hostNetwork: true`,
			nodes: []*corev1.Node{newNode("no-network", taint("node.kubernetes.io/network-unavailable", corev1.TaintEffectNoSchedule))},
			want:  []string{"no-network"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			for _, node := range test.nodes {
				must(t, client.Tracker().Add(node))
			}
			targets, skipped, err := Nodes(t.Context(), client, newDaemonSet(t, test.spec))
			must(t, err)
			if diff := cmp.Diff(test.want, targets); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.skip, skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}
