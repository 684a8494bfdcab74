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
		Short: "Do again what a run did",
		Long: `Do again what a run did: build the same source, of a repository the same commit,
with the same settings, and deliver the same manifests. Nothing of it is read from
this machine. Without a name it is the newest run of the namespace, with an app's
name that app's newest.

The new run is the app's newest, so what it delivers takes the place of what runs. To
try a build that failed for a reason outside of its source is what it is for; the
deletion of the run that it repeats takes the manifests away from it.`,
		Example: `  # Try the last build again
  kubectl pyflow rerun

  # Do again what a certain run did
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
