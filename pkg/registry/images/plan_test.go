package images

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

var testNow = time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)

// sha returns a digest that is recognizable in a message.
func sha(name string) string {
	hex := fmt.Sprintf("%x", name)
	return "sha256:" + hex + strings.Repeat("0", 64-len(hex))
}

// stored returns a manifest of 10 bytes with the named layers of 100 bytes each.
func stored(name string, age time.Duration, tags []string, layers ...string) *Manifest {
	m := &Manifest{Manifest: &registry.Manifest{Digest: sha(name), Raw: make([]byte, 10)}, Tags: tags}
	if age >= 0 {
		m.Created = testNow.Add(-age)
	}
	for _, layer := range layers {
		m.Layers = append(m.Layers, registry.Descriptor{Digest: sha(layer), Size: 100})
	}
	return m
}

func index(name string, age time.Duration, tags []string, children ...string) *Manifest {
	m := stored(name, age, tags)
	for _, child := range children {
		m.Children = append(m.Children, registry.Descriptor{Digest: sha(child), Size: 10})
	}
	return m
}

func repository(kind Kind, path string, stored ...*Manifest) *Repository {
	r := Catalog([]string{path})[0]
	if r.Kind != kind {
		panic(path + " is of kind " + string(r.Kind))
	}
	slices.SortFunc(stored, newestFirst)
	r.Manifests = stored
	return r
}

func uses(digests ...string) *Usage {
	u := &Usage{digests: map[string][]User{}, tags: map[string][]User{}, builds: map[string]bool{}}
	for _, digest := range digests {
		if strings.HasPrefix(digest, "sha256:") {
			u.digests[digest] = []User{{Resource: "pod", Name: "x"}}
		} else {
			u.tags[digest] = []User{{Resource: "pod", Name: "x"}}
		}
	}
	return u
}

