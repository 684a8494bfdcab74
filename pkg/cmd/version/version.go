// Package version is the verb that prints the versions of the plugin, of what setup
// installed, and of the cluster.
package version

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// Versions is what the verb prints. A version is empty when it is not known or what
// it is of is not installed.
type Versions struct {
	metav1.TypeMeta `json:",inline"`
	// Client is the version of the plugin.
	Client string `json:"client"`
	// Platform is the version of the plugin that last ran setup.
	Platform string `json:"platform,omitempty"`
	// Tekton is the version of Tekton Pipelines.
	Tekton string `json:"tekton,omitempty"`
	// Kubernetes is the version of the API server.
	Kubernetes string `json:"kubernetes,omitempty"`
}

var _ runtime.Object = (*Versions)(nil)

// DeepCopyObject makes Versions an object that kubectl's printers take.
func (v *Versions) DeepCopyObject() runtime.Object {
	c := *v
	return &c
}

// Flags reflect the command line.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Client bool
	Output option.Output
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of plugin, platform, Tekton and Kubernetes",
		Long: `Print the versions of the plugin, of the platform that setup installed, of Tekton
Pipelines and of Kubernetes.`,
		Example: `  # All versions
  kubectl pyflow version

  # Of the plugin only, without a cluster
  kubectl pyflow version --client

  # For a script
  kubectl pyflow version -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := flags.ToOptions(streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&flags.Client, "client", false, "Print the version of the plugin only; needs no cluster")
	flags.Output.AddObjectFlags(cmd, "a line per version")
	return cmd
}

// Options are a checked command line.
type Options struct {
	Streams genericiooptions.IOStreams
	// Client is the cluster to ask; nil for the plugin's version only.
	Client kubernetes.Interface
	// Print writes the versions.
	Print func(*Versions, io.Writer) error
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Streams: streams, Print: printLines}
	printer, err := f.Output.ToPrinter()
	if err != nil {
		return nil, err
	}
	if printer != nil {
		o.Print = func(versions *Versions, out io.Writer) error { return printer.PrintObj(versions, out) }
	}
	if f.Client {
		return o, nil
	}
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	o.Client = clients.Kube
	return o, nil
}

// Run prints the versions. Those that the user may not read are left out.
func (o *Options) Run(ctx context.Context) error {
	versions := &Versions{TypeMeta: metav1.TypeMeta{Kind: "Versions", APIVersion: "pyflow.dev/v1"}, Client: version.Version()}
	var failure error
	if o.Client != nil {
		failure = o.ask(ctx, versions)
	}
	if err := o.Print(versions, o.Streams.Out); err != nil {
		return fmt.Errorf("print the versions: %w", err)
	}
	return failure
}

// ask fills in the versions of the cluster.
func (o *Options) ask(ctx context.Context, versions *Versions) error {
	server, err := o.Client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("read the version of Kubernetes: %w", err)
	}
	versions.Kubernetes = server.GitVersion
	config, err := platform.Config(ctx, o.Client)
	switch {
	case err == nil:
		versions.Platform = config.Version
	case !errors.Is(err, platform.ErrNotSetUp) && !apierrors.IsForbidden(err):
		return err
	}
	tekton, err := platform.FindTekton(ctx, o.Client)
	switch {
	case err == nil && tekton != nil:
		versions.Tekton = tekton.Version
	case err != nil && !apierrors.IsForbidden(err):
		return err
	}
	return nil
}

func printLines(versions *Versions, out io.Writer) error {
	var text strings.Builder
	for _, line := range []struct{ name, version string }{
		{"Client", versions.Client}, {"Platform", versions.Platform}, {"Tekton", versions.Tekton}, {"Kubernetes", versions.Kubernetes},
	} {
		if line.version != "" {
			fmt.Fprintf(&text, "%s: %s\n", line.name, line.version)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
