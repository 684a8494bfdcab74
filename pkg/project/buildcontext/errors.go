package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// What can be wrong with one entry of the directory, beside the errors of the
// file system itself such as fs.ErrPermission. They arrive inside a *FileError of a
// *ContextError.
var (
	// ErrOutside says that a symbolic link points outside of the build context,
	// where the build could not follow it.
	ErrOutside = errors.New("symbolic link points outside of the build context")
	// ErrInTheWay says that something is where a file of Options.Files, or its
	// directory, has to be.
	ErrInTheWay = errors.New("it is where another file is to be packed")
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
	return quoted(e.Path) + ": " + e.Err.Error()
}

// quoted returns a name as it is, or quoted when it would not print as it is.
func quoted(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// problemLimit is how many entries a ContextError names.
const problemLimit = 20

// ContextError is everything in the directory that can not be packed, told at
// once. errors.Is and errors.As look into each of the problems.
type ContextError struct {
	// Problems are in the order of the walk, at most 20.
	Problems []*FileError
	// More counts those that are not among them.
	More int
}

// Error is one problem as it is, or a line for each.
func (e *ContextError) Error() string {
	if len(e.Problems) == 1 && e.More == 0 {
		return e.Problems[0].Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d entries of the build context can not be packed:", len(e.Problems)+e.More)
	for _, problem := range e.Problems {
		text.WriteString("\n  " + problem.Error())
	}
	if e.More > 0 {
		fmt.Fprintf(&text, "\n  and %d more", e.More)
	}
	return text.String()
}

// Unwrap returns the problems.
func (e *ContextError) Unwrap() []error {
	all := make([]error, len(e.Problems))
	for i, problem := range e.Problems {
		all[i] = problem
	}
	return all
}

func (e *ContextError) add(name string, err error) {
	if len(e.Problems) == problemLimit {
		e.More++
		return
	}
	e.Problems = append(e.Problems, &FileError{Path: name, Err: cause(err)})
}

func (e *ContextError) any() bool { return len(e.Problems) > 0 }

func (e *ContextError) orNil() error {
	if !e.any() {
		return nil
	}
	return e
}

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