func (p Plan) names() string {
	var names []string
	for _, d := range p.Deletions {
		hex := strings.TrimPrefix(d.Manifest.Digest, "sha256:")
		var name []byte
		for i := 0; i < len(hex) && hex[i:i+2] != "00"; i += 2 {
			var b byte
			_, _ = fmt.Sscanf(hex[i:i+2], "%02x", &b)
			name = append(name, b)
		}
		names = append(names, string(name))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestPlan(t *testing.T) {
	const day = 24 * time.Hour
	tag := func(names ...string) []string { return names }
	shop := func() *Repository {
		return repository(Images, "team-a/shop",
			stored("a", 1*day, tag("shop-a"), "base", "la"),
			stored("b", 2*day, tag("shop-b"), "base", "lb"),
			stored("c", 3*day, tag("shop-c"), "base", "lc"),
			stored("d", 4*day, tag("shop-d"), "old", "ld"))
	}
	building := uses()
	building.builds["team-a/shop"] = true
	signed := "sha256-" + strings.TrimPrefix(sha("a"), "sha256:")
	for name, test := range map[string]struct {
		repositories []*Repository
		usage        *Usage
		rules        Rules
		want         string
		freed        int64
	}{
		"the newest stay":            {[]*Repository{shop()}, uses(), Rules{Keep: 2}, "c d", 320},
		"none is too many":           {[]*Repository{shop()}, uses(), Rules{Keep: 0}, "a b c d", 640},
		"all stay":                   {[]*Repository{shop()}, uses(), Rules{Keep: 5}, "", 0},
		"used by digest":             {[]*Repository{shop()}, uses(sha("d")), Rules{Keep: 1}, "b c", 220},
		"used by tag":                {[]*Repository{shop()}, uses("team-a/shop:shop-c"), Rules{Keep: 1}, "b d", 320},
		"a tag of another app":       {[]*Repository{shop()}, uses("team-a/other:shop-c"), Rules{Keep: 3}, "d", 210},
		"a used one is among newest": {[]*Repository{shop()}, uses(sha("a")), Rules{Keep: 1}, "b c d", 430},
		"another namespace":          {[]*Repository{shop()}, uses(), Rules{Namespace: "team-b"}, "", 0},
		"this namespace":             {[]*Repository{shop()}, uses(), Rules{Namespace: "team-a", Keep: 3}, "d", 210},
		"others share its layers": {
			[]*Repository{shop(), repository(Images, "team-b/shop", stored("z", day, tag("z"), "old"))},
			uses(),
			Rules{Namespace: "team-a", Keep: 3},
			"d", 110,
		},
		"others share the whole image": {
			[]*Repository{shop(), repository(Images, "team-b/shop", stored("d", 4*day, tag("copy"), "old", "ld"))},
			uses(),
			Rules{Namespace: "team-a", Keep: 3},
			"d", 0,
		},
		"a comparison goes after a while": {
			[]*Repository{
				repository(Comparisons, "team-a/shop/compare-x7k2p/slim", stored("m", 3*day, tag("cold")), stored("n", 1*day, tag("change"))),
				repository(Comparisons, "team-a/shop/compare-x7k2p/slim/cache", stored("o", 3*day, tag("layer"), "lo")),
				repository(Comparisons, "team-a/shop/compare-y7k2p/slim", stored("p", 3*day, tag("cold"))),
			},
			uses(sha("p")),
			Rules{Keep: 5, Namespace: "team-a"},
			"m o", 120,
		},
		"what no app has stays": {
			[]*Repository{
				repository(Other, "mirror/docker.io/library/python", stored("m", 99*day, tag("3"))),
				repository(Other, "mirror/x", stored("m", 99*day, tag("3"))),
				repository(Other, "team-a/shop/else", stored("n", 99*day, tag("3"))),
				repository(Other, "single", stored("o", 99*day, tag("3"))),
			},
			uses(),
			Rules{Cache: true},
			"", 0,
		},
		"an index keeps its images": {
			[]*Repository{repository(Images, "team-a/shop",
				index("i", 1*day, tag("i"), "x", "y"), stored("x", 1*day, nil, "lx"), stored("y", 1*day, nil, "ly"),
				index("j", 2*day, tag("j"), "y", "v"), stored("v", 2*day, nil, "lv"))},
			uses(),
			Rules{Keep: 1},
			"j v", 120,
		},
		"an index of an index": {
			[]*Repository{repository(Images, "team-a/shop",
				index("i", 1*day, tag("i"), "j"), index("j", 1*day, nil, "x"), stored("x", 1*day, nil))},
			uses(sha("i")),
			Rules{},
			"", 0,
		},
		"an image keeps its index": {
			[]*Repository{repository(Images, "team-a/shop",
				index("i", 1*day, tag("i"), "x", "y"), stored("x", 1*day, nil), stored("y", 1*day, nil))},
			uses(sha("x")),
			Rules{},
			"", 0,
		},
		"an image of an index with a tag of its own": {
			[]*Repository{repository(Images, "team-a/shop",
				stored("a", 1*day, tag("a")), stored("x", 2*day, tag("x")), index("i", 3*day, tag("i"), "x"))},
			uses(),
			Rules{Keep: 2},
			"i", 10,
		},
		"a signature goes with its image": {
			[]*Repository{repository(Images, "team-a/shop",
				stored("s", 0, tag(signed+".sig")), stored("p", 0, tag(signed)),
				stored("a", 2*day, tag("a")), stored("b", 1*day, tag("b")))},
			uses(),
			Rules{Keep: 1},
			"a p s", 30,
		},
		"and stays with it": {
			[]*Repository{repository(Images, "team-a/shop",
				stored("s", 0, tag(signed+".sig")), stored("p", 0, tag(signed)),
				stored("a", 2*day, tag("a")), stored("b", 1*day, tag("b")))},
			uses(sha("a")),
			Rules{},
			"b", 10,
		},
		"build contexts": {
			[]*Repository{repository(Contexts, "team-a/shop/source",
				stored("today", 12*time.Hour, tag("t")), stored("yesterday", 36*time.Hour, tag("y")),
				stored("before", 60*time.Hour, tag("b")), stored("used", 9*day, tag("u")), stored("old", 10*day, tag("o")))},
			uses(sha("used")),
			Rules{Keep: 1},
			"before old", 20,
		},
		"the newest build contexts": {
			[]*Repository{repository(Contexts, "team-a/shop/source", stored("a", 9*day, tag("a")), stored("b", 8*day, tag("b")), stored("c", 7*day, tag("c")))},
			uses(),
			Rules{Keep: 2},
			"a", 10,
		},
		"the cache that Kaniko takes": {
			[]*Repository{repository(Cache, "team-a/shop/cache", stored("young", 13*day, tag("y")), stored("old", 15*day, tag("o")), stored("unknown", -1, tag("u")))},
			uses(),
			Rules{Keep: 5},
			"old unknown", 20,
		},
		"all of the cache": {
			[]*Repository{repository(Cache, "team-a/shop/cache", stored("young", 13*day, tag("y")), stored("old", 15*day, tag("o")))},
			uses(),
			Rules{Keep: 5, Cache: true},
			"old young", 20,
		},
		"the cache of a build": {
			[]*Repository{
				repository(Cache, "team-a/shop/cache", stored("young", 13*day, tag("y")), stored("old", 15*day, tag("o"))),
				repository(Cache, "team-b/shop/cache", stored("other", 1*day, tag("o"))),
			},
			building,
			Rules{Cache: true},
			"other", 10,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.rules.Now = testNow
			plan := NewPlan(test.repositories, test.usage, test.rules)
			if got := plan.names(); got != test.want || plan.Freed != test.freed {
				t.Errorf("deletes %q and frees %d, want %q and %d", got, plan.Freed, test.want, test.freed)
			}
		})
	}
}

// For any registry and any rules, a prune deletes nothing that is used or that a remaining
// manifest refers to, and it deletes less if more is to be kept.
func TestPlanNeverDeletesWhatIsUsed(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		repositories, usage := randomRegistry(random)
		rules := Rules{Cache: random.IntN(2) == 0, Now: testNow}
		if random.IntN(2) == 0 {
			rules.Namespace = "ns0"
		}
		before := map[Deletion]bool(nil)
		for keep := range 6 {
			rules.Keep = keep
			plan := NewPlan(repositories, usage, rules)
			gone := map[Deletion]bool{}
			for _, d := range plan.Deletions {
				if gone[d] {
					t.Fatalf("seed %d: %s goes twice", seed, d.Manifest.Digest)
				}
				gone[d] = true
				if before != nil && !before[d] {
					t.Errorf("seed %d: with %d kept, %s goes that stayed with less", seed, keep, d.Manifest.Digest)
				}
			}
			before = gone
			freed := map[string]bool{}
			for _, r := range repositories {
				for _, m := range r.Manifests {
					if !gone[Deletion{r, m}] {
						continue
					}
					if usage.Of(r, m) || r.Kind == Other || (rules.Namespace != "" && r.Namespace != rules.Namespace) {
						t.Errorf("seed %d: %s of %s goes", seed, m.Digest, r.Path)
					}
					for _, blob := range m.Blobs() {
						freed[blob.Digest] = true
					}
				}
			}
			for _, r := range repositories {
				kept := 0
				for _, m := range r.Manifests {
					if gone[Deletion{r, m}] {
						continue
					}
					kept++
					for _, child := range r.children(m) {
						if gone[Deletion{r, child}] {
							t.Errorf("seed %d: %s goes, which %s refers to", seed, child.Digest, m.Digest)
						}
					}
					for _, blob := range m.Blobs() {
						delete(freed, blob.Digest)
					}
				}
				if r.Kind == Images && kept < min(keep, tagged(r)) {
					t.Errorf("seed %d: %s keeps %d of %d", seed, r.Path, kept, keep)
				}
			}
			if plan.Freed < 0 || (len(freed) == 0) != (plan.Freed == 0) {
				t.Errorf("seed %d: %d bytes of %d blobs are freed", seed, plan.Freed, len(freed))
			}
		}
	}
}

