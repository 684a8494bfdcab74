package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/util/flowcontrol"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/cached"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// reportEvery is the shortest time between two reports of how far a read is.
const reportEvery = 250 * time.Millisecond

// Stored is what the registry had of the scope at one time. It does not change.
type Stored struct {
	Config       manifests.RegistryConfig
	Repositories []*images.Repository
	// Images are those of the apps, with the workloads that use them. Total is the sum of
	// all apps.
	Images *images.List
	Apps   []images.AppStored
	Total  images.Stored
	Read   time.Time

	byDigest map[string]*images.Manifest
}

// Manifest returns the manifest with a digest, of whatever repository; nil if there is none.
func (s *Stored) Manifest(digest string) *images.Manifest { return s.byDigest[digest] }

// Image returns the image of an app with a digest, which may be a part of an index; nil if
// there is none.
func (s *Stored) Image(namespace, app, digest string) *images.Manifest {
	for _, repository := range s.Repositories {
		if repository.Kind != images.Images || repository.Namespace != namespace || repository.App != app {
			continue
		}
		for _, manifest := range repository.Manifests {
			if manifest.Digest == digest {
				return manifest
			}
		}
	}
	return nil
}

// Reading is how far a read of the registry is.
type Reading struct {
	// Active reports that it is in progress. Done and Total count its tags.
	Active      bool
	Done, Total int
	// Waiting is why the registry does not answer yet; nil if it does.
	Waiting error
}

// Registry is what the registry has of the scope of a Cluster. It is read when a view shows
// it, and then again where runs have ended. Its methods are safe for concurrent use.
type Registry struct {
	cluster *Cluster
	memory  *cached.Memory
	pace    flowcontrol.RateLimiter

	state *watch.Signal
	// The fields below are guarded by state.
	stored  *Stored
	reading Reading
	err     error
	viewers int
	// refresh asks to read everything again.
	refresh bool
	// ended are the runs that had ended at the last read, deployed is what the apps were.
	ended    map[string]bool
	deployed string
}

// NewRegistry returns the registry of a cluster, which keeps what it reads in cache, which may
// be nil. It reads until ctx ends; Cluster.Wait waits for that.
func NewRegistry(ctx context.Context, cluster *Cluster, cache *cached.Cache) *Registry {
	r := &Registry{
		cluster: cluster, memory: cached.NewMemory(cache), state: watch.New(),
		pace: flowcontrol.NewTokenBucketRateLimiter(0.5, 3),
	}
	cluster.group.Go(func() { r.run(ctx) })
	return r
}

// Changed returns a channel that is closed when State may return something else.
func (r *Registry) Changed() <-chan struct{} { return r.state.Changed() }

// State returns what the registry has, nil until it has been read once; how far a read is; and
// why the last one failed.
func (r *Registry) State() (stored *Stored, reading Reading, err error) {
	r.state.Read(func() { stored, reading, err = r.stored, r.reading, r.err })
	return stored, reading, err
}

// Cache keeps analyses of images; nil if there is no cache.
func (r *Registry) Cache() *cached.Cache { return r.memory.Cache() }

// Keep keeps the analysis of an image, as JSON.
func (r *Registry) Keep(digest string, analysis []byte) {
	r.memory.Cache().PutAnalysis(digest, analysis)
	r.state.Update(nil)
}

// Platform returns the platform of an image whose configuration has been read, and when it was
// built.
func (r *Registry) Platform(manifest *images.Manifest) string {
	facts, ok := r.memory.Facts(manifest.Config.Digest)
	if !ok || facts.OS == "" {
		return ""
	}
	return facts.OS + "/" + facts.Architecture
}

// View keeps the registry up to date until the returned function is called.
func (r *Registry) View() (done func()) {
	r.state.Update(func() {
		r.viewers++
		// A new view tries again what has failed.
		r.refresh = r.refresh || r.err != nil
	})
	return func() { r.state.Update(func() { r.viewers-- }) }
}

// Refresh reads everything again.
func (r *Registry) Refresh() { r.state.Update(func() { r.refresh = true }) }

