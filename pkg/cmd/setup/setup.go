// Package setup is the verb that installs the platform.
package setup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/install"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/lock"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/nodeaccess"
)

// NewCommand returns the command.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Timeout: 5 * time.Minute}
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Install the platform",
		Long: `Install the platform once per cluster: Tekton Pipelines, a private registry, the
nodes' access to it, the Tasks and Pipelines, and what the current namespace needs
for builds. If the cluster has Tekton already, setup adopts it. You need the
permissions of a cluster admin.

Run setup again to upgrade the platform, to add another --namespace, or to change a
setting. Settings that you do not name keep their values, and what is up to date is
left alone.`,
		Example: `  # Set up the cluster, and the current namespace for builds
  kubectl pyflow setup

  # Add a namespace
  kubectl pyflow setup --namespace team-a

  # Use an existing registry, with the credentials in a Secret of this namespace
  kubectl create secret docker-registry ghcr --docker-server=ghcr.io \
    --docker-username=me --docker-password="$TOKEN"
  kubectl pyflow setup --registry ghcr.io/my-org --registry-secret ghcr

  # Print what would be applied
  kubectl pyflow setup --dry-run -o yaml

  # Use a company's mirror, package index and CA
  kubectl pyflow setup --image-mirror docker.io=mirror.example.com/docker.io \
    --build-env PIP_INDEX_URL=https://pypi.example.com/simple --build-ca company-ca.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := flags.ToOptions(cmd, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (f *Flags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.ImageMirrors, "image-mirror", nil, "Mirror for images whose reference starts with PREFIX, as PREFIX=[http://]HOST[/PATH]; repeatable, remembered, '' forgets all")
	flags.StringArrayVar(&f.BuildArgs, "build-arg", nil, "Build argument of every build, as KEY=VALUE; repeatable, remembered, '' forgets all")
	flags.StringVar(&f.BuildCA, "build-ca", "", "File with PEM certificates of CAs that builds trust beside the public ones; remembered, '' forgets them")
	flags.StringArrayVar(&f.BuildEnv, "build-env", nil, "Variable of every RUN of every build, as KEY=VALUE, for proxies and package indexes; kept in a Secret and out of images; repeatable, remembered, '' forgets all")
	f.Limits.AddFlags(flags)
	flags.StringVar(&f.Registry, "registry", "", "Existing registry to use instead of one in the cluster, as HOST[:PORT][/PREFIX]; remembered, '' goes back")
	flags.StringVar(&f.RegistrySecret, "registry-secret", "", "Secret of type kubernetes.io/dockerconfigjson in the namespace with the credentials for --registry; its content is remembered")
	flags.StringVar(&f.RegistryCA, "registry-ca", "", "File with PEM certificates of the CA of --registry, if no public CA signed its certificate; remembered, '' forgets it")
	flags.StringVar(&f.NodeAccess, "node-access", "", "How nodes reach the registry: auto, hostport, hostnetwork, nodeport or none; remembered (default auto)")
	flags.StringVar(&f.PodSecurity, "pod-security", "", "Pod Security Standard of namespaces that enforce none: baseline, or keep to leave them alone; remembered (default baseline)")
	flags.BoolVar(&f.Rotate, "rotate-credentials", false, "Replace every password of the registry")
	flags.StringVar(&f.StorageSize, "registry-storage-size", "", "Size of the registry's volume (default 20Gi)")
	flags.StringVar(&f.StorageClass, "registry-storage-class", "", "Storage class of the registry's volume (default: the cluster's default class)")
	flags.BoolVar(&f.Ephemeral, "registry-ephemeral", false, "Keep images in the registry's pod only; they are lost with the pod")
	flags.StringVar(&f.TektonManifest, "tekton-manifest", "", "File or URL of a Tekton Pipelines release manifest to install instead of the embedded one")
	flags.StringSliceVar(&f.ClusterRanges, "cluster-cidr", nil, "Range of addresses of the cluster that builds may not reach, beside those that the API server knows; repeatable, remembered, '' forgets all")
	flags.StringSliceVar(&f.Egress, "build-egress", nil, "What builds may reach inside of the cluster: a range of addresses, the name of a namespace, or all; repeatable, remembered, '' forgets all")
	flags.StringSliceVar(&f.Resolvers, "tekton-resolvers", nil, "Resolvers of Tekton that every run of the cluster may use, of bundles, cluster, git, http and hub; builds need none; remembered, '' forgets them")
	f.DryRun.AddFlag(cmd, "Change nothing: client prints what would be applied, server lets the API server check it, too", option.DryRunServer)
	flags.StringVarP(&f.Output, "output", "o", "", "Output format of --dry-run, one of: yaml, json (default: yaml for client, a line per object for server)")
	flags.DurationVar(&f.Timeout, "timeout", f.Timeout, "Time limit until everything is available")
	_ = cmd.MarkFlagFilename("build-ca", "pem", "crt", "cer")
	_ = cmd.MarkFlagFilename("registry-ca", "pem", "crt", "cer")
	_ = cmd.RegisterFlagCompletionFunc("node-access", cobra.FixedCompletions(modes(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("tekton-resolvers", cobra.FixedCompletions(resolvers(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("pod-security", cobra.FixedCompletions(install.PodSecurityLevels(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("registry-secret", f.completeSecrets)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// modes are the values of --node-access.
func modes() []string { return texts(nodeaccess.Modes()) }

// resolvers are the values of --tekton-resolvers.
func resolvers() []string { return texts(manifests.Resolvers()) }

// texts returns values as a flag takes them.
func texts[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = string(value)
	}
	return all
}

// completeSecrets completes names of Secrets with registry credentials.
func (f *Flags) completeSecrets(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return f.complete(func(clients *kube.Clients) ([]string, error) {
		list, err := clients.Kube.CoreV1().Secrets(clients.Namespace).List(cmd.Context(), metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("type", string(corev1.SecretTypeDockerConfigJson)).String(),
		})
		if err != nil {
			return nil, err
		}
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names, nil
	})
}

// complete returns the names that list returns; none if the cluster does not answer.
func (f *Flags) complete(list func(*kube.Clients) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := list(clients)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// Options are a run of setup, checked as far as possible without a cluster.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Request install.Request
	// DryRun is what to do instead of installing; the zero value installs.
	DryRun option.DryRunStrategy
	// Printer prints the objects of a dry run; nil prints a line for each.
	Printer printers.ResourcePrinter
	Timeout time.Duration
}

// Run plans and installs, when no other setup or teardown does. It returns when everything is
// available. It can be interrupted and repeated at any point.
func (o *Options) Run(ctx context.Context) error {
	steps := display.NewSteps(o.Streams.ErrOut)
	if o.DryRun == option.DryRunClient || o.DryRun == option.DryRunServer {
		plan, err := o.plan(ctx, steps)
		if err != nil {
			return err
		}
		return o.dryRun(ctx, plan)
	}
	ready, err := lock.Ready(ctx, o.Clients.Kube)
	if err != nil {
		return err
	}
	if !ready {
		// The plan finds what is missing, and has the namespace of the lock.
		plan, err := o.plan(ctx, steps)
		if err != nil {
			return err
		}
		if err := plan.CreateNamespace(ctx, o.Clients); err != nil {
			return err
		}
	}
	waiting := func(holder lock.Holder) { steps.Print("waiting for " + holder.String()) }
	exclusive := &lock.Lock{Client: o.Clients.Kube, Command: "setup", Timeout: o.Timeout, Waiting: waiting}
	return exclusive.Hold(ctx, func(ctx context.Context) error { return o.install(ctx, steps) })
}

// install plans and installs.
func (o *Options) install(ctx context.Context, steps *display.Steps) error {
	start := time.Now()
	plan, err := o.plan(ctx, steps)
	if err != nil {
		return err
	}
	for _, warning := range plan.Warnings {
		steps.Print(warning)
	}
	installer := &install.Installer{Clients: o.Clients, Plan: plan, Progress: steps, Timeout: o.Timeout}
	changes, err := installer.Run(ctx)
	if err != nil {
		return err
	}
	steps.Print(fmt.Sprintf("%s in %s; namespace %s is ready for builds", install.Summary(changes), display.Seconds(time.Since(start)), o.Request.Namespace))
	return nil
}

func (o *Options) plan(ctx context.Context, steps *display.Steps) (*install.Plan, error) {
	done := steps.Start("Checking the cluster")
	plan, err := install.NewPlan(ctx, o.Clients, o.Request)
	done("Cluster checked", err)
	var wrong *install.RequestError
	if errors.As(err, &wrong) {
		return nil, option.Usage(err)
	}
	return plan, err
}

// dryRun prints what would be applied, for the server strategy as the API server
// would store it.
func (o *Options) dryRun(ctx context.Context, plan *install.Plan) error {
	objects := plan.Objects()
	changes := make([]apply.Change, len(objects))
	for i, object := range objects {
		changes[i] = apply.Change{Object: object}
	}
	var rejected error
	if o.DryRun == option.DryRunServer {
		applier := &apply.Applier{Dynamic: o.Clients.Dynamic, Mapper: o.Clients.Mapper, FieldManager: manifests.FieldManager}
		changes, rejected = applier.Preview(ctx, objects)
	}
	for _, change := range changes {
		if err := o.print(change); err != nil {
			return err
		}
	}
	return rejected
}

// print prints the outcome for one object.
func (o *Options) print(change apply.Change) error {
	if o.Printer != nil {
		return o.Printer.PrintObj(change.Object, o.Streams.Out)
	}
	_, err := fmt.Fprintf(o.Streams.Out, "%s %s (server dry run)\n", kube.Describe(change.Object), change.Result)
	return err
}
