// Package install installs the platform in ordered steps over a plan that does not
// change while they run.
package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/lock"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/nodeaccess"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// maxNames bounds the names in a warning.
const maxNames = 10

// Plan is what an installation applies. NewPlan computes it once, and it does not
// change: the steps render it for the node access mode that they try.
type Plan struct {
	// Warnings are lines for the user about what the plan takes away, and about what it keeps that is
	// not safe.
	Warnings []string

	namespace string
	// config has no node access yet.
	config manifests.Config
	// previous is the configuration of the previous run; nil on the first one.
	previous *manifests.Config
	secrets  secrets
	build    manifests.BuildEnv
	tekton   []byte
	hosting  bool
	access   nodeaccess.Candidates
	// proven reports that an earlier run proved the first mode, and that the user
	// did not ask for a new proof.
	proven bool
	// former are the namespaces whose names another namespace had before.
	former []string
	// unleveled are the namespaces that get a Pod Security level, and violations why others do not.
	unleveled  []string
	violations []*PodSecurityError
	// initial is the rendering for the first mode.
	initial *rendering
}

// rendering is the platform's objects for one node access mode.
type rendering struct {
	config   manifests.Config
	platform *manifests.Platform
	set      apply.Set
}

// NewPlan inspects the cluster and decides what to install. It checks everything
// that can be checked without a change, including the user's permissions.
func NewPlan(ctx context.Context, clients *kube.Clients, request Request) (*Plan, error) {
	if err := checkNamespaceName(request.Namespace); err != nil {
		return nil, err
	}
	cluster, err := platform.Inspect(ctx, clients.Kube, request.Namespace)
	if err != nil {
		return nil, err
	}
	if err := checkServer(cluster.Version); err != nil {
		return nil, err
	}
	if err := checkNamespace(cluster); err != nil {
		return nil, err
	}
	p := &Plan{namespace: request.Namespace, previous: cluster.Config, hosting: !cluster.HostingTaken}
	if p.config, err = configure(request, cluster); err != nil {
		return nil, err
	}
	p.former, p.config.NamespaceUIDs = replaced(p.config, cluster.Config, namespaceUIDs(cluster.Namespaces))
	cluster.Credentials = credentials.Forget(cluster.Credentials, p.former)
	if p.config.Tekton, p.tekton, err = decideTekton(cluster, request.TektonManifest, request.Resolvers); err != nil {
		return nil, err
	}
	if p.config.BuildUsers, err = planBuildUsers(ctx, clients.Kube, p.config.Tekton.Version, request.HostUsers, p.config.BuildUsers); err != nil {
		return nil, err
	}
	p.build = buildEnv(request, cluster)
	p.build.Describe(&p.config)
	if p.config.Registry.External {
		p.secrets, err = externalCredentials(ctx, clients, request, cluster, p.config)
	} else {
		p.secrets, err = ownCredentials(request, cluster, p.config)
	}
	if err != nil {
		return nil, err
	}
	warning, err := registryWarning(ctx, clients, cluster, p.config.Registry)
	if err != nil {
		return nil, err
	}
	for _, line := range []string{warning, resolverWarning(cluster.Config, p.config), argumentWarning(p.config), networkWarning(cluster.Network, p.config.BuildNetwork)} {
		if line != "" {
			p.Warnings = append(p.Warnings, line)
		}
	}
	remembered := p.config.NodeAccess
	p.access = nodeaccess.NewCandidates(request.NodeAccess, remembered, p.config.Registry.External, len(p.secrets.CACertificate) == 0)
	p.access.Fallback = fallback(cluster.Config, p.config.Registry)
	first := p.access.Modes[0]
	known := remembered.Proven && remembered.Mode == first
	p.proven = known && request.NodeAccess == ""
	if p.initial, err = p.render(manifests.NodeAccessConfig{Mode: first, Auto: p.access.Auto, Proven: known}); err != nil {
		return nil, err
	}
	if err := access.Check(ctx, clients.Kube, permissions(p.Objects())); err != nil {
		return nil, err
	}
	return p, p.planPodSecurity(ctx, clients.Config, cluster.Namespaces)
}

// Objects returns the objects that the plan applies, for the first node access mode,
// in order.
func (p *Plan) Objects() []*unstructured.Unstructured { return p.initial.platform.Objects() }

// CreateNamespace creates the platform's namespace, the only thing that the lock of an installation
// needs.
func (p *Plan) CreateNamespace(ctx context.Context, clients *kube.Clients) error {
	objects := slices.DeleteFunc(slices.Clone(p.initial.platform.System), func(object *unstructured.Unstructured) bool {
		return object.GetKind() != "Namespace" || object.GetName() != manifests.SystemNamespace
	})
	applier := &apply.Applier{Dynamic: clients.Dynamic, Mapper: clients.Mapper, FieldManager: manifests.FieldManager}
	_, err := applier.Apply(ctx, objects)
	return err
}

