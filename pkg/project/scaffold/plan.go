package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Action is what becomes of a file.
type Action string

// The actions.
const (
	// Create writes a file that is not there.
	Create Action = "create"
	// Append adds to the end of one that is.
	Append Action = "append"
	// Replace writes over one that is, after a copy of it with OrigSuffix.
	Replace Action = "replace"
	// Unchanged is a file that is there as it should be.
	Unchanged Action = "unchanged"
	// Keep is a file that is there, is another one, and stays.
	Keep Action = "keep"
)

// OrigSuffix is what is added to the name of a file for the copy that Replace leaves.
const OrigSuffix = ".orig"

// Change is what is to become of one file.
type Change struct {
	// Path is relative to the directory, with slashes.
	Path   string
	Action Action
	// Before is its content as it is, nil for Create; After as it will be.
	Before, After []byte
}

// Writes says whether anything is written.
func (c Change) Writes() bool { return c.Action != Keep && c.Action != Unchanged }

// Plan is what is to become of a directory.
type Plan struct {
	// Dir need not be there.
	Dir string
	// Changes are in the order of writing.
	Changes []Change
}

// Writes says whether anything is written.
func (p *Plan) Writes() bool {
	for _, change := range p.Changes {
		if change.Writes() {
			return true
		}
	}
	return false
}

// NewPlan compares files with those in a directory. One that is there and is another
// one is kept, or replaced when force says so; one with a Base is extended. What can
// not be written, as far as that can be seen, is an error. Nothing is written.
func NewPlan(dir string, files []File, force bool) (*Plan, error) {
	plan := &Plan{Dir: dir}
	root, err := open(dir)
	if err != nil {
		return nil, err
	}
	if root != nil {
		defer root.Close()
	}
	for _, file := range files {
		change := Change{Path: file.Path, Action: Create, After: file.Content}
		if root != nil {
			if err := compare(root, &change, file.Base, force); err != nil {
				return nil, fmt.Errorf("%s: %w", filepath.Join(dir, filepath.FromSlash(file.Path)), err)
			}
		}
		plan.Changes = append(plan.Changes, change)
	}
	return plan, nil
}

// open returns the directory, nil when there is nothing of its name.
func open(dir string) (*os.Root, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, absent(dir)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return root, nil
}

// absent checks that a directory that is not there can be made: what is nearest above
// it is a directory.
func absent(dir string) error {
	if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a link to what is not there", dir)
	}
	for {
		parent := filepath.Dir(dir)
		info, err := os.Stat(parent)
		switch {
		case err == nil && info.IsDir():
			return nil
		case err == nil:
			return fmt.Errorf("%s is not a directory", parent)
		case !errors.Is(err, fs.ErrNotExist) || parent == dir:
			return err
		}
		dir = parent
	}
}

// compare says what is to become of a file in a directory that is there.
func compare(root *os.Root, change *Change, base []byte, force bool) error {
	if err := checkParents(root, change.Path); err != nil {
		return err
	}
	name := filepath.FromSlash(change.Path)
	link, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := root.Stat(name)
	switch {
	case err != nil && link.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a link to what is not there, or out of the directory: remove it")
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a file: move it away")
	}
	if change.Before, err = root.ReadFile(name); err != nil {
		return err
	}
	switch {
	case bytes.Equal(change.Before, change.After):
		change.Action = Unchanged
	case base != nil && !bytes.Equal(change.Before, base):
		return errChanged
	case base != nil:
		change.Action = Append
	case !force:
		change.Action = Keep
	default:
		change.Action = Replace
		if _, err := root.Lstat(name + OrigSuffix); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the copy of it would be %s, which is there already: move that away", path.Base(change.Path)+OrigSuffix)
		}
	}
	return nil
}

// checkParents looks at the directories of a path as far as they are there.
func checkParents(root *os.Root, file string) error {
	for i, char := range file {
		if char != '/' {
			continue
		}
		info, err := root.Stat(filepath.FromSlash(file[:i]))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if _, err := root.Lstat(filepath.FromSlash(file[:i])); err == nil {
				return fmt.Errorf("%s is a link to what is not there", file[:i])
			}
			return nil
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is not a directory", file[:i])
		}
	}
	return nil
}

