package release

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// HostError reports a route that cannot be in two namespaces at once.
type HostError struct {
	// Object is kind/name, Host its host.
	Object, Host string
}

func (e *HostError) Error() string {
	return fmt.Sprintf("%s has the host %s, which one app of a cluster can have", e.Object, e.Host)
}

// Move puts the objects into another namespace. An Ingress or an HTTPRoute with a host is a
// *HostError.
func (m *Manifests) Move(namespace string) error {
	for _, object := range m.objects {
		if host := hostOf(object); host != "" {
			return &HostError{Object: id(object), Host: host}
		}
		object.SetNamespace(namespace)
	}
	return m.write()
}

// hostOf returns the first host of an Ingress or an HTTPRoute; empty if it has none.
func hostOf(object *unstructured.Unstructured) string {
	switch object.GetKind() {
	case "Ingress":
		rules, _, _ := unstructured.NestedSlice(object.Object, "spec", "rules")
		for _, item := range rules {
			rule, _ := item.(map[string]any)
			if host, _ := rule["host"].(string); host != "" {
				return host
			}
		}
	case "HTTPRoute":
		hosts, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "hostnames")
		if len(hosts) > 0 {
			return hosts[0]
		}
	}
	return ""
}
