// Package platform lists the images that the platform itself runs.
package platform

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Flags are the flags of the verb.
type Flags struct {
	TektonManifest string
	WithoutTekton  bool
}

// NewCommand returns the verb.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:   "platform",
		Short: "List the images that the platform itself runs, for a mirror",
		Long: `List the images that setup brings to a cluster, one reference per line, under
the names and versions that their projects publish: what a cluster without access
to public registries needs in its mirror. No cluster is asked.

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
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd.Context(), streams) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.TektonManifest, "tekton-manifest", "", "File or URL of the Tekton Pipelines release manifest that setup is given, in place of the one this binary carries")
	f.BoolVar(&flags.WithoutTekton, "without-tekton", false, "Leave Tekton's images out: for a cluster that has a Tekton Pipelines already")
	return cmd
}

func (f *Flags) run(ctx context.Context, streams genericiooptions.IOStreams) error {
	var manifest []byte
	var err error
	switch {
	case f.WithoutTekton && f.TektonManifest != "":
		return option.Usagef("--without-tekton and --tekton-manifest exclude each other")
	case f.WithoutTekton:
	case f.TektonManifest != "":
		manifest, err = manifests.ReadTekton(ctx, f.TektonManifest)
		if err == nil {
			_, err = manifests.TektonVersion(manifest)
		}
	default:
		manifest = manifests.Tekton()
	}
	if err != nil {
		return err
	}
	list, err := images.Platform(manifest)
	if err != nil {
		return err
	}
	for _, image := range list {
		fmt.Fprintln(streams.Out, image)
	}
	return nil
}