func tagged(r *Repository) int {
	n := 0
	for _, m := range r.Manifests {
		if len(m.Tags) > 0 {
			n++
		}
	}
	return n
}

func randomRegistry(random *rand.Rand) ([]*Repository, *Usage) {
	usage := uses()
	var repositories []*Repository
	for _, path := range []string{"ns0/a", "ns0/a/source", "ns0/a/cache", "ns0/b", "ns1/a", "mirror/x"} {
		r := Catalog([]string{path})[0]
		byDigest := map[string]*Manifest{}
		for i := range random.IntN(12) {
			// Few names, so that repositories have manifests in common.
			name := fmt.Sprint(random.IntN(30))
			age := time.Duration(random.IntN(40*24)) * time.Hour
			var tags []string
			if random.IntN(4) > 0 {
				tags = []string{fmt.Sprint("t", i)}
			}
			m := stored(name, age, tags, fmt.Sprint("layer", random.IntN(6)))
			if random.IntN(4) == 0 {
				m = index(name, age, tags, fmt.Sprint(random.IntN(30)), fmt.Sprint(random.IntN(30)))
			}
			byDigest[m.Digest] = m
			if random.IntN(4) == 0 {
				usage.digests[m.Digest] = []User{{Name: "x"}}
			}
			if random.IntN(6) == 0 && tags != nil {
				usage.tags[path+":"+tags[0]] = []User{{Name: "x"}}
			}
		}
		for _, m := range byDigest {
			r.Manifests = append(r.Manifests, m)
		}
		slices.SortFunc(r.Manifests, newestFirst)
		if random.IntN(5) == 0 {
			usage.builds[r.Namespace+"/"+r.App] = true
		}
		repositories = append(repositories, r)
	}
	return repositories, usage
}
