package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// memory is a registry that maps repositories to what they store, by digest and tag.
type memory struct {
	mu      sync.Mutex
	content map[string]map[string]*registry.Manifest
	created map[string]time.Time
	// reads counts the reads of each manifest.
	reads map[string]int
	// broken is the error of one repository.
	broken map[string]error
}

var (
	_ Reader = (*memory)(nil)
	_ Writer = (*memory)(nil)
)

func newMemory() *memory {
	return &memory{content: map[string]map[string]*registry.Manifest{}, created: map[string]time.Time{}, reads: map[string]int{}, broken: map[string]error{}}
}

func (m *memory) put(path string, stored *Manifest) {
	if m.content[path] == nil {
		m.content[path] = map[string]*registry.Manifest{}
	}
	if len(stored.Children) == 0 {
		stored.Config = registry.Descriptor{Digest: stored.Digest, Size: 1}
		m.created[stored.Digest] = stored.Created
	}
	for _, reference := range append([]string{stored.Digest}, stored.Tags...) {
		m.content[path][reference] = stored.Manifest
	}
}

func (m *memory) Tags(_ context.Context, path string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.broken[path]; err != nil {
		return nil, err
	}
	content, ok := m.content[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, registry.ErrNotFound)
	}
	var tags []string
	for reference := range content {
		if !strings.HasPrefix(reference, "sha256:") {
			tags = append(tags, reference)
		}
	}
	return tags, nil
}

func (m *memory) Manifest(_ context.Context, path, reference string) (*registry.Manifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads[path+" "+reference]++
	if found := m.content[path][reference]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%s %s: %w", path, reference, registry.ErrNotFound)
}

func (m *memory) Created(_ context.Context, _ string, config registry.Descriptor) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.created[config.Digest], nil
}

func (m *memory) DeleteManifest(_ context.Context, path, digest string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for reference, manifest := range m.content[path] {
		if manifest.Digest == digest {
			delete(m.content[path], reference)
		}
	}
	return m.broken[path]
}

func (m *memory) PutManifest(_ context.Context, path string, manifest *registry.Manifest, tags []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, reference := range append([]string{manifest.Digest}, tags...) {
		m.content[path][reference] = manifest
	}
	return m.broken[path]
}

