package images

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// ErrExternal reports a registry that is not the platform's own.
var ErrExternal = errors.New("the registry is not the platform's own: its operator decides what it keeps")

// PruneKind is the kind of a Pruned in its JSON form.
const PruneKind = "ImagePrune"

// Writer changes a registry.
type Writer interface {
	// DeleteManifest deletes a manifest with its tags.
	DeleteManifest(ctx context.Context, repository, digest string) error
	// PutManifest stores a manifest, whose parts the registry has, with tags.
	PutManifest(ctx context.Context, repository string, manifest *registry.Manifest, tags []string) error
}

// Delete makes the deletions, and returns those that succeeded, with or without an error. What
// the manifests refer to stays until the registry collects its garbage.
//
// It makes several at once, but none before those that must go first, such as the index of an
// image. It calls progress from several goroutines.
func Delete(ctx context.Context, writer Writer, deletions []Deletion, progress func(done int)) ([]Deletion, error) {
	var done atomic.Int64
	gone := make([]bool, len(deletions))
	var err error
	for start := 0; start < len(deletions) && err == nil; {
		end := start + 1
		for end < len(deletions) && deletions[end].depth() == deletions[start].depth() {
			end++
		}
		err = inParallel(ctx, end-start, func(ctx context.Context, i int) error {
			d := deletions[start+i]
			if err := writer.DeleteManifest(ctx, d.Repository.Path, d.Manifest.Digest); err != nil {
				return err
			}
			gone[start+i] = true
			progress(int(done.Add(1)))
			return nil
		})
		start = end
	}
	return pick(deletions, gone), err
}

// inParallel calls do with the numbers up to count, some of them at once. After an error it
// starts no more, and returns the first one.
func inParallel(ctx context.Context, count int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range count {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return do(ctx, i)
		})
	}
	return group.Wait()
}

// pick returns the elements whose place in chosen is true.
func pick[T any](all []T, chosen []bool) []T {
	picked := make([]T, 0, len(all))
	for i, one := range all {
		if chosen[i] {
			picked = append(picked, one)
		}
	}
	return picked
}

// Restore restores the deleted manifests that plan, made after the deletion, would keep,
// because they came into use meanwhile. Call it before the garbage is collected. It returns
// what stays deleted.
func Restore(ctx context.Context, writer Writer, deleted []Deletion, plan Plan) ([]Deletion, error) {
	still := map[Deletion]bool{}
	for _, d := range plan.Deletions {
		still[d] = true
	}
	var gone []Deletion
	// The images of an index are restored before the index.
	for _, d := range slices.Backward(deleted) {
		if still[d] {
			gone = append(gone, d)
			continue
		}
		if err := writer.PutManifest(ctx, d.Repository.Path, d.Manifest.Manifest, d.Manifest.Tags); err != nil {
			return nil, err
		}
	}
	slices.Reverse(gone)
	return gone, nil
}

// Pruned is the result of a prune, or of a dry run. Its JSON form is documented in
// docs/images.md.
type Pruned struct {
	metav1.TypeMeta `json:",inline"`
	// DryRun reports that nothing was changed.
	DryRun bool `json:"dryRun"`
	// Deleted lists the deleted manifests.
	Deleted []Pruning `json:"deleted"`
	// Reclaimed reports that the storage released what nothing refers to. The storage of an
	// ephemeral registry releases it only when its pod is replaced.
	Reclaimed bool `json:"reclaimed"`
	// FreedBytes is the size of the blobs that were deleted, or would be.
	FreedBytes int64 `json:"freedBytes"`
	// FreedUnknown counts further deleted blobs of unknown size, which failed builds left
	// behind.
	FreedUnknown int `json:"freedUnknown"`
}

// Pruning is one deleted manifest.
type Pruning struct {
	Namespace  string       `json:"namespace"`
	App        string       `json:"app"`
	Kind       Kind         `json:"kind"`
	Repository string       `json:"repository"`
	Tags       []string     `json:"tags"`
	Digest     string       `json:"digest"`
	SizeBytes  int64        `json:"sizeBytes"`
	Created    *metav1.Time `json:"created"`
}

var _ runtime.Object = (*Pruned)(nil)

// DeepCopyObject makes Pruned an object that kubectl's printers accept.
func (p *Pruned) DeepCopyObject() runtime.Object {
	c := *p
	c.Deleted = slices.Clone(p.Deleted)
	for i := range c.Deleted {
		c.Deleted[i].Tags = slices.Clone(p.Deleted[i].Tags)
		c.Deleted[i].Created = p.Deleted[i].Created.DeepCopy()
	}
	return &c
}

// NewPruned returns the result for deletions.
func NewPruned(deletions []Deletion) *Pruned {
	p := &Pruned{TypeMeta: metav1.TypeMeta{Kind: PruneKind, APIVersion: APIVersion}, Deleted: []Pruning{}}
	for _, d := range deletions {
		pruning := Pruning{
			Namespace: d.Repository.Namespace, App: d.Repository.App, Kind: d.Repository.Kind,
			Repository: d.Repository.Path, Tags: append([]string{}, d.Manifest.Tags...), Digest: d.Manifest.Digest,
			SizeBytes: total(blobs([]*Manifest{d.Manifest})),
		}
		if d.Manifest.Created.Unix() > 0 {
			created := metav1.NewTime(d.Manifest.Created)
			pruning.Created = &created
		}
		p.Deleted = append(p.Deleted, pruning)
	}
	return p
}

// Count returns the number of deleted manifests of a kind.
func (p *Pruned) Count(kind Kind) int {
	n := 0
	for _, pruning := range p.Deleted {
		if pruning.Kind == kind {
			n++
		}
	}
	return n
}

// Freed adds the result of a garbage collection. The sizes are those of the blobs of
// repositories.
func (p *Pruned) Freed(repositories []*Repository, collected Collected) {
	var all []*Manifest
	for _, repository := range repositories {
		all = append(all, repository.Manifests...)
	}
	sizes := blobs(all)
	p.Reclaimed, p.FreedBytes, p.FreedUnknown = true, 0, 0
	for _, digest := range collected.Blobs {
		if size, ok := sizes[digest]; ok {
			p.FreedBytes += size
		} else {
			p.FreedUnknown++
		}
	}
}
