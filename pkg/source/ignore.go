package source

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const ignoreFile = ".dockerignore"

// DefaultIgnore returns the patterns, in the syntax of a .dockerignore, that
// are left out of a directory which has no ignore file of its own: version
// control, caches and installed packages, which a build makes anew. Beside them
// a directory named venv or .venv is left out when it holds a pyvenv.cfg, which
// no pattern can say.
func DefaultIgnore() []string {
	return []string{
		"**/.git",
		"**/__pycache__",
		"**/*.pyc",
		"**/.pytest_cache",
		"**/.ruff_cache",
		"**/.mypy_cache",
		"**/.tox",
		"**/node_modules",
	}
}

// rules decides what of a directory is packed: of the patterns that match a
// path or a directory above it, the last one decides. It is not safe for
// concurrent use, because its matchers are not.
type rules struct {
	patterns []pattern
	// always are the files that are packed whatever the patterns say.
	always []string
	// virtualenvs says whether virtual environments are left out.
	virtualenvs bool
}

// pattern is one line of an ignore file. Each has a matcher of its own: one over
// all of them does not look at a negation while nothing is ignored, forgets it
// for what is below, and so disagrees with the builder about "a/b", "!a".
type pattern struct {
	matcher    *patternmatcher.PatternMatcher
	negated    bool
	components []string
}

// matches holds for each pattern what is known of a directory and those above.
type matches []patternmatcher.MatchInfo

// readRules reads the ignore file that belongs to the Dockerfile:
// <dockerfile>.dockerignore, else .dockerignore, else the default patterns.
func readRules(root *os.Root, dockerfile string) (*rules, error) {
	for _, name := range []string{dockerfile + ignoreFile, ignoreFile} {
		content, err := root.ReadFile(filepath.FromSlash(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &FileError{Path: name, Err: cause(err)}
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
		if err != nil {
			return nil, &FileError{Path: name, Err: err}
		}
		r, err := newRules(patterns)
		if err != nil {
			return nil, &FileError{Path: name, Err: err}
		}
		r.always = []string{dockerfile, name}
		return r, nil
	}
	r, err := newRules(DefaultIgnore())
	if err != nil {
		return nil, err
	}
	r.always = []string{dockerfile}
	r.virtualenvs = true
	return r, nil
}

func newRules(lines []string) (*rules, error) {
	r := &rules{}
	for _, line := range lines {
		p, err := newPattern(line)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", line, err)
		}
		r.patterns = append(r.patterns, p)
	}
	return r, nil
}

func newPattern(line string) (pattern, error) {
	negated := strings.HasPrefix(line, "!")
	lines := []string{line}
	if negated {
		// A negation takes effect only on what is ignored.
		lines = []string{"**", line}
	}
	matcher, err := patternmatcher.New(lines)
	if err != nil {
		return pattern{}, err
	}
	// The matcher compiles a pattern when it is first used.
	if _, err := matcher.MatchesOrParentMatches("x"); err != nil {
		return pattern{}, err
	}
	clean := filepath.ToSlash(matcher.Patterns()[len(lines)-1].String())
	return pattern{matcher: matcher, negated: negated, components: strings.Split(clean, "/")}, nil
}

// ignored reports whether rel is left out. parent is the second result for the
// directory that holds it, nil at the top.
func (r *rules) ignored(rel string, parent matches) (bool, matches, error) {
	ignored := false
	own := make(matches, len(r.patterns))
	for i, p := range r.patterns {
		var above patternmatcher.MatchInfo
		if parent != nil {
			above = parent[i]
		}
		left, info, err := p.matcher.MatchesUsingParentResults(rel, above)
		if err != nil {
			return false, nil, err
		}
		own[i] = info
		if left != p.negated {
			ignored = !p.negated
		}
	}
	if slices.Contains(r.always, rel) {
		ignored = false
	}
	return ignored, own, nil
}

// needed reports whether something below an ignored directory may be packed
// nevertheless. When in doubt it says yes, which costs time only.
func (r *rules) needed(dir string) bool {
	if r.holdsAlways(dir) {
		return true
	}
	components := strings.Split(dir, "/")
	return slices.ContainsFunc(r.patterns, func(p pattern) bool {
		return p.negated && mayMatchBelow(p.components, components)
	})
}

// holdsAlways reports whether a file that is always packed is below dir.
func (r *rules) holdsAlways(dir string) bool {
	return slices.ContainsFunc(r.always, func(name string) bool {
		return strings.HasPrefix(name, dir+"/")
	})
}

// virtualenv reports whether the directory is a Python virtual environment that
// the default rules leave out.
func (r *rules) virtualenv(parent *os.Root, name, rel string) bool {
	if !r.virtualenvs || (name != "venv" && name != ".venv") || r.holdsAlways(rel) {
		return false
	}
	_, err := parent.Lstat(filepath.Join(name, "pyvenv.cfg"))
	return err == nil
}

// mayMatchBelow reports whether the pattern can match a path below dir that it
// does not match at dir already.
func mayMatchBelow(pattern, dir []string) bool {
	for i, component := range pattern {
		if strings.Contains(component, "**") || i >= len(dir) {
			return true
		}
		if component != dir[i] && !strings.ContainsAny(component, `*?[\`) {
			return false
		}
	}
	return false
}

// contextPath cleans the path of a Dockerfile inside the context.
func contextPath(name string) (string, error) {
	if name == "" {
		name = "Dockerfile"
	}
	clean := path.Clean(filepath.ToSlash(name))
	if !filepath.IsLocal(filepath.FromSlash(clean)) {
		return "", &FileError{Path: name, Err: errors.New("the Dockerfile must be inside the build context")}
	}
	return clean, nil
}
