// Package option has the printers of --output that verbs with a report share.
package option

import (
	"fmt"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
)

// Formats are the values of --output, those that New does not make among them.
func Formats() []string {
	return []string{"wide", "name", "json", "yaml", "jsonpath=", "go-template="}
}

// New returns the printer of kubectl for an output format: json, yaml or a
// template. The formats 'wide' and 'name' are the verbs' own.
func New(output string) (printers.ResourcePrinter, error) {
	printer, err := genericclioptions.NewJSONYamlPrintFlags().ToPrinter(output)
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		printer, err = genericclioptions.NewKubeTemplatePrintFlags().ToPrinter(output)
	}
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		return nil, fmt.Errorf("--output is 'wide', 'name', 'json', 'yaml', 'jsonpath=TEMPLATE' or 'go-template=TEMPLATE', not %q", output)
	}
	if err != nil {
		return nil, fmt.Errorf("--output %q: %w", output, err)
	}
	return printer, nil
}
