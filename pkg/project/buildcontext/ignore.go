package buildcontext

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// ignoreFile is the usual ignore file.
const ignoreFile = ".dockerignore"

// DefaultIgnore returns the patterns, in the syntax of a .dockerignore, that apply to a
// directory without an ignore file: version control, files of Python tools, installed
// packages, which a build installs again, and files of editors. In addition every directory
// that holds a pyvenv.cfg is left out: a virtual environment, whatever its name.
//
// The directories build and dist are not among them: they may be a part of the app.
func DefaultIgnore() []string {
	return []string{
		"**/.git",
		"**/.hg",
		"**/.svn",

		"**/__pycache__",
		"**/*.py[co]",
		"**/.pytest_cache",
		"**/.ruff_cache",
		"**/.mypy_cache",
		"**/.dmypy.json",
		"**/.pytype",
		"**/.pyre",
		"**/.tox",
		"**/.nox",
		"**/.hypothesis",
		"**/.coverage",
		"**/.coverage.*",
		"**/htmlcov",
		"**/.ipynb_checkpoints",

		// Where setuptools writes them. Elsewhere one may belong to a vendored package,
		// which needs it.
		"*.egg-info",
		"src/*.egg-info",
		"**/.eggs",

		"**/__pypackages__",
		"**/.pixi",
		"**/.direnv",
		"**/node_modules",

		"**/.idea",
		"**/.vscode",
		"**/.DS_Store",
	}
}

// rules select the entries of a directory that are packed.
type rules struct {
	// exclude are the patterns for BuildKit's filter.
	exclude []string
	// always are the files that are packed even if the ignore file names them.
	always []string
	// silent leaves out virtual environments without a warning, as the default rules say.
	silent bool
}

// ReadIgnore returns the text of the ignore file that belongs to a Dockerfile, and its path:
// the first of dockerfile.IgnoreFiles. Files override those of root. Without one it returns
// the default patterns, a line each, and no path. An error is a *FileError.
func ReadIgnore(root *os.Root, dockerfilePath string, files map[string][]byte) (text []byte, file string, err error) {
	for _, name := range dockerfile.IgnoreFiles(dockerfilePath) {
		content, given := files[name]
		if !given {
			content, err = root.ReadFile(filepath.FromSlash(name))
		}
		switch {
		case given || err == nil:
			return content, name, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, "", &FileError{Path: name, Err: cause(err)}
		}
	}
	return []byte(strings.Join(DefaultIgnore(), "\n") + "\n"), "", nil
}

// readRules reads the ignore file that belongs to the Dockerfile, as ReadIgnore does.
func readRules(root *os.Root, built string, files map[string][]byte) (*rules, error) {
	content, name, err := ReadIgnore(root, built, files)
	if err != nil {
		return nil, err
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
	if err == nil {
		err = checkPatterns(patterns)
	}
	if err != nil {
		return nil, &FileError{Path: name, Err: err}
	}
	if name == "" {
		r := newRules(patterns, built)
		r.silent = true
		return r, nil
	}
	return newRules(patterns, built, name), nil
}

// newRules returns rules that always pack some files. Docker sends these beside the context,
// but here the context is all that is sent.
func newRules(patterns []string, always ...string) *rules {
	r := &rules{exclude: slices.Clone(patterns), always: always}
	if len(patterns) > 0 {
		for _, name := range always {
			r.exclude = append(r.exclude, "!"+literal(name))
		}
	}
	return r
}

// literal returns the pattern that matches the path and no other.
func literal(name string) string {
	if runtime.GOOS == "windows" {
		// The backslash is the separator, and names cannot hold most of these.
		return name
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// checkPatterns returns an error that names the first invalid pattern. The filter would
// report it late and without its name.
func checkPatterns(patterns []string) error {
	for _, pattern := range patterns {
		lines := []string{pattern}
		if strings.HasPrefix(pattern, "!") {
			// A negation applies only to what is ignored.
			lines = []string{"**", pattern}
		}
		matcher, err := patternmatcher.New(lines)
		if err == nil {
			// A pattern is compiled when it is first used.
			_, err = matcher.MatchesOrParentMatches("x")
		}
		if err != nil {
			return fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	return nil
}

// wanted reports whether a path that is left out by itself is wanted: it holds a file that is
// always packed, or the ignore file names it or something below it after a "!".
func (r *rules) wanted(rel string) bool {
	if slices.ContainsFunc(r.always, func(file string) bool { return strings.HasPrefix(file, rel+"/") }) {
		return true
	}
	return slices.ContainsFunc(r.exclude, func(pattern string) bool {
		named, ok := strings.CutPrefix(pattern, "!")
		named = strings.Trim(named, "/")
		return ok && (named == rel || strings.HasPrefix(named, rel+"/"))
	})
}

// isVirtualenv reports whether a directory, or what a link leads to, is a Python virtual
// environment. Its programs name the Python of the machine that it was made on.
func isVirtualenv(dir, rel string) bool {
	_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(rel), "pyvenv.cfg"))
	return err == nil
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
