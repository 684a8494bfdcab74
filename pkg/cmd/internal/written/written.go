// Package written has the flags about the manifests of a build: where those are that the user
// wrote, and where those go that are deployed.
package written

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// Flags are the values of the command line.
type Flags struct {
	// Manifests is the directory of the manifests; empty if it is to be found.
	Manifests string
	// Values and Set are values of a chart.
	source.Values
	// Show prints the manifests and builds nothing.
	Show bool
	// Output is the directory to write the manifests to after the build.
	Output string
}

// Add adds the flags to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Manifests, "manifests", "", "Directory of manifests to deploy: a kustomization, a Helm chart or plain YAML (default: deploy, k8s, manifests, kubernetes, chart or helm in the folder, if one has manifests of the app)")
	cmd.Flags().StringArrayVar(&f.Files, "values", nil, "File of values of the Helm chart, as for helm; repeatable")
	cmd.Flags().StringArrayVar(&f.Set, "set", nil, "Value of the Helm chart, as KEY=VALUE, as for helm; repeatable")
	cmd.Flags().BoolVar(&f.Show, "show-manifests", false, "Print the manifests without building or deploying; values of Secrets are hidden")
	cmd.Flags().StringVar(&f.Output, "output-manifests", "", "Directory to write the manifests to after the build, with the image by digest, for Argo CD or Flux; with --no-deploy that is all that happens to them")
	_ = cmd.MarkFlagDirname("manifests")
	_ = cmd.MarkFlagDirname("output-manifests")
	_ = cmd.MarkFlagFilename("values", "yaml", "yml")
}

// Near returns a path relative to the working directory if it is in or below that, as a person
// names it. Another path, and an empty one, stay as they are.
func Near(path string) string {
	working, err := os.Getwd()
	if path == "" || err != nil {
		return path
	}
	relative, err := filepath.Rel(working, path)
	if err != nil || !filepath.IsLocal(relative) {
		return path
	}
	return relative
}
