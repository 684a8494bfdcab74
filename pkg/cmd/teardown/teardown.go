// Package teardown is the verb that uninstalls the platform.
package teardown

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Flags are the flags as given.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Yes        bool
	Purge      bool
	KeepTekton bool
	DryRun     option.DryRun
	Output     string
	Timeout    time.Duration
}

// NewCommand returns the command.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Timeout: 5 * time.Minute}
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Uninstall the platform",
		Long: `Uninstall the platform from the cluster, in every namespace. Teardown deletes only
what setup installed. It first shows what it deletes and what depends on that, and
asks.

The stored images stay for the next setup unless you pass --purge. A Tekton that
setup adopted stays. Apps keep running, but nodes cannot pull their images again
without the registry.

If setup installed Tekton, teardown deletes it with all Tasks, Pipelines and runs in
all namespaces. If some of them are not pyflow's, decide with --keep-tekton, which
leaves Tekton unchanged, or --keep-tekton=false, which deletes it anyway.`,
		Example: `  # Print what would be deleted
  kubectl pyflow teardown --dry-run

  # Uninstall the platform and keep the images for a later setup
  kubectl pyflow teardown

  # Uninstall everything including the images, without a question
  kubectl pyflow teardown --purge --yes

  # Leave Tekton for others who use it
  kubectl pyflow teardown --keep-tekton`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := flags.ToOptions(cmd, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.Yes, "yes", "y", false, "Do not ask")
	f.BoolVar(&flags.Purge, "purge", false, "Delete the stored images, too")
	f.BoolVar(&flags.KeepTekton, "keep-tekton", false, "Leave Tekton Pipelines for the next setup to adopt; =false deletes it with all objects of its kinds (default: ask if others use it)")
	flags.DryRun.AddFlag(cmd, "Change nothing: client prints what would be deleted, server lets the API server check it, too", option.DryRunServer)
	f.StringVarP(&flags.Output, "output", "o", "", "Output format of --dry-run, one of: name")
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "Time limit until everything is gone")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"name"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are a run of teardown, checked as far as possible without a cluster.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// Purge deletes the stored images, too.
	Purge bool
	// KeepTekton decides about a Tekton that setup installed; nil asks if others use
	// it.
	KeepTekton *bool
	// Yes skips the question.
	Yes bool
	// Ask asks the user and returns the answer; nil without a terminal.
	Ask func(ctx context.Context, prompt string) (string, error)
	// DryRun is what to do instead of deleting; the zero value deletes.
	DryRun option.DryRunStrategy
	// Names makes a dry run print names only, as kubectl's -o name does.
	Names   bool
	Timeout time.Duration
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(cmd *cobra.Command, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Streams: streams, Purge: f.Purge, Yes: f.Yes, Timeout: f.Timeout, DryRun: f.DryRun.Strategy(), Names: f.Output == "name"}
	switch {
	case f.Output != "" && o.DryRun == option.DryRunNone:
		return nil, option.Usagef("--output needs --dry-run")
	case f.Output != "" && !o.Names:
		return nil, option.OneOf("output", f.Output, "name")
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	}
	if cmd.Flags().Changed("keep-tekton") {
		o.KeepTekton = &f.KeepTekton
	}
	if display.CanAsk(streams.In, streams.ErrOut) {
		o.Ask = func(ctx context.Context, prompt string) (string, error) {
			return display.Ask(ctx, streams.In, streams.ErrOut, prompt)
		}
	}
	var err error
	o.Clients, err = kube.New(f.config)
	return o, err
}
