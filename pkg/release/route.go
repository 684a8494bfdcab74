package release

import (
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const (
	// issuerAnnotation makes cert-manager issue the certificate of an Ingress.
	issuerAnnotation = "cert-manager.io/cluster-issuer"

	ingressKind = "Ingress"
)

// ingress returns the Ingress of an app with hosts, unless a Gateway has them.
func ingress(options *Options) ([]object, error) {
	route := options.Route
	if len(route.Hosts) == 0 || route.Gateway != "" {
		return nil, nil
	}
	one := &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: ingressKind},
		ObjectMeta: metav1.ObjectMeta{Name: options.App},
	}
	if route.IngressClass != "" {
		one.Spec.IngressClassName = &route.IngressClass
	}
	prefix := networkingv1.PathTypePrefix
	for _, host := range route.Hosts {
		one.Spec.Rules = append(one.Spec.Rules, networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: &prefix,
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: options.App, Port: networkingv1.ServiceBackendPort{Name: "http"}}},
			}}},
		}})
	}
	if route.TLS == (app.TLS{}) {
		return []object{one}, nil
	}
	secret := route.TLS.Secret
	if secret == "" {
		secret = options.App + "-tls"
	}
	if issuer := route.TLS.ClusterIssuer; issuer != "" {
		one.Annotations = map[string]string{issuerAnnotation: issuer}
	}
	one.Spec.TLS = []networkingv1.IngressTLS{{Hosts: slices.Clone(route.Hosts), SecretName: secret}}
	return []object{one}, nil
}

// routeURL returns the URL of an app that a Gateway routes; empty for any other, and for one that has
// only hosts with a wildcard.
func routeURL(route app.Route) string {
	if route.Gateway == "" {
		return ""
	}
	for _, host := range route.Hosts {
		if !strings.HasPrefix(host, "*") && route.Secure {
			return "https://" + host
		} else if !strings.HasPrefix(host, "*") {
			return "http://" + host
		}
	}
	return ""
}

// httpRoute returns the HTTPRoute of an app whose hosts a Gateway has.
func httpRoute(options *Options) ([]object, error) {
	route := options.Route
	if len(route.Hosts) == 0 || route.Gateway == "" {
		return nil, nil
	}
	parent := map[string]any{"name": route.Gateway}
	if namespace, name, ok := strings.Cut(route.Gateway, "/"); ok {
		parent = map[string]any{"namespace": namespace, "name": name}
	}
	var hosts []any
	for _, host := range route.Hosts {
		hosts = append(hosts, host)
	}
	one := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1",
		"kind":       "HTTPRoute",
		"metadata":   map[string]any{"name": options.App},
		"spec": map[string]any{
			"parentRefs": []any{parent},
			"hostnames":  hosts,
			"rules": []any{map[string]any{
				"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/"}}},
				"backendRefs": []any{map[string]any{"name": options.App, "port": int64(80)}},
			}},
		},
	}}
	return []object{one}, nil
}

// certificates returns the Secrets with the certificates of an Ingress that nothing issues.
func certificates(one *unstructured.Unstructured) []app.Source {
	if one.GetKind() != ingressKind {
		return nil
	}
	for annotation := range one.GetAnnotations() {
		if strings.HasPrefix(annotation, "cert-manager.io/") {
			return nil
		}
	}
	var found []app.Source
	entries, _, _ := unstructured.NestedSlice(one.Object, "spec", "tls")
	for _, entry := range entries {
		fields, _ := entry.(map[string]any)
		if name, _ := fields["secretName"].(string); name != "" {
			for _, key := range []string{"tls.crt", "tls.key"} {
				found = append(found, app.Source{Kind: app.SourceSecret, Name: name, Key: key})
			}
		}
	}
	return found
}
