package build

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// rerunFlags are what the command line of rerun says.
type rerunFlags struct {
	config *genericclioptions.ConfigFlags
	watchFlags
}

// NewRerunCommand makes the verb rerun.
func NewRerunCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &rerunFlags{config: config}
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
			options, err := flags.toOptions(args, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	flags.add(cmd.Flags())
	completeView(cmd)
	return cmd
}

// RerunOptions are a repetition.
type RerunOptions struct {
	session

	// Name is a run's, an app's or empty.
	Name string
}

func (f *rerunFlags) toOptions(args []string, streams genericiooptions.IOStreams) (*RerunOptions, error) {
	o := &RerunOptions{}
	if len(args) > 0 {
		o.Name = args[0]
	}
	var err error
	if o.session, err = f.toSession(streams); err != nil {
		return nil, err
	}
	o.clients, err = kube.New(f.config)
	return o, err
}

// Run repeats the run, and returns as a build does.
func (o *RerunOptions) Run(ctx context.Context) error {
	old, err := pipelinerun.Find(ctx, o.clients.Tekton, o.clients.Namespace, o.Name)
	if err != nil {
		return err
	}
	return o.run(ctx, func(env *build.Environment) (*build.Prepared, error) {
		prepared, err := build.PrepareRerun(ctx, env, old)
		if err == nil && o.junit != "" && !prepared.Tests() {
			return nil, fmt.Errorf("--junit: run %s tests nothing", old.Name)
		}
		return prepared, err
	})
}
