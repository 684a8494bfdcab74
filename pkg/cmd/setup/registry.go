package setup

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// Address is where an external registry is.
type Address struct{ Host, Prefix string }

// prefixPattern is what the OCI distribution specification lets repositories be
// named, of which go-containerregistry checks the characters only.
var prefixPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// parseAddress reads HOST[:PORT][/PREFIX].
func parseAddress(text string) (Address, error) {
	rest := strings.TrimPrefix(text, "https://")
	host, prefix, _ := strings.Cut(rest, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	invalid := func(why string) (Address, error) {
		return Address{}, option.Usagef("--registry %q: %s; write HOST[:PORT][/PREFIX], for example ghcr.io/my-org", text, why)
	}
	if strings.Contains(rest, "://") {
		return invalid("only registries with TLS can be used")
	}
	if !strings.ContainsAny(host, ".:") {
		return invalid("it does not start with a registry's host")
	}
	registry, err := name.NewRegistry(host, name.StrictValidation)
	if err != nil {
		return invalid("no registry can have that host")
	}
	if isLoopback(host) {
		return invalid("pods and nodes would look for that host on themselves")
	}
	if prefix != "" && !prefixPattern.MatchString(prefix) {
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

// registry checks the flags that are about the registry and the way to it.
func (f *Flags) registry(o *Options, changed func(flag string) bool) error {
	o.Rotate, o.RegistrySecret, o.NodeAccess = f.Rotate, f.RegistrySecret, manifests.NodeAccess(f.NodeAccess)
	if changed("node-access") && !slices.Contains(accessModes(), f.NodeAccess) {
		return option.OneOf("node-access", f.NodeAccess, accessModes()...)
	}
	if changed("registry") {
		o.Registry = &Address{}
		if f.Registry != "" {
			address, err := parseAddress(f.Registry)
			if err != nil {
				return err
			}
			o.Registry = &address
		}
	}
	own := o.Registry != nil && o.Registry.Host == ""
	external := o.Registry != nil && o.Registry.Host != ""
	switch {
	case own && (f.RegistrySecret != "" || f.RegistryCA != ""):
		return option.Usagef("--registry '' goes back to the registry in the cluster, which needs neither --registry-secret nor --registry-ca")
	case external && (changed("registry-storage-size") || changed("registry-storage-class") || f.Ephemeral):
		return option.Usagef("--registry uses an existing registry: leave out --registry-storage-size, --registry-storage-class and --registry-ephemeral")
	case external && f.Rotate:
		return option.Usagef("--rotate-credentials is for the registry in the cluster: change the password where it was made, and name the Secret with the new one by --registry-secret")
	}
	if !changed("registry-ca") {
		return nil
	}
	o.RegistryCA = []byte{}
	if f.RegistryCA == "" {
		return nil
	}
	data, err := os.ReadFile(f.RegistryCA)
	if err != nil {
		return option.Usagef("--registry-ca: %w", err)
	}
	if o.RegistryCA, err = parseRegistryCA(data, time.Now()); err != nil {
		return option.Usagef("--registry-ca %s: %w", f.RegistryCA, err)
	}
	return nil
}

// parseRegistryCA returns the certificates of a PEM file, and nothing else of it.
func parseRegistryCA(data []byte, now time.Time) ([]byte, error) {
	var out []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %s: name a file with certificates only", strings.ToLower(block.Type))
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a certificate in it can not be read: %w", err)
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
		return nil, errors.New("it holds no PEM certificate")
	}
	return out, nil
}

// external returns the credentials of an external registry: the same login for
// every namespace. It proves that they can push.
func (o *Options) external(ctx context.Context, cluster *platform.Cluster, config manifests.Config) (credentials.Credentials, error) {
	none := credentials.Credentials{}
	remembered := cluster.Config != nil && cluster.Config.Registry.External && cluster.Config.Registry.Host == config.Registry.Host
	var user credentials.User
	var ca []byte
	if remembered {
		known, certificate, err := platform.Login(ctx, o.Clients.Kube, manifests.SystemNamespace, config.Registry.Host)
		if err != nil && o.RegistrySecret == "" {
			return none, fmt.Errorf("the login for %s is gone: name a Secret with it by --registry-secret: %w", config.Registry.Host, err)
		}
		user, ca = known, certificate
	}
	if o.RegistryCA != nil {
		ca = o.RegistryCA
	}
	switch {
	case o.RegistrySecret != "":
		secret, err := o.Clients.Kube.CoreV1().Secrets(o.Clients.Namespace).Get(ctx, o.RegistrySecret, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return none, fmt.Errorf("--registry-secret %s: there is no such Secret in namespace %s; make one with kubectl create secret docker-registry", o.RegistrySecret, o.Clients.Namespace)
		}
		if err != nil {
			return none, fmt.Errorf("--registry-secret %s: %w", o.RegistrySecret, err)
		}
		if secret.Type != corev1.SecretTypeDockerConfigJson {
			return none, fmt.Errorf("--registry-secret %s: the Secret is of type %s, not %s; make one with kubectl create secret docker-registry", o.RegistrySecret, secret.Type, corev1.SecretTypeDockerConfigJson)
		}
		if user, err = manifests.ParseDockerConfig(secret.Data, config.Registry.Host); err != nil {
			return none, fmt.Errorf("--registry-secret %s: %w", o.RegistrySecret, err)
		}
	case !remembered:
		return none, option.Usagef("--registry needs a login: name a Secret with it by --registry-secret")
	}
	client, err := platform.Registry(o.Clients, config.Registry, user, ca)
	if err != nil {
		return none, err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return none, err
	}
	// The longest kind of name that builds use: some registries take short ones only.
	if err := client.CheckPush(ctx, config.Registry.Path(o.Clients.Namespace, "pyflow")+"/source"); err != nil {
		return none, err
	}
	result := credentials.Credentials{CACertificate: ca, Users: map[string]credentials.User{}}
	for _, namespace := range append([]string{manifests.SystemNamespace}, config.Namespaces...) {
		result.Users[namespace] = user
	}
	return result, nil
}

// isAnother says whether images that are in one registry are not in the other.
func isAnother(before, after manifests.RegistryConfig) bool {
	return before.Host != after.Host || before.Prefix != after.Prefix
}

// leaving names what runs images that the registry in use has and the next one has
// not, empty when that is nothing.
func (o *Options) leaving(ctx context.Context, cluster *platform.Cluster, config manifests.Config) (string, error) {
	if cluster.Config == nil || !isAnother(cluster.Config.Registry, config.Registry) {
		return "", nil
	}
	before := cluster.Config.Registry
	repositories := make([]string, len(cluster.Config.Namespaces))
	for i, namespace := range cluster.Config.Namespaces {
		repositories[i] = before.NodeRepository(namespace, "")
	}
	workloads, err := platform.ImageUsers(ctx, o.Clients.Kube, repositories...)
	if err != nil || len(workloads) == 0 {
		return "", err
	}
	return fmt.Sprintf("  warning: the images of these stay in %s; they go on running, but no node can pull them any more until you build again: %s",
		strings.TrimSuffix(before.Host+"/"+before.Prefix, "/"), display.JoinMax(workloads, maxNames)), nil
}

// loginSecrets completes --registry-secret.
func loginSecrets(ctx context.Context, config *genericclioptions.ConfigFlags) []string {
	clients, err := kube.New(config)
	if err != nil {
		return nil
	}
	secrets, err := clients.Kube.CoreV1().Secrets(clients.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", string(corev1.SecretTypeDockerConfigJson)).String(),
	})
	if err != nil {
		return nil
	}
	names := make([]string, len(secrets.Items))
	for i, secret := range secrets.Items {
		names[i] = secret.Name
	}
	return names
}
