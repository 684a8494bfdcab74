package manifests

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// Contract numbers what a plugin relies on in the Tasks and Pipelines that setup installs: their
// parameters, their results, and how the build engine is switched. Raise it with every change
// without which a build would fail or make another image. Plugins and platforms work together
// if it is the same.
const Contract = 4

// CacheSuffix is what the repository of an app's cached layers has after the image's own. A
// layer that was built under another contract may have other files, so each has a cache of
// its own.
func CacheSuffix() string { return cacheSuffixOf(Contract) }

// CacheSuffixes returns the suffixes of this contract and of those before it, whose layers are
// stored until they are deleted.
func CacheSuffixes() []string {
	suffixes := []string{"/cache"} // before layers were kept apart
	for contract := 1; contract <= Contract; contract++ {
		suffixes = append(suffixes, cacheSuffixOf(contract))
	}
	return suffixes
}

func cacheSuffixOf(contract int) string { return fmt.Sprintf("/cache-%d", contract) }

// Config is what setup remembers in the cluster and every later command reads.
type Config struct {
	// Version is the plugin version that ran setup last.
	Version string `json:"version"`
	// Contract is the Contract of that plugin; 0 if it had none yet.
	Contract int `json:"contract,omitempty"`
	// Removed reports that teardown uninstalled the platform and kept the stored
	// images: nothing is set up, and the rest of Config is what the next setup needs
	// to use them again.
	Removed bool `json:"removed,omitempty"`
	// Tekton is the installed or adopted Tekton Pipelines.
	Tekton TektonConfig `json:"tekton"`
	// Registry is the registry that builds push to.
	Registry RegistryConfig `json:"registry"`
	// NodeAccess is how the nodes reach it.
	NodeAccess NodeAccessConfig `json:"nodeAccess"`
	// Namespaces are the namespaces that setup prepared, sorted.
	Namespaces []string `json:"namespaces,omitempty"`
	// BuildNetwork is what builds may reach.
	BuildNetwork BuildNetwork `json:"buildNetwork,omitzero"`
	// BuildLimits is what builds may use of their nodes.
	BuildLimits BuildLimits `json:"buildLimits,omitzero"`
	// BuildUsers is in which user namespace builds run.
	BuildUsers BuildUsers `json:"buildUsers,omitzero"`
	// NamespaceUIDs are the UIDs of the namespaces whose content the registry has, also of those
	// that are gone. A namespace of the same name with another UID has another owner.
	NamespaceUIDs map[string]string `json:"namespaceUIDs,omitempty"`
	// PodSecurity is PodSecurityKeep, or empty: setup makes namespaces without a Pod Security
	// level enforce baseline.
	PodSecurity string `json:"podSecurity,omitempty"`
	// ImageMirrors redirect base images, and the platform's own.
	ImageMirrors []Mirror `json:"imageMirrors,omitempty"`
	// BuildArgs are passed to every build, KEY=VALUE, before the build's own.
	BuildArgs []string `json:"buildArgs,omitempty"`
	// BuildEnv are the names of the variables that every RUN gets, sorted; their
	// values are in BuildSecret.
	BuildEnv []string `json:"buildEnv,omitempty"`
	// BuildCA describes the CA certificates that builds trust in addition to the public
	// ones: the subject of each, and until when it is valid.
	BuildCA []string `json:"buildCA,omitempty"`
}

// HostUsers is whether the pods of builds share the user namespace of their node.
type HostUsers string

// The values. HostUsersAuto gives pods a user namespace of their own if all nodes can.
const (
	HostUsersAuto  HostUsers = "auto"
	HostUsersTrue  HostUsers = "true"
	HostUsersFalse HostUsers = "false"
)

// HostUsersValues returns all of them.
func HostUsersValues() []HostUsers {
	return []HostUsers{HostUsersAuto, HostUsersTrue, HostUsersFalse}
}

// BuildUsers is in which user namespace the pods of builds run.
type BuildUsers struct {
	// Wanted is what setup was asked for; empty is HostUsersAuto.
	Wanted HostUsers `json:"wanted,omitempty"`
	// Separate reports that each pod has a user namespace of its own, as the nodes have proved.
	Separate bool `json:"separate,omitempty"`
	// Reason says in a phrase why the pods have none with HostUsersAuto.
	Reason string `json:"reason,omitempty"`
}

// String says how builds run, for people; nothing if that is not known.
func (u BuildUsers) String() string {
	switch {
	case u == BuildUsers{}:
		return ""
	case u.Separate:
		return "builds have user namespaces of their own"
	case u.Reason != "":
		return "builds share the users of their nodes: " + u.Reason
	}
	return "builds share the users of their nodes"
}

// TektonConfig identifies the Tekton Pipelines that runs the builds.
type TektonConfig struct {
	Version string `json:"version"`
	// Namespace is where its controller runs.
	Namespace string `json:"namespace"`
	// Adopted reports that it was there before setup, which leaves it alone.
	Adopted bool `json:"adopted,omitempty"`
	// Sidecars reports that a webhook of the cluster may inject sidecars into pods, so
	// that Tekton has to wait for all containers of a Task's pod before its first step.
	Sidecars bool `json:"sidecars,omitempty"`
	// Resolvers are those of Resolvers that any run of the cluster may use, sorted.
	Resolvers []Resolver `json:"resolvers,omitempty"`
}

// Resolver is a way of Tekton to fetch a Task or a Pipeline that a run refers to. Tekton
// fetches with its own permissions and from its own place in the network, for every run of the
// cluster.
type Resolver string

