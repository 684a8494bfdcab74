package install

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	knative "knative.dev/pkg/version"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

const defaultStorageSize = "20Gi"

// checkNamespaceName refuses names that cannot be app namespaces.
func checkNamespaceName(namespace string) error {
	switch namespace {
	case manifests.SystemNamespace:
		return fmt.Errorf("namespace %s belongs to the platform: choose the namespace of your apps with --namespace", namespace)
	case manifests.MirrorRepository:
		return fmt.Errorf("namespace %s cannot have apps: every namespace may read its repositories", namespace)
	}
	return nil
}

// checkServer refuses an API server that Tekton's controllers do not support.
func checkServer(server *utilversion.Version) error {
	if server.LessThan(utilversion.MustParseGeneric(knative.DefaultKubernetesMinVersion)) {
		return fmt.Errorf("the API server is v%s; Tekton Pipelines needs %s or newer", server, knative.DefaultKubernetesMinVersion)
	}
	return nil
}

// checkNamespace refuses a namespace in which builds cannot run.
func checkNamespace(cluster *platform.Cluster) error {
	namespace := cluster.Namespace
	if namespace.DeletionTimestamp != nil {
		return fmt.Errorf("namespace %s is being deleted", namespace.Name)
	}
	if namespace.Labels[platform.EnforceLabel] == "restricted" {
		return fmt.Errorf("namespace %s enforces the restricted Pod Security Standard, under which %s cannot run as root; set up a namespace with the baseline standard", namespace.Name, installed.Engine().Name())
	}
	return nil
}

// decideTekton decides whether to install or adopt Tekton Pipelines. It returns the
// manifest to install, which is empty for an adopted one. Nil resolvers are those of before.
func decideTekton(cluster *platform.Cluster, manifest []byte, resolvers []manifests.Resolver) (manifests.TektonConfig, []byte, error) {
	none, found := manifests.TektonConfig{}, cluster.Tekton
	if found != nil && !found.Managed {
		if resolvers != nil {
			return none, nil, refuse("Tekton Pipelines %s in namespace %s was not installed by setup, which does not change its resolvers: leave out --tekton-resolvers", found.Version, found.Namespace)
		}
		config, err := adoptTekton(cluster, manifest)
		return config, nil, err
	}
	if manifest == nil {
		manifest = manifests.Tekton()
	}
	embedded, err := manifests.TektonVersion(manifest)
	if err != nil {
		return none, nil, err
	}
	if resolvers == nil && cluster.Config != nil {
		resolvers = cluster.Config.Tekton.Resolvers
	}
	config := manifests.TektonConfig{Version: embedded, Namespace: manifests.TektonNamespace, Sidecars: len(cluster.PodWebhooks) > 0, Resolvers: resolvers}
	return config, manifest, platform.CheckTekton(found, embedded)
}

// adoptTekton returns the configuration of a Tekton that setup did not install.
func adoptTekton(cluster *platform.Cluster, manifest []byte) (manifests.TektonConfig, error) {
	none, found := manifests.TektonConfig{}, cluster.Tekton
	if cluster.Config != nil && !cluster.Config.Removed && !cluster.Config.Tekton.Adopted {
		// Adopting it would prune the parts that still have our labels.
		return none, fmt.Errorf("setup installed Tekton Pipelines in namespace %s, but its controller no longer has the label %s=%s: another tool has taken it over; restore the label to let setup manage it",
			found.Namespace, manifests.LabelManagedBy, manifests.FieldManager)
	}
	if err := platform.CheckTekton(found, ""); err != nil {
		return none, err
	}
	if manifest != nil {
		return none, refuse("Tekton Pipelines %s in namespace %s was not installed by setup: leave out --tekton-manifest to adopt it", found.Version, found.Namespace)
	}
	return manifests.TektonConfig{Version: found.Version, Namespace: found.Namespace, Adopted: true}, nil
}

