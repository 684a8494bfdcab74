package dockerfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Why a Dockerfile cannot be read, beside a *ParseError.
var (
	// ErrNotFound means that there is no Dockerfile.
	ErrNotFound = errors.New("there is no Dockerfile")
	// ErrOutside means that the Dockerfile is outside of the project's directory, which
	// is all that the build gets.
	ErrOutside = errors.New("the Dockerfile must be inside the directory that is built")
)

// Read reads a Dockerfile. The name is that of a file inside dir, relative to it or
// absolute; empty means the first of DefaultNames that exists. Errors hold ErrNotFound, ErrOutside or a
// *ParseError.
func Read(dir, name string) (*Dockerfile, error) {
	if name == "" {
		name = DefaultName(dir)
	}
	file, err := inside(dir, name)
	if err != nil {
		return nil, err
	}
	content, err := read(dir, file)
	if err != nil {
		return nil, err
	}
	return Parse(file, content)
}

// ReadAs reads a Dockerfile that is anywhere on this machine, which has another path in the
// build context. Errors hold ErrNotFound or a *ParseError.
func ReadAs(name, path string) (*Dockerfile, error) {
	target, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	content, err := read(filepath.Dir(target), filepath.Base(target))
	if err != nil {
		return nil, err
	}
	return Parse(path, content)
}

// read returns the content of a file in a directory.
func read(dir, file string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotFound, filepath.Join(dir, file), err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	target, err := resolve(dir, file)
	if err != nil {
		return nil, err
	}
	// Reading a pipe could block for ever.
	if info, err := root.Stat(target); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read the Dockerfile: %s is not a file", filepath.Join(dir, target))
	}
	content, err := root.ReadFile(target)
	if err != nil {
		return nil, fmt.Errorf("read the Dockerfile: %w", err)
	}
	return content, nil
}

// inside returns the path of the Dockerfile in the directory, with slashes.
func inside(dir, name string) (string, error) {
	relative := filepath.Clean(name)
	if filepath.IsAbs(name) {
		base, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("find the Dockerfile: %w", err)
		}
		if relative, err = filepath.Rel(base, name); err != nil {
			return "", fmt.Errorf("%w: %s", ErrOutside, name)
		}
	}
	if !filepath.IsLocal(relative) {
		return "", fmt.Errorf("%w: %s", ErrOutside, name)
	}
	return filepath.ToSlash(relative), nil
}

// resolve follows symbolic links and returns where in the directory they end.
func resolve(dir, file string) (string, error) {
	base, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("open the directory: %w", err)
	}
	name := filepath.Join(dir, filepath.FromSlash(file))
	target, err := filepath.EvalSymlinks(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: %s", ErrNotFound, name)
	case err != nil:
		return "", fmt.Errorf("read the Dockerfile: %w", err)
	}
	// With an absolute link one of them can be relative and the other absolute.
	if base, err = filepath.Abs(base); err != nil {
		return "", fmt.Errorf("open the directory: %w", err)
	}
	if target, err = filepath.Abs(target); err != nil {
		return "", fmt.Errorf("read the Dockerfile: %w", err)
	}
	relative, err := filepath.Rel(base, target)
	if err != nil || !filepath.IsLocal(relative) {
		return "", fmt.Errorf("%w: %s is a link to %s", ErrOutside, name, target)
	}
	return relative, nil
}
