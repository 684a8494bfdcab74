package manifests

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// Config is what setup remembers in the cluster and every later command reads.
type Config struct {
	// Version is the plugin version that ran setup last.
	Version string `json:"version"`
	// Removed says that teardown took the platform away and left the stored
	// images: nothing is set up, and the rest of Config is what the next setup
	// needs to take them over.
	Removed bool `json:"removed,omitempty"`
	// Tekton is the installed or adopted Tekton Pipelines.
	Tekton TektonConfig `json:"tekton"`
	// Registry is the registry that builds push to.
	Registry RegistryConfig `json:"registry"`
	// NodeAccess is how the nodes reach it.
	NodeAccess NodeAccessConfig `json:"nodeAccess"`
	// Namespaces are the namespaces that setup gave what they need, sorted.
	Namespaces []string `json:"namespaces,omitempty"`
	// ImageMirrors redirect base images, and the platform's own.
	ImageMirrors []Mirror `json:"imageMirrors,omitempty"`
	// BuildArgs are passed to every build, KEY=VALUE, before the build's own.
	BuildArgs []string `json:"buildArgs,omitempty"`
	// BuildEnv are the names of the variables that every RUN gets, sorted; their
	// values are in BuildSecret.
	BuildEnv []string `json:"buildEnv,omitempty"`
	// BuildCA says whose certificates builds trust beside the public ones, and
	// until when each is good.
	BuildCA []string `json:"buildCA,omitempty"`
}

// TektonConfig says which Tekton Pipelines serves the cluster.
type TektonConfig struct {
	Version string `json:"version"`
	// Namespace is where its controller runs.
	Namespace string `json:"namespace"`
	// Adopted reports that it was there before setup, which leaves it alone.
	Adopted bool `json:"adopted,omitempty"`
	// Sidecars reports that a webhook of the cluster may inject sidecars into pods, so
	// that Tekton has to wait for all containers of a Task's pod before its first step.
	Sidecars bool `json:"sidecars,omitempty"`
}

// RegistryConfig is how pods and nodes reach the registry, and how it stores.
type RegistryConfig struct {
	// External says that it is somebody else's: setup installs none.
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
	// Ephemeral says that images live in an emptyDir and die with the pod.
	Ephemeral bool `json:"ephemeral,omitempty"`
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

// The ways. NodeAccessAuto is what a user asks for; Config holds what came of it.
const (
	// NodeAccessAuto tries one way after the other until every node can pull.
	NodeAccessAuto NodeAccess = "auto"
	// NodeAccessHostPort is a pod on each node with a port on its loopback.
	NodeAccessHostPort NodeAccess = "hostport"
	// NodeAccessHostNetwork is a pod in each node's own network.
	NodeAccessHostNetwork NodeAccess = "hostnetwork"
	// NodeAccessNodePort is a NodePort Service. Its port is open on every address
	// of the nodes, so it is never chosen by itself.
	NodeAccessNodePort NodeAccess = "nodeport"
	// NodeAccessNone leaves it to the nodes: they pull from Host.
	NodeAccessNone NodeAccess = "none"
)

// NodeAccessConfig says how nodes pull.
type NodeAccessConfig struct {
	// Mode is any but NodeAccessAuto; empty is NodeAccessHostPort.
	Mode NodeAccess `json:"mode,omitempty"`
	// Auto says that setup chose it.
	Auto bool `json:"auto,omitempty"`
	// Proven says that every node pulled an image in this way.
	Proven bool `json:"proven,omitempty"`
}

// CheckBuildArgs refuses build arguments that are not of the form KEY=VALUE.
func CheckBuildArgs(args []string) error {
	for _, arg := range args {
		if key, _, ok := strings.Cut(arg, "="); !ok || key == "" {
			return fmt.Errorf("build argument %q is not of the form KEY=VALUE", arg)
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
