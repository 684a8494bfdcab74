package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	knative "knative.dev/pkg/version"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

const defaultStorageSize = "20Gi"

// plan is what a run is going to apply: everything has been checked that can be
// without changing anything.
type plan struct {
	config manifests.Config
	// remembered is what the last run left; nil when there was none.
	remembered *manifests.Config
	secrets    credentials.Credentials
	build      manifests.BuildEnv
	tekton     []byte
	hosting    bool
	platform   *manifests.Platform
	set        apply.Set
	// modes are the ways in which nodes may reach the registry, the one of config
	// first.
	modes []manifests.NodeAccess
	// accounts is the registry's user file while old logins are still good;
	// nil when there are none.
	accounts []byte
	// former is the namespace's login that is replaced; the zero value when that
	// is not known.
	former credentials.User
	// leaving is a warning about what is left behind in a registry that is replaced
	// by another one; empty when there is nothing.
	leaving string
}

// render makes the objects of what is planned so far.
func (p *plan) render() error {
	rendered, err := manifests.Render(manifests.Options{
		Config: p.config, Credentials: p.secrets, BuildEnv: p.build, TektonManifest: p.tekton, Hosting: p.hosting,
	})
	if err != nil {
		return err
	}
	p.platform = rendered
	p.set = apply.Set{Parent: rendered.Parent(), Tooling: manifests.FieldManager + "/" + version.Version()}
	p.set.Mark(rendered.Objects())
	return nil
}

// plan inspects the cluster and decides.
func (o *Options) plan(ctx context.Context) (*plan, error) {
	namespace := o.Clients.Namespace
	switch namespace {
	case manifests.SystemNamespace:
		return nil, fmt.Errorf("namespace %s is the platform's own: choose the one your apps live in with --namespace", namespace)
	case manifests.MirrorRepository:
		return nil, fmt.Errorf("namespace %s can not have apps: its repositories would be those that every namespace reads", namespace)
	}
	cluster, err := platform.Inspect(ctx, o.Clients.Kube, namespace)
	if err != nil {
		return nil, err
	}
	if err := checkServer(cluster.Version); err != nil {
		return nil, err
	}
	if err := checkNamespace(cluster); err != nil {
		return nil, err
	}
	tekton, manifest, err := o.tekton(cluster)
	if err != nil {
		return nil, err
	}
	config, err := o.configure(cluster)
	if err != nil {
		return nil, err
	}
	config.Tekton = tekton
	build, err := o.buildEnv(ctx, cluster)
	if err != nil {
		return nil, err
	}
	build.Describe(&config)
	p := &plan{config: config, remembered: cluster.Config, build: build, tekton: manifest, hosting: !cluster.HostingTaken}
	if err := o.credentials(ctx, cluster, p); err != nil {
		return nil, err
	}
	if p.leaving, err = o.leaving(ctx, cluster, config); err != nil {
		return nil, err
	}
	p.setModes(o.NodeAccess)
	if err := p.render(); err != nil {
		return nil, err
	}
	if err := access.Check(ctx, o.Clients.Kube, rights(p.platform.Objects())); err != nil {
		return nil, err
	}
	return p, nil
}

