package install

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// Request is what the user asks for. A field that is nil, or an empty string, keeps
// the setting of the previous installation.
type Request struct {
	// Namespace is the app namespace to set up.
	Namespace string

	// Registry is the address of an existing registry; the zero Address is the
	// registry in the cluster.
	Registry *Address
	// RegistrySecret names a Secret in Namespace with credentials for Registry.
	RegistrySecret string
	// RegistryCA are the PEM certificates that signed Registry's certificate; empty
	// trusts the public CAs only.
	RegistryCA []byte
	// NodeAccess is how nodes reach the registry.
	NodeAccess manifests.NodeAccess
	// RotateCredentials replaces every password of the registry in the cluster.
	RotateCredentials bool
	// StorageSize, StorageClass and Ephemeral are the storage of the registry in the
	// cluster.
	StorageSize, StorageClass *string
	Ephemeral                 *bool

	// PodSecurity is manifests.PodSecurityKeep or platform.BaselineLevel.
	PodSecurity string
	// ImageMirrors redirect images.
	ImageMirrors []manifests.Mirror
	// BuildArgs are passed to every build.
	BuildArgs []string
	// BuildCA are the PEM certificates that builds trust beside the public ones.
	BuildCA []byte
	// BuildVariables are the environment of every RUN.
	BuildVariables map[string]string

	// ClusterRanges and Egress are BuildNetwork.Cluster and Allowed of the configuration; nil are
	// those of before.
	ClusterRanges, Egress []string
	// HostUsers is BuildUsers.Wanted of the configuration; empty is that of before.
	HostUsers manifests.HostUsers
	// BuildMemory and BuildStorage are BuildLimits of the configuration; nil are those of before,
	// empty ones the defaults.
	BuildMemory, BuildStorage *string
	// RegistryQuota is Registry.Quota of the configuration; nil is that of before.
	RegistryQuota *string
	// Resolvers are those of Tekton that any run of the cluster may use, if setup installs Tekton.
	Resolvers []manifests.Resolver
	// TektonManifest is installed instead of the embedded manifest.
	TektonManifest []byte
}

// RequestError reports a Request that contradicts itself or the installed registry.
type RequestError struct{ message string }

func (e *RequestError) Error() string { return e.message }

func refuse(format string, args ...any) error {
	return &RequestError{message: fmt.Sprintf(format, args...)}
}

// Address is where an existing registry stores images.
type Address struct{ Host, Prefix string }

// prefixPattern is the grammar of repository names in the OCI distribution
// specification. go-containerregistry checks only the characters.
const prefixPattern = `^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`

// ParseAddress reads HOST[:PORT][/PREFIX]. It refuses hosts that pods and nodes
// cannot reach.
func ParseAddress(text string) (Address, error) {
	rest := strings.TrimPrefix(text, "https://")
	host, prefix, _ := strings.Cut(rest, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	invalid := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("%q: %s; write HOST[:PORT][/PREFIX], for example ghcr.io/my-org", secret.Redact(text), why)
	}
	if strings.Contains(rest, "://") {
		return invalid("only registries with TLS are supported")
	}
	if !strings.ContainsAny(host, ".:") {
		return invalid("it does not start with a registry's host")
	}
	registry, err := name.NewRegistry(host, name.StrictValidation)
	if err != nil {
		return invalid("the host is not valid")
	}
	if isLoopback(host) {
		return invalid("pods and nodes would look for that host on themselves")
	}
	if prefix != "" && !regexp.MustCompile(prefixPattern).MatchString(prefix) {
		return invalid("no repository can start with " + prefix)
	}
	return Address{Host: registry.RegistryStr(), Prefix: prefix}, nil
}

func isLoopback(host string) bool {
	if hostname, _, err := net.SplitHostPort(host); err == nil {
		host = hostname
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}

// ParseRegistryCA returns the certificates of a PEM file without anything else.
func ParseRegistryCA(data []byte, now time.Time) ([]byte, error) {
	var out []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it contains a %s: name a file with certificates only", strings.ToLower(block.Type))
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a certificate in it cannot be read: %w", err)
		}
		if now.Before(certificate.NotBefore) {
			return nil, fmt.Errorf("the certificate of %s in it is not valid before %s", certificate.Subject, certificate.NotBefore.Format(time.DateOnly))
		}
		if now.After(certificate.NotAfter) {
			return nil, fmt.Errorf("the certificate of %s in it expired on %s", certificate.Subject, certificate.NotAfter.Format(time.DateOnly))
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
	}
	if len(out) == 0 {
		return nil, errors.New("it contains no PEM certificate")
	}
	return out, nil
}
