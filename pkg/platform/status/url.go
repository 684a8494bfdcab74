package status

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// AppURL returns the URL of an app outside the cluster, by the rule of URL for the Services and
// Ingresses with its label; empty if there is none. It ignores what the user may not list.
func AppURL(ctx context.Context, kube kubernetes.Interface, namespace, app string) (string, error) {
	fronts, err := listFronts(ctx, kube, namespace, manifests.LabelApp+"="+app)
	if err != nil {
		return "", err
	}
	return fronts.url(ctx, kube, func() ([]string, error) {
		// The first page is enough: it has a ready node.
		list, err := read(access.Permission{Verb: "list", Resource: "nodes"}, func() (*corev1.NodeList, error) {
			return kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: pageSize})
		})
		if missing, err := denied(err); missing != nil || err != nil {
			return nil, err
		}
		nodes := make([]node, len(list.Items))
		for i := range list.Items {
			nodes[i] = newNode(&list.Items[i], "")
		}
		return addresses(nodes), nil
	})
}

// URL returns the URL of an app with these Services, Ingresses and node addresses: that of a
// load balancer with an address, else a node port on the first of addresses, else the host of
// an Ingress, else the one of a Gateway that the Service names, else "". The first by name wins. It
// is pure.
func URL(services []corev1.Service, addresses []string, ingresses []networkingv1.Ingress) string {
	services = byName(services, func(s corev1.Service) string { return s.Name })
	for _, service := range services {
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			port, ok := WebPort(service)
			if host := first(ingress.IP, ingress.Hostname); host != "" && ok {
				return address(scheme(port), host, port.Port)
			}
		}
	}
	if service := nodePort(services); service != nil && len(addresses) > 0 {
		port, _ := WebPort(*service)
		return address(scheme(port), addresses[0], port.NodePort)
	}
	for _, ingress := range byName(ingresses, func(i networkingv1.Ingress) string { return i.Name }) {
		for _, rule := range ingress.Spec.Rules {
			// A browser cannot open a wildcard, or a rule for every host.
			if rule.Host != "" && !strings.HasPrefix(rule.Host, "*") {
				return ingressURL(ingress, rule)
			}
		}
	}
	for _, service := range services {
		if named, err := url.Parse(service.Annotations[manifests.AnnotationURL]); err == nil && named.Host != "" && (named.Scheme == "http" || named.Scheme == "https") {
			return named.String()
		}
	}
	return ""
}

// nodePort returns the first Service by name with a node port for TCP.
func nodePort(services []corev1.Service) *corev1.Service {
	for _, service := range byName(services, func(s corev1.Service) string { return s.Name }) {
		if port, ok := WebPort(service); ok && port.NodePort != 0 {
			return &service
		}
	}
	return nil
}

// WebPort returns the port that is named for the web, else the first port.
func WebPort(service corev1.Service) (corev1.ServicePort, bool) {
	ports := slices.DeleteFunc(slices.Clone(service.Spec.Ports), func(port corev1.ServicePort) bool {
		return port.Protocol != "" && port.Protocol != corev1.ProtocolTCP
	})
	for _, name := range []string{"http", "https"} {
		for _, port := range ports {
			if port.Name == name {
				return port, true
			}
		}
	}
	if len(ports) == 0 {
		return corev1.ServicePort{}, false
	}
	return ports[0], true
}

func scheme(port corev1.ServicePort) string {
	if port.Name == "https" || port.Port == 443 {
		return "https"
	}
	return "http"
}

func address(scheme, host string, port int32) string {
	standard := map[string]int32{"http": 80, "https": 443}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}
	if port == standard[scheme] {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.String()
}

func ingressURL(ingress networkingv1.Ingress, rule networkingv1.IngressRule) string {
	u := url.URL{Scheme: "http", Host: rule.Host}
	for _, tls := range ingress.Spec.TLS {
		if slices.Contains(tls.Hosts, rule.Host) {
			u.Scheme = "https"
		}
	}
	// Skips a path that is a regular expression of some controller.
	if http := rule.HTTP; http != nil && len(http.Paths) > 0 && http.Paths[0].Path != "/" && !strings.ContainsAny(http.Paths[0].Path, "()*$^") {
		u.Path = http.Paths[0].Path
	}
	return u.String()
}

func byName[T any](items []T, name func(T) string) []T {
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return items
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
