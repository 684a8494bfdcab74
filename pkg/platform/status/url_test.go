package status

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func service(name string, kind corev1.ServiceType, ports ...corev1.ServicePort) corev1.Service {
	return corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{manifests.LabelApp: "web"}},
		Spec:       corev1.ServiceSpec{Type: kind, Ports: ports, Selector: map[string]string{"app": "web"}},
	}
}

func balanced(service corev1.Service, ingress corev1.LoadBalancerIngress) corev1.Service {
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{ingress}
	return service
}

func ingress(name, path string, tls bool, hosts ...string) networkingv1.Ingress {
	i := networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{manifests.LabelApp: "web"}}}
	for _, host := range hosts {
		rule := networkingv1.IngressRule{Host: host}
		rule.HTTP = &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: path}}}
		i.Spec.Rules = append(i.Spec.Rules, rule)
	}
	if tls {
		i.Spec.TLS = []networkingv1.IngressTLS{{Hosts: hosts}}
	}
	return i
}

// routed returns a Service that names the URL at which a Gateway routes it.
func routed(url string) corev1.Service {
	one := service("web", corev1.ServiceTypeClusterIP, corev1.ServicePort{Name: "http", Port: 80})
	one.Annotations = map[string]string{manifests.AnnotationURL: url}
	return one
}

func TestURL(t *testing.T) {
	http := corev1.ServicePort{Name: "http", Port: 80, NodePort: 30080}
	inside := corev1.ServicePort{Name: "http", Port: 80}
	metrics := corev1.ServicePort{Name: "metrics", Port: 9090, NodePort: 30090}
	nodes := []string{"10.0.0.1", "10.0.0.2"}
	for name, test := range map[string]struct {
		services  []corev1.Service
		addresses []string
		ingresses []networkingv1.Ingress
		want      string
	}{
		"nothing":                       {nil, nodes, nil, ""},
		"cluster only":                  {[]corev1.Service{service("web", corev1.ServiceTypeClusterIP, inside)}, nodes, nil, ""},
		"node port":                     {[]corev1.Service{service("web", corev1.ServiceTypeNodePort, metrics, http)}, nodes, nil, "http://10.0.0.1:30080"},
		"node port, first of several":   {[]corev1.Service{service("web", corev1.ServiceTypeNodePort, metrics)}, nodes, nil, "http://10.0.0.1:30090"},
		"node port over TLS":            {[]corev1.Service{service("web", corev1.ServiceTypeNodePort, corev1.ServicePort{Name: "https", Port: 8443, NodePort: 30443})}, nodes, nil, "https://10.0.0.1:30443"},
		"node port, IPv6":               {[]corev1.Service{service("web", corev1.ServiceTypeNodePort, http)}, []string{"fd00::1"}, nil, "http://[fd00::1]:30080"},
		"node port, UDP":                {[]corev1.Service{service("web", corev1.ServiceTypeNodePort, corev1.ServicePort{Protocol: corev1.ProtocolUDP, Port: 53, NodePort: 30053})}, nodes, nil, ""},
		"node port, no node":            {[]corev1.Service{service("web", corev1.ServiceTypeNodePort, http)}, nil, nil, ""},
		"first by name":                 {[]corev1.Service{service("b", corev1.ServiceTypeNodePort, metrics), service("a", corev1.ServiceTypeNodePort, http)}, nodes, nil, "http://10.0.0.1:30080"},
		"load balancer":                 {[]corev1.Service{balanced(service("web", corev1.ServiceTypeLoadBalancer, http), corev1.LoadBalancerIngress{IP: "192.0.2.1"})}, nodes, nil, "http://192.0.2.1"},
		"load balancer by name":         {[]corev1.Service{balanced(service("web", corev1.ServiceTypeLoadBalancer, metrics), corev1.LoadBalancerIngress{Hostname: "lb.example.com"})}, nil, nil, "http://lb.example.com:9090"},
		"load balancer, IPv6":           {[]corev1.Service{balanced(service("web", corev1.ServiceTypeLoadBalancer, http), corev1.LoadBalancerIngress{IP: "2001:db8::1"})}, nil, nil, "http://[2001:db8::1]"},
		"load balancer that is pending": {[]corev1.Service{service("web", corev1.ServiceTypeLoadBalancer, http)}, nodes, nil, "http://10.0.0.1:30080"},
		"ingress":                       {[]corev1.Service{service("web", corev1.ServiceTypeClusterIP, inside)}, nil, []networkingv1.Ingress{ingress("web", "/", false, "web.example.com")}, "http://web.example.com"},
		"ingress over TLS with a path":  {nil, nil, []networkingv1.Ingress{ingress("web", "/api", true, "web.example.com")}, "https://web.example.com/api"},
		"a Gateway":                     {[]corev1.Service{routed("https://web.example.com")}, nodes, nil, "https://web.example.com"},
		"a Gateway, no URL of the web":  {[]corev1.Service{routed("javascript://web.example.com/")}, nodes, nil, ""},
		"ingress with a pattern":        {nil, nil, []networkingv1.Ingress{ingress("web", "/api(/|$)(.*)", false, "web.example.com")}, "http://web.example.com"},
		"ingress with a wildcard":       {nil, nil, []networkingv1.Ingress{ingress("web", "/", false, "*.example.com", "", "web.example.com")}, "http://web.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := URL(test.services, test.addresses, test.ingresses); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAppURL(t *testing.T) {
	http := corev1.ServicePort{Name: "http", Port: 80, NodePort: 30080}
	web := service("web", corev1.ServiceTypeNodePort, http)
	local := service("web", corev1.ServiceTypeNodePort, http)
	local.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "demo", Labels: map[string]string{"app": "web"}},
		Status:     corev1.PodStatus{HostIP: "10.0.0.3"},
	}
	down, up := testNode("a", "10.0.0.1", false), testNode("b", "10.0.0.2", true)
	for name, test := range map[string]struct {
		service corev1.Service
		deny    string
		want    string
	}{
		"a node that is ready":                 {web, "", "http://10.0.0.2:30080"},
		"without permission to list nodes":     {web, "nodes", "http://10.0.0.3:30080"},
		"traffic stays on nodes with a pod":    {local, "", "http://10.0.0.3:30080"},
		"without permission to list services":  {web, "services", ""},
		"without permission to list ingresses": {web, "ingresses", "http://10.0.0.2:30080"},
		"another app's service":                {service("other", corev1.ServiceTypeClusterIP), "", ""},
		"no permission for what is not needed": {web, "pods", "http://10.0.0.2:30080"},
	} {
		t.Run(name, func(t *testing.T) {
			kube := fake.NewClientset(&test.service, pod, down, up)
			deny(&kube.Fake, test.deny)
			got, err := AppURL(t.Context(), kube, "demo", "web")
			if err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}
