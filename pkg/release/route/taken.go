package route

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// takenByIngress returns a *TakenError if an Ingress of something else routes all of a host, among
// those that the user may list. Ingresses of different classes do not meet.
func takenByIngress(ctx context.Context, clients Clients, namespace, name string, route app.Route) error {
	ingresses := clients.Kube.NetworkingV1()
	list, err := ingresses.Ingresses(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		list, err = ingresses.Ingresses(namespace).List(ctx, metav1.ListOptions{})
	}
	if apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list ingresses: %w", err)
	}
	for i := range list.Items {
		one := &list.Items[i]
		class := ""
		if one.Spec.IngressClassName != nil {
			class = *one.Spec.IngressClassName
		}
		if ours(one, namespace, name) || class != "" && route.IngressClass != "" && class != route.IngressClass {
			continue
		}
		for _, rule := range one.Spec.Rules {
			if slices.Contains(route.Hosts, rule.Host) && wholeHost(rule) {
				return taken(rule.Host, "Ingress", one)
			}
		}
	}
	return nil
}

// wholeHost reports whether a rule routes every path of its host.
func wholeHost(rule networkingv1.IngressRule) bool {
	if rule.HTTP == nil {
		return true
	}
	return slices.ContainsFunc(rule.HTTP.Paths, func(path networkingv1.HTTPIngressPath) bool {
		exact := path.PathType != nil && *path.PathType == networkingv1.PathTypeExact
		return !exact && strings.Trim(path.Path, "/*") == ""
	})
}

// takenByRoute returns a *TakenError if an HTTPRoute of something else routes all of a host at the
// same Gateway, among those that the user may list.
func takenByRoute(ctx context.Context, clients Clients, namespace, name string, route app.Route) error {
	list, err := listAll(ctx, clients, "httproutes", namespace)
	if err != nil {
		return err
	}
	for i := range list {
		one := &list[i]
		if ours(one, namespace, name) || !attached(one, namespace, route.Gateway) || !wholeRoute(one) {
			continue
		}
		hosts, _, _ := unstructured.NestedStringSlice(one.Object, "spec", "hostnames")
		for _, host := range hosts {
			if slices.Contains(route.Hosts, host) {
				return taken(host, "HTTPRoute", one)
			}
		}
	}
	return nil
}

// attached reports whether a route belongs to a Gateway, which a route in namespace names.
func attached(route *unstructured.Unstructured, namespace, gateway string) bool {
	if !strings.Contains(gateway, "/") {
		gateway = namespace + "/" + gateway
	}
	parents, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	return slices.ContainsFunc(parents, func(parent any) bool {
		fields, _ := parent.(map[string]any)
		at, _ := fields["namespace"].(string)
		if at == "" {
			at = route.GetNamespace()
		}
		name, _ := fields["name"].(string)
		return at+"/"+name == gateway
	})
}

// wholeRoute reports whether a rule of a route takes every request.
func wholeRoute(route *unstructured.Unstructured) bool {
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		matches, _, _ := unstructured.NestedSlice(fields, "matches")
		if len(matches) == 0 {
			return true
		}
		for _, match := range matches {
			fields, _ := match.(map[string]any)
			path, given, _ := unstructured.NestedString(fields, "path", "value")
			kind, _, _ := unstructured.NestedString(fields, "path", "type")
			if len(fields) <= 1 && kind != "Exact" && (!given || path == "/") {
				return true
			}
		}
	}
	return len(rules) == 0
}

// ours reports whether an object is the app's.
func ours(object metav1.Object, namespace, name string) bool {
	return object.GetNamespace() == namespace && object.GetLabels()[manifests.LabelApp] == name
}

func taken(host, kind string, object metav1.Object) error {
	return &TakenError{Host: host, Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), App: object.GetLabels()[manifests.LabelApp]}
}
