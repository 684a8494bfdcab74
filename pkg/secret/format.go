package secret

import (
	_ "embed"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// formatsFile holds the formats of tokens that gitleaks knows; make generate writes it.
//
//go:embed gitleaks.json
var formatsFile []byte

const (
	// pieceSize limits the text that is matched at once, and pieceOverlap is how much of it the next
	// piece repeats: more than the longest token.
	pieceSize    = 4096
	pieceOverlap = 1280
)

// format is a format of tokens.
type format struct {
	Name string `json:"name"`
	// Regex matches the token as its first group, or as a whole.
	Regex string `json:"regex"`
	// Keywords are words: a text without any of them has no such token. Fold reports that their case
	// does not matter.
	Keywords []string `json:"keywords"`
	Fold     bool     `json:"fold"`
	// Entropy is the least that a token has, in bits per character.
	Entropy float64 `json:"entropy"`
	// Allow match what is no secret in spite of its format.
	Allow []string `json:"allow"`

	pattern func() *regexp.Regexp
	allowed func() []*regexp.Regexp
}

// formats returns all formats, by the first two characters of their keywords. Patterns are compiled
// when a keyword is there.
var formats = sync.OnceValue(func() *formatTable { //nolint:gochecknoglobals // read once, and never changed
	var file struct {
		Formats []*format `json:"formats"`
	}
	if err := json.Unmarshal(formatsFile, &file); err != nil {
		panic("gitleaks.json: " + err.Error()) // a test reads it
	}
	table := &formatTable{}
	for _, one := range file.Formats {
		one.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(one.Regex) })
		one.allowed = sync.OnceValue(func() []*regexp.Regexp {
			var all []*regexp.Regexp
			for _, text := range one.Allow {
				all = append(all, regexp.MustCompile(text))
			}
			return all
		})
		for _, word := range one.Keywords {
			table.add(keyword{word, one})
		}
	}
	return table
})

type keyword struct {
	text   string
	format *format
}

// at reports whether a text starts with the keyword.
func (k keyword) at(text string) bool {
	if len(text) < len(k.text) {
		return false
	}
	return text[:len(k.text)] == k.text || k.format.Fold && strings.EqualFold(text[:len(k.text)], k.text)
}

// formatTable finds keywords in one pass: it looks up every two characters.
type formatTable struct {
	// heads has for two characters the index in buckets of the keywords that start with them; 0
	// is none.
	heads   [1 << 16]uint16
	buckets [][]keyword
}

func head(text string) uint16 { return uint16(lower(text[0]))<<8 | uint16(lower(text[1])) }

func lower(char byte) byte {
	if 'A' <= char && char <= 'Z' {
		return char + 'a' - 'A'
	}
	return char
}

func (t *formatTable) add(word keyword) {
	at := &t.heads[head(word.text)]
	if *at == 0 {
		t.buckets = append(t.buckets, nil)
		*at = uint16(len(t.buckets)) //nolint:gosec // fewer than the heads
	}
	t.buckets[*at-1] = append(t.buckets[*at-1], word)
}

// in returns the formats with a keyword in text, each once.
func (t *formatTable) in(text string) []*format {
	var found []*format
	for i := 0; i+1 < len(text); i++ {
		bucket := t.heads[head(text[i:])]
		if bucket == 0 {
			continue
		}
		for _, word := range t.buckets[bucket-1] {
			if word.at(text[i:]) && !slices.Contains(found, word.format) {
				found = append(found, word.format)
			}
		}
	}
	return found
}

// span is where a token is, and what it is.
type span struct {
	start, end int
	kind       string
}

// tokens returns where tokens of known formats are in a line, sorted and without overlap; all counts
// those that an example may have, too. Its time is linear in the length of the line.
func tokens(line string, all bool) []span {
	var found []span
	for start := 0; ; start += pieceSize - pieceOverlap {
		end := min(len(line), start+pieceSize)
		piece := line[start:end]
		for _, one := range formats().in(piece) {
			for _, match := range one.find(piece, all) {
				found = append(found, span{start + match.start, start + match.end, match.kind})
			}
		}
		if end == len(line) {
			return merged(found)
		}
	}
}

// merged sorts spans and joins those that overlap.
func merged(all []span) []span {
	slices.SortFunc(all, func(a, b span) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	var joined []span
	for _, one := range all {
		if last := len(joined) - 1; last >= 0 && one.start < joined[last].end {
			joined[last].end = max(joined[last].end, one.end)
			continue
		}
		joined = append(joined, one)
	}
	return joined
}

// find returns where tokens of the format are.
func (f *format) find(text string, all bool) []span {
	var found []span
	for _, match := range f.pattern().FindAllStringSubmatchIndex(text, -1) {
		start, end := match[0], match[1]
		for i := 2; i+1 < len(match); i += 2 {
			if match[i] >= 0 && match[i+1] > match[i] {
				start, end = match[i], match[i+1]
				break
			}
		}
		token := text[start:end]
		if !all && (entropy(token) < f.Entropy || isDummy(token) || slices.ContainsFunc(f.allowed(), func(allowed *regexp.Regexp) bool { return allowed.MatchString(token) })) {
			continue
		}
		found = append(found, span{start, end, strings.ReplaceAll(f.Name, "-", " ")})
	}
	return found
}

// entropy returns that of a text in bits per character.
func entropy(text string) float64 {
	var counts [256]int
	for i := range len(text) {
		counts[text[i]]++
	}
	bits := 0.0
	for _, count := range counts {
		if count > 0 {
			share := float64(count) / float64(len(text))
			bits -= share * math.Log2(share)
		}
	}
	return bits
}

// isDummy reports whether a value stands for a secret in an example or a test.
func isDummy(value string) bool {
	value = strings.ToLower(value)
	return slices.ContainsFunc([]string{
		"example", "dummy", "fake", "placeholder", "changeme", "change-me", "change_me", "password", "passw0rd", "secret", "not-real", "notreal",
		"insecure", "redacted", "your-", "your_", "yourt", "my-token", "123456", "abcdef", "xxxx", "****", "....", "deadbeef", "hunter2", "s3cr3t",
	}, func(word string) bool { return strings.Contains(value, word) })
}
