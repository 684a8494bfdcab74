// Package inspect analyzes the content of an image: its layers, packages and files, and the
// space that it wastes.
package inspect

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

const (
	// header is the first line of a listing, with the version of the format.
	header = "pyflow-inspect 1"
	// listingLimit limits an unpacked listing. Two million files with ordinary names need less.
	listingLimit = 256 << 20
	// longestLine limits a line, and longestPath a name, which is also the limit of Linux.
	longestLine = 1 << 20
	longestPath = 4096
	// largestFile limits the size that a name with a line break can claim, so that no sum
	// overflows.
	largestFile = 1 << 38
)

// Listing is the output of the Task manifests.InspectTask for an image.
type Listing struct {
	// Layers are in order, the lowest first, each digest once.
	Layers []LayerListing
}

// LayerListing is the listing of one layer.
type LayerListing struct {
	// Digest is sha256:<hex>.
	Digest string
	// Entries are in the order of the layer's archive.
	Entries []Entry
	// Metadata is the content of the files that assign files to packages, by clean path,
	// reduced to the relevant lines.
	Metadata map[string][]string
}

// Type is the type of an Entry.
type Type byte

// The types of entries.
const (
	File      Type = '-'
	Directory Type = 'd'
	Symlink   Type = 'l'
	Hardlink  Type = 'h'
)

// Entry is one entry in the archive of a layer.
type Entry struct {
	Type Type
	// Path is relative to the root, and clean.
	Path string
	// Bytes is the size of a File, else 0.
	Bytes int64
	// Target is the Path of the file that a Hardlink links to; may be empty.
	Target string
}

// ErrListing reports that the log of the Task is not a complete listing.
var ErrListing = errors.New("the listing of the image cannot be read")

// errLayer reports that the listing is that of another image.
var errLayer = errors.New("it lacks a layer")

// layer returns the listing of a layer.
func (l *Listing) layer(digest string) (*LayerListing, error) {
	for i := range l.Layers {
		if l.Layers[i].Digest == digest {
			return &l.Layers[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %w: %s", ErrListing, errLayer, digest)
}

// Decode reads a listing as the Task writes it: compressed with gzip and encoded in base64.
// Errors hold ErrListing.
func Decode(text io.Reader) (*Listing, error) {
	unpacked, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrListing, err)
	}
	limited := &io.LimitedReader{R: unpacked, N: listingLimit}
	listing, err := Parse(limited)
	if err == nil && limited.N == 0 {
		err = fmt.Errorf("%w: it has more than %d MiB", ErrListing, listingLimit>>20)
	}
	return listing, err
}

// Parse reads a listing. It skips lines of an unknown format, because the name of a file may
// hold a line break. Errors hold ErrListing.
func Parse(text io.Reader) (*Listing, error) {
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	if !lines.Scan() || lines.Text() != header {
		return nil, fmt.Errorf("%w: it does not start with %q", ErrListing, header)
	}
	listing, escaped := &Listing{}, false
	file := ""
	for lines.Scan() {
		line := lines.Text()
		if line == "@escaped" {
			escaped = true
			continue
		}
		if digest, ok := strings.CutPrefix(line, "@layer "); ok {
			file = ""
			listing.Layers = append(listing.Layers, LayerListing{Digest: strings.Replace(digest, "/", ":", 1), Metadata: map[string][]string{}})
			continue
		}
		if len(listing.Layers) == 0 {
			continue
		}
		layer := &listing.Layers[len(listing.Layers)-1]
		if name, ok := strings.CutPrefix(line, "@file "); ok {
			if file, ok = clean(name); ok {
				layer.Metadata[file] = []string{}
			}
			continue
		}
		if content, ok := strings.CutPrefix(line, " "); ok {
			if file != "" {
				layer.Metadata[file] = append(layer.Metadata[file], strings.TrimSuffix(content, "\r"))
			}
			continue
		}
		if entry, ok := parseEntry(line, escaped); ok {
			layer.Entries = append(layer.Entries, entry)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrListing, err)
	}
	return listing, nil
}

// parseEntry reads type, size and name: "-12 usr/bin/x", "l0 a -> b".
func parseEntry(line string, escaped bool) (Entry, bool) {
	kind, name, ok := strings.Cut(line, " ")
	if !ok || len(kind) < 2 {
		return Entry{}, false
	}
	size, err := strconv.ParseInt(kind[1:], 10, 64)
	if err != nil || size < 0 || size > largestFile {
		return Entry{}, false
	}
	entry, target := Entry{Type: Type(kind[0])}, ""
	switch entry.Type {
	case Symlink:
		name, _, _ = strings.Cut(name, " -> ")
	case Hardlink:
		name, target, _ = strings.Cut(name, " link to ")
	case File:
		entry.Bytes = size
		// BusyBox lists a hard link as an empty file.
		if before, after, link := strings.Cut(name, " -> "); link && size == 0 && !escaped {
			entry.Type, name, target = Hardlink, before, after
		}
	}
	if escaped {
		name, target = unescape(name), unescape(target)
	}
	entry.Target, _ = clean(target)
	entry.Path, ok = clean(name)
	return entry, ok
}

// clean returns the path of a name in an archive relative to the root. ok is false for the root
// itself.
func clean(name string) (string, bool) {
	if name == "" || len(name) > longestPath || strings.ContainsRune(name, 0) {
		return "", false
	}
	cleaned := path.Clean("/" + name)[1:]
	return cleaned, cleaned != ""
}

// escapes matches the escape sequences of GNU tar.
var escapes = regexp.MustCompile(`\\([0-7]{3}|.)`)

func unescape(name string) string {
	if !strings.Contains(name, `\`) {
		return name
	}
	return escapes.ReplaceAllStringFunc(name, func(escape string) string {
		if value, err := strconv.ParseUint(escape[1:], 8, 8); err == nil && len(escape) == 4 {
			return string([]byte{byte(value)})
		}
		if i := strings.IndexByte("abfnrtv", escape[1]); i >= 0 {
			return "\a\b\f\n\r\t\v"[i : i+1]
		}
		return escape[1:]
	})
}
