package inspect

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// The kinds of Waste.
const (
	// WasteOverwritten are files that a later layer has in another version.
	WasteOverwritten = "overwritten"
	// WasteDeleted are files that a later layer deletes: they are stored, and pulled,
	// all the same.
	WasteDeleted = "deleted"
	// WasteCache are what pip, uv and apt keep of downloads.
	WasteCache = "cache"
	// WasteAptLists are apt's lists of what could be installed.
	WasteAptLists = "apt-lists"
	// WasteTests are the tests of installed packages.
	WasteTests = "tests"
	// WasteBytecode is byte code that Python never reads: its source is not there, or
	// it is for another version, beside its source, or there twice.
	WasteBytecode = "bytecode"
)

// Waste is what an image has for nothing. A file counts for one kind alone.
type Waste struct {
	// Kind is one of those above.
	Kind  string `json:"kind"`
	Bytes int64  `json:"bytes"`
	Files int    `json:"files"`
	// Examples are paths of the largest, at most three.
	Examples []string `json:"examples"`
}

// examples is how many paths a Waste names.
const examples = 3

var (
	inCache    = regexp.MustCompile(`(^|/)\.cache/(pip|uv|pypoetry)/|^var/cache/apt/|^var/cache/debconf/.*-old$`)
	inAptLists = regexp.MustCompile(`^var/lib/apt/lists/.`)
	// A package's module may well be called test, as Django's is.
	inTests  = regexp.MustCompile(`/(?:site|dist)-packages/(?:[^/]+/)*(?:tests/|test/test_[^/]*$)`)
	byteCode = regexp.MustCompile(`^(.*/)?__pycache__/([^/]+?)\.([a-z]+-?[0-9]+)(\.opt-[12])?\.pyc$`)
)

// code is a file with byte code.
type code struct {
	// source is the module's file; tag is the interpreter's, empty for byte code that
	// is where its source would be. plain is the same without optimization, of code
	// that has it.
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

// judge returns the kind of waste that a file of the image is; empty for none.
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
		// Without its source it is what Python imports.
		if there {
			return WasteBytecode
		}
	case !there, interpreter != "" && code.tag != interpreter, code.plain != "" && t.has(code.plain):
		return WasteBytecode
	}
	return ""
}

// interpreter is the tag of the byte code that most of the image's is for.
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
