// Package images lists the images in the registry, finds what the cluster uses of them, and
// deletes the rest.
package images

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// parallel is the number of concurrent requests to the registry: as many as its client keeps
// connections.
const parallel = 8

// Kind is the kind of content of a repository.
type Kind string

// The kinds of repositories.
const (
	// Images holds the images of an app.
	Images Kind = "images"
	// Contexts holds the build contexts of an app.
	Contexts Kind = "contexts"
	// Cache holds Kaniko's layer cache of an app.
	Cache Kind = "cache"
	// Comparisons holds what a comparison of ways to build an app stored: images, build
	// contexts and cached layers.
	Comparisons Kind = "comparisons"
	// Other belongs to no app: a mirror, an image of the platform, or a user's own push.
	Other Kind = "other"
)

// contextsSuffix is the suffix of an app's repository for its build contexts.
const contextsSuffix = "/source"

// comparisonPrefix starts the part of a path after the app's repository that names a
// comparison. The name of a variant follows it.
const comparisonPrefix = "compare-"

// Repository is a repository of the registry.
type Repository struct {
	// Path is the name without the host.
	Path string
	Kind Kind
	// Namespace and App are those of the app; empty for Other.
	Namespace, App string
	// Manifests are those that Read found, newest first.
	Manifests []*Manifest
}

// Manifest is a manifest in a repository.
type Manifest struct {
	*registry.Manifest
	// Tags are sorted. A child of an index usually has none.
	Tags []string
	// Created is the time at which an image was built, that of the newest image for an index,
	// or the day on which a build context was last used. It is zero if it is not known.
	Created time.Time
}

// AppRepositories returns the repositories that an app can have, without manifests.
func AppRepositories(config manifests.RegistryConfig, namespace, app string) []*Repository {
	path := config.Path(namespace, app)
	repositories := []*Repository{
		{Path: path, Kind: Images, Namespace: namespace, App: app},
		{Path: path + contextsSuffix, Kind: Contexts, Namespace: namespace, App: app},
	}
	for _, suffix := range manifests.CacheSuffixes() {
		repositories = append(repositories, &Repository{Path: path + suffix, Kind: Cache, Namespace: namespace, App: app})
	}
	return repositories
}

// Catalog returns the repositories, without manifests, for the paths in the catalog of the
// platform's registry.
func Catalog(paths []string) []*Repository {
	repositories := make([]*Repository, len(paths))
	for i, path := range paths {
		repositories[i] = &Repository{Path: path, Kind: Other}
		namespace, app, ok := strings.Cut(path, "/")
		if !ok || namespace == manifests.MirrorRepository || namespace == manifests.SystemNamespace {
			continue
		}
		app, rest, _ := strings.Cut(app, "/")
		if variant := strings.TrimPrefix(rest, comparisonPrefix); variant != rest && strings.Contains(variant, "/") {
			repositories[i] = &Repository{Path: path, Kind: Comparisons, Namespace: namespace, App: app}
		}
		for _, candidate := range AppRepositories(manifests.RegistryConfig{}, namespace, app) {
			if candidate.Path == path {
				repositories[i] = candidate
			}
		}
	}
	return repositories
}

// Reader reads a registry.
type Reader interface {
	// Tags lists the tags of a repository. For one that does not exist it returns
	// registry.ErrNotFound.
	Tags(ctx context.Context, repository string) ([]string, error)
	// Manifest reads the manifest of a tag or a digest.
	Manifest(ctx context.Context, repository, reference string) (*registry.Manifest, error)
	// Created reads from an image's configuration when it was built.
	Created(ctx context.Context, repository string, config registry.Descriptor) (time.Time, error)
}

