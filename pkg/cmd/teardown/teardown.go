// Package teardown is the verb that takes the platform off the cluster.
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

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Yes        bool
	Purge      bool
	KeepTekton bool
	DryRun     option.DryRun
	Output     string
	Timeout    time.Duration
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Timeout: 5 * time.Minute}
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "Take off the cluster what setup has put there",
		Long: `Take off the cluster, in every namespace, exactly what setup has put there. It
shows first what that is and what else depends on it, and asks.

The stored images stay, and the next setup takes them over, unless --purge is
given. A Tekton that was there before setup stays, and so do the apps: they keep
running, but their images can not be pulled again without the registry.

Deleting a Tekton that setup has installed deletes all Tasks, Pipelines and runs
in all namespaces. Where there are some that are not pyflow's, that is a decision
of its own: --keep-tekton leaves Tekton as it is, --keep-tekton=false deletes it
all the same.`,
		Example: `  # See what would go
  kubectl pyflow teardown --dry-run=client

  # Remove the platform; keep the images for a later setup
  kubectl pyflow teardown

  # Remove everything, the images too, without a question
  kubectl pyflow teardown --purge --yes

  # Leave Tekton to those who use it as well
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
	f.BoolVar(&flags.Purge, "purge", false, "Delete the stored images too")
	f.BoolVar(&flags.KeepTekton, "keep-tekton", false, "Leave Tekton Pipelines, for the next setup to adopt; =false deletes it with all objects of its kinds, whoever made them (default: ask if there are some of others)")
	flags.DryRun.AddFlag(cmd, "Print what would be deleted and change nothing, with client")
	f.StringVarP(&flags.Output, "output", "o", "", "Format of --dry-run=client: name")
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long to wait until all is gone")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"name"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are a run of teardown, checked as far as that goes without a cluster.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// Purge deletes the stored images too.
	Purge bool
	// KeepTekton decides about a Tekton that setup installed; nil asks when others
	// use it.
	KeepTekton *bool
	// Yes goes on without a question.
	Yes bool
	// Ask puts a question to a person and returns the answer; nil when there is
	// nobody to ask.
	Ask func(ctx context.Context, prompt string) (string, error)
	// DryRun prints what would be deleted; Names as kubectl's -o name does.
	DryRun, Names bool
	Timeout       time.Duration
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(cmd *cobra.Command, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Streams: streams, Purge: f.Purge, Yes: f.Yes, Timeout: f.Timeout, DryRun: f.DryRun.Enabled(), Names: f.Output == "name"}
	switch {
	case f.Output != "" && !o.DryRun:
		return nil, option.Usagef("--output goes with --dry-run=client")
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
