// Package setup is the verb that puts the platform on the cluster.
package setup

import (
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Registry       string
	RegistrySecret string
	RegistryCA     string
	NodeAccess     string
	Rotate         bool
	ImageMirrors   []string
	BuildArgs      []string
	BuildCA        string
	BuildEnv       []string
	StorageSize    string
	StorageClass   string
	Ephemeral      bool
	TektonManifest string
	DryRun         option.DryRun
	Output         string
	Timeout        time.Duration
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Timeout: 5 * time.Minute}
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Put Tekton, the registry and the build pipeline on the cluster",
		Long: `Put on the cluster what builds need, once: Tekton Pipelines (or adopt the one
that is there), a private registry, the nodes' access to it, the Tasks and the
Pipeline, and what the current namespace needs. Runs with the rights of an admin.

Running it again changes nothing but what differs: a newer version of the plugin
upgrades in place, another --namespace is added to those there are, and settings
that are not named keep the value they had.`,
		Example: `  # Set up the cluster, and the current namespace for builds
  kubectl pyflow setup

  # One more namespace
  kubectl pyflow setup --namespace team-a

  # A registry that you have, with the login in a Secret of this namespace
  kubectl create secret docker-registry ghcr --docker-server=ghcr.io \
    --docker-username=me --docker-password="$TOKEN"
  kubectl pyflow setup --registry ghcr.io/my-org --registry-secret ghcr

  # See what would be applied
  kubectl pyflow setup --dry-run=client -o yaml

  # Base images and Python packages by way of a company's own servers
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
	f := cmd.Flags()
	f.StringArrayVar(&flags.ImageMirrors, "image-mirror", nil, "Fetch images whose reference starts with PREFIX from a mirror, as PREFIX=[http://]HOST[/PATH]; repeatable, remembered, '' forgets all")
	f.StringArrayVar(&flags.BuildArgs, "build-arg", nil, "Build argument of every build, as KEY=VALUE; repeatable, remembered, '' forgets all")
	f.StringVar(&flags.BuildCA, "build-ca", "", "File with the PEM certificates of CAs that builds trust beside the public ones; remembered, '' forgets them")
	f.StringArrayVar(&flags.BuildEnv, "build-env", nil, "Variable of every RUN of every build, as KEY=VALUE, for proxies and package indexes; kept in a Secret and out of images; repeatable, remembered, '' forgets all")
	f.StringVar(&flags.Registry, "registry", "", "Use an existing registry, as HOST[:PORT][/PREFIX], in place of one in the cluster; remembered, '' goes back")
	f.StringVar(&flags.RegistrySecret, "registry-secret", "", "Secret of type kubernetes.io/dockerconfigjson in the namespace with the login for --registry; its content is remembered")
	f.StringVar(&flags.RegistryCA, "registry-ca", "", "File with the PEM certificates of the CA of --registry, if no public one signed its certificate; remembered, '' forgets it")
	f.StringVar(&flags.NodeAccess, "node-access", "", "How nodes reach the registry: auto, hostport, hostnetwork, nodeport or none; remembered (default auto)")
	f.BoolVar(&flags.Rotate, "rotate-credentials", false, "Replace every password of the registry")
	f.StringVar(&flags.StorageSize, "registry-storage-size", "", "Size of the registry's volume (default 20Gi)")
	f.StringVar(&flags.StorageClass, "registry-storage-class", "", "Storage class of the registry's volume (default: the cluster's default class)")
	f.BoolVar(&flags.Ephemeral, "registry-ephemeral", false, "Keep images in the registry's pod only: they are lost with it")
	f.StringVar(&flags.TektonManifest, "tekton-manifest", "", "File or URL of a Tekton Pipelines release manifest to install in place of the one this binary carries")
	flags.DryRun.AddFlag(cmd, "Print what would be applied and change nothing, with client")
	f.StringVarP(&flags.Output, "output", "o", "", "Format of --dry-run=client: yaml or json")
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long to wait until all parts are available")
	_ = cmd.MarkFlagFilename("build-ca", "pem", "crt", "cer")
	_ = cmd.MarkFlagFilename("registry-ca", "pem", "crt", "cer")
	_ = cmd.RegisterFlagCompletionFunc("node-access", cobra.FixedCompletions(accessModes(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("registry-secret", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return loginSecrets(cmd.Context(), config), cobra.ShellCompDirectiveNoFileComp
	})
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are a run of setup, checked as far as that goes without a cluster.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// DryRun prints what would be applied with Printer.
	DryRun  bool
	Printer printers.ResourcePrinter
	Timeout time.Duration

	// Registry replaces the remembered one unless nil; the zero value is our own.
	Registry *Address
	// RegistrySecret names the Secret with the login of an external registry;
	// empty takes the remembered login.
	RegistrySecret string
	// RegistryCA replaces the remembered one unless nil.
	RegistryCA []byte
	// NodeAccess replaces the remembered mode unless it is empty.
	NodeAccess manifests.NodeAccess
	// Rotate replaces every password.
	Rotate bool

	// Mirrors and BuildArgs replace the remembered ones unless nil.
	Mirrors   []manifests.Mirror
	BuildArgs []string
	// BuildCA and BuildVariables replace the remembered ones unless nil; empty ones
	// forget them.
	BuildCA        []byte
	BuildVariables map[string]string
	// StorageSize, StorageClass and Ephemeral replace the remembered ones unless nil.
	StorageSize, StorageClass *string
	Ephemeral                 *bool
	// TektonManifest replaces the embedded one unless nil.
	TektonManifest []byte
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(cmd *cobra.Command, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Streams: streams, Timeout: f.Timeout, DryRun: f.DryRun.Enabled()}
	changed := cmd.Flags().Changed
	switch {
	case f.Output != "" && !o.DryRun:
		return nil, option.Usagef("--output goes with --dry-run=client")
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	}
	if o.DryRun {
		if f.Output == "" {
			f.Output = "yaml"
		}
		var err error
		if o.Printer, err = genericclioptions.NewJSONYamlPrintFlags().ToPrinter(f.Output); err != nil {
			return nil, option.OneOf("output", f.Output, "yaml", "json")
		}
	}
	if err := f.registry(o, changed); err != nil {
		return nil, err
	}
	if changed("image-mirror") {
		o.Mirrors = []manifests.Mirror{}
		for _, text := range notEmpty(f.ImageMirrors) {
			mirror, err := manifests.ParseMirror(text)
			if err != nil {
				return nil, option.Usage(err)
			}
			o.Mirrors = append(o.Mirrors, mirror)
		}
	}
	if changed("build-arg") {
		o.BuildArgs = notEmpty(f.BuildArgs)
		if err := manifests.CheckBuildArgs(o.BuildArgs); err != nil {
			return nil, option.Usage(err)
		}
	}
	if err := f.buildEnv(o, changed); err != nil {
		return nil, err
	}
	if changed("registry-storage-size") {
		if quantity, err := resource.ParseQuantity(f.StorageSize); err != nil || quantity.Sign() <= 0 {
			return nil, option.Usagef("--registry-storage-size %q is not a size such as 20Gi", f.StorageSize)
		}
		o.StorageSize = &f.StorageSize
	}
	if changed("registry-storage-class") {
		o.StorageClass = &f.StorageClass
	}
	if changed("registry-ephemeral") {
		o.Ephemeral = &f.Ephemeral
	}
	if f.Ephemeral && (changed("registry-storage-size") || changed("registry-storage-class")) {
		return nil, option.Usagef("--registry-ephemeral has no volume: leave out --registry-storage-size and --registry-storage-class")
	}
	var err error
	if f.TektonManifest != "" {
		if o.TektonManifest, err = manifests.ReadTekton(cmd.Context(), f.TektonManifest); err != nil {
			return nil, err
		}
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

func notEmpty(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return value == "" })
}