// The resolvers, as Tekton names them. Runs of this program use ResolverCluster, and only for
// SystemNamespace, which is always possible.
const (
	ResolverBundles Resolver = "bundles"
	// ResolverCluster reads any namespace.
	ResolverCluster Resolver = "cluster"
	ResolverGit     Resolver = "git"
	ResolverHTTP    Resolver = "http"
	ResolverHub     Resolver = "hub"
)

// Resolvers returns all of them, sorted.
func Resolvers() []Resolver {
	return []Resolver{ResolverBundles, ResolverCluster, ResolverGit, ResolverHTTP, ResolverHub}
}

// RegistryConfig describes how pods and nodes reach the registry, and its storage.
type RegistryConfig struct {
	// External reports that another party runs it: setup installs none.
	External bool `json:"external,omitempty"`
	// Host is the registry for pods.
	Host string `json:"host"`
	// NodeHost is the registry for the nodes' container runtime.
	NodeHost string `json:"nodeHost"`
	// Prefix stands before every repository of an external registry; may be
	// empty.
	Prefix string `json:"prefix,omitempty"`
	// StorageSize is the requested size of the volume, a Kubernetes quantity.
	StorageSize string `json:"storageSize,omitempty"`
	// StorageClass is the volume's class; empty is the cluster's default.
	StorageClass string `json:"storageClass,omitempty"`
	// Ephemeral reports that images are in an emptyDir and deleted with the pod.
	Ephemeral bool `json:"ephemeral,omitempty"`
	// Quota is what a namespace may store before its builds are refused, a Kubernetes quantity,
	// unless the annotation AnnotationQuota of the namespace says otherwise. Empty is no limit.
	Quota string `json:"quota,omitempty"`
}

// Path is the repository of an app's images inside of the registry.
func (c RegistryConfig) Path(namespace, app string) string {
	return strings.TrimPrefix(c.Prefix+"/"+namespace+"/"+app, "/")
}

// Repository is the repository of an app's images as pods reach it.
func (c RegistryConfig) Repository(namespace, app string) string {
	return c.Host + "/" + c.Path(namespace, app)
}

// NodeRepository is the same repository as nodes reach it.
func (c RegistryConfig) NodeRepository(namespace, app string) string {
	return c.NodeHost + "/" + c.Path(namespace, app)
}

// NodeAccess is a way in which nodes reach the registry.
type NodeAccess string

// The modes. NodeAccessAuto is a request; Config holds the mode that was chosen.
const (
	// NodeAccessAuto tries one mode after the other until every node can pull.
	NodeAccessAuto NodeAccess = "auto"
	// NodeAccessHostPort is a pod on each node with a port on its loopback.
	NodeAccessHostPort NodeAccess = "hostport"
	// NodeAccessHostNetwork is a pod in each node's own network.
	NodeAccessHostNetwork NodeAccess = "hostnetwork"
	// NodeAccessNodePort is a NodePort Service. Its port is open on every address
	// of the nodes, so setup never chooses it by itself.
	NodeAccessNodePort NodeAccess = "nodeport"
	// NodeAccessNone leaves it to the nodes: they pull from Host.
	NodeAccessNone NodeAccess = "none"
)

// NodeAccessConfig describes how nodes pull.
type NodeAccessConfig struct {
	// Mode is any but NodeAccessAuto; empty is NodeAccessHostPort.
	Mode NodeAccess `json:"mode,omitempty"`
	// Auto reports that setup chose the mode.
	Auto bool `json:"auto,omitempty"`
	// Proven reports that every node pulled an image in this mode.
	Proven bool `json:"proven,omitempty"`
}

// PodSecurityKeep leaves the Pod Security level of namespaces to others.
const PodSecurityKeep = "keep"

// ArgumentWarning returns a line about the build arguments that have a secret, which an earlier setup
// accepted, and how to move them to a Secret; empty if there are none.
func (c *Config) ArgumentWarning() string {
	names := secret.Arguments(c.BuildArgs)
	if len(names) == 0 {
		return ""
	}
	keep, move := "", ""
	for _, arg := range c.BuildArgs {
		if name, _, _ := strings.Cut(arg, "="); slices.Contains(names, name) {
			move += " --build-env " + name + "=…"
		} else {
			keep += " --build-arg " + name + "=…"
		}
	}
	if keep == "" {
		keep = " --build-arg ''"
	}
	return "build arguments of setup hold secrets, which every user of the cluster can read: " + strings.Join(names, ", ") +
		"; change them where they are valid, and move them to a Secret: kubectl pyflow setup" + keep + move
}

// CheckBuildArgs refuses build arguments that are not of the form KEY=VALUE, and those whose value
// has a secret: with a *secret.ArgumentError. No error repeats a value.
func CheckBuildArgs(args []string) error {
	for i, arg := range args {
		if key, _, ok := strings.Cut(arg, "="); !ok || key == "" {
			// The text may be a secret.
			return fmt.Errorf("build argument %d of %d is not of the form KEY=VALUE", i+1, len(args))
		}
		if err := secret.CheckArgument(arg); err != nil {
			return err
		}
	}
	return nil
}

// ParseConfig reads Config from the data of its ConfigMap.
func ParseConfig(data map[string]string) (*Config, error) {
	text, ok := data[ConfigKey]
	if !ok {
		return nil, fmt.Errorf("configmap %s/%s has no key %q", SystemNamespace, ConfigName, ConfigKey)
	}
	config := &Config{}
	if err := yaml.UnmarshalStrict([]byte(text), config); err != nil {
		return nil, fmt.Errorf("read key %q of configmap %s/%s: %w", ConfigKey, SystemNamespace, ConfigName, err)
	}
	return config, nil
}
