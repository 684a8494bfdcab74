package settings

import (
	"errors"
	"strconv"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/toml"
)

// The keys of the tables tls and network-policy.
const (
	clusterIssuerKey = "cluster-issuer"
	namespacesKey    = "namespaces"
)

var (
	errReplicas = errors.New("it sets the replicas, and so does replicas: remove one of them")
	errPositive = errors.New("it is not a positive number")
)

// readHosts reads the name of a host, or an array of names.
func readHosts(r *reader, v *toml.Value, path string) app.Hosts {
	if v.Kind == toml.String {
		return app.Hosts{v.Text}
	}
	if v.Kind != toml.Array {
		r.report(path, v.Offset, "%s, or an array of strings", v.InsteadOf(toml.String))
		return nil
	}
	return texts(r, v, path)
}

// texts reads an array of strings that is not empty.
func texts(r *reader, v *toml.Value, path string) []string {
	if len(v.Elements) == 0 {
		r.report(path, v.Offset, "it is empty: name one, or leave the key out")
	}
	var texts []string
	for i, element := range v.Elements {
		if !r.expect(element, toml.String, toml.Join(path, strconv.Itoa(i))) {
			r.failed[path] = true
			continue
		}
		texts = append(texts, element.Text)
	}
	return texts
}

// readTLS reads the name of a Secret, or a table with secret and cluster-issuer.
func readTLS(r *reader, v *toml.Value, path string) app.TLS {
	if v.Kind == toml.String {
		if v.Text == "" {
			r.report(path, v.Offset, "it names no Secret")
		}
		return app.TLS{Secret: v.Text}
	}
	var tls app.TLS
	if v.Kind != toml.Table {
		r.report(path, v.Offset, "%s, or a table with the key cluster-issuer", v.InsteadOf(toml.String))
		return tls
	}
	into := map[string]*string{secretKey: &tls.Secret, clusterIssuerKey: &tls.ClusterIssuer}
	r.members(v, path, func(key string, member *toml.Value, inner string) {
		target, known := into[key]
		switch {
		case !known:
			r.report(path, member.Offset, "%s is none of secret and cluster-issuer%s", key, meant(key, []string{secretKey, clusterIssuerKey}))
		case !r.expect(member, toml.String, inner):
			r.failed[path] = true
		case member.Text == "":
			r.report(path, member.Offset, "%s is empty", key)
		default:
			*target = member.Text
		}
	})
	if tls == (app.TLS{}) && !r.failed[path] {
		r.report(path, v.Offset, "it names neither a secret nor a cluster-issuer")
	}
	return tls
}

// readNetworkPolicy reads true or false, or a table with namespaces.
func readNetworkPolicy(r *reader, v *toml.Value, path string) app.NetworkPolicy {
	if v.Kind == toml.Bool {
		return app.NetworkPolicy{Enabled: v.Text == "true"}
	}
	policy := app.NetworkPolicy{Enabled: true}
	if v.Kind != toml.Table {
		r.report(path, v.Offset, "%s, or a table with the key namespaces", v.InsteadOf(toml.Bool))
		return policy
	}
	r.members(v, path, func(key string, member *toml.Value, inner string) {
		switch {
		case key != namespacesKey:
			r.report(path, member.Offset, "%s is no key of it%s", key, meant(key, []string{namespacesKey}))
		case r.expect(member, toml.Array, inner):
			if policy.Namespaces = texts(r, member, inner); r.failed[inner] {
				r.failed[path] = true
			}
		default:
			r.failed[path] = true
		}
	})
	if len(policy.Namespaces) == 0 && !r.failed[path] {
		r.report(path, v.Offset, "it names no namespaces: write true for a policy without")
	}
	return policy
}

// checkReach adds mistakes in how the app is reached and scaled.
func checkReach(r *reader) {
	r.each("host", r.Host.Check)
	r.each("tls", r.TLS.Check)
	r.each("ingress-class", func() error { return app.CheckIngressClass(r.IngressClass) })
	r.each("gateway", func() error { return app.CheckGateway(r.Gateway) })
	r.each("network-policy", r.NetworkPolicy.Check)
	r.each("autoscale", func() error {
		switch {
		case r.failed["autoscale.min"] || r.failed["autoscale.max"] || r.failed["autoscale.cpu"]:
			return nil
		case r.Where("replicas") != "":
			return errReplicas
		}
		return r.Autoscale.Check()
	})
	for _, number := range []struct {
		key   string
		value int32
	}{{"autoscale.min", r.Autoscale.Min}, {"autoscale.max", r.Autoscale.Max}, {"autoscale.cpu", r.Autoscale.CPU}} {
		r.each(number.key, func() error {
			if number.value <= 0 {
				return errPositive
			}
			return nil
		})
	}
	// Flags may add what a key goes with.
	route := app.Route{Hosts: app.Hosts{"flag"}, TLS: r.TLS, IngressClass: r.IngressClass, Gateway: r.Gateway}
	if len(r.Host) == 0 && r.Expose == app.ExposeNone {
		route = app.Route{}
	}
	if err := app.CheckReach(route, r.Expose, r.NetworkPolicy); err != nil {
		for _, key := range []string{"gateway", "host", "network-policy"} {
			if offset, ok := r.offsets[key]; ok && !r.failed[key] {
				r.report(key, offset, "%w", err)
				return
			}
		}
	}
}
