package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Route is how clients reach the app by the name of a host. The zero value is no route.
type Route struct {
	// Hosts are names such as shop.example.com or *.example.com.
	Hosts Hosts
	// TLS is the certificate of an Ingress.
	TLS TLS
	// IngressClass is that of the Ingress. Gateway attaches an HTTPRoute to a Gateway instead:
	// NAME in the namespace of the app, or NAMESPACE/NAME. If neither is set, the cluster decides.
	IngressClass, Gateway string
	// Secure reports that the Gateway serves the first host by HTTPS.
	Secure bool
}

// Hosts are the names of hosts.
type Hosts []string

// Check checks the names, and that none is there twice.
func (h Hosts) Check() error {
	for i, host := range h {
		problems := validation.IsDNS1123Subdomain(host)
		if strings.HasPrefix(host, "*.") {
			problems = validation.IsWildcardDNS1123Subdomain(host)
		}
		if len(problems) > 0 || len(validation.IsValidIP(nil, host)) == 0 {
			return fmt.Errorf("%q is not the name of a host, such as shop.example.com: lower case, without https:// and without a path", host)
		}
		if slices.Contains(h[:i], host) {
			return fmt.Errorf("%s is given twice", host)
		}
	}
	return nil
}

// TLS is where the certificate of the hosts comes from. The zero value is no TLS.
type TLS struct {
	// Secret has the certificate; with an issuer it is where cert-manager keeps it.
	Secret string
	// ClusterIssuer is the ClusterIssuer of cert-manager that issues it.
	ClusterIssuer string
}

// Check checks the names.
func (t TLS) Check() error {
	for _, name := range []string{t.Secret, t.ClusterIssuer} {
		if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
			return fmt.Errorf("%q is not the name of an object: lower case letters, digits, - and . make a name", name)
		}
	}
	return nil
}

// String returns the TLS as ParseTLS reads it.
func (t TLS) String() string {
	switch {
	case t.ClusterIssuer == "":
		return t.Secret
	case t.Secret == "":
		return "cluster-issuer=" + t.ClusterIssuer
	}
	return "cluster-issuer=" + t.ClusterIssuer + ",secret=" + t.Secret
}

// ParseTLS reads SECRET, or cluster-issuer=ISSUER[,secret=SECRET].
func ParseTLS(text string) (TLS, error) {
	var tls TLS
	if !strings.Contains(text, "=") {
		tls.Secret = text
		if text == "" {
			return tls, errors.New("it names no Secret")
		}
		return tls, tls.Check()
	}
	for item := range strings.SplitSeq(text, ",") {
		switch key, value, _ := strings.Cut(item, "="); {
		case value == "":
			return TLS{}, fmt.Errorf("%q has no value", item)
		case key == "cluster-issuer":
			tls.ClusterIssuer = value
		case key == "secret":
			tls.Secret = value
		default:
			return TLS{}, fmt.Errorf("%q is not SECRET, or cluster-issuer=ISSUER[,secret=SECRET]", text)
		}
	}
	return tls, tls.Check()
}

// CheckIngressClass checks the name of an IngressClass.
func CheckIngressClass(name string) error {
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fmt.Errorf("%q is not the name of an IngressClass", name)
	}
	return nil
}

// CheckGateway checks NAME or NAMESPACE/NAME.
func CheckGateway(text string) error {
	namespace, name, two := strings.Cut(text, "/")
	if !two {
		namespace, name = "default", text
	}
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fmt.Errorf("%q is not NAME or NAMESPACE/NAME of a Gateway", text)
	}
	return nil
}

// CheckReach checks that what reaches an app fits together.
func CheckReach(route Route, expose Expose, policy NetworkPolicy) error {
	switch {
	case len(route.Hosts) == 0 && route.TLS != (TLS{}):
		return errors.New("tls is the certificate of a host: set host, too")
	case len(route.Hosts) == 0 && route.IngressClass != "":
		return errors.New("ingress-class is for a host: set host, too")
	case len(route.Hosts) == 0 && route.Gateway != "":
		return errors.New("gateway is for a host: set host, too")
	case route.Gateway != "" && route.IngressClass != "":
		return errors.New("gateway and ingress-class exclude each other: a host has one of them")
	case route.Gateway != "" && route.TLS != (TLS{}):
		return errors.New("tls is for an Ingress: the listener of the Gateway has the certificate")
	case len(route.Hosts) > 0 && expose == ExposeNone:
		return errors.New("a host needs a Service: set expose to ClusterIP, or leave it out")
	case len(policy.Namespaces) > 0 && (expose == ExposeNodePort || expose == ExposeLoadBalancer):
		return fmt.Errorf("network-policy lets in some namespaces only, and expose %s is for clients outside of the cluster: set expose to ClusterIP, or network-policy to true", expose)
	}
	return nil
}
