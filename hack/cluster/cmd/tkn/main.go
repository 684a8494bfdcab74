// Command tkn is Tekton's own client with its pipelinerun and taskrun commands.
package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/tektoncd/cli/pkg/cli"
	"github.com/tektoncd/cli/pkg/cmd/pipelinerun"
	"github.com/tektoncd/cli/pkg/cmd/taskrun"
)

func main() {
	params := &cli.TektonParams{}
	root := &cobra.Command{Use: "tkn", Short: "CLI for tekton pipelines", SilenceUsage: true}
	root.AddCommand(pipelinerun.Command(params), taskrun.Command(params))
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
