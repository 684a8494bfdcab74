package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

const (
	// collectorInterval is the time between two checks of the garbage collection.
	collectorInterval = time.Second
	// restartTimeout is how long the registry's storage may take to start again.
	restartTimeout = 3 * time.Minute
	// updateRate is how often in a second a step says how far it is.
	updateRate = 5
	// readStep is the step that reads what the registry stores.
	readStep = "Reading the registry"
)

// Progress shows the steps of a prune.
type Progress interface {
	// Start starts a step. Done ends it with its result, or with its error.
	Start(name string) (done func(result string, err error))
	// Update replaces the text of the running step.
	Update(text string)
}

// PruneOptions are the options of Prune.
type PruneOptions struct {
	Rules Rules
	// DryRun plans, and changes nothing.
	DryRun bool
	// Timeout bounds the whole prune.
	Timeout time.Duration
	// Reader makes the reader of what the registry stores.
	Reader NewReader
}

// NewReader makes the reader of a registry to use in place of its client, such as one that knows
// what it has read before. The reader calls progress with the number of tags that are read and
// of those that are known to exist, from several goroutines.
type NewReader func(client *registry.Client, progress func(done, total int)) Reader

// open makes the reader, which shows how far a step is.
func (n NewReader) open(client *registry.Client, step string, progress Progress) Reader {
	pace := flowcontrol.NewTokenBucketRateLimiter(updateRate, 1)
	return n(client, func(done, total int) {
		if pace.TryAccept() {
			progress.Update(fmt.Sprintf("%s: %d of %d tags", step, done, total))
		}
	})
}

// Prune deletes the images that nothing uses, and collects the registry's garbage. It
// returns what it deleted, together with an error if one stopped it half-way; nil if it
// deleted nothing. Errors are ErrExternal for a registry that is not the platform's, an
// *access.MissingError, and a *kube.NamespaceNotFoundError for a namespace that does not
// exist and has left nothing behind.
func Prune(ctx context.Context, clients *kube.Clients, options PruneOptions, progress Progress) (*Pruned, error) {
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	if config.Registry.External {
		return nil, ErrExternal
	}
	if err := access.Check(ctx, clients.Kube, PrunePermissions(config.Registry, options.DryRun)); err != nil {
		return nil, err
	}
	client, err := Open(ctx, clients, config, manifests.SystemNamespace)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, options.Timeout, fmt.Errorf("prune is not done after %s: raise --timeout, and run it again to free what is left", options.Timeout))
	defer cancel()
	p := &pruner{
		checkNamespace: func(ctx context.Context) error {
			return kube.CheckNamespace(ctx, clients.Kube, options.Rules.Namespace)
		},
		store: client, reader: options.Reader.open(client, readStep, progress), cluster: clients.Dynamic, rules: options.Rules, progress: progress, ephemeral: config.Registry.Ephemeral,
		collector: &Collector{Kube: clients.Kube, Interval: collectorInterval, RestartTimeout: restartTimeout, Progress: progress.Update},
	}
	pruned, err := p.run(ctx, options.DryRun)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return pruned, err
}

// PrunePermissions returns the permissions that a prune needs, or a dry run of one.
func PrunePermissions(config manifests.RegistryConfig, dryRun bool) []access.Permission {
	permissions := slices.Concat([]access.Permission{adminPermission()}, platform.RegistryPermissions(config), RecordPermissions())
	if !dryRun {
		permissions = append(permissions, CollectorPermissions()...)
	}
	return permissions
}

// store is a registry that can be pruned.
type store interface {
	Writer
	Catalog(ctx context.Context) ([]string, error)
}

// collector frees what no manifest refers to.
type collector interface {
	// Recover starts a storage that an earlier collection left stopped.
	Recover(ctx context.Context) error
	Collect(ctx context.Context) (Collected, error)
}

// pruner prunes one registry.
type pruner struct {
	store store
	// reader reads the content of store.
	reader    Reader
	cluster   dynamic.Interface
	collector collector
	rules     Rules
	// ephemeral reports that the storage is deleted with its pod, so that there is no
	// garbage to collect.
	ephemeral bool
	// checkNamespace returns an error if the namespace of rules does not exist.
	checkNamespace func(context.Context) error
	progress       Progress
}

