// Package rerun is the verb that builds the source of a run again.
package rerun

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/find"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Flags are the flags of the command line.
type Flags struct {
	config *genericclioptions.ConfigFlags
	session.Flags
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Flags: session.NewFlags()}
	cmd := &cobra.Command{
		Use:   "rerun [APP|RUN]",
		Short: "Re-run a build",
		Long: `Build the source of a run again and deploy it.

pyflow builds the same source (for a repository the same commit) with the same settings
and deploys the same manifests. It reads nothing from this machine. APP means the newest
run of the app; without a name, pyflow repeats the newest run of the namespace.

Use it to repeat a build that failed for a reason outside its source. The new run is the
newest run of the app, so what it deploys replaces the current release. Deleting the run
that it repeats deletes its manifests, too.`,
		Example: `  # Repeat the last build
  kubectl pyflow rerun

  # Repeat a certain run
  kubectl pyflow rerun mountains-x7k2p`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true, Runs: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(args, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	flags.Add(cmd)
	return cmd
}

// Options are the run to repeat, and how to watch the new one.
type Options struct {
	session.Session

	// Name is the name of a run or an app; empty means the newest run.
	Name string
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{}
	if len(args) > 0 {
		o.Name = args[0]
	}
	var err error
	if o.Session, err = f.ToSession(streams); err != nil {
		return nil, err
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run repeats the run and watches the new one until its app has rolled out.
func (o *Options) Run(ctx context.Context) error {
	old, err := find.Run(ctx, pipelinerun.Clients{Tekton: o.Clients.Tekton, Kube: o.Clients.Kube}, o.Clients.Namespace, o.Name)
	if err != nil {
		return err
	}
	return o.Session.Run(ctx, func(env *build.Environment) (*build.Prepared, error) {
		prepared, err := build.PrepareRerun(ctx, env, old)
		if err == nil && o.JUnit != "" && !prepared.Tests() {
			return nil, fmt.Errorf("--junit: run %s tests nothing", old.Name)
		}
		return prepared, err
	})
}
