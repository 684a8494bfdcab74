package inspect

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// The kinds of Waste.
const (
	// WasteOverwritten are files that a later layer replaces.
	WasteOverwritten = "overwritten"
	// WasteDeleted are files that a later layer deletes. They are still stored and pulled.
	WasteDeleted = "deleted"
	// WasteCache are the download caches of pip, uv and apt.
	WasteCache = "cache"
	// WasteAptLists are apt's lists of available packages.
	WasteAptLists = "apt-lists"
	// WasteTests are the tests of installed packages.
	WasteTests = "tests"
	// WasteBytecode is bytecode that Python never reads: its source is missing, or it is for
	// another version, next to its source, or a duplicate.
	WasteBytecode = "bytecode"
)

// Waste is space that an image wastes. A file counts for one kind only.
type Waste struct {
	// Kind is one of the kinds above.
	Kind  string `json:"kind"`
	Bytes int64  `json:"bytes"`
	Files int    `json:"files"`
	// Examples are the paths of the largest files, at most three.
	Examples []string `json:"examples"`
}

// examples is the number of paths that a Waste names.
const examples = 3

var (
	inCache    = regexp.MustCompile(`(^|/)\.cache/(pip|uv|pypoetry)/|^var/cache/apt/|^var/cache/debconf/.*-old$`)
	inAptLists = regexp.MustCompile(`^var/lib/apt/lists/.`)
	// A module of a package may be named test, such as Django's.
	inTests  = regexp.MustCompile(`/(?:site|dist)-packages/(?:[^/]+/)*(?:tests/|test/test_[^/]*$)`)
	byteCode = regexp.MustCompile(`^(.*/)?__pycache__/([^/]+?)\.([a-z]+-?[0-9]+)(\.opt-[12])?\.pyc$`)
)

// code describes a file with bytecode.
type code struct {
	// source is the file of the module. tag is that of the interpreter, empty for bytecode in
	// the place of its source. plain is the same file without optimization, if the bytecode is
	// optimized.
	source, tag, plain string
}

func parseByteCode(name string) (code, bool) {
	if match := byteCode.FindStringSubmatch(name); match != nil {
		parsed := code{source: match[1] + match[2] + ".py", tag: match[3]}
		if match[4] != "" {
			parsed.plain = strings.TrimSuffix(name, match[4]+".pyc") + ".pyc"
		}
		return parsed, true
	}
	if module, ok := strings.CutSuffix(name, ".pyc"); ok && !strings.Contains(name, "__pycache__/") {
		return code{source: module + ".py"}, true
	}
	return code{}, false
}

// found is a file that counts as waste.
type found struct {
	name  string
	bytes int64
}

// judge returns the kind of waste of a file in the image; empty if it is none.
func judge(t *tree, name, interpreter string) string {
	switch {
	case inCache.MatchString(name):
		return WasteCache
	case inAptLists.MatchString(name):
		return WasteAptLists
	case inTests.MatchString(name):
		return WasteTests
	}
	code, ok := parseByteCode(name)
	if !ok {
		return ""
	}
	there := t.has(code.source)
	switch {
	case code.tag == "":
		// Without its source, Python imports this file.
		if there {
			return WasteBytecode
		}
	case !there, interpreter != "" && code.tag != interpreter, code.plain != "" && t.has(code.plain):
		return WasteBytecode
	}
	return ""
}

// interpreter returns the tag of most of the bytecode in the image.
func interpreter(t *tree) string {
	count, most := map[string]int{}, ""
	t.walk(func(name string, _ *node) {
		if code, ok := parseByteCode(name); ok && code.tag != "" {
			count[code.tag]++
		}
	})
	for tag, n := range count {
		if n > count[most] || n == count[most] && tag > most {
			most = tag
		}
	}
	return most
}

// findWaste collects all waste, the largest first.
func findWaste(t *tree) []Waste {
	kinds := map[string][]found{}
	for _, h := range t.hidden {
		kind := WasteOverwritten
		if h.deleted {
			kind = WasteDeleted
		}
		kinds[kind] = append(kinds[kind], found{h.path, h.bytes})
	}
	tag := interpreter(t)
	t.walk(func(name string, file *node) {
		if kind := judge(t, name, tag); kind != "" {
			kinds[kind] = append(kinds[kind], found{name, file.bytes})
		}
	})
	waste := []Waste{}
	for kind, files := range kinds {
		slices.SortFunc(files, func(a, b found) int {
			return cmp.Or(cmp.Compare(b.bytes, a.bytes), strings.Compare(a.name, b.name))
		})
		w := Waste{Kind: kind, Files: len(files), Examples: []string{}}
		for i, file := range files {
			w.Bytes += file.bytes
			if i < examples {
				w.Examples = append(w.Examples, "/"+file.name)
			}
		}
		if w.Bytes > 0 {
			waste = append(waste, w)
		}
	}
	slices.SortFunc(waste, func(a, b Waste) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Kind, b.Kind))
	})
	return waste
}
