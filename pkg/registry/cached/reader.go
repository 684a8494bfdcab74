package cached

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// maxManifests and maxTags bound what a Memory holds.
const (
	maxManifests = 20_000
	maxTags      = 100_000
)

// Registry is what a Reader reads.
type Registry interface {
	// Tags lists the tags of a repository.
	Tags(ctx context.Context, repository string) ([]string, error)
	// Manifest reads the manifest of a tag or a digest.
	Manifest(ctx context.Context, repository, reference string) (*registry.Manifest, error)
	// Digest returns the digest of a tag.
	Digest(ctx context.Context, repository, tag string) (string, error)
	// Config reads the configuration of an image.
	Config(ctx context.Context, repository string, config registry.Descriptor) ([]byte, error)
}

var _ Registry = (*registry.Client)(nil)

// Memory is what one process knows of one registry, beside a Cache. It is safe for concurrent
// use.
type Memory struct {
	cache *Cache

	mu        sync.Mutex
	manifests map[string]*registry.Manifest
	facts     map[string]Facts
	// tags are the digests of repository:tag when they were last read.
	tags map[string]string
}

// Facts are what is kept in memory of an image's configuration.
type Facts struct {
	Created time.Time
	// OS and Architecture are empty for another kind of artifact.
	OS, Architecture string
}

// NewMemory returns an empty memory. The cache may be nil.
func NewMemory(cache *Cache) *Memory {
	return &Memory{cache: cache, manifests: map[string]*registry.Manifest{}, facts: map[string]Facts{}, tags: map[string]string{}}
}

// Cache returns the cache of the memory; nil if it has none.
func (m *Memory) Cache() *Cache { return m.cache }

// manifest returns a manifest that is known; nil for another one.
func (m *Memory) manifest(digest string) *registry.Manifest {
	m.mu.Lock()
	known := m.manifests[digest]
	m.mu.Unlock()
	if known != nil {
		return known
	}
	raw := m.cache.get(manifestFile, digest)
	if raw == nil {
		return nil
	}
	parsed, err := registry.ParseManifest(raw)
	if err != nil {
		return nil
	}
	m.hold(parsed)
	return parsed
}

func (m *Memory) hold(manifest *registry.Manifest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.manifests) >= maxManifests {
		clear(m.manifests)
	}
	m.manifests[manifest.Digest] = manifest
}

func (m *Memory) tag(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tags[name]
}

func (m *Memory) holdTag(name, digest string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.tags) >= maxTags {
		clear(m.tags)
	}
	m.tags[name] = digest
}

// Reader reads a registry, and only what is not known yet. It implements images.Reader and
// inspect.Reader. It is safe for concurrent use.
type Reader struct {
	registry Registry
	memory   *Memory
	// trust takes the digest of a tag that was read before as it was.
	trust    bool
	progress func(done, total int)

	done, total atomic.Int64
	// warm reports that the last manifest read by its tag was known: asking for the digest
	// first is then shorter.
	warm atomic.Bool
}

// NewReader returns a reader. With trust it does not ask again which digest a tag has that it
// has read before. It calls progress, which may be nil, with the number of tags that are read
// and of those that are known to exist; from several goroutines.
func NewReader(registry Registry, memory *Memory, trust bool, progress func(done, total int)) *Reader {
	if progress == nil {
		progress = func(int, int) {}
	}
	r := &Reader{registry: registry, memory: memory, trust: trust, progress: progress}
	r.warm.Store(true)
	return r
}

// OpenReader returns a reader with the cache of the user. Without one it reads everything. It
// calls progress as NewReader says.
func OpenReader(registry Registry, progress func(done, total int)) *Reader {
	cache, _ := OpenDefault()
	return NewReader(registry, NewMemory(cache), false, progress)
}

// Tags lists the tags of a repository.
func (r *Reader) Tags(ctx context.Context, repository string) ([]string, error) {
	tags, err := r.registry.Tags(ctx, repository)
	total := r.total.Add(int64(len(tags)))
	r.progress(int(r.done.Load()), int(total))
	return tags, err
}

// Manifest reads the manifest of a tag or a digest.
func (r *Reader) Manifest(ctx context.Context, repository, reference string) (*registry.Manifest, error) {
	if strings.Contains(reference, ":") {
		if known := r.memory.manifest(reference); known != nil {
			return known, nil
		}
		return r.read(ctx, repository, reference)
	}
	manifest, err := r.tagged(ctx, repository, reference)
	if err == nil {
		r.memory.holdTag(repository+":"+reference, manifest.Digest)
	}
	r.progress(int(r.done.Add(1)), int(r.total.Load()))
	return manifest, err
}

// tagged reads the manifest of a tag.
func (r *Reader) tagged(ctx context.Context, repository, tag string) (*registry.Manifest, error) {
	digest := r.memory.tag(repository + ":" + tag)
	if known := r.memory.manifest(digest); known != nil && r.trust {
		return known, nil
	}
	if digest == "" && !r.warm.Load() {
		manifest, err := r.read(ctx, repository, tag)
		return manifest, err
	}
	digest, err := r.registry.Digest(ctx, repository, tag)
	if err != nil {
		return nil, err
	}
	known := r.memory.manifest(digest)
	r.warm.Store(known != nil)
	if known != nil {
		return known, nil
	}
	return r.read(ctx, repository, digest)
}

// read reads a manifest from the registry, and keeps it.
func (r *Reader) read(ctx context.Context, repository, reference string) (*registry.Manifest, error) {
	manifest, err := r.registry.Manifest(ctx, repository, reference)
	if err != nil {
		return nil, err
	}
	if r.memory.manifest(manifest.Digest) != nil {
		r.warm.Store(true)
		return manifest, nil
	}
	r.memory.cache.put(manifestFile, manifest.Digest, manifest.Raw)
	r.memory.hold(manifest)
	return manifest, nil
}

// Config reads the configuration of an image.
func (r *Reader) Config(ctx context.Context, repository string, config registry.Descriptor) ([]byte, error) {
	if known := r.memory.cache.get(configFile, config.Digest); known != nil {
		return known, nil
	}
	content, err := r.registry.Config(ctx, repository, config)
	if err != nil {
		return nil, err
	}
	if digestOf(content) != config.Digest {
		return nil, fmt.Errorf("configuration %s of %s: %w", config.Digest, repository, ErrDigest)
	}
	r.memory.cache.put(configFile, config.Digest, content)
	return content, nil
}

// Created returns when an image was built, from its configuration.
func (r *Reader) Created(ctx context.Context, repository string, config registry.Descriptor) (time.Time, error) {
	if known, ok := r.memory.Facts(config.Digest); ok {
		return known.Created, nil
	}
	content, err := r.Config(ctx, repository, config)
	if err != nil {
		return time.Time{}, err
	}
	return r.memory.learn(config.Digest, content).Created, nil
}