// render returns the objects for a node access mode. It is pure.
func (p *Plan) render(access manifests.NodeAccessConfig) (*rendering, error) {
	config := p.config
	config.NodeAccess = access
	config.Registry.NodeHost = nodeaccess.Host(access.Mode, config.Registry.Host)
	rendered, err := manifests.Render(manifests.Options{
		Config: config, Credentials: p.secrets.Credentials, BuildEnv: p.build, TektonManifest: p.tekton, Hosting: p.hosting,
	})
	if err != nil {
		return nil, err
	}
	set := apply.Set{Parent: rendered.Parent(), Tooling: manifests.FieldManager + "/" + version.Version()}
	set.Mark(rendered.Objects())
	return &rendering{config: config, platform: rendered, set: set}, nil
}

// fallback returns the proven node access of the previous run to the same registry,
// or the zero value.
func fallback(previous *manifests.Config, registry manifests.RegistryConfig) manifests.NodeAccessConfig {
	if previous == nil || previous.Removed || !previous.NodeAccess.Proven || isAnother(previous.Registry, registry) {
		return manifests.NodeAccessConfig{}
	}
	return previous.NodeAccess
}

// buildEnv merges the request into the environment that builds have had so far.
func buildEnv(request Request, cluster *platform.Cluster) manifests.BuildEnv {
	build := cluster.BuildEnv
	if request.BuildCA != nil {
		build.CA = request.BuildCA
	}
	if request.BuildVariables != nil {
		build.Variables = request.BuildVariables
	}
	if build.Proxied() {
		build.Direct = cluster.Network.Services
	}
	return build
}

// closedResolvers is the first contract whose setup turns off what Resolvers does not name.
const closedResolvers = 4

// resolverWarning returns a line about the resolvers of Tekton that an earlier version of setup
// left open to every run; empty if there is nothing to say.
func resolverWarning(previous *manifests.Config, config manifests.Config) string {
	if previous == nil || previous.Removed || previous.Contract >= closedResolvers || config.Tekton.Adopted || config.Tekton.Resolvers != nil {
		return ""
	}
	return fmt.Sprintf("  warning: Tekton's resolvers are off now, but for the Tasks in %s: runs of yours that fetch Tasks or Pipelines by one of %q need --tekton-resolvers", manifests.SystemNamespace, manifests.Resolvers())
}

// argumentWarning is manifests.Config.ArgumentWarning as a line.
func argumentWarning(config manifests.Config) string {
	if warning := config.ArgumentWarning(); warning != "" {
		return "  warning: " + warning
	}
	return ""
}

// networkWarning returns a line if builds may reach the pods of the cluster because nothing tells
// their addresses; else nothing.
func networkWarning(cluster platform.Network, network manifests.BuildNetwork) string {
	if cluster.Pods || len(network.Cluster) > 0 || slices.Contains(network.Allowed, manifests.EgressAll) {
		return ""
	}
	return "  warning: the API server does not know the addresses of pods, so builds can reach them: name their range with --cluster-cidr, or allow it with --build-egress " + manifests.EgressAll
}

// registryWarning names the workloads whose images stay in the previous registry.
// It is empty if there are none.
func registryWarning(ctx context.Context, clients *kube.Clients, cluster *platform.Cluster, registry manifests.RegistryConfig) (string, error) {
	if cluster.Config == nil || !isAnother(cluster.Config.Registry, registry) {
		return "", nil
	}
	before := cluster.Config.Registry
	repositories := make([]string, len(cluster.Config.Namespaces))
	for i, namespace := range cluster.Config.Namespaces {
		repositories[i] = before.NodeRepository(namespace, "")
	}
	workloads, err := platform.ImageUsers(ctx, clients.Kube, repositories...)
	if err != nil || len(workloads) == 0 {
		return "", err
	}
	return fmt.Sprintf("  warning: the images of these workloads stay in %s; they keep running, but nodes cannot pull them again until you build again: %s",
		strings.TrimSuffix(before.Host+"/"+before.Prefix, "/"), display.JoinMax(workloads, maxNames)), nil
}

// permissions returns the permissions to apply the objects.
func permissions(objects []*unstructured.Unstructured) []access.Permission {
	var needed []access.Permission
	for _, object := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		for _, verb := range []string{"get", "create", "patch"} {
			permission := access.Permission{Verb: verb, Group: resource.Group, Resource: resource.Resource, Namespace: object.GetNamespace()}
			if !slices.Contains(needed, permission) {
				needed = append(needed, permission)
			}
		}
	}
	needed = append(needed, lock.Permissions()...)
	return append(needed,
		access.Permission{Verb: "create", Resource: "pods", Subresource: "portforward", Namespace: manifests.SystemNamespace},
		// The proof that nodes can pull.
		access.Permission{Verb: "list", Resource: "nodes"},
		// The Pod Security level of namespaces.
		access.Permission{Verb: "list", Resource: "namespaces"},
		access.Permission{Verb: "patch", Resource: "namespaces"},
		access.Permission{Verb: "create", Resource: "pods", Namespace: manifests.SystemNamespace},
		access.Permission{Verb: "delete", Resource: "pods", Namespace: manifests.SystemNamespace},
		access.Permission{Verb: "deletecollection", Resource: "pods", Namespace: manifests.SystemNamespace},
	)
}