// run returns what it deleted, also together with an error; nil if it deleted nothing.
func (p *pruner) run(ctx context.Context, dryRun bool) (*Pruned, error) {
	if !dryRun && !p.ephemeral {
		// Requests to the registry hang while its storage is stopped.
		if err := p.collector.Recover(ctx); err != nil {
			return nil, err
		}
	}
	repositories, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	if p.rules.Namespace != "" && !slices.ContainsFunc(repositories, func(r *Repository) bool { return r.Namespace == p.rules.Namespace }) {
		if err := p.checkNamespace(ctx); err != nil {
			return nil, err
		}
	}
	done := p.progress.Start("Looking for what is used")
	plan, err := p.plan(ctx, repositories)
	done(fmt.Sprintf("Found what is used: %s can go", display.Count(len(plan.Deletions), "manifest")), err)
	if err != nil {
		return nil, err
	}
	if dryRun {
		pruned := NewPruned(plan.Deletions)
		pruned.DryRun, pruned.FreedBytes = true, plan.Freed
		return pruned, nil
	}
	deleted, err := p.delete(ctx, repositories, plan)
	if err != nil && len(deleted) == 0 {
		return nil, err
	}
	pruned := NewPruned(deleted)
	if err != nil || p.ephemeral {
		return pruned, err
	}
	return pruned, p.collect(ctx, repositories, pruned)
}

// collect collects the garbage, and adds to pruned what that freed.
func (p *pruner) collect(ctx context.Context, repositories []*Repository, pruned *Pruned) error {
	done := p.progress.Start("Collecting garbage")
	collected, err := p.collector.Collect(ctx)
	if err == nil {
		pruned.Freed(repositories, collected)
	}
	done(fmt.Sprintf("Garbage collected: %s", display.Count(len(collected.Blobs), "blob")), err)
	return err
}

// read finds everything that the registry stores. It runs before the search for what
// is used, because an image is used only after it was pushed.
func (p *pruner) read(ctx context.Context) ([]*Repository, error) {
	done := p.progress.Start(readStep)
	paths, err := p.store.Catalog(ctx)
	repositories := Catalog(paths)
	if err == nil {
		err = Read(ctx, p.reader, repositories)
	}
	n := 0
	for _, repository := range repositories {
		n += len(repository.Manifests)
	}
	done(fmt.Sprintf("Registry read: %s", display.Count(n, "manifest")), err)
	return repositories, err
}

func (p *pruner) plan(ctx context.Context, repositories []*Repository) (Plan, error) {
	usage, err := FindUsage(ctx, p.cluster, repositories)
	if err != nil {
		return Plan{}, err
	}
	return NewPlan(repositories, usage, p.rules), nil
}

// delete deletes what plan names, and then looks again at what is used: it restores
// what came into use meanwhile, which is possible until the garbage is collected.
func (p *pruner) delete(ctx context.Context, repositories []*Repository, plan Plan) ([]Deletion, error) {
	if len(plan.Deletions) == 0 {
		return nil, nil
	}
	done := p.progress.Start("Deleting manifests")
	deleted, err := Delete(ctx, p.store, plan.Deletions, func(n int) {
		p.progress.Update(fmt.Sprintf("Deleting manifests: %d of %d", n, len(plan.Deletions)))
	})
	done("Deleted "+display.Count(len(deleted), "manifest"), err)
	if err != nil {
		return deleted, err
	}
	done = p.progress.Start("Looking again for what is used")
	plan, err = p.plan(ctx, repositories)
	if err != nil {
		done("", err)
		return deleted, err
	}
	gone, err := Restore(ctx, p.store, deleted, plan)
	if err != nil {
		gone = deleted
	}
	done(fmt.Sprintf("Restored what came into use meanwhile: %s", display.Count(len(deleted)-len(gone), "manifest")), err)
	return gone, err
}
