package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

const (
	// collectorInterval is between two looks at a collection of garbage.
	collectorInterval = time.Second
	// restartTimeout is the time that the storage may take to come back.
	restartTimeout = 3 * time.Minute
)

// pruneFlags are what the command line says.
type pruneFlags struct {
	config *genericclioptions.ConfigFlags

	AllNamespaces bool
	Keep          int
	Cache         bool
	DryRun        option.DryRun
	Output        option.Output
	Timeout       time.Duration
}

func newPruneCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &pruneFlags{config: config, Keep: 5, Timeout: 15 * time.Minute}
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
			options, err := flags.toOptions(streams)
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

// store is a registry that can be pruned.
type store interface {
	images.Reader
	images.Writer
	Catalog(ctx context.Context) ([]string, error)
}

// collector frees what no manifest refers to.
type collector interface {
	// Recover starts a storage that a collection has left stopped.
	Recover(ctx context.Context) error
	Collect(ctx context.Context) (images.Collected, error)
}

// pruneOptions are a prune, checked as far as that goes without a cluster.
type pruneOptions struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams
	Rules   images.Rules
	DryRun  bool
	Timeout time.Duration
	Print   func(*images.Pruned, io.Writer) error
}

func (f *pruneFlags) toOptions(streams genericiooptions.IOStreams) (*pruneOptions, error) {
	o := &pruneOptions{Streams: streams, DryRun: f.DryRun.Enabled(), Timeout: f.Timeout}
	switch {
	case f.Keep < 0:
		return nil, option.Usagef("--keep %d is negative", f.Keep)
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	}
	o.Rules = images.Rules{Keep: f.Keep, Cache: f.Cache, Now: time.Now()}
	o.Print = func(pruned *images.Pruned, out io.Writer) error {
		return printPruned(pruned, tableOptions{Now: o.Rules.Now, Namespaces: f.AllNamespaces}, out)
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
		o.Rules.Namespace = o.Clients.Namespace
	}
	return o, nil
}

// Run prunes, and prints what went.
func (o *pruneOptions) Run(ctx context.Context) error {
	config, err := platform.Config(ctx, o.Clients.Kube)
	if err != nil {
		return err
	}
	if config.Registry.External {
		return images.ErrExternal
	}
	rights := slices.Concat([]access.Permission{platformLogin()}, platform.RegistryPermissions(config.Registry), images.RecordPermissions())
	if !o.DryRun {
		rights = append(rights, images.CollectorPermissions()...)
	}
	if err := access.Check(ctx, o.Clients.Kube, rights); err != nil {
		return err
	}
	client, err := open(ctx, o.Clients, config, manifests.SystemNamespace)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("prune is not done after %s: raise --timeout, and run it again to free what is left", o.Timeout))
	defer cancel()
	steps := display.NewSteps(o.Streams.ErrOut)
	p := &prune{
		store: client, cluster: o.Clients.Dynamic, rules: o.Rules, steps: steps, ephemeral: config.Registry.Ephemeral,
		collector: &images.Collector{Kube: o.Clients.Kube, Interval: collectorInterval, RestartTimeout: restartTimeout, Progress: steps.Update},
	}
	pruned, err := p.run(ctx, o.DryRun)
	if pruned != nil {
		err = errors.Join(err, o.Print(pruned, o.Streams.Out))
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	if err == nil && p.ephemeral && !o.DryRun && len(pruned.Deleted) > 0 {
		steps.Print("the registry is ephemeral: the space is free when its pod is replaced")
	}
	return err
}

// prune is one under way.
type prune struct {
	store     store
	cluster   dynamic.Interface
	collector collector
	rules     images.Rules
	// ephemeral says that there is no garbage to collect: the storage goes with
	// its pod.
	ephemeral bool
	steps     *display.Steps
}

