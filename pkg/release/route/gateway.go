package route

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// checkGateway checks that a Gateway exists and has a listener for each host, and returns the route
// with what the listener of the first host says. A user who may not read it learns nothing.
func checkGateway(ctx context.Context, clients Clients, namespace string, route app.Route) (app.Route, error) {
	at, name, two := strings.Cut(route.Gateway, "/")
	if !two {
		at, name = namespace, route.Gateway
	}
	gateway, err := clients.Dynamic.Resource(kindOf("gateways")).Namespace(at).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return route, nil
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		has, err := gateways(ctx, clients, namespace)
		if err != nil {
			return route, err
		}
		return route, &ChoiceError{Kind: "Gateway", Name: at + "/" + name, Has: has}
	case err != nil:
		return route, fmt.Errorf("get gateway %s in namespace %s: %w", name, at, err)
	}
	listeners, _, _ := unstructured.NestedSlice(gateway.Object, "spec", "listeners")
	for i, host := range route.Hosts {
		secure, reason := listens(listeners, host, at == namespace)
		if reason != "" {
			return route, &ClosedError{Gateway: at + "/" + name, Reason: reason}
		}
		route.Secure = route.Secure || i == 0 && secure
	}
	return route, nil
}

// listens reports whether a listener takes a route of the host by HTTPS, or why none takes it.
func listens(listeners []any, host string, same bool) (secure bool, reason string) {
	reason, taken := "it has no listener for HTTP", false
	for _, one := range listeners {
		fields, _ := one.(map[string]any)
		against := closed(fields, host, same)
		if against != "" && !taken {
			reason = against
		} else if against == "" {
			reason, taken, secure = "", true, secure || fields["protocol"] == "HTTPS"
		}
	}
	return secure, reason
}

// closed returns why a listener does not take a route of the host; empty if it does, as far as that
// can be seen.
func closed(listener map[string]any, host string, same bool) string {
	name, _ := listener["name"].(string)
	if protocol, _ := listener["protocol"].(string); protocol != "HTTP" && protocol != "HTTPS" {
		return fmt.Sprintf("listener %s is for %s", name, protocol)
	}
	if pattern, _ := listener["hostname"].(string); pattern != "" && !covers(pattern, host) {
		return fmt.Sprintf("listener %s is for %s, not for %s", name, pattern, host)
	}
	from, _, _ := unstructured.NestedString(listener, "allowedRoutes", "namespaces", "from")
	if (from == "" || from == "Same") && !same {
		return fmt.Sprintf("listener %s takes routes of its own namespace only", name)
	}
	if from == "None" {
		return fmt.Sprintf("listener %s takes no routes", name)
	}
	return ""
}

// covers reports whether a host name, which may start with *., covers another one.
func covers(pattern, host string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	return pattern == host || wild && strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
}