// credentials decides on certificates and logins.
func (o *Options) credentials(ctx context.Context, cluster *platform.Cluster, p *plan) error {
	var err error
	if p.config.Registry.External {
		p.secrets, err = o.external(ctx, cluster, p.config)
		return err
	}
	p.secrets, err = credentials.Ensure(cluster.Credentials, credentials.Request{
		FrontHost: manifests.RegistryHost, StorageHost: manifests.StorageHost,
		Namespaces: append([]string{manifests.SystemNamespace}, p.config.Namespaces...),
		Rotate:     o.Rotate, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	// Not only when this run replaces logins: an earlier one that did may have been
	// interrupted while they were in use.
	if both, replaced := credentials.WithFormer(cluster.Credentials.Accounts, p.secrets.Accounts); replaced {
		p.accounts = both
	}
	if o.Rotate {
		p.former = cluster.Credentials.Users[o.Clients.Namespace]
	}
	return nil
}

// checkServer refuses an API server that Tekton's controllers would refuse.
func checkServer(server *utilversion.Version) error {
	if server.LessThan(utilversion.MustParseGeneric(knative.DefaultKubernetesMinVersion)) {
		return fmt.Errorf("the API server is v%s; Tekton Pipelines needs %s or newer", server, knative.DefaultKubernetesMinVersion)
	}
	return nil
}

// checkNamespace refuses a namespace where no build could run.
func checkNamespace(cluster *platform.Cluster) error {
	namespace := cluster.Namespace
	if namespace.DeletionTimestamp != nil {
		return fmt.Errorf("namespace %s is being deleted", namespace.Name)
	}
	if namespace.Labels["pod-security.kubernetes.io/enforce"] == "restricted" {
		return fmt.Errorf("namespace %s enforces the restricted Pod Security Standard, under which Kaniko can not run as root; set up a namespace with the baseline one", namespace.Name)
	}
	return nil
}

// tekton decides between installing and adopting, and returns the manifest to
// install, which is empty when adopting.
func (o *Options) tekton(cluster *platform.Cluster) (manifests.TektonConfig, []byte, error) {
	none, found := manifests.TektonConfig{}, cluster.Tekton
	if found != nil && !found.Managed {
		if cluster.Config != nil && !cluster.Config.Removed && !cluster.Config.Tekton.Adopted {
			// Going on would prune what is still marked as ours of it.
			return none, nil, fmt.Errorf("tekton pipelines in namespace %s was installed by setup and its controller has lost the label %s=%s: another tool has taken it over; put the label back to leave it to setup",
				found.Namespace, manifests.LabelManagedBy, manifests.FieldManager)
		}
		if err := platform.CheckTekton(found, ""); err != nil {
			return none, nil, err
		}
		if o.TektonManifest != nil {
			return none, nil, fmt.Errorf("tekton pipelines %s is in namespace %s already and not installed by setup: leave out --tekton-manifest to adopt it", found.Version, found.Namespace)
		}
		return manifests.TektonConfig{Version: found.Version, Namespace: found.Namespace, Adopted: true}, nil, nil
	}
	manifest := o.TektonManifest
	if manifest == nil {
		manifest = manifests.Tekton()
	}
	brought, err := manifests.TektonVersion(manifest)
	if err != nil {
		return none, nil, err
	}
	config := manifests.TektonConfig{Version: brought, Namespace: manifests.TektonNamespace, Sidecars: len(cluster.PodWebhooks) > 0}
	return config, manifest, platform.CheckTekton(found, brought)
}

// configure merges the flags into what an earlier run remembered, and refuses
// what would lose stored images.
func (o *Options) configure(cluster *platform.Cluster) (manifests.Config, error) {
	config := manifests.Config{}
	registry := &config.Registry
	if cluster.Config != nil {
		config = *cluster.Config
	}
	before := *registry
	config.Version, config.Removed = version.Version(), false
	if o.Registry != nil {
		registry.External, registry.Host, registry.Prefix = o.Registry.Host != "", o.Registry.Host, o.Registry.Prefix
	}
	if !registry.External {
		registry.Host = manifests.RegistryHost
		if registry.StorageSize == "" {
			registry.StorageSize = defaultStorageSize
		}
		if o.RegistrySecret != "" || o.RegistryCA != nil {
			return manifests.Config{}, option.Usagef("--registry-secret and --registry-ca go with --registry")
		}
	} else if o.Rotate || o.Ephemeral != nil || o.StorageSize != nil || o.StorageClass != nil {
		return manifests.Config{}, fmt.Errorf("the registry is %s: --rotate-credentials, --registry-ephemeral, --registry-storage-size and --registry-storage-class are for one in the cluster, to which --registry '' goes back", registry.Host)
	}
	if isAnother(before, *registry) {
		// What was proven of the other is not of this one.
		config.NodeAccess = manifests.NodeAccessConfig{}
	}
	if o.Mirrors != nil {
		config.ImageMirrors = o.Mirrors
	}
	if o.BuildArgs != nil {
		config.BuildArgs = o.BuildArgs
	}
	if o.Ephemeral != nil {
		registry.Ephemeral = *o.Ephemeral
	}
	if o.StorageSize != nil {
		registry.StorageSize = *o.StorageSize
	}
	if o.StorageClass != nil {
		registry.StorageClass = *o.StorageClass
	}
	if !slices.Contains(config.Namespaces, cluster.Namespace.Name) {
		config.Namespaces = append(slices.Clone(config.Namespaces), cluster.Namespace.Name)
		slices.Sort(config.Namespaces)
	}
	if registry.External {
		return config, nil
	}
	// The volume of one that was in the cluster before an external one is still there.
	if cluster.Config != nil && before.StorageSize != "" {
		if err := checkStorageChange(before, *registry); err != nil {
			return manifests.Config{}, err
		}
	}
	return config, checkStorage(before, *registry, cluster)
}

// checkStorage refuses a volume that nobody would provide.
func checkStorage(before, registry manifests.RegistryConfig, cluster *platform.Cluster) error {
	// One that there was already is there still, whatever became of its class.
	isNew := before.StorageSize == "" || before.Ephemeral
	switch {
	case registry.Ephemeral:
		return nil
	case registry.StorageClass == "" && cluster.DefaultStorageClass == "" && isNew:
		return fmt.Errorf("the cluster has no default storage class for the registry's volume: name one of %q with --registry-storage-class, or keep images in the pod with --registry-ephemeral", cluster.StorageClasses)
	case registry.StorageClass != "" && !slices.Contains(cluster.StorageClasses, registry.StorageClass):
		return fmt.Errorf("storage class %q does not exist: the cluster has %q", registry.StorageClass, cluster.StorageClasses)
	}
	return nil
}

// checkStorageChange refuses what Kubernetes can not do to a volume, and what
// would lose the images on it.
func checkStorageChange(before, after manifests.RegistryConfig) error {
	switch {
	case after.Ephemeral && !before.Ephemeral:
		return errors.New("--registry-ephemeral would delete the registry's volume and the images on it")
	case before.Ephemeral || after.Ephemeral:
		return nil
	case before.StorageClass != after.StorageClass:
		return fmt.Errorf("the registry's volume has storage class %q, which can not be changed to %q", before.StorageClass, after.StorageClass)
	}
	was, err := resource.ParseQuantity(before.StorageSize)
	if err != nil {
		return fmt.Errorf("read the size of the registry's volume: %w", err)
	}
	if will := resource.MustParse(after.StorageSize); will.Cmp(was) < 0 {
		return fmt.Errorf("the registry's volume has %s and can not shrink to %s", before.StorageSize, after.StorageSize)
	}
	return nil
}

// rights are what applying the objects takes.
func rights(objects []*unstructured.Unstructured) []access.Permission {
	var rights []access.Permission
	seen := map[access.Permission]bool{}
	for _, object := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		for _, verb := range []string{"get", "create", "patch"} {
			right := access.Permission{Verb: verb, Group: resource.Group, Resource: resource.Resource, Namespace: object.GetNamespace()}
			if !seen[right] {
				seen[right] = true
				rights = append(rights, right)
			}
		}
	}
	return append(rights,
		access.Permission{Verb: "create", Resource: "pods", Subresource: "portforward", Namespace: manifests.SystemNamespace},
		// The proof that nodes can pull.
		access.Permission{Verb: "list", Resource: "nodes"},
		access.Permission{Verb: "create", Resource: "pods", Namespace: manifests.SystemNamespace},
		access.Permission{Verb: "delete", Resource: "pods", Namespace: manifests.SystemNamespace},
		access.Permission{Verb: "deletecollection", Resource: "pods", Namespace: manifests.SystemNamespace},
	)
}
