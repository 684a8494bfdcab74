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
	// Tekton is the installed or adopted Tekton Pipelines.
	Tekton TektonConfig `json:"tekton"`
	// Registry is the registry that builds push to.
	Registry RegistryConfig `json:"registry"`
	// Namespaces are the namespaces that setup gave what they need, sorted.
	Namespaces []string `json:"namespaces,omitempty"`
	// ImageMirrors redirect base images, and the platform's own.
	ImageMirrors []Mirror `json:"imageMirrors,omitempty"`
	// BuildArgs are passed to every build, KEY=VALUE, before the build's own.
	BuildArgs []string `json:"buildArgs,omitempty"`
}

// TektonConfig says which Tekton Pipelines serves the cluster.
type TektonConfig struct {
	Version string `json:"version"`
	// Namespace is where its controller runs.
	Namespace string `json:"namespace"`
	// Adopted says that it was there before and is left alone.
	Adopted bool `json:"adopted,omitempty"`
}

// RegistryConfig is how pods and nodes reach the registry, and how it stores.
type RegistryConfig struct {
	// Host is the registry for pods.
	Host string `json:"host"`
	// NodeHost is the registry for the nodes' container runtime.
	NodeHost string `json:"nodeHost"`
	// StorageSize is the requested size of the volume, a Kubernetes quantity.
	StorageSize string `json:"storageSize,omitempty"`
	// StorageClass is the volume's class; empty is the cluster's default.
	StorageClass string `json:"storageClass,omitempty"`
	// Ephemeral says that images live in an emptyDir and die with the pod.
	Ephemeral bool `json:"ephemeral,omitempty"`
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
