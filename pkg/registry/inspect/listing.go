// Package inspect finds out what an image is made of: layers, packages, files,
// and what of them is for nothing.
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
	// header is the first line of a listing, with the version of its form.
	header = "pyflow-inspect 1"
	// listingLimit bounds a listing, unpacked: two million files of ordinary names
	// have less.
	listingLimit = 256 << 20
	// longestLine bounds one line, and longestPath a name: Linux takes no longer one.
	longestLine = 1 << 20
	longestPath = 4096
	// largestFile bounds what a name with a line break can claim: no sum overflows.
	largestFile = 1 << 38
)

// Listing is what the Task manifests.InspectTask tells of an image.
type Listing struct {
	// Layers come from the lowest up, each digest once.
	Layers []LayerListing
}

// LayerListing is one layer.
type LayerListing struct {
	// Digest is sha256:<hex>.
	Digest string
	// Entries are in the order of the layer's archive.
	Entries []Entry
	// Metadata is the content of the files that say which file is of which package,
	// by clean path, reduced to what matters, in lines.
	Metadata map[string][]string
}

// Type is what an Entry is.
type Type byte

// The types that matter.
const (
	File      Type = '-'
	Directory Type = 'd'
	Symlink   Type = 'l'
	Hardlink  Type = 'h'
)

// Entry is one of a layer's archive.
type Entry struct {
	Type Type
	// Path is relative to the root, clean.
	Path string
	// Bytes is the size of a File, else 0.
	Bytes int64
	// Target is the Path of the file that a Hardlink is another name of; may be empty.
	Target string
}

// ErrListing says that the log of the Task is not a listing, or not a whole one.
var ErrListing = errors.New("the listing of the image can not be read")

// Decode reads a listing as the Task writes it: gzip in base64. Errors hold
// ErrListing.
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

// Parse reads a listing. Lines that are of no form are left out: a file's name may
// hold a line break. Errors hold ErrListing.
func Parse(text io.Reader) (*Listing, error) {
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	if !lines.Scan() || lines.Text() != header {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrListing, header)
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

// clean makes a name of an archive a path from the root; the root itself is none.
func clean(name string) (string, bool) {
	if name == "" || len(name) > longestPath || strings.ContainsRune(name, 0) {
		return "", false
	}
	cleaned := path.Clean("/" + name)[1:]
	return cleaned, cleaned != ""
}

// escapes are how GNU tar writes what it takes for no plain letter.
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
