// Package promote is the verb that deploys the image of a release in another namespace.
package promote

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags
	session.Flags

	To            string
	Release       int
	WithManifests bool
	Adopt         bool
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Flags: session.NewFlags()}
	cmd := &cobra.Command{
		Use:   "promote APP --to NAMESPACE",
		Short: "Deploy a release in another namespace, without a build",
		Long: `Deploy a release of an app in another namespace, without building it again.

pyflow copies the image of the live release, or of --release, to the repository of the
other namespace, and deploys it there by its digest: what was tested is what runs. It
keeps the manifests that the app has in that namespace, with its replicas, hosts and
resources, and runs its Jobs. An app that has no release there yet gets the manifests of
the promoted one; Secrets and ConfigMaps that it reads must exist there.

The promotion is a release of the other namespace with a number of its own.`,
		Example: `  # Bring what staging runs to production
  kubectl pyflow promote mountains --namespace staging --to production

  # Bring a certain release, with its manifests
  kubectl pyflow promote mountains -n staging --to production --release 7 --with-manifests`,
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
	f.StringVar(&flags.To, "to", "", "Namespace to deploy in; setup has prepared it")
	f.IntVar(&flags.Release, "release", 0, "Number of the release (default: the live one)")
	f.BoolVar(&flags.WithManifests, "with-manifests", false, "Take the manifests of the release, too, in place of those that the app has in the other namespace")
	f.BoolVar(&flags.Adopt, "adopt", false, "Take over objects that are not of the app, and fields that another manager owns")
	flags.AddDelivery(cmd)
	flags.AddAtomic(cmd)
	_ = cmd.RegisterFlagCompletionFunc("to", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return flags.targets(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	})
	_ = cmd.RegisterFlagCompletionFunc("release", cobra.NoFileCompletions)
	return cmd
}

// targets returns the namespaces that setup has prepared. A completion has no place for an error.
func (f *Flags) targets(ctx context.Context) []string {
	clients, err := kube.New(f.config)
	if err != nil {
		return nil
	}
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil
	}
	return config.Namespaces
}

// Options are the release to deploy, where, and how to watch it.
type Options struct {
	// Session is that of the namespace to deploy in.
	session.Session

	App string
	// From has the release.
	From *kube.Clients
	// Release is its number; 0 is the live one.
	Release       int
	WithManifests bool
	Adopt         bool
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(app string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{App: app, Release: f.Release, WithManifests: f.WithManifests, Adopt: f.Adopt}
	switch {
	case f.To == "":
		return nil, option.Usagef("--to names the namespace to deploy in")
	case f.Release < 0:
		return nil, option.Usagef("--release %d is not the number of a release", f.Release)
	}
	var err error
	if o.Session, err = f.ToSession(streams); err != nil {
		return nil, err
	}
	if o.From, err = kube.New(f.config); err != nil {
		return nil, err
	}
	if o.From.Namespace == f.To {
		return nil, option.Usagef("--to %s is the namespace of the release: name the other one with --namespace", f.To)
	}
	target := *o.From
	target.Namespace = f.To
	o.Clients = &target
	return o, nil
}

// NotLiveError reports that an app has no release that runs well.
type NotLiveError struct{ App, Namespace string }

func (e *NotLiveError) Error() string {
	return fmt.Sprintf("app %s in namespace %s has no live release that is healthy", e.App, e.Namespace)
}

// Run copies the image and deploys it, and returns when every replica runs it.
func (o *Options) Run(ctx context.Context) error {
	from, err := build.Connect(ctx, o.From, nil)
	if err != nil {
		return err
	}
	defer from.Close()
	return o.Session.Run(ctx, func(env *build.Environment) (*build.Prepared, error) {
		source, err := o.release(ctx)
		if err != nil {
			return nil, err
		}
		return build.PreparePromotion(ctx, env, build.Promotion{Release: source, From: from, WithManifests: o.WithManifests, Adopt: o.Adopt})
	})
}

// release finds the release to deploy.
func (o *Options) release(ctx context.Context) (*record.Record, error) {
	kube, namespace := o.From.Kube, o.From.Namespace
	if o.Release > 0 {
		return record.Get(ctx, kube, namespace, o.App, o.Release)
	}
	list, err := status.Releases(ctx, status.Clients{Kube: kube, Tekton: o.From.Tekton}, status.Options{Namespace: namespace, App: o.App})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, &record.NotFoundError{App: o.App, Namespace: namespace}
	}
	for _, one := range list.Items {
		if one.State == status.Live {
			return &one.Record, nil
		}
	}
	return nil, &NotLiveError{App: o.App, Namespace: namespace}
}
