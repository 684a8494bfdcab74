package cached

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

var (
	_ images.Reader  = (*Reader)(nil)
	_ inspect.Reader = (*Reader)(nil)
)

// store is a registry that counts what is asked of it.
type store struct {
	mu        sync.Mutex
	tags      map[string]string
	manifests map[string]*registry.Manifest
	configs   map[string][]byte
	asked     []string
}

func newStore(t *testing.T) *store {
	t.Helper()
	return &store{tags: map[string]string{}, manifests: map[string]*registry.Manifest{}, configs: map[string][]byte{}}
}

// push stores an image of a time under a tag, and returns its digest.
func (s *store) push(t *testing.T, tag string, created time.Time) string {
	t.Helper()
	config, err := json.Marshal(map[string]any{"created": created, "os": "linux", "architecture": "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	raw := fmt.Sprintf(`{"mediaType":"x/y","config":{"digest":%q,"size":%d},"layers":[]}`, digestOf(config), len(config))
	manifest, err := registry.ParseManifest([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	s.configs[digestOf(config)], s.manifests[manifest.Digest], s.tags[tag] = config, manifest, manifest.Digest
	return manifest.Digest
}

func (s *store) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

// took returns what was asked, sorted, and forgets it.
func (s *store) took() string {
	asked := s.asked
	s.asked = nil
	slices.Sort(asked)
	return strings.Join(asked, " ")
}

func (s *store) Tags(context.Context, string) ([]string, error) {
	s.note("tags")
	var tags []string
	for tag := range s.tags {
		tags = append(tags, tag)
	}
	return tags, nil
}

func (s *store) Manifest(_ context.Context, _, reference string) (*registry.Manifest, error) {
	s.note("manifest")
	digest := reference
	if tagged, ok := s.tags[reference]; ok {
		digest = tagged
	}
	if found := s.manifests[digest]; found != nil {
		return found, nil
	}
	return nil, registry.ErrNotFound
}

func (s *store) Digest(_ context.Context, _, tag string) (string, error) {
	s.note("digest")
	if digest, ok := s.tags[tag]; ok {
		return digest, nil
	}
	return "", registry.ErrNotFound
}

func (s *store) Config(_ context.Context, _ string, config registry.Descriptor) ([]byte, error) {
	s.note("config")
	return s.configs[config.Digest], nil
}

// What is known is not read again: by the same process, and by the next one.
func TestReader(t *testing.T) {
	built := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	s := newStore(t)
	first := s.push(t, "one", built)
	cache, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	memory := NewMemory(cache)
	progress := ""
	read := func(memory *Memory, trust bool) []string {
		t.Helper()
		repository := &images.Repository{Path: "team/shop", Kind: images.Images}
		reader := NewReader(s, memory, trust, func(done, total int) { progress = fmt.Sprintf("%d of %d", done, total) })
		if err := images.Read(t.Context(), reader, []*images.Repository{repository}); err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, manifest := range repository.Manifests {
			if manifest.Created.IsZero() || manifest.MediaType != "x/y" {
				t.Errorf("%s is from %s, %s", manifest.Digest, manifest.Created, manifest.MediaType)
			}
			found = append(found, strings.Join(manifest.Tags, ",")+"="+manifest.Digest)
		}
		return found
	}
	asks := func(step, want string) {
		t.Helper()
		if got := s.took(); got != want {
			t.Errorf("%s: asks for %q, want %q", step, got, want)
		}
	}
	if got := read(memory, false); !slices.Equal(got, []string{"one=" + first}) || progress != "1 of 1" {
		t.Errorf("read %q, %s", got, progress)
	}
	asks("at first", "config digest manifest tags")
	read(memory, false)
	asks("again", "digest tags")
	read(memory, true)
	asks("again, with trust", "tags")
	second := s.push(t, "two", built.Add(time.Hour))
	if got := read(memory, true); !slices.Equal(got, []string{"two=" + second, "one=" + first}) {
		t.Errorf("read %q", got)
	}
	asks("a new tag", "config digest manifest tags")
	read(NewMemory(cache), true)
	asks("the next process", "digest digest tags")
	s.tags["one"] = second
	if got := read(memory, false); !slices.Equal(got, []string{"one,two=" + second}) {
		t.Errorf("read %q after the tag has moved", got)
	}
	if facts, ok := memory.Facts(s.manifests[second].Config.Digest); !ok || facts.OS != "linux" || facts.Architecture != "arm64" {
		t.Errorf("facts are %+v, %t", facts, ok)
	}
	// Nothing is kept without a cache but in memory.
	bare := NewMemory(nil)
	read(bare, false)
	s.took()
	read(bare, false)
	asks("without a cache", "digest digest tags")
}

// A registry that is cold is read by tags, in one request each.
func TestReaderCold(t *testing.T) {
	s := newStore(t)
	for i := range 20 {
		s.push(t, fmt.Sprint("t", i), time.Unix(int64(i+1), 0))
	}
	repository := &images.Repository{Path: "team/shop", Kind: images.Images}
	if err := images.Read(t.Context(), NewReader(s, NewMemory(nil), false, nil), []*images.Repository{repository}); err != nil {
		t.Fatal(err)
	}
	// The first ones of each goroutine ask for the digest.
	if n := strings.Count(s.took(), "digest"); n > 4 {
		t.Errorf("asks for %d digests", n)
	}
}

func TestConfigWithAnotherDigest(t *testing.T) {
	s := newStore(t)
	s.configs[digestOf([]byte("good"))] = []byte("bad")
	reader := NewReader(s, NewMemory(nil), false, nil)
	if _, err := reader.Config(t.Context(), "team/shop", registry.Descriptor{Digest: digestOf([]byte("good"))}); !errors.Is(err, ErrDigest) {
		t.Errorf("error is %v", err)
	}
}

func TestCache(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "a", "registry")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	cache, err := open(directory, 3000)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("{}")
	digest := digestOf(content)
	cache.put(configFile, digest, content)
	cache.PutAnalysis(digest, []byte(`{"layers":[]}`))
	if string(cache.get(configFile, digest)) != "{}" || string(cache.Analysis(digest)) != `{"layers":[]}` || cache.get(manifestFile, digest) != nil {
		t.Error("the content is not back")
	}
	info, err := os.Stat(directory)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %s, %v", info.Mode(), err)
	}
	for _, file := range cache.files() {
		if info, err := os.Stat(file.path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %s, %v", file.path, info.Mode(), err)
		}
		// A file was changed.
		if err := os.WriteFile(file.path, []byte("changed"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if cache.get(configFile, digest) != nil || cache.Analysis(digest) != nil || len(cache.files()) != 0 {
		t.Error("changed content is taken, or stays")
	}
	// What is no digest has no file, and what has another digest is not kept.
	cache.put(configFile, "sha256:../../../etc/passwd", content)
	cache.put(configFile, digestOf([]byte("other")), content)
	if len(cache.files()) != 0 || cache.get(configFile, "../"+digest) != nil {
		t.Errorf("keeps %v", cache.files())
	}
}

// The oldest files go first, and those of an earlier process count.
func TestCacheIsBounded(t *testing.T) {
	directory := t.TempDir()
	cache, err := open(directory, 3000)
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for i := range 8 {
		if i == 4 {
			if cache, err = open(directory, 3000); err != nil {
				t.Fatal(err)
			}
		}
		content := []byte(strings.Repeat(fmt.Sprint(i), 500))
		digests = append(digests, digestOf(content))
		cache.put(configFile, digests[i], content)
		at := time.Now().Add(time.Duration(i-100) * time.Minute)
		if err := os.Chtimes(cache.path(configFile, digests[i]), at, at); err != nil && i < 6 {
			t.Fatal(err)
		}
	}
	var size int64
	for _, file := range cache.files() {
		size += file.size
	}
	if size > 3000 || cache.get(configFile, digests[7]) == nil || cache.get(configFile, digests[0]) != nil {
		t.Errorf("%d bytes in %d files", size, len(cache.files()))
	}
	var none *Cache
	none.put(configFile, digests[0], []byte("x"))
	if none.get(configFile, digests[0]) != nil || none.Analysis(digests[0]) != nil {
		t.Error("a nil cache has content")
	}
}
