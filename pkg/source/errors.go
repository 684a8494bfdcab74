package source

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
)

// What can be wrong with one entry of the directory, beside the errors of the
// file system itself such as fs.ErrPermission. They arrive inside a *FileError.
var (
	// ErrOutside says that a symbolic link points outside of the build context,
	// where the build could not follow it.
	ErrOutside = errors.New("symbolic link points outside of the build context")
	// ErrSpecial says that an entry is a socket, a pipe or a device.
	ErrSpecial = errors.New("not a regular file, directory or symbolic link")
	// ErrChanged says that a file was written to while it was read.
	ErrChanged = errors.New("changed while it was being packed")
)

// FileError names the entry that could not be packed.
type FileError struct {
	// Path is relative to the directory, with slashes.
	Path string
	// Err is what is wrong with it.
	Err error
}

// Error is the path, quoted when it would not print as it is, and the cause.
func (e *FileError) Error() string {
	name := e.Path
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		name = quoted
	}
	return name + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// archiveError is a failure to write the archive, which is no entry's fault.
type archiveError struct{ err error }

func (e *archiveError) Error() string { return "write the archive: " + e.err.Error() }
func (e *archiveError) Unwrap() error { return e.err }

// cause takes the system's own wrapping off an error, because it names the path
// relative to an inner directory.
func cause(err error) error {
	var pathError *fs.PathError
	var linkError *os.LinkError
	switch {
	case errors.As(err, &pathError):
		return pathError.Err
	case errors.As(err, &linkError):
		return linkError.Err
	}
	return err
}
