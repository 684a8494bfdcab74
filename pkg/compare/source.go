package compare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadSource reads a file of a folder, by its path with slashes: one that is outside
// of it, or no ordinary file, is an error.
func ReadSource(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	// Not opened first: a pipe would keep the one who opens it.
	info, err := root.Stat(filepath.FromSlash(name))
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no ordinary file", name)
	}
	var content []byte
	if err == nil {
		content, err = root.ReadFile(filepath.FromSlash(name))
	}
	if err == nil {
		return content, nil
	}
	// Which call of the system has failed says nothing to a person.
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%s: %w", name, failed.Err)
	}
	return nil, fmt.Errorf("read the file that the change of code is made to: %w", err)
}
