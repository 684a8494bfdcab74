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

// Action is what Write does with a file.
type Action string

// The actions.
const (
	// Create writes a new file.
	Create Action = "create"
	// Append adds to the end of an existing file.
	Append Action = "append"
	// Replace overwrites an existing file, after a copy with OrigSuffix.
	Replace Action = "replace"
	// Unchanged leaves a file that has the wanted content.
	Unchanged Action = "unchanged"
	// Keep leaves a file that has another content.
	Keep Action = "keep"
)

// OrigSuffix is added to the name of a file for the copy that Replace makes.
const OrigSuffix = ".orig"

// Change is the planned change of one file.
type Change struct {
	// Path is relative to the directory, with slashes.
	Path   string
	Action Action
	// Before is the present content, nil for Create. After is the new content.
	Before, After []byte
}

// Writes reports whether the change writes the file.
func (c Change) Writes() bool { return c.Action != Keep && c.Action != Unchanged }

// Plan is the planned changes of a directory.
type Plan struct {
	// Dir may not exist yet.
	Dir string
	// Changes are in the order of writing.
	Changes []Change
}

// Writes reports whether the plan writes any file.
func (p *Plan) Writes() bool {
	for _, change := range p.Changes {
		if change.Writes() {
			return true
		}
	}
	return false
}

// NewPlan compares files with those of a directory. It keeps an existing file with another
// content, or replaces it if force is set, and extends a file with a Base. It returns an error
// for a file that cannot be written, as far as it can tell. It writes nothing.
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

// open returns the directory, nil if it does not exist.
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

// absent checks that a directory can be created: its nearest existing parent is a
// directory.
func absent(dir string) error {
	if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a link to a missing file", dir)
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

// compare decides the action for a file in an existing directory.
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
		return errors.New("it is a link to a missing file or out of the directory: remove it")
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
			return fmt.Errorf("its copy would be %s, which exists already: move that away", path.Base(change.Path)+OrigSuffix)
		}
	}
	return nil
}

// checkParents checks the existing directories of a path.
func checkParents(root *os.Root, file string) error {
	for i, char := range file {
		if char != '/' {
			continue
		}
		info, err := root.Stat(filepath.FromSlash(file[:i]))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if _, err := root.Lstat(filepath.FromSlash(file[:i])); err == nil {
				return fmt.Errorf("%s is a link to a missing file", file[:i])
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

// WriteError reports a plan that was written in part.
type WriteError struct {
	// Path is the file that could not be written.
	Path string
	// Written are the paths that were written, in order.
	Written []string
	// Err is the cause.
	Err error
}

// Error returns the cause and what was written.
func (e *WriteError) Error() string {
	text := fmt.Sprintf("write %s: %v", e.Path, e.Err)
	if len(e.Written) == 0 {
		return text + "; nothing was written"
	}
	return text + "; written before that: " + strings.Join(e.Written, ", ")
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// Write writes the files of the plan. It returns their paths and those of copies, in order
// and relative to the directory. A file that was created or changed after NewPlan is an error
// and is not overwritten. Errors are *WriteError.
func (p *Plan) Write() (written []string, err error) {
	failed := func(file string, err error) ([]string, error) {
		var failure *fs.PathError
		if errors.As(err, &failure) {
			// WriteError has the path.
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

// create writes a new file and its directories.
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
		// The next run would keep half a file.
		return errors.Join(err, root.Remove(filepath.FromSlash(file)))
	}
	return nil
}

// errChanged reports a file that another program has written.
var errChanged = errors.New("another program has just changed it: try again")

// extend adds the new content to the end of a file. If that fails it restores the file.
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

// setAside copies a file.
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

// replace replaces a file that was copied. The old file stays until the new one is
// complete.
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
