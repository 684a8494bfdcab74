package inspect

import (
	"path"
	"strings"
)

// whiteout marks a file below the layer as deleted, opaque all of a directory, as the OCI image
// specification defines it.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// node is one name in the file system that the layers form.
type node struct {
	children map[string]*node
	// file reports that the node is a file, and layer is the layer that it belongs to.
	file  bool
	layer int
	bytes int64
	lines []string
}

// hidden is a file that a later layer replaces or deletes.
type hidden struct {
	path    string
	bytes   int64
	deleted bool
}

// tree is the file system that layers on top of one another form.
type tree struct {
	root   node
	hidden []hidden
}

// add adds a layer on top.
func (t *tree) add(number int, layer *LayerListing) {
	for _, entry := range layer.Entries {
		directory, name := path.Split(entry.Path)
		switch {
		case name == opaque:
			t.clear(strings.TrimSuffix(directory, "/"), number)
		case strings.HasPrefix(name, whiteout):
			t.remove(directory+strings.TrimPrefix(name, whiteout), number, true)
		case entry.Type == Directory:
			if at := t.find(entry.Path, true); at.file {
				t.remove(entry.Path, number, false)
				t.find(entry.Path, true).file = false
			}
		default:
			t.remove(entry.Path, number, false)
			made := t.find(entry.Path, true)
			*made = node{file: true, layer: number, bytes: entry.Bytes}
			if first := t.find(entry.Target, false); entry.Type == Hardlink && inCache.MatchString(entry.Target) && !inCache.MatchString(entry.Path) &&
				first != nil && first.file && first.layer == number {
				// The archive counts the bytes for the first name. If that is in the cache,
				// into which uv links what it installs, the image would have the bytes even
				// without the cache.
				made.bytes, first.bytes = first.bytes, 0
			}
		}
	}
	for name, lines := range layer.Metadata {
		if found := t.find(name, false); found != nil && found.file && found.layer == number {
			found.lines = lines
		}
	}
}

// find returns the node of a path. It returns nil if there is none and create is false.
func (t *tree) find(name string, create bool) *node {
	at := &t.root
	if name == "" {
		return at
	}
	for part := range strings.SplitSeq(name, "/") {
		next := at.children[part]
		if next == nil {
			if !create {
				return nil
			}
			if at.children == nil {
				at.children = map[string]*node{}
			}
			next = &node{}
			at.children[part] = next
		}
		at = next
	}
	return at
}

// has reports whether the file exists.
func (t *tree) has(name string) bool {
	at := t.find(name, false)
	return at != nil && at.file
}

// remove removes a path from the layers below number.
func (t *tree) remove(name string, number int, deleted bool) {
	directory, base := path.Split(name)
	parent := t.find(strings.TrimSuffix(directory, "/"), false)
	if parent == nil || parent.children[base] == nil {
		return
	}
	if t.hide(parent.children[base], name, number, deleted) {
		delete(parent.children, base)
	}
}

// clear removes the content of a directory from the layers below number.
func (t *tree) clear(directory string, number int) {
	at := t.find(directory, false)
	if at == nil {
		return
	}
	for base, child := range at.children {
		if t.hide(child, path.Join(directory, base), number, true) {
			delete(at.children, base)
		}
	}
}

// hide removes the files of layers below number from a node, and reports whether nothing of it
// is left.
func (t *tree) hide(at *node, name string, number int, deleted bool) bool {
	for base, child := range at.children {
		if t.hide(child, name+"/"+base, number, deleted) {
			delete(at.children, base)
		}
	}
	if at.file && at.layer < number {
		t.hidden = append(t.hidden, hidden{path: name, bytes: at.bytes, deleted: deleted})
		at.file = false
	}
	return !at.file && len(at.children) == 0
}

// walk visits every file, in no order.
func (t *tree) walk(visit func(name string, file *node)) {
	var descend func(at *node, name string)
	descend = func(at *node, name string) {
		if at.file {
			visit(name, at)
		}
		for base, child := range at.children {
			descend(child, path.Join(name, base))
		}
	}
	descend(&t.root, "")
}
