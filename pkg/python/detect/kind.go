package detect

import (
	"errors"
	"io/fs"
	"os"
	"slices"
)

// ErrNoProject reports a directory with nothing to build: neither a Dockerfile nor a
// Python project.
var ErrNoProject = errors.New("there is neither a Dockerfile nor a Python project")

// IsPython reports whether a directory looks like a Python project: it has one of the
// files that packaging tools read, or a Python file at its top.
func IsPython(dir string) bool {
	files := os.DirFS(dir)
	return slices.ContainsFunc(append(projectFiles(), "*.py"), func(pattern string) bool {
		found, err := fs.Glob(files, pattern)
		return err == nil && len(found) > 0
	})
}