// task is what to read.
type task struct {
	all   bool
	trust bool
	// apps are namespace/name.
	apps []string
	// usage reads what uses the images.
	usage bool
}

// next returns what to read now; the zero task is nothing.
func (r *Registry) next() (t task) {
	viewed := false
	r.state.Read(func() { viewed = r.viewers > 0 })
	if !viewed {
		return t
	}
	runs, _, _ := r.cluster.Runs(time.Now())
	apps, _, _ := r.cluster.Apps()
	ended, deployed := map[string]bool{}, fingerprint(apps)
	changed := map[string]bool{}
	for _, run := range runs {
		if run.Finished != nil {
			ended[run.Namespace+"/"+run.Name] = true
		}
	}
	r.state.Read(func() {
		switch {
		case r.viewers == 0:
			return
		case r.refresh || r.stored == nil && r.err == nil:
			t = task{all: true, trust: !r.refresh}
		default:
			for _, run := range runs {
				if key := run.Namespace + "/" + run.Name; ended[key] && !r.ended[key] {
					changed[run.Namespace+"/"+run.App] = true
				}
			}
			t.apps = slices.Sorted(maps.Keys(changed))
			t.usage = r.stored != nil && deployed != r.deployed
			if r.stored == nil {
				t.apps = nil
			}
		}
		r.refresh, r.ended, r.deployed = false, ended, deployed
	})
	return t
}

// fingerprint changes with what the apps run.
func fingerprint(apps []status.App) string {
	var text strings.Builder
	for _, app := range apps {
		fmt.Fprint(&text, app.Namespace, "/", app.Name, " ", app.Digest, " ", app.Workloads, " ", app.Updated.Unix(), " ", app.Ready, "\n")
	}
	return text.String()
}

// run reads what next asks for, whenever something has changed.
func (r *Registry) run(ctx context.Context) {
	for ctx.Err() == nil {
		mine, cluster := r.state.Changed(), r.cluster.Changed()
		t := r.next()
		if !t.all && len(t.apps) == 0 && !t.usage {
			select {
			case <-ctx.Done():
			case <-mine:
			case <-cluster:
			}
			continue
		}
		if r.pace.Wait(ctx) != nil {
			return
		}
		if t.all {
			r.state.Update(func() { r.reading = Reading{Active: true} })
		}
		stored, err := r.read(ctx, t)
		if ctx.Err() != nil {
			return
		}
		r.state.Update(func() {
			r.reading, r.err = Reading{}, err
			if err == nil {
				r.stored = stored
			}
		})
	}
}

// read returns what the registry has after a task.
func (r *Registry) read(ctx context.Context, t task) (*Stored, error) {
	clients := r.cluster.clients
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	scope := images.Scope{Namespace: r.cluster.namespace, AllKinds: true}
	before, _, _ := r.State()
	var repositories []*images.Repository
	if t.all || before == nil {
		repositories, err = r.fetch(ctx, config, scope, t.trust, r.report())
	} else {
		repositories = slices.Clone(before.Repositories)
		for _, app := range t.apps {
			scope.Namespace, scope.App, _ = strings.Cut(app, "/")
			var found []*images.Repository
			if found, err = r.fetch(ctx, config, scope, true, nil); err != nil {
				break
			}
			repositories = slices.DeleteFunc(repositories, func(known *images.Repository) bool {
				return known.Namespace == scope.Namespace && known.App == scope.App
			})
			repositories = append(repositories, found...)
		}
	}
	if err != nil {
		return nil, err
	}
	usage, err := images.Workloads(ctx, clients.Dynamic, r.cluster.namespace, repositories)
	if err != nil {
		return nil, err
	}
	return newStored(config.Registry, repositories, usage), nil
}

// newStored returns what repositories have. It is pure but for the time.
func newStored(config manifests.RegistryConfig, repositories []*images.Repository, usage *images.Usage) *Stored {
	byDigest := map[string]*images.Manifest{}
	for _, repository := range repositories {
		for _, manifest := range repository.Manifests {
			byDigest[manifest.Digest] = manifest
		}
	}
	return &Stored{
		Config: config, Repositories: repositories, byDigest: byDigest,
		Images: images.NewList(config, repositories, usage),
		Apps:   images.SumByApp(repositories), Total: images.SumAll(repositories), Read: time.Now(),
	}
}

