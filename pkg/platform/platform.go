// Package platform reads the configuration and the state of the installed platform,
// and makes clients of its registry.
package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// ErrNotSetUp reports that the platform is not installed.
var ErrNotSetUp = errors.New("pyflow is not set up on this cluster")

// NamespaceNotSetUpError reports that setup has not run for a namespace.
type NamespaceNotSetUpError struct{ Namespace string }

func (e *NamespaceNotSetUpError) Error() string {
	return fmt.Sprintf("pyflow is not set up in namespace %s", e.Namespace)
}

// FormerNamespaceError reports that a namespace was deleted and made again since setup ran for it.
type FormerNamespaceError struct{ Namespace string }

func (e *FormerNamespaceError) Error() string {
	return fmt.Sprintf("namespace %s was deleted and made again since setup prepared it: credentials for the registry from before are those of its former owner", e.Namespace)
}

// Advice says who can help.
func (e *FormerNamespaceError) Advice() []string {
	return []string{"an admin runs kubectl pyflow setup --namespace " + e.Namespace + ", which makes new credentials and deletes what the former namespace has stored"}
}

// CheckOwner returns a *FormerNamespaceError if the registry has the content of a former namespace of
// that name. It returns nil if the user may not read the namespace.
func CheckOwner(ctx context.Context, client kubernetes.Interface, config *manifests.Config, name string) error {
	namespace, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if recorded := config.NamespaceUIDs[name]; err == nil && recorded != "" && recorded != string(namespace.UID) {
		return &FormerNamespaceError{Namespace: name}
	}
	return nil
}

// ContractError reports that the platform was set up by a plugin whose builds work differently.
type ContractError struct {
	// Platform and Plugin are the contracts of both.
	Platform, Plugin int
}

func (e *ContractError) Error() string {
	if e.Older() {
		return "an older version of the plugin set the cluster up, and its builds would make other images"
	}
	return "a newer version of the plugin set the cluster up, and builds of this one would make other images"
}

// Older reports that the platform is the older one.
func (e *ContractError) Older() bool { return e.Platform < e.Plugin }

// CheckContract returns a *ContractError if builds of this plugin do not work on the platform.
func CheckContract(config *manifests.Config) error {
	if config.Contract == manifests.Contract {
		return nil
	}
	return &ContractError{Platform: config.Contract, Plugin: manifests.Contract}
}

// Config returns the configuration that setup stored, or ErrNotSetUp. The settings
// that teardown leaves do not count.
func Config(ctx context.Context, client kubernetes.Interface) (*manifests.Config, error) {
	config, err := remembered(ctx, client)
	if err == nil && config.Removed {
		return nil, ErrNotSetUp
	}
	return config, err
}

func remembered(ctx context.Context, client kubernetes.Interface) (*manifests.Config, error) {
	object, err := client.CoreV1().ConfigMaps(manifests.SystemNamespace).Get(ctx, manifests.ConfigName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, ErrNotSetUp
	}
	if err != nil {
		return nil, err
	}
	return manifests.ParseConfig(object.Data)
}

// CheckNamespace returns why a namespace cannot have runs, apps or images: ErrNotSetUp,
// a *kube.NamespaceNotFoundError or a *NamespaceNotSetUpError. An empty name stands for
// all namespaces. CheckNamespace returns nil if the user may not read what it checks.
func CheckNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	config, err := Config(ctx, client)
	switch {
	case errors.Is(err, ErrNotSetUp):
		return err
	case name == "":
		return nil
	}
	if missing := kube.CheckNamespace(ctx, client, name); missing != nil || err != nil {
		return missing
	}
	if !slices.Contains(config.Namespaces, name) {
		return &NamespaceNotSetUpError{Namespace: name}
	}
	return nil
}

// Credentials returns the registry credentials and the registry's CA certificate that
// setup stored in namespace. The error is a *NamespaceNotSetUpError if setup has not run
// there, or a *kube.NamespaceNotFoundError.
func Credentials(ctx context.Context, client kubernetes.Interface, namespace, host string) (credentials.User, []byte, error) {
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, manifests.RegistrySecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return credentials.User{}, nil, cmp.Or[error](kube.CheckNamespace(ctx, client, namespace), &NamespaceNotSetUpError{Namespace: namespace})
	}
	if err != nil {
		return credentials.User{}, nil, err
	}
	user, err := manifests.ParseDockerConfig(secret.Data, host)
	if err != nil {
		return credentials.User{}, nil, fmt.Errorf("secret %s in namespace %s: %w", manifests.RegistrySecret, namespace, err)
	}
	return user, secret.Data[manifests.CAKey], nil
}

