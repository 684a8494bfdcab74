// Package lint is the verb lint: it checks a Dockerfile and the requirements that it
// installs.
package lint

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

// ErrFindings reports findings that fail the check. They are printed already.
var ErrFindings = errors.New("there are findings")

// Flags are the values of the command line.
type Flags struct {
	File    string
	Context string
	Target  string
	Variant string
	Output  string
	Strict  bool
	Rules   bool
	Explain string
}

// NewCommand returns the verb.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check a Dockerfile and the requirements that it installs",
		Long: `Check the Dockerfile of a directory and the requirements that it installs, with the
checks of BuildKit and with rules for images of Python services. If DIR has no
Dockerfile, lint checks the one that build would generate. It runs, builds and fetches
nothing, and needs no cluster.

To ignore a finding, add a comment above the instruction, or at the end of the line of
a requirement:  # pyflow: ignore=RULE
To ignore a rule in a whole file:  # pyflow: ignore-file=RULE

The exit code is 1 if there are errors, and with --strict also if there are warnings.`,
		Example: `  # Check the Dockerfile of this directory
  kubectl pyflow lint

  # Fail on warnings, too
  kubectl pyflow lint --strict

  # Write a report for code scanning
  kubectl pyflow lint -o sarif > lint.sarif

  # Annotate a pull request in GitHub Actions
  kubectl pyflow lint -o github

  # Explain a rule and its fix
  kubectl pyflow lint --explain code-before-dependencies`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.File, "file", "f", "", "Path of the Dockerfile, relative to DIR (default: Dockerfile)")
	f.StringVar(&flags.Context, "context", "", "Directory that is the build context, as for build (default: DIR)")
	f.StringVar(&flags.Target, "target", "", "Stage that is built (default: the last one)")
	f.StringVar(&flags.Variant, "variant", "", "Check the generated Dockerfile of this kind: "+variant.Choice())
	f.StringVarP(&flags.Output, "output", "o", "", "Output format: text, json, sarif or github (default: text)")
	f.BoolVar(&flags.Strict, "strict", false, "Exit with 1 on warnings, too")
	f.BoolVar(&flags.Rules, "rules", false, "List all rules")
	f.StringVar(&flags.Explain, "explain", "", "Print the reason and the fix of a rule")
	cmd.MarkFlagsMutuallyExclusive("rules", "explain")
	cmd.MarkFlagsMutuallyExclusive("file", "variant")
	_ = cmd.RegisterFlagCompletionFunc("variant", cobra.FixedCompletions(variant.Names(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("explain", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, rule := range allRules() {
			ids = append(ids, rule.ID+"\t"+rule.Summary)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

const textFormat = "text"

// formats returns the values of --output, the default first.
func formats() []string { return []string{textFormat, "json", "sarif", "github"} }

// Options are a run of lint.
type Options struct {
	Streams genericiooptions.IOStreams
	Lint    lint.Options
	// Context is the directory that is the build context; empty means Lint.Dir.
	Context string
	// Variant generates the Dockerfile that is checked; it may be empty.
	Variant generate.Variant
	// Output is one of formats.
	Output string
	Strict bool
	// Rules lists the rules and Explain prints the page of one. Then nothing is checked.
	Rules   bool
	Explain string
	// Color colors the text.
	Color bool

	// elsewhere is where files are on this machine that are not in the build context.
	elsewhere map[string]string
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{
		Streams: streams, Output: f.Output, Strict: f.Strict, Rules: f.Rules, Explain: f.Explain,
		Lint:    lint.Options{Dir: ".", Dockerfile: f.File, Target: f.Target},
		Context: f.Context,
		Variant: generate.Variant(f.Variant),
		Color:   display.IsTerminal(streams.Out) && os.Getenv("NO_COLOR") == "",
	}
	if len(args) > 0 {
		o.Lint.Dir = args[0]
	}
	o.Output = cmp.Or(o.Output, textFormat)
	if err := option.OneOf("output", o.Output, formats()...); err != nil {
		return nil, err
	}
	if f.Rules || f.Explain != "" {
		if len(args) > 0 {
			return nil, option.Usagef("--rules and --explain check nothing: leave the directory out")
		}
		if o.Output != textFormat && (f.Explain != "" || o.Output != "json") {
			return nil, option.Usagef("--rules is printed as text or json and --explain as text, not as %s", f.Output)
		}
	}
	return o, nil
}

// Run checks the Dockerfile and prints the findings. The error is ErrFindings if they fail
// the check.
func (o *Options) Run(ctx context.Context) error {
	switch {
	case o.Rules:
		return o.list()
	case o.Explain != "":
		return o.explain()
	}
	report, err := o.check(ctx)
	if err != nil {
		return err
	}
	switch o.Output {
	case "json":
		err = o.json(newReport(report, o.shown))
	case "sarif":
		var content []byte
		if content, err = report.SARIF(version.Version(), o.shown); err == nil {
			_, err = o.Streams.Out.Write(content)
		}
	case "github":
		_, err = io.WriteString(o.Streams.Out, annotations(report, o.shown))
	default:
		_, err = io.WriteString(o.Streams.Out, text(report, o.shown, o.Color))
	}
	if err != nil {
		return fmt.Errorf("print the findings: %w", err)
	}
	fmt.Fprintln(o.Streams.ErrOut, display.Sanitize(report.Summary()))
	if failures, warnings, _ := report.Count(); failures > 0 || o.Strict && warnings > 0 {
		return ErrFindings
	}
	return nil
}

// shown returns the path of a file of the build context as the user reaches it from the
// current directory, so that terminals and editors open it.
func (o *Options) shown(path string) string {
	name := filepath.Join(o.Lint.Dir, filepath.FromSlash(path))
	if file := o.elsewhere[path]; file != "" {
		name = file
	}
	if !filepath.IsAbs(name) {
		return name
	}
	current, err := os.Getwd()
	if err != nil {
		return name
	}
	if relative, err := filepath.Rel(current, name); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return name
}

// check checks the Dockerfile that build would use.
func (o *Options) check(ctx context.Context) (*lint.Report, error) {
	options := o.Lint
	if info, err := os.Stat(options.Dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open the directory: %s is a file: name the directory, and the Dockerfile with --file", options.Dir)
	}
	found, err := project.Resolve(options.Dir, project.Options{
		Dockerfile: options.Dockerfile, Context: o.Context, Target: options.Target, Variant: o.Variant, NoDeploy: true, DropUnknownArgs: true,
	})
	var invalid *dockerfile.ParseError
	switch {
	case errors.As(err, &invalid):
		options.Dockerfile, options.Target = invalid.Path, ""
	case err != nil:
		return nil, err
	default:
		options.Dockerfile, options.Target = found.Dockerfile.Value.Path, found.Target.Value
		options.Content, options.Ignore = found.Files[options.Dockerfile], found.Ignore()
		if found.Context != found.Dir {
			o.Lint.Dir, options.Dir = found.Context, found.Context
		}
		if options.Content != nil && found.File != "" {
			o.elsewhere = map[string]string{options.Dockerfile: found.File}
		}
	}
	options.Extra = lint.Extra{Rules: installed.LintRules(), Check: installed.LintCheck(ctx, options.Dir)}
	return lint.Run(ctx, options)
}

// allRules returns the rules of lint and those of the build engine.
func allRules() []lint.Rule { return slices.Concat(lint.Rules(), installed.LintRules()) }

// list prints the rules.
func (o *Options) list() error {
	rules := allRules()
	if o.Output == "json" {
		return o.json(ruleList{Kind: "LintRuleList", APIVersion: "pyflow.dev/v1", Items: rules})
	}
	columns := []display.Column[lint.Rule]{
		{Header: "RULE", Cell: func(rule lint.Rule) string { return rule.ID }},
		{Header: "SEVERITY", Cell: func(rule lint.Rule) string { return string(rule.Severity) }},
		{Header: "WHAT IT ASKS FOR", Cell: func(rule lint.Rule) string { return rule.Summary }},
	}
	_, err := o.Streams.Out.Write([]byte(display.Table(columns, rules)))
	return err
}

// explain prints the page of a rule.
func (o *Options) explain() error {
	if page, ok := lint.Page(o.Explain); ok {
		_, err := o.Streams.Out.Write([]byte(page))
		return err
	}
	for _, rule := range lint.Rules() {
		if strings.EqualFold(rule.ID, o.Explain) {
			if page, ok := lint.Page(rule.ID); ok {
				_, err := o.Streams.Out.Write([]byte(page))
				return err
			}
			_, err := fmt.Fprintf(o.Streams.Out, "# %s\n\n%s.\n\nA check of BuildKit: %s\n", rule.ID, rule.Summary, display.OrNone(rule.URL))
			return err
		}
	}
	if row, ok := installed.Row(o.Explain); ok {
		_, err := fmt.Fprintf(o.Streams.Out, "# %s\n\n%s: %s. %s: %s.\n\n%s\n\nSee %s\n", row.ID, row.Instruction, row.Feature, row.Support, row.Reason, row.Remedy, installed.SupportPage)
		return err
	}
	return fmt.Errorf("no rule %q: kubectl pyflow lint --rules lists the rules", o.Explain)
}

// ruleList is --rules -o json.
type ruleList struct {
	Kind       string      `json:"kind"`
	APIVersion string      `json:"apiVersion"`
	Items      []lint.Rule `json:"items"`
}

// report is -o json.
type report struct {
	Kind       string         `json:"kind"`
	APIVersion string         `json:"apiVersion"`
	Dockerfile string         `json:"dockerfile"`
	Errors     int            `json:"errors"`
	Warnings   int            `json:"warnings"`
	Notes      int            `json:"notes"`
	Findings   []lint.Finding `json:"findings"`
}

// newReport returns the report with the paths as the user reaches them.
func newReport(found *lint.Report, shown func(string) string) report {
	failures, warnings, notes := found.Count()
	findings := append([]lint.Finding{}, found.Findings...)
	for i := range findings {
		findings[i].Path = filepath.ToSlash(shown(findings[i].Path))
	}
	return report{
		Kind: "LintReport", APIVersion: "pyflow.dev/v1", Dockerfile: filepath.ToSlash(shown(found.Dockerfile)),
		Errors: failures, Warnings: warnings, Notes: notes, Findings: findings,
	}
}

func (o *Options) json(value any) error {
	encoder := json.NewEncoder(o.Streams.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
