package detect

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// reach returns the directory that a project may take files of: the root of its repository,
// or the home directory; without either all directories but that of the whole file system.
// The directory has no symbolic links.
func reach(dir string) string {
	home, err := os.UserHomeDir()
	if err == nil {
		if resolved, rerr := filepath.EvalSymlinks(home); rerr == nil {
			home = resolved
		}
	}
	for {
		parent := filepath.Dir(dir)
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil || dir == home || filepath.Dir(parent) == parent {
			return dir
		}
		dir = parent
	}
}

// openAbove lets a tree read files above the directory of the project. above is a directory
// that has it; empty is what reach returns.
func openAbove(dir, above string) (root *os.Root, within string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, "", fmt.Errorf("open the directory: %w", err)
	}
	if above == "" {
		above = reach(dir)
	} else if above, err = filepath.EvalSymlinks(above); err != nil {
		return nil, "", fmt.Errorf("open the build context: %w", err)
	}
	within, err = filepath.Rel(above, dir)
	if err != nil || !filepath.IsLocal(within) {
		return nil, "", fmt.Errorf("%w: %s is not in %s", ErrContext, dir, above)
	}
	root, err = os.OpenRoot(above)
	return root, filepath.ToSlash(within), err
}

// Outside returns the paths that the installation reads outside of the directory of the
// project, relative to it, sorted; with tests also what the tests need.
func (p *Project) Outside(tests bool) []string {
	sets := []Dependencies{p.Dependencies}
	if tests {
		sets = append(sets, p.Dev)
	}
	var found []string
	for _, set := range sets {
		for _, name := range slices.Concat(set.Files, set.Local) {
			if name = path.Clean(name); isOutside(name) {
				found = append(found, name)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// explain returns a clause about why a path that the project names cannot be used, or nothing.
func (t *tree) explain(name string) string {
	files, inside := t.at(name)
	switch {
	case path.IsAbs(name):
		return "which is a path of this machine and not of a build: write it relative to the project"
	case files == nil && t.above == nil:
		return "which is outside of " + t.dir
	case files == nil:
		return fmt.Sprintf("which is outside of %s: nothing above that is taken, unless --context names a directory that has it", t.aboveDir)
	case isOutside(t.clean(name)) && isLink(t, inside):
		return "which is a symbolic link and does not travel with what it leads to: name that instead"
	case !t.exists(name):
		return "which does not exist"
	}
	return ""
}

func isLink(t *tree, inside string) bool {
	info, err := fs.Lstat(t.above, inside)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
