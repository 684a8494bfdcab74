package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// The errors of one entry of the directory, in addition to those of the file system such as
// fs.ErrPermission. Each is the cause of a *FileError in a *ContextError.
var (
	// ErrConflict reports an entry in the place of a file of Options.Files, or of its
	// directory.
	ErrConflict = errors.New("conflicts with a generated file of the same path")
	// ErrChanged reports a file that was written while the directory was packed, or a directory
	// from which something was removed.
	ErrChanged = errors.New("changed while it was being packed")
)

// FileError reports an entry that cannot be packed.
type FileError struct {
	// Path is relative to the directory, with slashes.
	Path string
	// Err is the cause.
	Err error
}

// Error returns the path, quoted if it has characters that do not print, and the cause.
func (e *FileError) Error() string {
	return quoted(e.Path) + ": " + e.Err.Error()
}

// quoted returns a name, quoted if it has characters that do not print.
func quoted(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// problemLimit is the number of entries that a ContextError names.
const problemLimit = 20

// ContextError reports all entries of the directory that cannot be packed. errors.Is and
// errors.As examine each of the problems.
type ContextError struct {
	// Problems are in the order of the walk, at most 20.
	Problems []*FileError
	// More is the number of further problems.
	More int
}

// Error returns a single problem as it is, or several with a line for each.
func (e *ContextError) Error() string {
	if len(e.Problems) == 1 && e.More == 0 {
		return e.Problems[0].Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d entries of the build context cannot be packed:", len(e.Problems)+e.More)
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

// TemporaryError reports that the archive cannot be written to the temporary directory, which no
// entry causes.
type TemporaryError struct{ Err error }

func (e *TemporaryError) Error() string {
	return "write the archive to the temporary directory " + os.TempDir() + ": " + cause(e.Err).Error()
}

// Unwrap returns the cause.
func (e *TemporaryError) Unwrap() error { return e.Err }

// cause returns an error of the file system without its path, which is relative to an inner
// directory.
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
