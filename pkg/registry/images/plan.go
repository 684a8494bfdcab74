package images

import (
	"regexp"
	"slices"
	"time"
)

const (
	// cacheTTL is the age up to which Kaniko takes a layer from its cache by default:
	// --cache-ttl.
	cacheTTL = 14 * 24 * time.Hour
	// contextGrace is how long a build context stays after its last use, which is known by the
	// day. The build that has just sent it may have no run yet.
	contextGrace = 48 * time.Hour
	// comparisonGrace is how long the data of a comparison stays: the comparison may still run,
	// or the user may look at its images.
	comparisonGrace = 48 * time.Hour
	// maxDepth bounds how deep an index in an index is looked for.
	maxDepth = 4
)

// Rules select what may be deleted.
type Rules struct {
	// Namespace restricts the prune to one namespace; empty is all.
	Namespace string
	// Keep is the number of the newest images, and of the newest build contexts, of every app
	// that stay, used or not.
	Keep int
	// Cache deletes the whole layer cache, not only what Kaniko no longer reads.
	Cache bool
	Now   time.Time
}

// Deletion is a manifest to delete.
type Deletion struct {
	Repository *Repository
	Manifest   *Manifest
}

// Plan lists what a prune deletes.
type Plan struct {
	// Deletions are in the order in which they must be made: an index before its images.
	Deletions []Deletion
	// Freed is the number of bytes that nothing refers to afterwards.
	Freed int64
}

// NewPlan decides what is deleted. It is pure. Repositories must be all of the registry,
// because they share blobs.
//
// It keeps what usage refers to, in every repository, and with it the index that it belongs to
// and what describes it, such as signatures. Of the rest it keeps the newest images and build
// contexts of each app as Rules require, build contexts and data of comparisons that were used
// recently, and the layers that Kaniko still takes from its cache. While a build of an app
// runs, it keeps all of the app's cache and test images. It does not touch repositories of kind
// Other.
func NewPlan(repositories []*Repository, usage *Usage, rules Rules) Plan {
	var plan Plan
	var kept, gone []*Manifest
	for _, repository := range repositories {
		stays := repository.stays(usage, rules)
		for _, manifest := range repository.Manifests {
			if stays[manifest.Digest] {
				kept = append(kept, manifest)
				continue
			}
			gone = append(gone, manifest)
			plan.Deletions = append(plan.Deletions, Deletion{repository, manifest})
		}
	}
	slices.SortStableFunc(plan.Deletions, func(a, b Deletion) int {
		return b.depth() - a.depth()
	})
	freed := blobs(gone)
	for digest := range blobs(kept) {
		delete(freed, digest)
	}
	plan.Freed = total(freed)
	return plan
}

// depth is that of the manifests below: an index must go before its images.
func (d Deletion) depth() int {
	if len(d.Manifest.Children) == 0 {
		return 0
	}
	byDigest := d.Repository.byDigest()
	var depth func(m *Manifest, above int) int
	depth = func(m *Manifest, above int) int {
		deepest := above
		for _, child := range m.Children {
			if found := byDigest[child.Digest]; found != nil && above < maxDepth {
				deepest = max(deepest, depth(found, above+1))
			}
		}
		return deepest
	}
	return max(1, depth(d.Manifest, 0))
}

// stays returns the digests of a repository that are not deleted.
func (r *Repository) stays(usage *Usage, rules Rules) map[string]bool {
	stays := map[string]bool{}
	untouched := r.Kind == Other || (rules.Namespace != "" && rules.Namespace != r.Namespace)
	building := usage.building(r)
	newest := 0
	for _, manifest := range r.Manifests {
		stay := untouched || usage.Of(r, manifest)
		if manifest.isImage() {
			newest++
			stay = stay || rules.keep(r.Kind, rules.Now.Sub(manifest.Created), newest, building)
		}
		stays[manifest.Digest] = stay
	}
	if !untouched {
		r.addRelated(stays, usage)
	}
	return stays
}

// keep reports whether a manifest with a tag stays although nothing uses it. nth counts from
// the newest one of its repository.
func (rules Rules) keep(kind Kind, age time.Duration, nth int, building bool) bool {
	switch kind {
	case Images:
		return nth <= rules.Keep
	case Contexts:
		return nth <= rules.Keep || age < contextGrace
	case Comparisons:
		return age < comparisonGrace
	case Cache:
		return building || (!rules.Cache && age < cacheTTL)
	}
	return false
}

// addRelated adds what belongs to a manifest that stays. It repeats until nothing is added.
func (r *Repository) addRelated(stays map[string]bool, usage *Usage) {
	for changed := true; changed; {
		changed = false
		stay := func(digest string) {
			changed = changed || !stays[digest]
			stays[digest] = true
		}
		for _, manifest := range r.Manifests {
			if stays[manifest.subject()] {
				stay(manifest.Digest)
			}
			for _, child := range r.children(manifest) {
				switch {
				case stays[manifest.Digest]:
					stay(child.Digest)
				case usage.Of(r, child):
					// Without its index an image has no tag and cannot be found again.
					stay(manifest.Digest)
				}
			}
		}
	}
}

// isImage reports whether a manifest has a tag and describes no other one.
func (m *Manifest) isImage() bool { return len(m.Tags) > 0 && m.subject() == "" }

// subject returns the digest of the manifest that this one describes: from its own field, or
// from the tag that cosign uses, and that registries without a referrers list require.
func (m *Manifest) subject() string {
	if m.Subject != "" {
		return m.Subject
	}
	for _, tag := range m.Tags {
		if match := subjectTag.FindStringSubmatch(tag); match != nil {
			return "sha256:" + match[1]
		}
	}
	return ""
}

var subjectTag = regexp.MustCompile(`^sha256-([0-9a-f]{64})(\.[a-z]+)?$`)
