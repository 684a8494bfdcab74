package images

import (
	"regexp"
	"slices"
	"time"
)

const (
	// cacheTTL is how long Kaniko takes a layer from its cache, unless it is told
	// otherwise: --cache-ttl.
	cacheTTL = 14 * 24 * time.Hour
	// contextGrace is how long a build context stays after it was used last,
	// which is known by the day: a build that has just sent it has no run yet.
	contextGrace = 48 * time.Hour
	// comparisonGrace is how long what a comparison stores stays: it may be under way,
	// or have been kept to be looked at.
	comparisonGrace = 48 * time.Hour
)

// Rules say what may go.
type Rules struct {
	// Namespace restricts it to one; empty is all.
	Namespace string
	// Keep is how many of the newest images, and of the newest build contexts, of
	// every app stay, used or not.
	Keep int
	// Cache takes the whole layer cache, not only what Kaniko no longer reads.
	Cache bool
	Now   time.Time
}

// Deletion is a manifest that goes.
type Deletion struct {
	Repository *Repository
	Manifest   *Manifest
}

// Plan is what a prune deletes.
type Plan struct {
	// Deletions come in an order in which they can be carried out: an index
	// before its images.
	Deletions []Deletion
	// Freed are the bytes that nothing refers to any more afterwards.
	Freed int64
}

// NewPlan decides. It is pure. Repositories have to be all of the registry: they
// share blobs.
//
// What usage knows of stays, in every repository, and with it the index that it
// belongs to and the statements about it, signatures for example. Of the rest
// stay the newest images and build contexts of each app as Rules say, build
// contexts that were used a moment ago, what a comparison has stored of late, and the
// layers that Kaniko still takes from its cache; all of the cache, and of what is
// tested, while a build of the app is under way.
// Repositories of other kinds are left alone.
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
		return depth(b.Manifest) - depth(a.Manifest)
	})
	freed := blobs(gone)
	for digest := range blobs(kept) {
		delete(freed, digest)
	}
	plan.Freed = total(freed)
	return plan
}

// depth orders what refers to others before what does not.
func depth(m *Manifest) int {
	if len(m.Children) > 0 {
		return 1
	}
	return 0
}

// stays returns the digests of a repository that are not to be deleted.
func (r *Repository) stays(usage *Usage, rules Rules) map[string]bool {
	stays := map[string]bool{}
	if r.Kind == Other || (rules.Namespace != "" && rules.Namespace != r.Namespace) {
		for _, manifest := range r.Manifests {
			stays[manifest.Digest] = true
		}
		return stays
	}
	subjects := map[string]string{}
	newest := 0
	for _, manifest := range r.Manifests {
		if subject := manifest.subject(); subject != "" {
			subjects[manifest.Digest] = subject
		}
		stay := usage.Of(r, manifest)
		if len(manifest.Tags) > 0 && subjects[manifest.Digest] == "" {
			newest++
			switch r.Kind {
			case Images:
				stay = stay || newest <= rules.Keep
			case Contexts:
				stay = stay || newest <= rules.Keep || rules.Now.Sub(manifest.Created) < contextGrace
			case Comparisons:
				stay = stay || rules.Now.Sub(manifest.Created) < comparisonGrace
			case Tests:
				stay = stay || usage.building(r)
			case Cache:
				stay = stay || usage.building(r) || (!rules.Cache && rules.Now.Sub(manifest.Created) < cacheTTL)
			}
		}
		stays[manifest.Digest] = stay
	}
	// Whatever belongs to what stays does so too, until nothing is added.
	for changed := true; changed; {
		changed = false
		stay := func(digest string) {
			changed = changed || !stays[digest]
			stays[digest] = true
		}
		for _, manifest := range r.Manifests {
			if subject, ok := subjects[manifest.Digest]; ok && stays[subject] {
				stay(manifest.Digest)
			}
			for _, child := range r.children(manifest) {
				switch {
				case stays[manifest.Digest]:
					stay(child.Digest)
				case usage.Of(r, child):
					// Without its index an image has no tag, and is never found again.
					stay(manifest.Digest)
				}
			}
		}
	}
	return stays
}

// subject returns the digest of the manifest that this one is a statement about:
// it names it itself, or by the tag that registries without a list of such
// statements are given, and that cosign uses.
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
