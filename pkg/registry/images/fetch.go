package images

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// Scope selects the repositories that Fetch reads.
type Scope struct {
	// Namespace is the one namespace to read; empty for all.
	Namespace string
	// App is the one app to read; empty for all.
	App string
	// AllKinds includes build contexts, cached layers and tested stages. Otherwise only
	// images are read.
	AllKinds bool
}

// Fetch reads the repositories in scope with their manifests. It lists what the
// registry stores if the user may read the credentials for all of it. Otherwise it
// reads one namespace, with the credentials of that namespace, for the apps that the
// cluster knows of. It never lists an external registry, which others use as well.
// Waiting is called while Fetch waits for the registry. Fetch reads through what wrap, if
// there is one, makes of its client.
//
// Without a permission the error is an *access.MissingError. If a namespace has nothing,
// it is that of platform.CheckNamespace.
func Fetch(ctx context.Context, clients *kube.Clients, config *manifests.Config, scope Scope, waiting func(error), wrap ...Wrap) ([]*Repository, error) {
	f := fetcher{clients: clients, config: config, scope: scope, waiting: waiting, wrap: wrap}
	switch {
	case config.Registry.External && scope.Namespace == "":
		return f.known(ctx, config.Namespaces...)
	case config.Registry.External:
		return f.known(ctx, scope.Namespace)
	case scope.Namespace == "":
		if err := access.Check(ctx, clients.Kube, []access.Permission{adminPermission()}); err != nil {
			return nil, err
		}
	}
	client, err := Open(ctx, clients, config, manifests.SystemNamespace)
	var missing *platform.NamespaceNotSetUpError
	if scope.Namespace != "" && (apierrors.IsForbidden(err) || errors.As(err, &missing)) {
		return f.known(ctx, scope.Namespace)
	}
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return f.stored(ctx, client)
}

// Wrap returns the reader of a registry's content to use in place of its client.
type Wrap func(*registry.Client) Reader

// Open returns a client of the registry with the credentials that setup stored in
// namespace. Those in manifests.SystemNamespace are for the whole registry. The caller
// closes the client.
func Open(ctx context.Context, clients *kube.Clients, config *manifests.Config, namespace string) (*registry.Client, error) {
	user, ca, err := platform.Credentials(ctx, clients.Kube, namespace, config.Registry.Host)
	if err != nil {
		return nil, err
	}
	return platform.Registry(clients, config.Registry, user, ca)
}

// adminPermission returns the permission to read the credentials for the whole registry.
func adminPermission() access.Permission {
	return access.Permission{Verb: "get", Resource: "secrets", Namespace: manifests.SystemNamespace, Name: manifests.RegistrySecret}
}

// fetcher reads repositories for one call of Fetch.
type fetcher struct {
	clients *kube.Clients
	config  *manifests.Config
	scope   Scope
	waiting func(error)
	wrap    []Wrap
}

// stored reads the repositories in the registry's own catalog.
func (f fetcher) stored(ctx context.Context, client *registry.Client) ([]*Repository, error) {
	if err := client.Await(ctx, f.waiting); err != nil {
		return nil, err
	}
	paths, err := client.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	repositories, err := f.read(ctx, client, Catalog(paths))
	if err == nil && len(repositories) == 0 {
		err = platform.CheckNamespace(ctx, f.clients.Kube, f.scope.Namespace)
	}
	return repositories, err
}

// known reads the repositories of the apps that the cluster knows of, one namespace
// after the other.
func (f fetcher) known(ctx context.Context, namespaces ...string) ([]*Repository, error) {
	var all []*Repository
	for _, namespace := range namespaces {
		repositories, err := f.knownIn(ctx, namespace)
		if err != nil {
			return nil, err
		}
		all = append(all, repositories...)
	}
	return all, nil
}

func (f fetcher) knownIn(ctx context.Context, namespace string) ([]*Repository, error) {
	client, err := Open(ctx, f.clients, f.config, namespace)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Await(ctx, f.waiting); err != nil {
		return nil, err
	}
	apps := []string{f.scope.App}
	if f.scope.App == "" {
		if apps, err = Apps(ctx, f.clients.Dynamic, namespace); err != nil {
			return nil, err
		}
	}
	var repositories []*Repository
	for _, app := range apps {
		repositories = append(repositories, AppRepositories(f.config.Registry, namespace, app)...)
	}
	return f.read(ctx, client, repositories)
}

// read returns the repositories in scope, with their manifests.
func (f fetcher) read(ctx context.Context, client *registry.Client, repositories []*Repository) ([]*Repository, error) {
	var reader Reader = client
	for _, wrap := range f.wrap {
		reader = wrap(client)
	}
	repositories = slices.DeleteFunc(repositories, func(r *Repository) bool { return !f.scope.contains(r) })
	return repositories, Read(ctx, reader, repositories)
}

// contains reports whether r is in scope.
func (s Scope) contains(r *Repository) bool {
	switch {
	case r.Kind == Other, !s.AllKinds && r.Kind != Images:
		return false
	case s.Namespace != "" && r.Namespace != s.Namespace:
		return false
	}
	return s.App == "" || r.App == s.App
}
