// Package trust is the flag by which a build is not trusted, and its default in CI.
package trust

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
)

// Flags is the flag --untrusted.
type Flags struct {
	untrusted bool
	changed   func() bool
}

// Add adds the flag to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.untrusted, "untrusted", false, "Build code that nobody has reviewed: the build reads the layer cache, leaves nothing in it, and reads no image of another app (default: true in CI for a pull request of a fork, or a merge request)")
	f.changed = func() bool { return cmd.Flags().Changed("untrusted") }
}

// Apply decides whether the build is trusted. If the environment decides it, a notice of the
// build says so.
func (f *Flags) Apply(options *build.Options) {
	options.Untrusted = f.untrusted
	if f.changed == nil || f.changed() {
		return
	}
	if why, ok := input.Proposed(os.Getenv); ok {
		options.Untrusted = true
		options.Notices = append(options.Notices, event.Event{
			Message: "Builds " + why + " as --untrusted: the cache is read and not written (--untrusted=false changes that)",
		})
	}
}
