// Package cached keeps what it has read of registries, so that nothing is read twice: what a
// digest names never changes.
package cached

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	// limit bounds the files of a cache together, maxContent each of them.
	limit      = 64 << 20
	maxContent = 8 << 20
	// touchAfter is how old the time of a file's last use may be.
	touchAfter = time.Hour
)

// kind is what a file holds. It starts the file's name.
type kind string

const (
	manifestFile kind = "manifest"
	configFile   kind = "config"
	analysisFile kind = "analysis"
)

// ErrDigest reports content that does not have the digest it was read by.
var ErrDigest = errors.New("the content does not have its digest")

// Cache is a directory of files that are named by digests. It is bounded: the files that were
// not used for the longest time go first. Only the user can read it. A nil Cache keeps
// nothing. It is safe for concurrent use, also by several processes.
type Cache struct {
	directory string
	limit     int64

	mu   sync.Mutex
	size int64
}

// Open returns the cache in a directory, which it creates.
func Open(directory string) (*Cache, error) {
	return open(directory, limit)
}

// OpenDefault returns the user's cache of registries.
func OpenDefault() (*Cache, error) {
	directory, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache directory: %w", err)
	}
	return Open(filepath.Join(directory, "kubectl-pyflow", "registry"))
}

func open(directory string, limit int64) (*Cache, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("create the cache: %w", err)
	}
	// A directory that existed may be open to others.
	if err := os.Chmod(directory, 0o700); err != nil { //nolint:gosec // a directory needs x
		return nil, fmt.Errorf("close the cache to others: %w", err)
	}
	c := &Cache{directory: directory, limit: limit}
	for _, file := range c.files() {
		c.size += file.size
	}
	return c, nil
}

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// path returns the file of a digest; empty for what is no digest.
func (c *Cache) path(kind kind, digest string) string {
	if c == nil || !digestPattern.MatchString(digest) {
		return ""
	}
	return filepath.Join(c.directory, string(kind)+"-"+digest[len("sha256:"):])
}

// digestOf returns the digest of content.
func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// get returns the content of a digest; nil if the cache does not have it. It removes what was
// changed.
func (c *Cache) get(kind kind, digest string) []byte {
	path := c.path(kind, digest)
	if path == "" {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	if kind == analysisFile {
		// Its name is the digest of the image: the file starts with the digest of the rest.
		sum, rest, _ := bytes.Cut(content, []byte("\n"))
		digest, content = string(sum), rest
	}
	if digestOf(content) != digest {
		_ = os.Remove(path)
		return nil
	}
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > touchAfter {
		now := time.Now()
		_ = os.Chtimes(path, now, now)
	}
	return content
}

// put keeps the content of a digest. A cache that cannot be written keeps less.
func (c *Cache) put(kind kind, digest string, content []byte) {
	path := c.path(kind, digest)
	if path == "" || len(content) > maxContent || kind != analysisFile && digestOf(content) != digest {
		return
	}
	if kind == analysisFile {
		content = append([]byte(digestOf(content)+"\n"), content...)
	}
	// The name is complete or absent, whatever happens.
	file, err := os.CreateTemp(c.directory, "new-*")
	if err != nil {
		return
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size += int64(len(content)); c.size > c.limit {
		c.evict()
	}
}

type file struct {
	path string
	size int64
	used time.Time
}

// files returns the files of the cache, the one that was used last first.
func (c *Cache) files() []file {
	var files []file
	entries, _ := os.ReadDir(c.directory)
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		files = append(files, file{filepath.Join(c.directory, entry.Name()), info.Size(), info.ModTime()})
	}
	slices.SortFunc(files, func(a, b file) int { return b.used.Compare(a.used) })
	return files
}

// evict removes files until the cache has room again.
func (c *Cache) evict() {
	c.size = 0
	for _, file := range c.files() {
		if c.size+file.size > c.limit*9/10 {
			if err := os.Remove(file.path); err == nil || errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		c.size += file.size
	}
}

// Analysis returns the analysis of an image that PutAnalysis kept; nil if there is none.
func (c *Cache) Analysis(digest string) []byte { return c.get(analysisFile, digest) }

// PutAnalysis keeps what an image of a digest is made of.
func (c *Cache) PutAnalysis(digest string, content []byte) { c.put(analysisFile, digest, content) }
