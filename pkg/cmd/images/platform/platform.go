// Package platform lists the images that the platform itself runs.
package platform

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Flags are the flags of the verb.
type Flags struct {
	TektonManifest string
	WithoutTekton  bool
	Output         option.Output
}

// NewCommand returns the verb.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:   "platform",
		Short: "List the images that the platform itself runs, for a mirror",
		Long: `List the images that setup brings to a cluster, one reference per line, under
the names and versions that their projects publish: what a cluster without access
to public registries needs in its mirror. No cluster is asked. -o wide prints
repository, tag and digest.

Tekton's images are those that its manifest names: also those that its controller
puts into pods, and those of features that builds do not use, such as the shell
of steps on Windows nodes. Where setup adopts an existing Tekton, its
images are on the cluster, and --without-tekton leaves them out.

The base images of Dockerfiles are not among them: those are the apps' own. Mirror
what their FROM lines name, and redirect it in the same way, with
setup --image-mirror.`,
		Example: `  # What has to be mirrored
  kubectl pyflow images platform

  # Mirror it, keeping the names below the mirror's own
  kubectl pyflow images platform | while read -r image; do
    crane copy "$image" "mirror.example.com/${image%@*}"
  done
  kubectl pyflow setup \
    --image-mirror docker.io=mirror.example.com/docker.io \
    --image-mirror ghcr.io=mirror.example.com/ghcr.io

  # With another Tekton than the one that this binary carries
  kubectl pyflow images platform --tekton-manifest release.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := flags.ToOptions(streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.TektonManifest, "tekton-manifest", "", "File or URL of the Tekton Pipelines release manifest that setup is given, in place of the one this binary carries")
	f.BoolVar(&flags.WithoutTekton, "without-tekton", false, "Leave Tekton's images out: for a cluster that has a Tekton Pipelines already")
	flags.Output.AddListFlags(cmd, "one reference per line")
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Streams genericiooptions.IOStreams
	// Manifest reads Tekton's manifest; it returns none without Tekton.
	Manifest func(context.Context) ([]byte, error)
	// Sort sorts the images.
	Sort func([]images.PlatformImage) error
	// Print writes a list to Streams.Out.
	Print func(*images.PlatformList, io.Writer) error
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams) (*Options, error) {
	if f.WithoutTekton && f.TektonManifest != "" {
		return nil, option.Usagef("--without-tekton and --tekton-manifest exclude each other")
	}
	printer, err := f.Output.ToPrinter()
	if err != nil {
		return nil, err
	}
	o := &Options{
		Streams: streams, Manifest: f.manifest, Print: printReferences,
		Sort: func(items []images.PlatformImage) error { return option.Sort(&f.Output, items) },
	}
	switch {
	case printer != nil:
		o.Print = func(list *images.PlatformList, out io.Writer) error { return printer.PrintObj(list, out) }
	case f.Output.Format == option.Wide:
		o.Print = func(list *images.PlatformList, out io.Writer) error {
			_, err := io.WriteString(out, option.Rows(columns(), list.Items, f.Output.NoHeaders))
			return err
		}
	}
	return o, nil
}

// manifest returns Tekton's manifest: the one that the flags name, or the binary's own.
func (f *Flags) manifest(ctx context.Context) ([]byte, error) {
	switch {
	case f.WithoutTekton:
		return nil, nil
	case f.TektonManifest == "":
		return manifests.Tekton(), nil
	}
	manifest, err := manifests.ReadTekton(ctx, f.TektonManifest)
	if err != nil {
		return nil, err
	}
	_, err = manifests.TektonVersion(manifest)
	return manifest, err
}

// Run prints the list.
func (o *Options) Run(ctx context.Context) error {
	manifest, err := o.Manifest(ctx)
	if err != nil {
		return err
	}
	list, err := images.Platform(manifest)
	if err != nil {
		return err
	}
	if err := o.Sort(list.Items); err != nil {
		return err
	}
	if err := o.Print(list, o.Streams.Out); err != nil {
		return fmt.Errorf("print the images: %w", err)
	}
	return nil
}

// printReferences prints one reference per line.
func printReferences(list *images.PlatformList, out io.Writer) error {
	var text strings.Builder
	for _, image := range list.Items {
		fmt.Fprintln(&text, image.Reference)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func columns() []display.Column[images.PlatformImage] {
	return []display.Column[images.PlatformImage]{
		{Header: "REPOSITORY", Cell: func(i images.PlatformImage) string { return i.Repository }},
		{Header: "TAG", Cell: func(i images.PlatformImage) string { return display.OrNone(i.Tag) }},
		{Header: "DIGEST", Cell: func(i images.PlatformImage) string { return display.OrNone(i.Digest) }},
	}
}
