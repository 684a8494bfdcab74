package route

import (
	"errors"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const host = "shop.example.com"

func class(name string, standard bool) *networkingv1.IngressClass {
	one := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if standard {
		one.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
	}
	return one
}

// ingress returns an Ingress of an app that routes a path of the host.
func ingress(namespace, of, class, path string) *networkingv1.Ingress {
	one := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: of, Labels: map[string]string{manifests.LabelApp: of}},
		Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "other.example.com"}, {Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: path}}},
		}}}},
	}
	if class != "" {
		one.Spec.IngressClassName = &class
	}
	return one
}

func object(kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
		"metadata": map[string]any{"namespace": namespace, "name": name, "labels": map[string]any{manifests.LabelApp: name}}, "spec": spec,
	}}
}

// gateway returns a Gateway with one listener.
func gateway(namespace, name string, listener map[string]any) *unstructured.Unstructured {
	listener["name"] = "web"
	return object("Gateway", namespace, name, map[string]any{"listeners": []any{map[string]any{"name": "db", "protocol": "TCP"}, listener}})
}

func open() map[string]any {
	return map[string]any{"protocol": "HTTPS", "hostname": "*.example.com", "allowedRoutes": map[string]any{"namespaces": map[string]any{"from": "All"}}}
}

// httpRoute returns an HTTPRoute of an app that routes a path of the host at a Gateway.
func httpRoute(namespace, of string, parent map[string]any, path string) *unstructured.Unstructured {
	return object("HTTPRoute", namespace, of, map[string]any{
		"parentRefs": []any{parent}, "hostnames": []any{host},
		"rules": []any{map[string]any{"matches": []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": path}}}}},
	})
}

func clients(t *testing.T, kube, others []runtime.Object) (Clients, *kubefake.Clientset, *dynamicfake.FakeDynamicClient) {
	t.Helper()
	client := kubefake.NewClientset(kube...)
	dynamic := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		kindOf("gateways"): "GatewayList", kindOf("httproutes"): "HTTPRouteList",
	})
	for _, other := range others {
		// Of a Gateway the client would guess that many are gatewaies.
		one, _ := other.(*unstructured.Unstructured)
		resource := kindOf(strings.ToLower(one.GetKind()) + "s")
		if _, err := dynamic.Resource(resource).Namespace(one.GetNamespace()).Create(t.Context(), one, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return Clients{Kube: client, Dynamic: dynamic}, client, dynamic
}

func TestDecide(t *testing.T) {
	listener := func(change func(map[string]any)) map[string]any {
		one := open()
		change(one)
		return one
	}
	public := map[string]any{"namespace": "infra", "name": "public"}
	for name, test := range map[string]struct {
		kube, others []runtime.Object
		route        app.Route
		// want is the class or the Gateway, err what the error says.
		want, err string
		secure    bool
	}{
		"the default class":      {kube: []runtime.Object{class("a", false), class("b", true)}, want: "b"},
		"the only class":         {kube: []runtime.Object{class("a", false)}, others: []runtime.Object{gateway("infra", "public", open())}, want: "a"},
		"a named class":          {kube: []runtime.Object{class("a", true), class("b", false)}, route: app.Route{IngressClass: "b"}, want: "b"},
		"several classes":        {kube: []runtime.Object{class("b", false), class("a", false)}, err: "the cluster has several of kind IngressClass and no default one: name one of a, b with ingress-class"},
		"no such class":          {kube: []runtime.Object{class("b", true), class("a", false)}, route: app.Route{IngressClass: "c"}, err: "the cluster has no IngressClass c: it has a, b"},
		"no class at all":        {route: app.Route{IngressClass: "c"}, err: "the cluster has no IngressClass c: it has none"},
		"nothing":                {err: "the cluster has no IngressClass and no Gateway: nothing would route shop.example.com to the app"},
		"the only Gateway":       {others: []runtime.Object{gateway("infra", "public", open())}, want: "infra/public", secure: true},
		"HTTP beside HTTPS":      {others: []runtime.Object{object("Gateway", "team", "own", map[string]any{"listeners": []any{map[string]any{"protocol": "HTTP"}, map[string]any{"protocol": "HTTPS"}}})}, want: "team/own", secure: true},
		"several Gateways":       {others: []runtime.Object{gateway("infra", "b", open()), gateway("infra", "a", open())}, err: "name one of infra/a, infra/b with gateway"},
		"a named Gateway":        {kube: []runtime.Object{class("a", true)}, others: []runtime.Object{gateway("team", "own", map[string]any{"protocol": "HTTP"})}, route: app.Route{Gateway: "own"}, want: "own"},
		"no such Gateway":        {others: []runtime.Object{gateway("infra", "public", open())}, route: app.Route{Gateway: "own"}, err: "the cluster has no Gateway team/own: it has infra/public"},
		"TLS at a Gateway":       {others: []runtime.Object{gateway("infra", "public", open())}, route: app.Route{TLS: app.TLS{Secret: "a"}}, err: "the listener of the Gateway has the certificate"},
		"of its own namespace":   {others: []runtime.Object{gateway("infra", "public", listener(func(l map[string]any) { delete(l, "allowedRoutes") }))}, err: "Gateway infra/public has no listener for the app: listener web takes routes of its own namespace only"},
		"of another host":        {others: []runtime.Object{gateway("infra", "public", listener(func(l map[string]any) { l["hostname"] = "*.org" }))}, err: "listener web is for *.org, not for shop.example.com"},
		"without HTTP":           {others: []runtime.Object{gateway("infra", "public", listener(func(l map[string]any) { l["protocol"] = "TLS" }))}, err: "listener web is for TLS"},
		"our own Ingress":        {kube: []runtime.Object{class("a", true), ingress("team", "shop", "a", "/")}, want: "a"},
		"of another namespace":   {kube: []runtime.Object{class("a", true), ingress("other", "shop", "a", "/")}, err: "host shop.example.com is taken: Ingress shop in namespace other, of app shop, routes it"},
		"of another app":         {kube: []runtime.Object{class("a", true), ingress("team", "till", "", "")}, err: "Ingress till in namespace team, of app till, routes it"},
		"a part of the host":     {kube: []runtime.Object{class("a", true), ingress("other", "api", "a", "/api")}, want: "a"},
		"of another class":       {kube: []runtime.Object{class("a", true), ingress("other", "till", "inside", "/")}, want: "a"},
		"our own HTTPRoute":      {others: []runtime.Object{gateway("infra", "public", open()), httpRoute("team", "shop", public, "/")}, want: "infra/public", secure: true},
		"an HTTPRoute":           {others: []runtime.Object{gateway("infra", "public", open()), httpRoute("team", "till", public, "/")}, err: "host shop.example.com is taken: HTTPRoute till in namespace team, of app till, routes it"},
		"a part of an HTTPRoute": {others: []runtime.Object{gateway("infra", "public", open()), httpRoute("team", "till", public, "/api")}, want: "infra/public", secure: true},
		"of another Gateway":     {others: []runtime.Object{gateway("infra", "public", open()), httpRoute("infra", "till", map[string]any{"name": "inside"}, "/")}, want: "infra/public", secure: true},
		"near in its namespace":  {others: []runtime.Object{gateway("infra", "public", open()), httpRoute("infra", "till", map[string]any{"name": "public"}, "/")}, err: "HTTPRoute till in namespace infra"},
	} {
		t.Run(name, func(t *testing.T) {
			test.route.Hosts = app.Hosts{host}
			all, _, _ := clients(t, test.kube, test.others)
			got, err := Decide(t.Context(), all, "team", "shop", test.route)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || got.IngressClass+got.Gateway != test.want || got.Secure != test.secure {
				t.Errorf("got %+v, %v, want %s", got, err, test.want)
			}
		})
	}
}

// Without a host nothing is read.
func TestDecideNothing(t *testing.T) {
	if got, err := Decide(t.Context(), Clients{}, "team", "shop", app.Route{}); err != nil || len(got.Hosts) > 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// What the user may not list is not checked.
func TestDecideForbidden(t *testing.T) {
	all, kube, dynamic := clients(t, []runtime.Object{class("a", true), ingress("other", "till", "a", "/")}, []runtime.Object{gateway("infra", "public", open())})
	forbidden := func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: action.GetResource().Resource}, "", errors.New("no"))
	}
	kube.PrependReactor("list", "*", forbidden)
	dynamic.PrependReactor("*", "*", forbidden)
	for _, route := range []app.Route{{Hosts: app.Hosts{host}}, {Hosts: app.Hosts{host}, IngressClass: "c"}, {Hosts: app.Hosts{host}, Gateway: "d"}} {
		got, err := Decide(t.Context(), all, "team", "shop", route)
		if err != nil || got.IngressClass != route.IngressClass || got.Gateway != route.Gateway {
			t.Errorf("%+v: got %+v, %v", route, got, err)
		}
	}
	if names := append(Classes(t.Context(), all), Gateways(t.Context(), all, "team")...); len(names) > 0 {
		t.Errorf("completions are %q", names)
	}
}
