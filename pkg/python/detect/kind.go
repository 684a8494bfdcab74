package detect

import (
	"errors"
	"io/fs"
	"os"
)

// ErrNoProject says that a directory has nothing to build: neither a Dockerfile
// nor a Python project.
var ErrNoProject = errors.New("there is neither a Dockerfile nor a Python project")

// IsPython says whether a directory looks like a Python project: it has one of the
// files that packaging tools read, or a Python file at its top.
func IsPython(dir string) bool {
	for _, name := range []string{"pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "*.py"} {
		if found, err := fs.Glob(os.DirFS(dir), name); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}
