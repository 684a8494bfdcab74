// Package rerun is the verb that builds the source of a run again.
package rerun

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/find"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// Flags are the flags of the command line.
type Flags struct {
	config *genericclioptions.ConfigFlags
	session.Flags

	NoCache   bool
	BuildArgs []string
	Revision  string
	Adopt     bool
	option.Resources
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

Use it to repeat a build that failed for a reason outside its source. Flags change single
settings, such as the memory of a build that ran out of it; everything else stays as the
run had it. The new run is the newest run of the app, so what it deploys replaces the
current release. Deleting the run that it repeats deletes its manifests, too.`,
		Example: `  # Repeat the last build
  kubectl pyflow rerun

  # Repeat a certain run
  kubectl pyflow rerun mountains-x7k2p

  # Repeat a build that ran out of memory
  kubectl pyflow rerun mountains --memory 4Gi

  # Build the newest commit of a repository's branch
  kubectl pyflow rerun api --revision main`,
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
	f := cmd.Flags()
	f.BoolVar(&flags.NoCache, "no-cache", false, "Ignore the layer cache")
	f.StringArrayVar(&flags.BuildArgs, "build-arg", nil, "Value of an ARG of the Dockerfile, as KEY=VALUE, added or in place of the run's; repeatable")
	f.StringVar(&flags.Revision, "revision", "", "Branch, tag or full commit of the repository (default: the commit of the run)")
	f.StringVar(&flags.CPU, "cpu", "", "CPU request and limit of the build, such as 2 or 500m (default: that of the run)")
	f.StringVar(&flags.Memory, "memory", "", "Memory request and limit of the build, such as 2Gi (default: that of the run)")
	f.StringVar(&flags.Storage, "storage", "", "Request and limit of the build for space on the node's disk, such as 10Gi (default: that of the run)")
	f.BoolVar(&flags.Adopt, "adopt", false, "Take over objects that are not of the app, and fields that another manager owns")
	flags.Add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("build-arg", func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return flags.buildArgs(cmd.Context(), strings.Join(args, "")), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
	for _, flag := range []string{"revision", "cpu", "memory", "storage"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

// buildArgs returns the ARGs of the Dockerfile of the run that name means, each with a =. A
// completion has no place for an error.
func (f *Flags) buildArgs(ctx context.Context, name string) []string {
	clients, err := kube.New(f.config)
	if err != nil {
		return nil
	}
	run, err := pipelinerun.Find(ctx, clients.Tekton, clients.Namespace, name)
	if err != nil {
		return nil
	}
	parsed, err := dockerfile.Parse("Dockerfile", []byte(pipelinerun.Parse(run).DockerfileText))
	if err != nil {
		return nil
	}
	var names []string
	for _, arg := range parsed.Args {
		names = append(names, arg+"=")
	}
	return names
}

// Options are the run to repeat, and how to watch the new one.
type Options struct {
	session.Session

	// Name is the name of a run or an app; empty means the newest run.
	Name string
	// Changes are the settings that the new run does not take over.
	Changes pipelinerun.Changes
	// Adopt takes over objects that are not the app's, and fields of other managers.
	Adopt bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Adopt: f.Adopt}
	if len(args) > 0 {
		o.Name = args[0]
	}
	var err error
	if o.Session, err = f.ToSession(streams); err != nil {
		return nil, err
	}
	if o.Changes, err = f.toChanges(); err != nil {
		return nil, err
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// toChanges checks the flags that change settings.
func (f *Flags) toChanges() (pipelinerun.Changes, error) {
	changes := pipelinerun.Changes{Revision: f.Revision, Change: engine.Change{NoCache: f.NoCache, BuildArgs: f.BuildArgs}}
	if err := input.CheckBuildArgs(f.BuildArgs); err != nil {
		return changes, option.Usagef("--build-arg: %w", err)
	}
	if strings.HasPrefix(f.Revision, "-") {
		return changes, option.Usagef("--revision %s is not a branch, tag or commit", f.Revision)
	}
	var err error
	changes.CPU, changes.Memory, changes.Storage, err = f.ParseResources()
	return changes, err
}

// Run repeats the run and watches the new one until its app has rolled out.
func (o *Options) Run(ctx context.Context) error {
	old, err := find.Run(ctx, pipelinerun.Clients{Tekton: o.Clients.Tekton, Kube: o.Clients.Kube}, o.Clients.Namespace, o.Name)
	if err != nil {
		return err
	}
	return o.Session.Run(ctx, func(env *build.Environment) (*build.Prepared, error) {
		prepared, err := build.PrepareRerun(ctx, env, old, o.Changes, o.Adopt)
		if err == nil && o.JUnit != "" && !prepared.Tests() {
			return nil, fmt.Errorf("--junit: run %s tests nothing", old.Name)
		}
		return prepared, err
	})
}
