// Package route decides how a cluster routes the hosts of an app, by an Ingress or an HTTPRoute,
// and finds out what stands against it.
package route

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// Clients are the clients that the package needs.
type Clients struct {
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
}

// NoControllerError reports a cluster with neither an IngressClass nor a Gateway.
type NoControllerError struct{ Host string }

func (e *NoControllerError) Error() string {
	return fmt.Sprintf("the cluster has no IngressClass and no Gateway: nothing would route %s to the app", e.Host)
}

// Advice says how to go on.
func (*NoControllerError) Advice() []string {
	return []string{"ask a cluster administrator for an Ingress controller, or leave the host out: kubectl pyflow open reaches the app anyway"}
}

// ChoiceError reports an IngressClass or a Gateway that does not exist, or several of which none
// is chosen.
type ChoiceError struct {
	// Kind is IngressClass or Gateway, Setting the key that names one.
	Kind, Setting string
	// Name is the one that does not exist; empty if none is named.
	Name string
	// Has are those that the cluster has, sorted.
	Has []string
}

func (e *ChoiceError) Error() string {
	has := "none"
	if len(e.Has) > 0 {
		has = strings.Join(e.Has, ", ")
	}
	if e.Name != "" {
		return fmt.Sprintf("the cluster has no %s %s: it has %s", e.Kind, e.Name, has)
	}
	return fmt.Sprintf("the cluster has several of kind %s and no default one: name one of %s with %s", e.Kind, has, e.Setting)
}

// TakenError reports a host that another app has.
type TakenError struct {
	Host string
	// Kind, Namespace and Name are the object that has it, App its app if it has one.
	Kind, Namespace, Name, App string
}

func (e *TakenError) Error() string {
	text := fmt.Sprintf("host %s is taken: %s %s in namespace %s", e.Host, e.Kind, e.Name, e.Namespace)
	if e.App != "" {
		text += ", of app " + e.App + ","
	}
	return text + " routes it"
}

// Advice says how to go on.
func (e *TakenError) Advice() []string {
	return []string{"choose another host, or remove it there first"}
}

// ClosedError reports a Gateway without a listener for the app.
type ClosedError struct{ Gateway, Reason string }

func (e *ClosedError) Error() string {
	return fmt.Sprintf("Gateway %s has no listener for the app: %s", e.Gateway, e.Reason)
}

// Decide returns the route with an IngressClass or a Gateway, if the cluster has one and the user
// may see it. What it cannot see it leaves to the cluster. Errors are a *NoControllerError, a
// *ChoiceError, a *TakenError, a *ClosedError and those of app.CheckReach.
func Decide(ctx context.Context, clients Clients, namespace, name string, route app.Route) (app.Route, error) {
	if len(route.Hosts) == 0 {
		return route, nil
	}
	route, err := choose(ctx, clients, namespace, route)
	if err != nil {
		return route, err
	}
	if err := app.CheckReach(route, "", app.NetworkPolicy{}); err != nil {
		return route, err
	}
	if route.Gateway != "" {
		return route, takenByRoute(ctx, clients, namespace, name, route)
	}
	return route, takenByIngress(ctx, clients, namespace, name, route)
}

// choose decides for an IngressClass or a Gateway.
func choose(ctx context.Context, clients Clients, namespace string, route app.Route) (app.Route, error) {
	if route.Gateway != "" {
		return checkGateway(ctx, clients, namespace, route)
	}
	list, err := clients.Kube.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return route, nil
	}
	if err != nil {
		return route, fmt.Errorf("list ingressclasses: %w", err)
	}
	var classes []string
	standard := ""
	for _, class := range list.Items {
		classes = append(classes, class.Name)
		if class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			standard = class.Name
		}
	}
	slices.Sort(classes)
	switch {
	case route.IngressClass != "" && !slices.Contains(classes, route.IngressClass):
		return route, &ChoiceError{Kind: "IngressClass", Name: route.IngressClass, Has: classes}
	case route.IngressClass != "":
		return route, nil
	case standard != "":
		route.IngressClass = standard
		return route, nil
	case len(classes) == 1:
		route.IngressClass = classes[0]
		return route, nil
	case len(classes) > 1:
		return route, &ChoiceError{Kind: "IngressClass", Setting: "ingress-class", Has: classes}
	}
	return chooseGateway(ctx, clients, namespace, route)
}

// chooseGateway takes the only Gateway.
func chooseGateway(ctx context.Context, clients Clients, namespace string, route app.Route) (app.Route, error) {
	names, err := gateways(ctx, clients, namespace)
	switch {
	case err != nil:
		return route, err
	case len(names) == 0:
		return route, &NoControllerError{Host: route.Hosts[0]}
	case len(names) > 1:
		return route, &ChoiceError{Kind: "Gateway", Setting: "gateway", Has: names}
	}
	route.Gateway = names[0]
	return checkGateway(ctx, clients, namespace, route)
}

// gateways returns the Gateways that the user may list, as NAMESPACE/NAME, sorted.
func gateways(ctx context.Context, clients Clients, namespace string) ([]string, error) {
	list, err := listAll(ctx, clients, "gateways", namespace)
	var names []string
	for _, one := range list {
		names = append(names, one.GetNamespace()+"/"+one.GetName())
	}
	slices.Sort(names)
	return names, err
}

// listAll returns the objects of a kind of the Gateway API in the cluster, or those in the
// namespace if the user may not list more; none if the cluster does not have the kind.
func listAll(ctx context.Context, clients Clients, resource, namespace string) ([]unstructured.Unstructured, error) {
	kind := clients.Dynamic.Resource(kindOf(resource))
	list, err := kind.List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		list, err = kind.Namespace(namespace).List(ctx, metav1.ListOptions{})
	}
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource, err)
	}
	return list.Items, nil
}

func kindOf(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: resource}
}

// Classes returns the IngressClasses that the user may list, for completions.
func Classes(ctx context.Context, clients Clients) []string {
	list, err := clients.Kube.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var names []string
	for _, class := range list.Items {
		names = append(names, class.Name)
	}
	return names
}

// Gateways returns the Gateways that the user may list, as NAMESPACE/NAME, for completions.
func Gateways(ctx context.Context, clients Clients, namespace string) []string {
	names, err := gateways(ctx, clients, namespace)
	if err != nil {
		return nil
	}
	return names
}