// WriteError says that a plan was carried out in part.
type WriteError struct {
	// Path is the file that could not be written.
	Path string
	// Written are the paths that were, in that order.
	Written []string
	// Err is why.
	Err error
}

// Error names all of them.
func (e *WriteError) Error() string {
	text := fmt.Sprintf("write %s: %v", e.Path, e.Err)
	if len(e.Written) == 0 {
		return text + "; nothing was written"
	}
	return text + "; written before that: " + strings.Join(e.Written, ", ")
}

// Unwrap returns why.
func (e *WriteError) Unwrap() error { return e.Err }

// Write carries the plan out, and returns the paths that it wrote, copies of what it
// replaced among them, in that order, relative to the directory. It never writes over
// anything: a file that has appeared or changed since the plan was made is an error.
// Errors are *WriteError.
func (p *Plan) Write() (written []string, err error) {
	failed := func(file string, err error) ([]string, error) {
		var failure *fs.PathError
		if errors.As(err, &failure) {
			// The path is said already.
			err = failure.Err
		}
		return written, &WriteError{Path: file, Written: written, Err: err}
	}
	if !p.Writes() {
		return nil, nil
	}
	if err := os.MkdirAll(p.Dir, 0o777); err != nil { //nolint:gosec // as mkdir does it: the umask is the user's
		return failed(p.Dir, err)
	}
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return failed(p.Dir, err)
	}
	defer root.Close()
	for _, change := range p.Changes {
		name := filepath.FromSlash(change.Path)
		switch change.Action {
		case Create:
			err = create(root, change.Path, change.After, 0o666)
		case Append:
			err = extend(root, name, change)
		case Replace:
			orig := change.Path + OrigSuffix
			if err := setAside(root, name, change.Before); err != nil {
				return failed(orig, err)
			}
			written = append(written, orig)
			err = replace(root, change)
		case Keep, Unchanged:
			continue
		}
		if err != nil {
			return failed(change.Path, err)
		}
		written = append(written, change.Path)
	}
	return written, nil
}

// create writes a file that is not there, and its directories.
func create(root *os.Root, file string, content []byte, mode fs.FileMode) error {
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(file)), 0o777); err != nil {
		return err
	}
	opened, err := root.OpenFile(filepath.FromSlash(file), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = opened.Write(content)
	if err = errors.Join(err, opened.Close()); err != nil {
		// Half a file would be kept by the next try.
		return errors.Join(err, root.Remove(filepath.FromSlash(file)))
	}
	return nil
}

// errChanged says that somebody else has written meanwhile.
var errChanged = errors.New("it has just been changed by somebody else: try again")

// extend adds what is new to the end of a file; when that does not succeed the file is
// as it was.
func extend(root *os.Root, name string, change Change) error {
	if err := same(root, name, change.Before); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err = file.Write(change.After[len(change.Before):]); err != nil {
		err = errors.Join(err, file.Truncate(int64(len(change.Before))))
	}
	return errors.Join(err, file.Close())
}

// setAside leaves a copy of a file.
func setAside(root *os.Root, name string, before []byte) error {
	if err := same(root, name, before); err != nil {
		return err
	}
	info, err := root.Stat(name)
	if err != nil {
		return err
	}
	return create(root, filepath.ToSlash(name)+OrigSuffix, before, info.Mode().Perm())
}

// replace writes a file in the place of one of which there is a copy. The old one
// stays until the new one is complete.
func replace(root *os.Root, change Change) error {
	fresh := change.Path + ".new"
	if err := create(root, fresh, change.After, 0o666); err != nil {
		return err
	}
	if err := root.Rename(filepath.FromSlash(fresh), filepath.FromSlash(change.Path)); err != nil {
		return errors.Join(err, root.Remove(filepath.FromSlash(fresh)))
	}
	return nil
}

func same(root *os.Root, name string, before []byte) error {
	now, err := root.ReadFile(name)
	if err == nil && !bytes.Equal(now, before) {
		return errChanged
	}
	return err
}
