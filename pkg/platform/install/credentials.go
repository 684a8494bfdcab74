package install

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// secrets are the registry's credentials and those that they replace.
type secrets struct {
	credentials.Credentials
	// interimAccounts is the registry's user file while replaced credentials are
	// still valid; nil if none are.
	interimAccounts []byte
	// replaced is the namespace's user that a rotation replaces; zero if unknown.
	replaced credentials.User
}

// ownCredentials returns the credentials of the registry in the cluster: existing
// ones, and new ones for those that are missing, expire or must be replaced.
func ownCredentials(request Request, cluster *platform.Cluster, config manifests.Config) (secrets, error) {
	ensured, err := credentials.Ensure(cluster.Credentials, credentials.Request{
		FrontHost: manifests.RegistryHost, StorageHost: manifests.StorageHost,
		Namespaces: append([]string{manifests.SystemNamespace}, config.Namespaces...),
		Rotate:     request.RotateCredentials, Now: time.Now(),
	})
	if err != nil {
		return secrets{}, err
	}
	result := secrets{Credentials: ensured}
	// An earlier run may have been interrupted while replaced credentials were in use.
	if both, replaced := credentials.WithFormer(cluster.Credentials.Accounts, ensured.Accounts); replaced {
		result.interimAccounts = both
	}
	if request.RotateCredentials {
		result.replaced = cluster.Credentials.Users[request.Namespace]
	}
	return result, nil
}

// externalCredentials returns the credentials of an existing registry, the same for
// every namespace. It proves that they can push.
func externalCredentials(ctx context.Context, clients *kube.Clients, request Request, cluster *platform.Cluster, config manifests.Config) (secrets, error) {
	user, ca, err := externalUser(ctx, clients, request, cluster, config.Registry)
	if err != nil {
		return secrets{}, err
	}
	client, err := platform.Registry(clients, config.Registry, user, ca)
	if err != nil {
		return secrets{}, err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return secrets{}, err
	}
	// This is the longest kind of name that builds use: some registries limit names.
	if err := client.CheckPush(ctx, config.Registry.Path(request.Namespace, "pyflow")+"/source"); err != nil {
		return secrets{}, err
	}
	result := secrets{Credentials: credentials.Credentials{CACertificate: ca, Users: map[string]credentials.User{}}}
	for _, namespace := range append([]string{manifests.SystemNamespace}, config.Namespaces...) {
		result.Users[namespace] = user
	}
	return result, nil
}

// externalUser returns the user and the CA for an existing registry: those of the
// request, otherwise those of the previous installation.
func externalUser(ctx context.Context, clients *kube.Clients, request Request, cluster *platform.Cluster, registry manifests.RegistryConfig) (user credentials.User, ca []byte, err error) {
	none := credentials.User{}
	remembered := cluster.Config != nil && cluster.Config.Registry.External && cluster.Config.Registry.Host == registry.Host
	if remembered {
		user, ca, err = platform.Credentials(ctx, clients.Kube, manifests.SystemNamespace, registry.Host)
		if err != nil && request.RegistrySecret == "" {
			return none, nil, fmt.Errorf("the credentials for %s are gone: name a Secret with them by --registry-secret: %w", registry.Host, err)
		}
	}
	if request.RegistryCA != nil {
		ca = request.RegistryCA
	}
	switch {
	case request.RegistrySecret != "":
		user, err = userOfSecret(ctx, clients, request, registry.Host)
		return user, ca, err
	case !remembered:
		return none, nil, refuse("--registry needs credentials: name a Secret with them by --registry-secret")
	}
	return user, ca, nil
}

// userOfSecret returns the user for host from the Secret that the request names.
func userOfSecret(ctx context.Context, clients *kube.Clients, request Request, host string) (credentials.User, error) {
	secret, err := clients.Kube.CoreV1().Secrets(request.Namespace).Get(ctx, request.RegistrySecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return credentials.User{}, fmt.Errorf("--registry-secret %s: there is no such Secret in namespace %s; create one with kubectl create secret docker-registry", request.RegistrySecret, request.Namespace)
	}
	if err != nil {
		return credentials.User{}, fmt.Errorf("--registry-secret %s: %w", request.RegistrySecret, err)
	}
	if secret.Type != corev1.SecretTypeDockerConfigJson {
		return credentials.User{}, fmt.Errorf("--registry-secret %s: the Secret is of type %s, not %s; create one with kubectl create secret docker-registry", request.RegistrySecret, secret.Type, corev1.SecretTypeDockerConfigJson)
	}
	user, err := manifests.ParseDockerConfig(secret.Data, host)
	if err != nil {
		return credentials.User{}, fmt.Errorf("--registry-secret %s: %w", request.RegistrySecret, err)
	}
	return user, nil
}
