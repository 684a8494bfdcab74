package chart

import (
	"errors"
	"fmt"
	"slices"

	"helm.sh/helm/v4/pkg/chart/common"
	"k8s.io/client-go/discovery"
)

// DefaultKubeVersion is the version that charts see when no cluster is asked.
const DefaultKubeVersion = "v1.36.0"

// Capabilities are what a template reads as .Capabilities of the cluster.
type Capabilities struct {
	// KubeVersion is such as v1.36.3.
	KubeVersion string
	// APIVersions are such as apps/v1 and apps/v1/Deployment.
	APIVersions []string
}

// IsZero reports whether no cluster was asked.
func (c Capabilities) IsZero() bool { return c.KubeVersion == "" }

// Ask returns the capabilities of a cluster. Groups of APIs whose server does not answer are left
// out.
func Ask(client discovery.DiscoveryInterface) (Capabilities, error) {
	version, err := client.ServerVersion()
	if err != nil {
		return Capabilities{}, fmt.Errorf("read the version of the cluster: %w", err)
	}
	groups, resources, err := client.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) && !errors.As(err, new(*discovery.ErrGroupDiscoveryFailed)) {
		return Capabilities{}, fmt.Errorf("read the APIs of the cluster: %w", err)
	}
	var versions []string
	for _, group := range groups {
		for _, version := range group.Versions {
			versions = append(versions, version.GroupVersion)
		}
	}
	for _, list := range resources {
		for _, resource := range list.APIResources {
			versions = append(versions, list.GroupVersion+"/"+resource.Kind)
		}
	}
	slices.Sort(versions)
	return Capabilities{KubeVersion: version.GitVersion, APIVersions: slices.Compact(versions)}, nil
}

// forHelm returns the capabilities as Helm has them.
func (c Capabilities) forHelm() (*common.Capabilities, error) {
	if c.IsZero() {
		c = Capabilities{KubeVersion: DefaultKubeVersion, APIVersions: common.DefaultVersionSet}
	}
	version, err := common.ParseKubeVersion(c.KubeVersion)
	if err != nil {
		return nil, fmt.Errorf("the version of the cluster, %s: %w", c.KubeVersion, err)
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion, capabilities.APIVersions = *version, c.APIVersions
	return capabilities, nil
}
