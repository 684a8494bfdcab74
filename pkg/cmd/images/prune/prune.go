// Package prune deletes the images that nothing uses.
package prune

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/cached"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Flags are the flags of the verb.
type Flags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	Keep          int
	Cache         bool
	DryRun        option.DryRun
	Output        option.Output
	Timeout       time.Duration
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Keep: 5, Timeout: 15 * time.Minute}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete images that nothing uses, and free their space",
		Long: `Delete the images of the current namespace that nothing uses, and free their space in
the registry. Needs the permissions of a cluster administrator.

What stays: every image that anything in the cluster refers to, in any namespace,
also what a rollback would bring back (old ReplicaSets, ControllerRevisions) and
what a run on record has built; of the rest the newest images of each app. Build
contexts stay as long as a run that refers to them, and the newest of each app;
layers of the cache for the 14 days in which ` + installed.Engine().Name() + ` takes them. Repositories that
are not of an app are left alone.

Then the registry collects its garbage, which it has to do alone: its storage is
stopped for some seconds, and builds and pulls wait meanwhile. It is started again
whatever happens; should the command be killed, the next prune or setup does it.`,
		Example: `  # See what would go, and how much space that frees
  kubectl pyflow images prune --dry-run

  # Keep what is used, and the three newest images of each app, everywhere
  kubectl pyflow images prune --all-namespaces --keep 3

  # Drop the layer cache, too: the next builds start cold
  kubectl pyflow images prune --cache

  # The bytes that went, for a script
  kubectl pyflow images prune -o jsonpath='{.freedBytes}'`,
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
	f.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "Prune the images of all namespaces")
	f.IntVar(&flags.Keep, "keep", flags.Keep, "How many of the newest images, and of the newest build contexts, of each app stay though nothing uses them")
	f.BoolVar(&flags.Cache, "cache", false, "Delete all of the layer cache, except that of apps that are being built")
	flags.DryRun.AddFlag(cmd, "Show what would be deleted and change nothing, with client")
	flags.Output.AddObjectFlags(cmd, "a table")
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long it may take")
	return cmd
}

// Options are the checked options of the verb.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Prune   images.PruneOptions
	// Print writes the result to Streams.Out.
	Print func(*images.Pruned, io.Writer) error
}

// ToOptions checks the flags and reads the kubeconfig.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams) (*Options, error) {
	switch {
	case f.Keep < 0:
		return nil, option.Usagef("--keep %d is negative", f.Keep)
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	}
	rules := images.Rules{Keep: f.Keep, Cache: f.Cache, Now: time.Now()}
	o := &Options{Streams: streams}
	o.Print = func(pruned *images.Pruned, out io.Writer) error {
		return printPruned(pruned, f.AllNamespaces, rules.Now, out)
	}
	printer, err := f.Output.ToPrinter()
	if err != nil {
		return nil, err
	}
	if printer != nil {
		o.Print = func(pruned *images.Pruned, out io.Writer) error { return printer.PrintObj(pruned, out) }
	}
	if o.Clients, err = kube.New(f.config); err != nil {
		return nil, err
	}
	if !f.AllNamespaces {
		rules.Namespace = o.Clients.Namespace
	}
	o.Prune = images.PruneOptions{Rules: rules, DryRun: f.DryRun.Enabled(), Timeout: f.Timeout, Reader: newReader}
	return o, nil
}

// newReader reads what this user has not read before.
func newReader(client *registry.Client, progress func(done, total int)) images.Reader {
	return cached.OpenReader(client, progress)
}

// Run prunes, and prints what it deleted.
func (o *Options) Run(ctx context.Context) error {
	steps := display.NewSteps(o.Streams.ErrOut)
	pruned, err := images.Prune(ctx, o.Clients, o.Prune, steps)
	if pruned != nil {
		err = errors.Join(err, o.Print(pruned, o.Streams.Out))
	}
	if err == nil && !pruned.DryRun && !pruned.Reclaimed && len(pruned.Deleted) > 0 {
		steps.Print("the registry is ephemeral: the space is free when its pod is replaced")
	}
	return err
}

// printPruned prints a table of what was deleted, and the sum.
func printPruned(pruned *images.Pruned, namespaces bool, now time.Time, out io.Writer) error {
	var columns []display.Column[images.Pruning]
	add := func(header string, cell func(images.Pruning) string) {
		columns = append(columns, display.Column[images.Pruning]{Header: header, Cell: cell})
	}
	if namespaces {
		add("NAMESPACE", func(p images.Pruning) string { return p.Namespace })
	}
	add("APP", func(p images.Pruning) string { return p.App })
	add("KIND", func(p images.Pruning) string { return string(p.Kind) })
	add("TAG", func(p images.Pruning) string { return display.OrNone(strings.Join(p.Tags, ",")) })
	add("DIGEST", func(p images.Pruning) string { return display.Digest(p.Digest, false) })
	add("SIZE", func(p images.Pruning) string { return display.Bytes(p.SizeBytes) })
	add("AGE", func(p images.Pruning) string { return age(p.Created, now) })
	_, err := io.WriteString(out, display.Table(columns, pruned.Deleted)+summary(pruned)+"\n")
	return err
}

// age returns the age of an image; unknown if it does not say when it was created.
func age(created *metav1.Time, now time.Time) string {
	if created == nil {
		return display.Age(metav1.Time{}, now)
	}
	return display.Age(*created, now)
}

// summary returns the result in one line.
func summary(pruned *images.Pruned) string {
	parts := []string{display.Count(pruned.Count(images.Images), "image")}
	for _, kind := range []struct {
		kind images.Kind
		name string
	}{{images.Contexts, "build context"}, {images.Cache, "cached layer"}, {images.Comparisons, "image or layer of a comparison"}} {
		if n := pruned.Count(kind.kind); n > 0 {
			parts = append(parts, display.Count(n, kind.name))
		}
	}
	text := strings.Join(parts, ", ")
	freed := display.Bytes(pruned.FreedBytes)
	switch {
	case pruned.DryRun:
		return text + " would be deleted, " + freed + " freed"
	case !pruned.Reclaimed:
		return text + " deleted, no space freed"
	case pruned.FreedUnknown > 0:
		return fmt.Sprintf("%s deleted, %s freed, and %s that no image referred to", text, freed, display.Count(pruned.FreedUnknown, "blob"))
	}
	return text + " deleted, " + freed + " freed"
}