// Builder returns what signs the certificates of the builds of a namespace at the registry in
// the cluster. The errors are those of Credentials and credentials.ErrNoBuilder.
func Builder(ctx context.Context, client kubernetes.Interface, namespace string) (*credentials.Builder, error) {
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, manifests.RegistrySecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, &NamespaceNotSetUpError{Namespace: namespace}
	}
	if err != nil {
		return nil, err
	}
	return credentials.NewBuilder(builderPair(secret.Data))
}

func builderPair(data map[string][]byte) credentials.Pair {
	return credentials.Pair{Certificate: data[manifests.BuilderCertificateKey], Key: data[manifests.BuilderKeyKey]}
}

// Registry returns a client of the platform's registry through the API server, or of
// an external registry. It connects on first use. The caller closes it.
func Registry(clients *kube.Clients, config manifests.RegistryConfig, user credentials.User, ca []byte) (*registry.Client, error) {
	options := registry.Options{Host: config.Host, Username: user.Name, Password: user.Password, CA: ca}
	if !config.External {
		var err error
		options.Dial, err = podforward.Dialer(clients.Config, clients.Kube, manifests.SystemNamespace, manifests.RegistryPod, manifests.RegistryPort)
		if err != nil {
			return nil, err
		}
	}
	return registry.New(options)
}

// RegistryPermissions returns the permissions to reach the registry.
func RegistryPermissions(config manifests.RegistryConfig) []access.Permission {
	if config.External {
		return nil
	}
	return []access.Permission{
		{Verb: "get", Resource: "pods", Namespace: manifests.SystemNamespace, Name: manifests.RegistryPod},
		{Verb: "create", Resource: "pods", Subresource: "portforward", Namespace: manifests.SystemNamespace, Name: manifests.RegistryPod},
	}
}

// Cluster is the state of the cluster before setup.
type Cluster struct {
	// Version is the API server's.
	Version *version.Version
	// Config is the stored configuration: nil if setup never ran, and Removed if
	// teardown ran since.
	Config *manifests.Config
	// Credentials are the registry's existing credentials.
	Credentials credentials.Credentials
	// BuildEnv is the remembered environment of builds.
	BuildEnv manifests.BuildEnv
	// Tekton is nil if there is none.
	Tekton *Tekton
	// PodWebhooks are the mutating webhook configurations that may inject sidecars.
	PodWebhooks []string
	// Namespace is the app namespace to set up, and Namespaces are all of the cluster by name.
	Namespace  *corev1.Namespace
	Namespaces map[string]*corev1.Namespace
	// Network is what is known of its addresses.
	Network Network
	// StorageClasses are the names of all classes; DefaultStorageClass is empty if
	// there is none.
	StorageClasses      []string
	DefaultStorageClass string
	// HostingTaken reports that the cluster advertises another registry (KEP-1755), or
	// that it has no namespace to advertise one.
	HostingTaken bool
}

// Inspect reads the cluster's state. A namespace that does not exist is a
// *kube.NamespaceNotFoundError.
func Inspect(ctx context.Context, client kubernetes.Interface, namespace string) (*Cluster, error) {
	info, err := client.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("ask the API server for its version: %w", err)
	}
	c := &Cluster{}
	if c.Version, err = version.ParseGeneric(info.GitVersion); err != nil {
		return nil, fmt.Errorf("read the API server's version %q: %w", info.GitVersion, err)
	}
	namespaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	c.Namespaces = map[string]*corev1.Namespace{}
	for i := range namespaces.Items {
		c.Namespaces[namespaces.Items[i].Name] = &namespaces.Items[i]
	}
	if c.Namespace = c.Namespaces[namespace]; c.Namespace == nil {
		return nil, &kube.NamespaceNotFoundError{Namespace: namespace}
	}
	if c.Config, err = remembered(ctx, client); err != nil && !errors.Is(err, ErrNotSetUp) {
		return nil, err
	}
	if c.Tekton, err = FindTekton(ctx, client); err != nil {
		return nil, err
	}
	if c.PodWebhooks, err = PodWebhooks(ctx, client); err != nil {
		return nil, err
	}
	if c.Network, err = ClusterNetwork(ctx, client); err != nil {
		return nil, err
	}
	classes, err := client.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list storage classes: %w", err)
	}
	for _, class := range classes.Items {
		c.StorageClasses = append(c.StorageClasses, class.Name)
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			c.DefaultStorageClass = class.Name
		}
	}
	if c.HostingTaken, err = hostingTaken(ctx, client); err != nil {
		return nil, err
	}
	return c, c.readCredentials(ctx, client, namespace)
}

