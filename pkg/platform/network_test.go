package platform_test

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

func TestClusterNetwork(t *testing.T) {
	node := func(name, address string, pods ...string) runtime.Object {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: pods},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}, {Type: corev1.NodeHostName, Address: name}}},
		}
	}
	servers := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
	}
	services := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16", "fd01::/112"}}}
	for name, test := range map[string]struct {
		objects []runtime.Object
		want    []string
		pods    bool
	}{
		"all": {
			[]runtime.Object{node("a", "192.0.2.1", "10.1.0.0/24", "fd02::/64"), node("b", "192.0.2.2", "10.1.1.0/24"), servers, services},
			[]string{"10.1.0.0/24", "10.1.1.0/24", "10.96.0.0/16", "192.0.2.1/32", "192.0.2.2/32", "fd01::/112", "fd02::/64"},
			true,
		},
		"a node without a range": {
			[]runtime.Object{node("a", "192.0.2.3", "10.1.0.0/24"), node("b", "2001:db8::1"), servers},
			[]string{"10.1.0.0/24", "192.0.2.1/32", "192.0.2.3/32", "2001:db8::1/128"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := platform.ClusterNetwork(context.Background(), fake.NewClientset(test.objects...))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Ranges, test.want) || got.Pods != test.pods {
				t.Errorf("got %+v, want %q, %t", got, test.want, test.pods)
			}
		})
	}
}
