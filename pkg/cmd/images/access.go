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
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// open returns a client of the registry with the login that setup put into
// namespace; that of manifests.SystemNamespace may do everything.
func open(ctx context.Context, clients *kube.Clients, config *manifests.Config, namespace string) (*registry.Client, error) {
	user, ca, err := platform.Credentials(ctx, clients.Kube, namespace, config.Registry.Host)
	if err != nil {
		return nil, err
	}
	return platform.Registry(clients, config.Registry, user, ca)
}

// platformLogin is the right that opens all of the registry.
func platformLogin() access.Permission {
	return access.Permission{Verb: "get", Resource: "secrets", Namespace: manifests.SystemNamespace, Name: manifests.RegistrySecret}
}

// finder finds repositories, each with a client that may read it.
type finder struct {
	clients *kube.Clients
	config  *manifests.Config
	// app restricts it to one; empty is all.
	app string
	// waiting is called when the registry has to be waited for.
	waiting func(error)
	found   []found
}

type found struct {
	client       *registry.Client
	repositories []*images.Repository
}

// everywhere finds the repositories of all namespaces. An external registry is
// never asked for its catalog: others use it, too.
func (f *finder) everywhere(ctx context.Context) error {
	if !f.config.Registry.External {
		if err := access.Check(ctx, f.clients.Kube, []access.Permission{platformLogin()}); err != nil {
			return err
		}
		client, err := open(ctx, f.clients, f.config, manifests.SystemNamespace)
		if err != nil {
			return err
		}
		return f.catalog(ctx, client, "")
	}
	for _, namespace := range f.config.Namespaces {
		if err := f.known(ctx, namespace); err != nil {
			return err
		}
	}
	return nil
}

// namespace finds the repositories of one.
func (f *finder) namespace(ctx context.Context, namespace string) error {
	if f.config.Registry.External {
		return f.known(ctx, namespace)
	}
	client, err := open(ctx, f.clients, f.config, manifests.SystemNamespace)
	var missing *platform.NamespaceNotSetUpError
	if apierrors.IsForbidden(err) || errors.As(err, &missing) {
		return f.known(ctx, namespace)
	}
	if err != nil {
		return err
	}
	return f.catalog(ctx, client, namespace)
}

// catalog takes what the registry lists: of one namespace, or of all.
func (f *finder) catalog(ctx context.Context, client *registry.Client, namespace string) error {
	f.found = append(f.found, found{client: client})
	if err := client.Await(ctx, f.waiting); err != nil {
		return err
	}
	paths, err := client.Catalog(ctx)
	if err != nil {
		return err
	}
	f.found[len(f.found)-1].repositories = slices.DeleteFunc(images.Catalog(paths), func(r *images.Repository) bool {
		return r.Kind == images.Other || (namespace != "" && r.Namespace != namespace) || (f.app != "" && r.App != f.app)
	})
	return nil
}

// known takes the apps that the cluster knows of, with the namespace's own login.
func (f *finder) known(ctx context.Context, namespace string) error {
	client, err := open(ctx, f.clients, f.config, namespace)
	if err != nil {
		return err
	}
	found := found{client: client}
	if err := client.Await(ctx, f.waiting); err != nil {
		client.Close()
		return err
	}
	apps := []string{f.app}
	if f.app == "" {
		if apps, err = images.Apps(ctx, f.clients.Dynamic, namespace); err != nil {
			client.Close()
			return err
		}
	}
	for _, app := range apps {
		found.repositories = append(found.repositories, images.AppRepositories(f.config.Registry, namespace, app)...)
	}
	f.found = append(f.found, found)
	return nil
}

// read fills in the manifests; without all those of images only.
func (f *finder) read(ctx context.Context, all bool) error {
	for i, found := range f.found {
		if !all {
			f.found[i].repositories = slices.DeleteFunc(found.repositories, func(r *images.Repository) bool { return r.Kind != images.Images })
		}
		if err := images.Read(ctx, found.client, f.found[i].repositories); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) repositories() []*images.Repository {
	var all []*images.Repository
	for _, found := range f.found {
		all = append(all, found.repositories...)
	}
	return all
}

func (f *finder) close() {
	for _, found := range f.found {
		found.client.Close()
	}
}
