// Package option has the groups of flags that verbs share, and the errors of a wrong
// command line.
package option

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
)

const (
	// Wide is the table with more columns.
	Wide = "wide"
	// Name is a line of KIND/NAME per object.
	Name = "name"
)

// Output is the flag group of --output and of the flags that go with it. The zero
// value is the verb's default format.
type Output struct {
	// Format is the value of --output.
	Format string
	// NoHeaders leaves the headers of tables out.
	NoHeaders bool

	template         string
	allowMissingKeys bool
	sortBy           string
	// own are the formats that the verb prints itself, beside the default.
	own []string
}

// AddListFlags adds the flags of a verb that prints a list: as a table, also a wide
// one, by name, as JSON or YAML, or by a template. The help names the default format.
func (o *Output) AddListFlags(cmd *cobra.Command, defaultFormat string) {
	o.AddObjectFlags(cmd, defaultFormat, Wide, Name)
	f := cmd.Flags()
	f.BoolVar(&o.NoHeaders, "no-headers", false, "Leave the headers of tables out")
	f.StringVar(&o.sortBy, "sort-by", "", "Field to sort by, as a JSONPath expression such as {.name}")
}

// AddObjectFlags adds the flags of a verb that prints one object as JSON or YAML, by a
// template, or in a format of its own.
func (o *Output) AddObjectFlags(cmd *cobra.Command, defaultFormat string, own ...string) {
	o.own = own
	f := cmd.Flags()
	f.StringVarP(&o.Format, "output", "o", "", "Output format, one of: "+strings.Join(o.formats(), ", ")+" (default: "+defaultFormat+")")
	f.StringVar(&o.template, "template", "", "Template, or its file, for an output format that takes one")
	f.BoolVar(&o.allowMissingKeys, "allow-missing-template-keys", true, "Ignore missing fields and keys in a template")
	_ = cmd.MarkFlagFilename("template")
	var words []string
	for _, format := range o.formats() {
		if slices.Contains(templateFormats(), format) {
			format += "="
		}
		words = append(words, format)
	}
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
}

// formats are the values of --output.
func (o *Output) formats() []string {
	return slices.Concat(o.own, []string{"json", "yaml"}, templateFormats())
}

// templateFormats are the formats that take an argument.
func templateFormats() []string {
	return []string{"jsonpath", "jsonpath-file", "go-template", "go-template-file", columnsFormat, columnsFileFormat}
}

// ToPrinter returns the printer of --output, or nil for the default and the verb's own
// formats. A format that does not exist and an invalid template are a UsageError.
func (o *Output) ToPrinter() (printers.ResourcePrinter, error) {
	if err := o.checkSort(); err != nil {
		return nil, err
	}
	if slices.Contains(o.own, o.Format) || (o.Format == "" && o.template == "") {
		return nil, nil
	}
	if printer, err := newColumnsPrinter(o.Format, o.template, o.NoHeaders); printer != nil || err != nil {
		return printer, Usage(err)
	}
	flags := genericclioptions.NewPrintFlags("").WithDefaultOutput(o.Format)
	// Reports have no managed fields, and their names are not in metadata.
	flags.JSONYamlPrintFlags.ShowManagedFields, flags.NamePrintFlags = true, nil
	*flags.TemplatePrinterFlags.TemplateArgument, *flags.TemplatePrinterFlags.AllowMissingKeys = o.template, o.allowMissingKeys
	flags.OutputFlagSpecified = func() bool { return o.Format != "" }
	printer, err := flags.ToPrinter()
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		return nil, OneOf("output", o.Format, o.formats()...)
	}
	if err != nil {
		return nil, Usagef("--output %q: %w", o.Format, err)
	}
	return printer, nil
}