// configure merges the request into the settings of the previous installation, and
// refuses changes that would lose stored images. It is pure. Tekton, node access and
// the build environment are decided elsewhere.
func configure(request Request, cluster *platform.Cluster) (manifests.Config, error) {
	config := manifests.Config{}
	if cluster.Config != nil {
		config = *cluster.Config
	}
	before := config.Registry
	config.Version, config.Contract, config.Removed = version.Version(), manifests.Contract, false
	registry, err := configureRegistry(request, before)
	if err != nil {
		return manifests.Config{}, err
	}
	config.Registry = registry
	if isAnother(before, registry) {
		// The nodes proved their access to the other registry only.
		config.NodeAccess = manifests.NodeAccessConfig{}
	}
	switch request.PodSecurity {
	case manifests.PodSecurityKeep:
		config.PodSecurity = manifests.PodSecurityKeep
	case platform.BaselineLevel:
		config.PodSecurity = ""
	case "":
	default:
		return manifests.Config{}, refuse("--pod-security %q is none of %s", request.PodSecurity, strings.Join(PodSecurityLevels(), ", "))
	}
	if request.ImageMirrors != nil {
		config.ImageMirrors = request.ImageMirrors
	}
	if request.BuildArgs != nil {
		config.BuildArgs = request.BuildArgs
	}
	if request.ClusterRanges != nil {
		config.BuildNetwork.Cluster = request.ClusterRanges
	}
	if request.Egress != nil {
		config.BuildNetwork.Allowed = request.Egress
	}
	if request.BuildMemory != nil {
		config.BuildLimits.Memory = *request.BuildMemory
	}
	if request.BuildStorage != nil {
		config.BuildLimits.Storage = *request.BuildStorage
	}
	config.BuildNetwork.Detected = cluster.Network.Ranges
	if !slices.Contains(config.Namespaces, cluster.Namespace.Name) {
		config.Namespaces = append(slices.Clone(config.Namespaces), cluster.Namespace.Name)
		slices.Sort(config.Namespaces)
	}
	if registry.External {
		return config, nil
	}
	// A volume from before an external registry still exists.
	if cluster.Config != nil && before.StorageSize != "" {
		if err := checkStorageChange(before, registry); err != nil {
			return manifests.Config{}, err
		}
	}
	return config, checkStorage(before, registry, cluster)
}

// configureRegistry merges the request into the registry's previous settings.
func configureRegistry(request Request, registry manifests.RegistryConfig) (manifests.RegistryConfig, error) {
	none := manifests.RegistryConfig{}
	if request.Registry != nil {
		registry.External, registry.Host, registry.Prefix = request.Registry.Host != "", request.Registry.Host, request.Registry.Prefix
	}
	if registry.External {
		if request.RotateCredentials || request.Ephemeral != nil || request.StorageSize != nil || request.StorageClass != nil || request.RegistryQuota != nil {
			return none, refuse("the registry is %s: --rotate-credentials, --registry-ephemeral, --registry-quota, --registry-storage-size and --registry-storage-class need the registry in the cluster; go back to it with --registry ''", registry.Host)
		}
		return registry, nil
	}
	if request.RegistrySecret != "" || request.RegistryCA != nil {
		return none, refuse("--registry-secret and --registry-ca need --registry")
	}
	registry.Host = manifests.RegistryHost
	if registry.StorageSize == "" {
		registry.StorageSize = defaultStorageSize
	}
	if request.Ephemeral != nil {
		registry.Ephemeral = *request.Ephemeral
	}
	if request.StorageSize != nil {
		registry.StorageSize = *request.StorageSize
	}
	if request.StorageClass != nil {
		registry.StorageClass = *request.StorageClass
	}
	if request.RegistryQuota != nil {
		registry.Quota = *request.RegistryQuota
	}
	return registry, nil
}

// checkStorage refuses a volume that the cluster cannot provision.
func checkStorage(before, registry manifests.RegistryConfig, cluster *platform.Cluster) error {
	// An existing volume stays, even if its class is gone.
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

// checkStorageChange refuses what Kubernetes cannot do to a volume, and what would
// lose the images on it.
func checkStorageChange(before, after manifests.RegistryConfig) error {
	switch {
	case after.Ephemeral && !before.Ephemeral:
		return errors.New("--registry-ephemeral would delete the registry's volume and the images on it")
	case before.Ephemeral || after.Ephemeral:
		return nil
	case before.StorageClass != after.StorageClass:
		return fmt.Errorf("the registry's volume has storage class %q, which cannot be changed to %q", before.StorageClass, after.StorageClass)
	}
	was, err := resource.ParseQuantity(before.StorageSize)
	if err != nil {
		return fmt.Errorf("read the size of the registry's volume: %w", err)
	}
	if will := resource.MustParse(after.StorageSize); will.Cmp(was) < 0 {
		return fmt.Errorf("the registry's volume has %s and cannot shrink to %s", before.StorageSize, after.StorageSize)
	}
	return nil
}

// isAnother reports whether images of one registry are missing in the other.
func isAnother(before, after manifests.RegistryConfig) bool {
	return before.Host != after.Host || before.Prefix != after.Prefix
}
