// Package buildlimits has the flags for the limits of builds that name none.
package buildlimits

import (
	"github.com/spf13/pflag"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Flags are the flags as given.
type Flags struct{ Memory, Storage string }

// AddFlags adds the flags.
func (l *Flags) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&l.Memory, "build-memory", "", "Memory limit of builds that name none by --memory; remembered, '' goes back (default "+manifests.DefaultBuildMemory+")")
	flags.StringVar(&l.Storage, "build-storage", "", "Limit of the disk space of builds that name none by --storage; remembered, '' goes back (default "+manifests.DefaultBuildStorage+")")
}

// Parse checks the flags that changed reports. The others are nil.
func (l *Flags) Parse(changed func(flag string) bool) (memory, storage *string, err error) {
	if changed("build-memory") {
		memory = &l.Memory
		_, err = input.ParseQuantity(l.Memory, manifests.DefaultBuildMemory)
	}
	if err != nil {
		return nil, nil, option.Usagef("--build-memory %w", err)
	}
	if changed("build-storage") {
		storage = &l.Storage
		_, err = input.ParseQuantity(l.Storage, manifests.DefaultBuildStorage)
	}
	if err != nil {
		return nil, nil, option.Usagef("--build-storage %w", err)
	}
	return memory, storage, nil
}
