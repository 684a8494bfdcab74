package buildcontext

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
)

// Absence is why a path is not in a build context. Its zero value says that the directory
// does not have it.
type Absence struct {
	// Virtualenv is the directory of the virtual environment that the path is in.
	Virtualenv string
	// Pattern is the pattern that leaves it out, as it is written.
	Pattern string
	// File and Line are where the pattern is, Line from 1. File is empty for a pattern of
	// DefaultIgnore.
	File string
	Line int
}

// String says what leaves the path out, without its name; empty if nothing does.
func (a Absence) String() string {
	switch {
	case a.Virtualenv != "":
		return a.Virtualenv + " is a virtual environment, which stays on this machine"
	case a.Pattern == "":
		return ""
	case a.File == "":
		return fmt.Sprintf("the rule %q leaves it out, which applies because there is no %s", a.Pattern, ignoreFile)
	}
	return fmt.Sprintf("%s:%d %q leaves it out", a.File, a.Line, a.Pattern)
}

// Absent reports that a path, or all that is below it, is not in the build context of root
// for a Dockerfile, and why. Files override those of root, as in Options. A directory that
// has anything that may be in the context is not absent. An error is a *FileError.
func Absent(root *os.Root, dockerfilePath string, files map[string][]byte, name string) (why Absence, absent bool, err error) {
	if name = path.Clean(filepath.ToSlash(name)); name == "." || name == "" {
		return Absence{}, false, nil
	}
	for given := range files {
		if given == name || strings.HasPrefix(given, name+"/") {
			return Absence{}, false, nil
		}
	}
	info, err := root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return Absence{}, errors.Is(err, fs.ErrNotExist), nil
	}
	rules, err := readRules(root, dockerfilePath, files)
	if err != nil {
		return Absence{}, false, err
	}
	if info.IsDir() && rules.reentered(name) {
		return Absence{}, false, nil
	}
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if !rules.wanted(dir) && isVirtualenv(root.Name(), dir) {
			return Absence{Virtualenv: dir}, true, nil
		}
	}
	text, file, err := ReadIgnore(root, dockerfilePath, files)
	if err != nil {
		return Absence{}, false, err
	}
	why, absent = excluding(text, name)
	why.File = file
	return why, absent, nil
}

// reentered reports whether a pattern with "!" may match a directory or something below it.
func (r *rules) reentered(name string) bool {
	for _, pattern := range r.exclude {
		named, ok := strings.CutPrefix(pattern, "!")
		named = strings.Trim(path.Clean(named), "/")
		if !ok {
			continue
		}
		if named == name || strings.HasPrefix(named, name+"/") {
			return true
		}
		if at := strings.IndexAny(named, `*?[\`); at >= 0 && (strings.HasPrefix(name+"/", named[:at]) || strings.HasPrefix(named[:at], name+"/")) {
			return true
		}
	}
	return false
}

// excluding returns the line of an ignore file that leaves a path out: of those that match
// it or a directory above it, the last one counts.
func excluding(text []byte, name string) (Absence, bool) {
	found, excluded := Absence{}, false
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	for number := 1; lines.Scan(); number++ {
		// A comment starts in the first column.
		written := strings.TrimSpace(lines.Text())
		pattern, again := strings.CutPrefix(written, "!")
		pattern = strings.TrimSpace(pattern)
		if pattern == "" || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		// As ignorefile cleans it.
		pattern = path.Clean(filepath.ToSlash(pattern))
		if len(pattern) > 1 {
			pattern = strings.TrimPrefix(pattern, "/")
		}
		matcher, err := patternmatcher.New([]string{pattern})
		if err != nil {
			continue // readRules has reported it
		}
		if matches, err := matcher.MatchesOrParentMatches(filepath.FromSlash(name)); err == nil && matches {
			found, excluded = Absence{Pattern: written, Line: number}, !again
		}
	}
	if !excluded {
		return Absence{}, false
	}
	return found, true
}
