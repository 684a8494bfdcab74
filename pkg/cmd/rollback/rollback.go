// Package rollback is the verb that makes an earlier release of an app live again.
package rollback

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags
	session.Flags

	To    int
	Adopt bool
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Flags: session.NewFlags()}
	cmd := &cobra.Command{
		Use:   "rollback APP",
		Short: "Deploy an earlier release again",
		Long: `Deploy an earlier release of an app again, without building it.

pyflow applies the manifests of the release with the digest of its image, and waits until
every replica runs it. Without --to it takes the release before the live one. A rollback
is a release of its own with a number of its own, so it can be rolled back, too.

Replicas that an autoscaler or kubectl scale has set stay as they are. Jobs are not run again.`,
		Example: `  # Go back to the release before the live one
  kubectl pyflow rollback mountains

  # Go back to a certain release
  kubectl pyflow history mountains
  kubectl pyflow rollback mountains --to 3`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(args[0], streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&flags.To, "to", 0, "Number of the release (default: the one before the live one)")
	f.BoolVar(&flags.Adopt, "adopt", false, "Take over objects that are not of the app, and fields that another manager owns")
	flags.AddDelivery(cmd)
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.NoFileCompletions)
	return cmd
}

// Options are the release to deploy, and how to watch it.
type Options struct {
	session.Session

	App string
	// To is the number of the release; 0 is the one before the live one.
	To    int
	Adopt bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(app string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{App: app, To: f.To, Adopt: f.Adopt}
	if f.To < 0 {
		return nil, option.Usagef("--to %d is not the number of a release", f.To)
	}
	var err error
	if o.Session, err = f.ToSession(streams); err != nil {
		return nil, err
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run deploys the release, and returns when every replica runs it.
func (o *Options) Run(ctx context.Context) error {
	return o.Session.Run(ctx, func(env *build.Environment) (*build.Prepared, error) {
		to, err := o.release(ctx, env)
		if err != nil {
			return nil, err
		}
		return build.PrepareRollback(ctx, env, to, o.Adopt)
	})
}

// NothingBeforeError reports that an app has no release to go back to.
type NothingBeforeError struct {
	App string
	// Live is the number of the live release; 0 if it is not known.
	Live int
}

func (e *NothingBeforeError) Error() string {
	if e.Live == 0 {
		return "app " + e.App + " runs no release that is on record"
	}
	return "app " + e.App + " has no release before the live one on record"
}

// release finds the release to deploy.
func (o *Options) release(ctx context.Context, env *build.Environment) (*record.Record, error) {
	kube, namespace := o.Clients.Kube, o.Clients.Namespace
	if o.To > 0 {
		return record.Get(ctx, kube, namespace, o.App, o.To)
	}
	records, err := record.List(ctx, kube, namespace, o.App)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, &record.NotFoundError{App: o.App, Namespace: namespace}
	}
	current, err := release.Current(ctx, kube, namespace, o.App, env.Config.Registry.NodeRepository(namespace, o.App))
	if err != nil {
		return nil, err
	}
	return before(records, o.App, current.Release)
}

// before returns the release to which a rollback goes back: the newest before the live one, and
// before the one that the live one was rolled back to. records are sorted, the newest first.
func before(records []*record.Record, app string, live int) (*record.Record, error) {
	if live == 0 {
		return nil, &NothingBeforeError{App: app}
	}
	limit := live
	for _, one := range records {
		if one.Number == limit && one.RollbackTo > 0 {
			limit = one.RollbackTo
		}
	}
	for _, one := range records {
		if one.Number < limit {
			return one, nil
		}
	}
	return nil, &NothingBeforeError{App: app, Live: live}
}
