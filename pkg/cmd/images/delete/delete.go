// Package delete deletes images from the registry.
package delete

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/cached"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

var (
	// ErrNotInteractive reports that the verb needs an answer and there is no terminal.
	ErrNotInteractive = errors.New("images delete asks before it deletes, and there is no terminal to ask on")
	// ErrDeclined reports that the answer was not yes. Nothing was changed.
	ErrDeclined = errors.New("not confirmed: nothing was changed")
)

// errDryRun ends a dry run before it deletes.
var errDryRun = errors.New("dry run")

// Flags are the flags of the verb.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Yes    bool
	Force  bool
	DryRun option.DryRun
	Output string
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "delete APP:TAG|APP@DIGEST...",
		Short: "Delete images",
		Long: `Delete images of the current namespace from the registry. It first shows what goes,
and asks.

APP:TAG deletes the tag. The image goes with its last tag; as long as it has another
one, it stays. APP@DIGEST deletes the image with all of its tags.

An image that the cluster uses is not deleted: one that a workload runs or would run
after a rollback, and one of a run in progress. --force deletes it anyway.

Layers stay until the registry collects its garbage: images prune frees their space.`,
		Example: `  # Delete the image of a run
  kubectl pyflow images delete mountains:mountains-x7k2p

  # Delete an image with all of its tags, without a question
  kubectl pyflow images delete mountains@sha256:91c0f4d2a7e3 --yes

  # Show what would go
  kubectl pyflow images delete mountains:mountains-x7k2p --dry-run`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: complete.Images(config),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.Yes, "yes", "y", false, "Do not ask")
	f.BoolVar(&flags.Force, "force", false, "Delete what the cluster uses, too")
	flags.DryRun.AddFlag(cmd, "Show what would be deleted and change nothing, with client")
	f.StringVarP(&flags.Output, "output", "o", "", "Output format, one of: name (default: a line for each image)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{option.Name}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	// Images are those to delete, Force includes those that the cluster uses.
	Images []images.Name
	Force  bool
	// Yes skips the question.
	Yes bool
	// Ask asks the user and returns the answer; nil without a terminal.
	Ask    func(ctx context.Context, prompt string) (string, error)
	DryRun bool
	// Names prints names only, as kubectl's -o name does.
	Names bool
}

// ToOptions checks the flags and reads the kubeconfig.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	o := &Options{Streams: streams, Force: f.Force, Yes: f.Yes, DryRun: f.DryRun.Enabled(), Names: f.Output == option.Name}
	if f.Output != "" && !o.Names {
		return nil, option.OneOf("output", f.Output, option.Name)
	}
	for _, arg := range args {
		name, err := images.ParseName(arg)
		switch {
		case err != nil:
			return nil, option.Usage(err)
		case name.App == "":
			return nil, option.Usagef("%q names no app: write APP@%s", arg, arg)
		case name.Tag == "" && name.Digest == "":
			return nil, option.Usagef("%q names no image: write %s:TAG or %s@DIGEST; list them with %s", arg, arg, arg, display.QuoteCommand("kubectl", "pyflow", "images", arg))
		}
		o.Images = append(o.Images, name)
	}
	if display.CanAsk(streams.In, streams.ErrOut) {
		o.Ask = func(ctx context.Context, prompt string) (string, error) {
			return display.Ask(ctx, streams.In, streams.ErrOut, prompt)
		}
	}
	var err error
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run shows what goes, asks, and deletes it.
func (o *Options) Run(ctx context.Context) error {
	var planned []images.Removal
	removed, err := images.Remove(ctx, o.Clients, images.RemoveOptions{
		Names: o.Images, Force: o.Force, Reader: newReader, Progress: display.NewSteps(o.Streams.ErrOut),
		Confirm: func(removals []images.Removal, warnings []string) error {
			planned = removals
			for _, warning := range warnings {
				fmt.Fprintln(o.Streams.ErrOut, "warning:", warning)
			}
			return o.confirm(ctx, removals)
		},
		Waiting: func(err error) {
			fmt.Fprintf(o.Streams.ErrOut, "waiting for the registry, which is restarting or being cleaned up: %v; see: kubectl pyflow status\n", err)
		},
	})
	if errors.Is(err, errDryRun) {
		return o.print(planned, " (dry run)")
	}
	if printErr := o.print(removed, ""); printErr != nil {
		return errors.Join(err, printErr)
	}
	if err == nil && slices.ContainsFunc(removed, func(r images.Removal) bool { return r.Tag == "" }) {
		fmt.Fprintln(o.Streams.ErrOut, "the layers stay until a cluster administrator frees their space: kubectl pyflow images prune")
	}
	return err
}

// newReader reads what this user has not read before.
func newReader(client *registry.Client, progress func(done, total int)) images.Reader {
	return cached.OpenReader(client, progress)
}

// confirm shows what goes, and asks. It returns errDryRun for a dry run.
func (o *Options) confirm(ctx context.Context, removals []images.Removal) error {
	if o.DryRun {
		return errDryRun
	}
	if o.Yes {
		return nil
	}
	for _, removal := range removals {
		fmt.Fprintln(o.Streams.ErrOut, describe(removal))
	}
	if o.Ask == nil {
		return ErrNotInteractive
	}
	answer, err := o.Ask(ctx, fmt.Sprintf("Delete %s? Type yes to continue: ", amount(removals)))
	if err != nil {
		return err
	}
	if answer != "yes" {
		return ErrDeclined
	}
	return nil
}

// amount counts what goes.
func amount(removals []images.Removal) string {
	tags := 0
	for _, removal := range removals {
		if removal.Tag != "" {
			tags++
		}
	}
	var parts []string
	if n := len(removals) - tags; n > 0 {
		parts = append(parts, display.Count(n, "image"))
	}
	if tags > 0 {
		parts = append(parts, display.Count(tags, "tag"))
	}
	return strings.Join(parts, " and ")
}

// describe returns what goes and what stays in one line.
func describe(r images.Removal) string {
	others := display.JoinMax(r.Others(), 5)
	switch {
	case r.Tag != "":
		return fmt.Sprintf("tag %s goes; the image %s stays with the tags %s", r.Name(), display.Digest(r.Manifest.Digest, false), others)
	case len(r.Parts) > 0:
		return fmt.Sprintf("image %s goes with the tags %s and %s of it", r.Name(), display.OrNone(others), display.Count(len(r.Parts), "part"))
	}
	return fmt.Sprintf("image %s goes with the tags %s", r.Name(), display.OrNone(others))
}

// print prints what was deleted.
func (o *Options) print(removals []images.Removal, suffix string) error {
	for _, removal := range removals {
		line := removal.Name()
		if !o.Names {
			kind := "image"
			if removal.Tag != "" {
				kind = "tag"
			}
			line = fmt.Sprintf("%s %q deleted%s", kind, line, suffix)
		}
		if _, err := fmt.Fprintln(o.Streams.Out, line); err != nil {
			return fmt.Errorf("print the images: %w", err)
		}
	}
	return nil
}
