package env

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/env"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// List is what -o json prints.
type List struct {
	metav1.TypeMeta `json:",inline"`
	Items           []env.Variable `json:"items"`
}

// DeepCopyObject makes it a runtime.Object, for printers. The copy shares the items.
func (l *List) DeepCopyObject() runtime.Object {
	one := *l
	return &one
}

func newListCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	output := &option.Output{}
	cmd := &cobra.Command{
		Use:   "list APP",
		Short: "List the variables of an app and where they come from",
		Long: `List the variables of an app: their names, and where each comes from. Values are not
printed.

A variable of the kind value is part of the manifests. Variables of the image itself are not
listed. NAME* stands for all keys of a Secret that you may not read.`,
		Example: `  # Where the variables of an app come from
  kubectl pyflow env list mountains

  # The names of those that env set has set
  kubectl pyflow env list mountains -o jsonpath='{.items[?(@.settable)].name}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: complete.Apps(config, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			printer, err := output.ToPrinter()
			if err != nil {
				return err
			}
			clients, err := kube.New(config)
			if err != nil {
				return err
			}
			list, err := read(cmd.Context(), clients, args[0])
			if err != nil {
				return err
			}
			if err := option.Sort(output, list.Items); err != nil {
				return err
			}
			if printer != nil {
				return printer.PrintObj(list, streams.Out)
			}
			_, err = io.WriteString(streams.Out, table(list, output))
			return err
		},
	}
	output.AddListFlags(cmd, "a table")
	return cmd
}

func read(ctx context.Context, clients *kube.Clients, name string) (*List, error) {
	found, path, err := find(ctx, clients, name)
	if err != nil {
		return nil, err
	}
	list := &List{TypeMeta: metav1.TypeMeta{Kind: "VariableList", APIVersion: status.APIVersion}}
	list.Items, err = env.List(ctx, clients.Kube, found, path)
	return list, err
}

// table returns the table, or the names.
func table(list *List, output *option.Output) string {
	if output.Format == option.Name {
		var text strings.Builder
		for _, one := range list.Items {
			fmt.Fprintln(&text, "variable/"+one.Name)
		}
		return text.String()
	}
	columns := []display.Column[env.Variable]{
		{Header: "NAME", Cell: func(v env.Variable) string { return v.Name }},
		{Header: "FROM", Cell: env.Variable.From},
		{Header: "SET BY", Cell: setBy},
	}
	if output.Format == option.Wide {
		columns = append(columns, display.Column[env.Variable]{Header: "WORKLOADS", Cell: func(v env.Variable) string { return strings.Join(v.Workloads, ",") }})
	}
	return option.Rows(columns, list.Items, output.NoHeaders)
}

func setBy(v env.Variable) string {
	text := "manifests"
	if v.Settable {
		text = "env set"
	}
	if v.Overridden {
		text += " (overridden)"
	}
	return text
}
