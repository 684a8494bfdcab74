package app_test

import (
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

func TestHostsCheck(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "shop.example.com": true, "shop": true, "*.example.com": true, "a.example.com b.example.com": true,
		"Shop.example.com": false, "https://shop.example.com": false, "shop.example.com/api": false, "shop.example.com:443": false, "*": false, "a.*.com": false,
		"10.0.0.1": false, "a.example.com a.example.com": false, "shop_1": false, "-a": false,
	} {
		if err := app.Hosts(strings.Fields(text)).Check(); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseTLS(t *testing.T) {
	for text, want := range map[string]app.TLS{
		"shop-tls": {Secret: "shop-tls"}, "cluster-issuer=le": {ClusterIssuer: "le"}, "cluster-issuer=le,secret=a.b": {Secret: "a.b", ClusterIssuer: "le"},
	} {
		if got, err := app.ParseTLS(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "A", "cluster-issuer=", "issuer=le", "cluster-issuer=le,B", "cluster-issuer=L_E"} {
		if got, err := app.ParseTLS(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestCheckGateway(t *testing.T) {
	for text, ok := range map[string]bool{"public": true, "infra/public": true, "": false, "/public": false, "infra/": false, "a/b/c": false, "Infra/a": false} {
		if err := app.CheckGateway(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCheckReach(t *testing.T) {
	host := app.Hosts{"shop.example.com"}
	for name, test := range map[string]struct {
		route  app.Route
		expose app.Expose
		policy app.NetworkPolicy
		want   string
	}{
		"nothing":              {},
		"all of an Ingress":    {route: app.Route{Hosts: host, TLS: app.TLS{Secret: "a"}, IngressClass: "nginx"}, expose: app.ExposeClusterIP, policy: app.NetworkPolicy{Enabled: true, Namespaces: []string{"nginx"}}},
		"a Gateway":            {route: app.Route{Hosts: host, Gateway: "a/b"}, expose: app.ExposeNodePort, policy: app.NetworkPolicy{Enabled: true}},
		"TLS alone":            {route: app.Route{TLS: app.TLS{ClusterIssuer: "a"}}, want: "tls is the certificate of a host"},
		"a class alone":        {route: app.Route{IngressClass: "a"}, want: "ingress-class is for a host"},
		"a Gateway alone":      {route: app.Route{Gateway: "a"}, want: "gateway is for a host"},
		"two ways":             {route: app.Route{Hosts: host, Gateway: "a", IngressClass: "b"}, want: "exclude each other"},
		"TLS at a Gateway":     {route: app.Route{Hosts: host, Gateway: "a", TLS: app.TLS{Secret: "b"}}, want: "the listener of the Gateway has the certificate"},
		"no Service":           {route: app.Route{Hosts: host}, expose: app.ExposeNone, want: "a host needs a Service"},
		"clients shut out":     {expose: app.ExposeNodePort, policy: app.NetworkPolicy{Enabled: true, Namespaces: []string{"a"}}, want: "expose NodePort is for clients outside"},
		"clients shut out too": {expose: app.ExposeLoadBalancer, policy: app.NetworkPolicy{Enabled: true, Namespaces: []string{"a"}}, want: "expose LoadBalancer is for clients outside"},
	} {
		err := app.CheckReach(test.route, test.expose, test.policy)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