// fetch reads a part of the registry. It calls progress, which may be nil, as a Reader does.
func (r *Registry) fetch(ctx context.Context, config *manifests.Config, scope images.Scope, trust bool, progress func(done, total int)) ([]*images.Repository, error) {
	waiting := func(err error) {
		r.state.Update(func() { r.reading = Reading{Active: true, Waiting: err} })
	}
	return images.Fetch(ctx, r.cluster.clients, config, scope, waiting, func(client *registry.Client) images.Reader {
		return cached.NewReader(client, r.memory, trust, progress)
	})
}

// report returns a function that shows how far a read is, but not each step.
func (r *Registry) report() func(done, total int) {
	pace := flowcontrol.NewTokenBucketRateLimiter(float32(time.Second/reportEvery), 1)
	return func(done, total int) {
		if pace.TryAccept() {
			r.state.Update(func() { r.reading = Reading{Active: true, Done: done, Total: total} })
		}
	}
}

// ErrNoImage reports an image that the registry does not have, or no longer.
var ErrNoImage = errors.New("the registry does not have this image, or no longer")

// Content is one image as the registry has it.
type Content struct {
	Manifest *registry.Manifest
	Config   *inspect.Config
}

// Image reads the manifest and the configuration of an image. Config is nil for an index.
func (r *Registry) Image(ctx context.Context, namespace, app, digest string) (*Content, error) {
	stored, _, _ := r.State()
	if stored != nil && stored.Image(namespace, app, digest) != nil {
		// It is there, and what a digest names does not change.
		if manifest, config := r.memory.Image(digest); manifest != nil && (config != nil || manifest.Config.Digest == "") {
			return newContent(manifest, config)
		}
	}
	clients := r.cluster.clients
	config, err := platform.Config(ctx, clients.Kube)
	if err != nil {
		return nil, err
	}
	client, err := open(ctx, clients, config, namespace)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	path := config.Registry.Path(namespace, app)
	// The registry knows whether it has the image; the cache does not.
	manifest, err := client.Manifest(ctx, path, digest)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil, fmt.Errorf("%s@%s in namespace %s: %w", app, digest, namespace, ErrNoImage)
	case err != nil:
		return nil, err
	case manifest.Config.Digest == "":
		return newContent(manifest, nil)
	}
	raw, err := cached.NewReader(client, r.memory, true, nil).Config(ctx, path, manifest.Config)
	if err != nil {
		return nil, err
	}
	return newContent(manifest, raw)
}

// newContent parses a configuration; nil is that of an index.
func newContent(manifest *registry.Manifest, config []byte) (*Content, error) {
	if config == nil {
		return &Content{Manifest: manifest}, nil
	}
	parsed, err := inspect.ParseConfig(config)
	if err != nil {
		return nil, err
	}
	return &Content{Manifest: manifest, Config: parsed}, nil
}

// open opens the registry with the credentials of a namespace, or else with those of the
// platform, which an administrator of the platform alone may read.
func open(ctx context.Context, clients *kube.Clients, config *manifests.Config, namespace string) (*registry.Client, error) {
	client, err := images.Open(ctx, clients, config, namespace)
	if err == nil || config.Registry.External {
		return client, err
	}
	whole, wholeErr := images.Open(ctx, clients, config, manifests.SystemNamespace)
	if wholeErr != nil {
		return nil, err
	}
	return whole, nil
}

// BuiltBy returns the run that built an image: the one that gave it its tag, or else the
// oldest that names its digest; nil if there is none on record.
func BuiltBy(runs []status.Run, namespace, app, digest string, tags []string) *status.Run {
	var found *status.Run
	for i, run := range runs {
		if run.Namespace != namespace || run.App != app || run.Digest != digest {
			continue
		}
		if slices.Contains(tags, run.Name) {
			return &runs[i]
		}
		if found == nil || cmp.Compare(run.Started.Unix(), found.Started.Unix()) < 0 {
			found = &runs[i]
		}
	}
	return found
}