func hostingTaken(ctx context.Context, client kubernetes.Interface) (bool, error) {
	hosting, err := client.CoreV1().ConfigMaps(manifests.HostingNamespace).Get(ctx, manifests.HostingName, metav1.GetOptions{})
	if err == nil {
		return hosting.Labels[manifests.LabelManagedBy] != manifests.FieldManager, nil
	}
	if !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("get configmap %s in namespace %s: %w", manifests.HostingName, manifests.HostingNamespace, err)
	}
	_, err = client.CoreV1().Namespaces().Get(ctx, manifests.HostingNamespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// readers is how many Secrets are read at once.
const readers = 8

// readCredentials reads the credentials that earlier runs of setup stored, and drops
// namespaces from Config that are gone.
func (c *Cluster) readCredentials(ctx context.Context, client kubernetes.Interface, namespace string) error {
	secret := func(namespace, name string) (map[string][]byte, error) {
		object, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("get secret %s in namespace %s: %w", name, namespace, err)
		}
		return object.Data, nil
	}
	ca, err := secret(manifests.SystemNamespace, manifests.CAName)
	if err != nil {
		return err
	}
	front, err := secret(manifests.SystemNamespace, manifests.TLSName)
	if err != nil {
		return err
	}
	storage, err := secret(manifests.SystemNamespace, manifests.StorageTLSName)
	if err != nil {
		return err
	}
	auth, err := secret(manifests.SystemNamespace, manifests.AuthName)
	if err != nil {
		return err
	}
	build, err := secret(manifests.SystemNamespace, manifests.BuildSecret)
	if err != nil {
		return err
	}
	c.BuildEnv = manifests.ParseBuildEnv(build)
	c.Credentials = credentials.Credentials{
		CACertificate: ca[corev1.TLSCertKey], CAKey: ca[corev1.TLSPrivateKeyKey],
		Front:              credentials.Pair{Certificate: front[corev1.TLSCertKey], Key: front[corev1.TLSPrivateKeyKey]},
		Client:             credentials.Pair{Certificate: front["client.crt"], Key: front["client.key"]},
		Storage:            credentials.Pair{Certificate: storage[corev1.TLSCertKey], Key: storage[corev1.TLSPrivateKeyKey]},
		BuildCACertificate: ca[manifests.BuildRootCertificateKey], BuildCAKey: ca[manifests.BuildRootKeyKey],
		Accounts: auth[manifests.AccountsKey], HTTPSecret: auth["http-secret"],
		Users: map[string]credentials.User{}, Builders: map[string]credentials.Pair{},
	}
	namespaces := []string{manifests.SystemNamespace, namespace}
	if c.Config != nil {
		c.Config.Namespaces = slices.DeleteFunc(c.Config.Namespaces, func(name string) bool {
			return c.Namespaces[name] == nil || c.Namespaces[name].DeletionTimestamp != nil
		})
		namespaces = append(namespaces, c.Config.Namespaces...)
	}
	logins := make([]map[string][]byte, len(namespaces))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, namespace := range namespaces {
		group.Go(func() (err error) {
			logins[i], err = secret(namespace, manifests.RegistrySecret)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, namespace := range namespaces {
		// Setup replaces a Secret that does not parse.
		if user, err := manifests.ParseDockerConfig(logins[i], manifests.RegistryHost); err == nil {
			c.Credentials.Users[namespace] = user
			c.Credentials.Builders[namespace] = builderPair(logins[i])
		}
	}
	return nil
}

// ServiceNetworks returns the networks of the cluster's Services in CIDR notation;
// none if the server does not report them.
func ServiceNetworks(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	list, err := client.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the networks of services: %w", err)
	}
	var networks []string
	for i := range list.Items {
		networks = append(networks, list.Items[i].Spec.CIDRs...)
	}
	slices.Sort(networks)
	return networks, nil
}