// run returns what was deleted, also beside an error; nil when that is nothing.
func (p *prune) run(ctx context.Context, dryRun bool) (*images.Pruned, error) {
	if !dryRun && !p.ephemeral {
		// The registry's front would hold every request for a storage that is stopped.
		if err := p.collector.Recover(ctx); err != nil {
			return nil, err
		}
	}
	repositories, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	done := p.steps.Start("Looking for what is used")
	plan, err := p.plan(ctx, repositories)
	done(fmt.Sprintf("Found what is used: %s can go", display.Count(len(plan.Deletions), "manifest")), err)
	if err != nil {
		return nil, err
	}
	if dryRun {
		pruned := images.NewPruned(plan.Deletions)
		pruned.DryRun, pruned.FreedBytes = true, plan.Freed
		return pruned, nil
	}
	deleted, err := p.delete(ctx, repositories, plan)
	pruned := images.NewPruned(deleted)
	if err != nil {
		if len(deleted) == 0 {
			return nil, err
		}
		return pruned, err
	}
	if p.ephemeral {
		return pruned, nil
	}
	done = p.steps.Start("Collecting garbage")
	collected, err := p.collector.Collect(ctx)
	if err == nil {
		pruned.Freed(repositories, collected)
	}
	done(fmt.Sprintf("Garbage collected: %s", display.Count(len(collected.Blobs), "blob")), err)
	return pruned, err
}

// read finds everything that the registry stores. It comes before what is used:
// an image is used only after it was pushed.
func (p *prune) read(ctx context.Context) ([]*images.Repository, error) {
	done := p.steps.Start("Reading the registry")
	paths, err := p.store.Catalog(ctx)
	repositories := images.Catalog(paths)
	if err == nil {
		err = images.Read(ctx, p.store, repositories)
	}
	n := 0
	for _, repository := range repositories {
		n += len(repository.Manifests)
	}
	done(fmt.Sprintf("Registry read: %s", display.Count(n, "manifest")), err)
	return repositories, err
}

func (p *prune) plan(ctx context.Context, repositories []*images.Repository) (images.Plan, error) {
	usage, err := images.FindUsage(ctx, p.cluster, repositories)
	if err != nil {
		return images.Plan{}, err
	}
	return images.NewPlan(repositories, usage, p.rules), nil
}

// delete carries out plan, and looks once more at what is used: what came into
// use meanwhile is put back, which is possible until the garbage is collected.
func (p *prune) delete(ctx context.Context, repositories []*images.Repository, plan images.Plan) ([]images.Deletion, error) {
	if len(plan.Deletions) == 0 {
		return nil, nil
	}
	done := p.steps.Start("Deleting manifests")
	deleted, err := images.Delete(ctx, p.store, plan.Deletions, func(n int) {
		p.steps.Update(fmt.Sprintf("Deleting manifests: %d of %d", n, len(plan.Deletions)))
	})
	done("Deleted "+display.Count(len(deleted), "manifest"), err)
	if err != nil {
		return deleted, err
	}
	done = p.steps.Start("Looking again for what is used")
	plan, err = p.plan(ctx, repositories)
	if err != nil {
		done("", err)
		return deleted, err
	}
	gone, err := images.Restore(ctx, p.store, deleted, plan)
	if err != nil {
		gone = deleted
	}
	done(fmt.Sprintf("Put back what came into use meanwhile: %s", display.Count(len(deleted)-len(gone), "manifest")), err)
	return gone, err
}

// printPruned writes what goes, and the sum of it.
func printPruned(pruned *images.Pruned, options tableOptions, out io.Writer) error {
	var columns []display.Column[images.Pruning]
	add := func(header string, cell func(images.Pruning) string) {
		columns = append(columns, display.Column[images.Pruning]{Header: header, Cell: cell})
	}
	if options.Namespaces {
		add("NAMESPACE", func(p images.Pruning) string { return p.Namespace })
	}
	add("APP", func(p images.Pruning) string { return p.App })
	add("KIND", func(p images.Pruning) string { return string(p.Kind) })
	add("TAG", func(p images.Pruning) string { return display.OrNone(strings.Join(p.Tags, ",")) })
	add("DIGEST", func(p images.Pruning) string { return display.Digest(p.Digest, false) })
	add("SIZE", func(p images.Pruning) string { return display.Bytes(p.SizeBytes) })
	add("AGE", func(p images.Pruning) string { return age(p.Created, options.Now) })
	_, err := io.WriteString(out, display.Table(columns, pruned.Deleted)+summary(pruned)+"\n")
	return err
}

// summary is what happened, in one line.
func summary(pruned *images.Pruned) string {
	parts := []string{display.Count(pruned.Count(images.Images), "image")}
	for _, kind := range []struct {
		kind images.Kind
		name string
	}{{images.Contexts, "build context"}, {images.Cache, "cached layer"}, {images.Tests, "tested stage"}, {images.Comparisons, "image or layer of a comparison"}} {
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
