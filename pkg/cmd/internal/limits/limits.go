// Package limits has the flags of setup for what builds may use of their nodes, and namespaces of
// the registry.
package limits

import (
	"slices"

	"github.com/spf13/pflag"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/install"
)

// Flags are the flags as given.
type Flags struct{ Memory, Storage, Quota, HostUsers string }

// AddFlags adds the flags.
func (f *Flags) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.Memory, "build-memory", "", "Memory limit of builds that name none by --memory; remembered, '' goes back (default "+manifests.DefaultBuildMemory+")")
	flags.StringVar(&f.Storage, "build-storage", "", "Limit of the disk space of builds that name none by --storage; remembered, '' goes back (default "+manifests.DefaultBuildStorage+")")
	flags.StringVar(&f.HostUsers, "build-host-users", "", "Whether builds share the users of their nodes: auto (not if all nodes have user namespaces), true or false; remembered (default auto)")
	flags.StringVar(&f.Quota, "registry-quota", "", "Size in the registry from which a namespace starts no more builds, such as 10Gi; remembered, '' forgets it (default none)")
}

// Read checks the flags that changed reports and sets them in request.
func (f *Flags) Read(request *install.Request, changed func(flag string) bool) error {
	for _, flag := range []struct {
		name, example string
		text          *string
		target        **string
	}{
		{"build-memory", manifests.DefaultBuildMemory, &f.Memory, &request.BuildMemory},
		{"build-storage", manifests.DefaultBuildStorage, &f.Storage, &request.BuildStorage},
		{"registry-quota", "10Gi", &f.Quota, &request.RegistryQuota},
	} {
		if !changed(flag.name) {
			continue
		}
		if _, err := input.ParseQuantity(*flag.text, flag.example); err != nil {
			return option.Usagef("--%s %w", flag.name, err)
		}
		*flag.target = flag.text
	}
	if !changed("build-host-users") {
		return nil
	}
	request.HostUsers = manifests.HostUsers(f.HostUsers)
	values := manifests.HostUsersValues()
	if slices.Contains(values, request.HostUsers) {
		return nil
	}
	return option.OneOf("build-host-users", f.HostUsers, string(values[0]), string(values[1]), string(values[2]))
}