// Read fills in the manifests of repositories: those with a tag, and those that an index refers
// to. It does not find other manifests without a tag. It ignores repositories that do not
// exist, and what is deleted meanwhile.
func Read(ctx context.Context, reader Reader, repositories []*Repository) error {
	tags := make([][]string, len(repositories))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, repository := range repositories {
		group.Go(func() (err error) {
			tags[i], err = reader.Tags(reading, repository.Path)
			return present(err)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var wanted []look
	for i, repository := range repositories {
		for _, tag := range tags[i] {
			wanted = append(wanted, look{repository: repository, reference: tag, tag: tag})
		}
	}
	known := map[*Repository]map[string]*Manifest{}
	for len(wanted) > 0 {
		if err := readAll(ctx, reader, wanted); err != nil {
			return err
		}
		wanted = merge(known, wanted)
	}
	for _, repository := range repositories {
		repository.setManifests(known[repository])
	}
	return nil
}

// look is one manifest to read, and the result.
type look struct {
	repository *Repository
	reference  string
	tag        string
	found      *Manifest
}

func readAll(ctx context.Context, reader Reader, wanted []look) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range wanted {
		group.Go(func() error {
			l := &wanted[i]
			manifest, err := reader.Manifest(ctx, l.repository.Path, l.reference)
			if err != nil {
				return present(err)
			}
			l.found = &Manifest{Manifest: manifest}
			switch {
			case l.repository.Kind == Contexts, l.repository.Kind == Comparisons && strings.HasSuffix(l.repository.Path, contextsSuffix):
				l.found.Created, _ = registry.SourceDay(l.tag)
			case l.repository.Kind != Other && manifest.Config.Digest != "":
				l.found.Created, err = reader.Created(ctx, l.repository.Path, manifest.Config)
			}
			return present(err)
		})
	}
	return group.Wait()
}

// present returns nil for registry.ErrNotFound, and any other error as it is.
func present(err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	return err
}

// merge adds what was found to what is known, and returns the children that are not known yet.
func merge(known map[*Repository]map[string]*Manifest, found []look) []look {
	var children []look
	for _, l := range found {
		if l.found == nil {
			continue
		}
		if known[l.repository] == nil {
			known[l.repository] = map[string]*Manifest{}
		}
		manifest := known[l.repository][l.found.Digest]
		if manifest == nil {
			manifest = l.found
			known[l.repository][manifest.Digest] = manifest
		}
		if l.tag != "" {
			manifest.Tags = append(manifest.Tags, l.tag)
		}
		if l.found.Created.After(manifest.Created) {
			manifest.Created = l.found.Created
		}
	}
	for repository, manifests := range known {
		for _, manifest := range manifests {
			if manifest == nil {
				continue
			}
			for _, child := range manifest.Children {
				if _, ok := manifests[child.Digest]; !ok {
					// A nil entry keeps a missing child from being read twice.
					manifests[child.Digest] = nil
					children = append(children, look{repository: repository, reference: child.Digest})
				}
			}
		}
	}
	return children
}

// setManifests sets the manifests, in order, and gives an index the time of its newest image.
func (r *Repository) setManifests(found map[string]*Manifest) {
	r.Manifests = nil
	for _, manifest := range found {
		if manifest == nil {
			continue
		}
		slices.Sort(manifest.Tags)
		r.Manifests = append(r.Manifests, manifest)
	}
	for _, manifest := range r.Manifests {
		for _, child := range r.children(manifest) {
			if child.Created.After(manifest.Created) {
				manifest.Created = child.Created
			}
		}
	}
	slices.SortFunc(r.Manifests, newestFirst)
}

func newestFirst(a, b *Manifest) int {
	return cmp.Or(b.Created.Compare(a.Created), slices.Compare(a.Tags, b.Tags), strings.Compare(a.Digest, b.Digest))
}

// children returns the manifests below manifest, at any depth, that the repository has, without
// manifest itself.
func (r *Repository) children(manifest *Manifest) []*Manifest {
	if len(manifest.Children) == 0 {
		return nil
	}
	byDigest := r.byDigest()
	var all []*Manifest
	seen := map[string]bool{manifest.Digest: true}
	var visit func(*Manifest)
	visit = func(parent *Manifest) {
		for _, descriptor := range parent.Children {
			child := byDigest[descriptor.Digest]
			if child == nil || seen[child.Digest] {
				continue
			}
			seen[child.Digest] = true
			all = append(all, child)
			visit(child)
		}
	}
	visit(manifest)
	return all
}

func (r *Repository) byDigest() map[string]*Manifest {
	byDigest := make(map[string]*Manifest, len(r.Manifests))
	for _, manifest := range r.Manifests {
		byDigest[manifest.Digest] = manifest
	}
	return byDigest
}

// blobs returns the sizes of the blobs of manifests, by digest.
func blobs(manifests []*Manifest) map[string]int64 {
	sizes := map[string]int64{}
	for _, manifest := range manifests {
		for _, blob := range manifest.Blobs() {
			sizes[blob.Digest] = blob.Size
		}
	}
	return sizes
}

func total(sizes map[string]int64) int64 {
	var sum int64
	for _, size := range sizes {
		sum += size
	}
	return sum
}