func TestRead(t *testing.T) {
	const day = 24 * time.Hour
	m := newMemory()
	m.put("team-a/shop", stored("a", 3*day, []string{"a", "also"}))
	m.put("team-a/shop", stored("x", 2*day, nil))
	m.put("team-a/shop", stored("y", 1*day, nil))
	m.put("team-a/shop", stored("untagged", 1*day, nil))
	m.put("team-a/shop", index("inner", -1, nil, "y"))
	m.put("team-a/shop", index("i", -1, []string{"i"}, "x", "inner", "missing"))
	m.put("team-a/shop/source", stored("s", -1, []string{"2026-03-09-" + strings.Repeat("0", 32), "2026-03-11-" + strings.Repeat("0", 32)}))
	repositories := append(AppRepositories(manifests.RegistryConfig{}, "team-a", "shop"), Catalog([]string{"gone/app"})...)
	if err := Read(t.Context(), m, repositories); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range repositories {
		for _, stored := range r.Manifests {
			got = append(got, fmt.Sprint(r.Path, " ", stored.Digest[7:13], " ", stored.Tags, " ", stored.Created.Format(time.DateOnly)))
		}
	}
	name := func(text string) string { return sha(text)[7:13] }
	want := []string{
		"team-a/shop " + name("inner") + " [] 2026-03-19",
		"team-a/shop " + name("y") + " [] 2026-03-19",
		"team-a/shop " + name("i") + " [i] 2026-03-19",
		"team-a/shop " + name("x") + " [] 2026-03-18",
		"team-a/shop " + name("a") + " [a also] 2026-03-17",
		"team-a/shop/source " + name("s") + " [2026-03-09-" + strings.Repeat("0", 32) + " 2026-03-11-" + strings.Repeat("0", 32) + "] 2026-03-11",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for what, times := range m.reads {
		if times > 1 {
			t.Errorf("%s was read %d times", what, times)
		}
	}
	m.broken["gone/app"] = errors.New("no connection")
	if err := Read(t.Context(), m, repositories); err == nil {
		t.Error("a registry that does not answer is no error")
	}
}

func TestCatalog(t *testing.T) {
	for path, want := range map[string]Repository{
		"team-a/shop":                          {Kind: Images, Namespace: "team-a", App: "shop"},
		"team-a/shop/source":                   {Kind: Contexts, Namespace: "team-a", App: "shop"},
		"team-a/shop/cache":                    {Kind: Cache, Namespace: "team-a", App: "shop"},
		"team-a/shop/cache-1":                  {Kind: Cache, Namespace: "team-a", App: "shop"},
		"team-a/shop/cache-0":                  {Kind: Other},
		"team-a/shop/test":                     {Kind: Other},
		"team-a/source":                        {Kind: Images, Namespace: "team-a", App: "source"},
		"team-a/shop/other":                    {Kind: Other},
		"team-a/shop/compare-x7k2p":            {Kind: Other},
		"team-a/shop/compare-x7k2p/slim":       {Kind: Comparisons, Namespace: "team-a", App: "shop"},
		"team-a/shop/compare-x7k2p/slim/cache": {Kind: Comparisons, Namespace: "team-a", App: "shop"},
		"team-a/compare-x7k2p/slim":            {Kind: Other},
		"team-a/shop/source/deeper":            {Kind: Other},
		"single":                               {Kind: Other},
		"mirror/library":                       {Kind: Other},
		"pyflow-system/probe":                  {Kind: Other},
		"mirror/library/source":                {Kind: Other},
	} {
		got := *Catalog([]string{path})[0]
		want.Path = path
		if got.Path != want.Path || got.Kind != want.Kind || got.Namespace != want.Namespace || got.App != want.App {
			t.Errorf("%s is %+v, want %+v", path, got, want)
		}
	}
	external := AppRepositories(manifests.RegistryConfig{External: true, Host: "r.example.com", Prefix: "acme/pyflow"}, "team-a", "shop")
	if len(external) != 2+len(manifests.CacheSuffixes()) || external[0].Path != "acme/pyflow/team-a/shop" || external[1].Path != "acme/pyflow/team-a/shop/source" {
		t.Errorf("repositories of an external registry are %+v", external)
	}
}

// What came into use meanwhile is restored, an index after its images.
func TestDeleteAndRestore(t *testing.T) {
	m := newMemory()
	shop := repository(Images, "team-a/shop",
		index("i", 0, []string{"i"}, "x"), stored("x", 0, nil),
		stored("a", 0, []string{"a"}), stored("b", 0, []string{"b", "bb"}))
	for _, stored := range shop.Manifests {
		m.put(shop.Path, stored)
	}
	repositories := []*Repository{shop}
	plan := NewPlan(repositories, uses(), Rules{Now: testNow})
	var progress atomic.Int64
	deleted, err := Delete(t.Context(), m, plan.Deletions, func(int) { progress.Add(1) })
	if err != nil || len(deleted) != 4 || progress.Load() != 4 || len(m.content[shop.Path]) != 0 {
		t.Fatalf("deleted %d of 4, %d left, error %v", len(deleted), len(m.content[shop.Path]), err)
	}
	gone, err := Restore(t.Context(), m, deleted, NewPlan(repositories, uses(sha("x"), "team-a/shop:bb"), Rules{Now: testNow}))
	if err != nil {
		t.Fatal(err)
	}
	if len(gone) != 1 || gone[0].Manifest.Digest != sha("a") {
		t.Errorf("still deleted are %v", gone)
	}
	for _, reference := range []string{sha("i"), "i", sha("x"), sha("b"), "b", "bb"} {
		if m.content[shop.Path][reference] == nil {
			t.Errorf("%s is not back", reference)
		}
	}
	m.broken[shop.Path] = errors.New("no connection")
	if deleted, err := Delete(t.Context(), m, plan.Deletions, func(int) {}); err == nil || len(deleted) != 0 {
		t.Errorf("deleted %d, error %v", len(deleted), err)
	}
	if _, err := Restore(t.Context(), m, plan.Deletions, Plan{}); err == nil {
		t.Error("no error from a registry that takes nothing back")
	}
}
