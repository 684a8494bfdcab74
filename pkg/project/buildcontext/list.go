package buildcontext

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/tonistiigi/fsutil"
)

// List returns what Pack packs of a directory, the directories included: slash-separated path to
// the type and the mode in the archive. It reads no file. What cannot be read is left out: Pack
// reports it.
func List(ctx context.Context, dir string, opts Options) (map[string]fs.FileMode, error) {
	listed, err := list(ctx, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return listed, nil
}

func list(ctx context.Context, dir string, opts Options) (map[string]fs.FileMode, error) {
	p, err := open(dir, opts)
	if err != nil {
		return nil, err
	}
	defer p.root.Close() //nolint:errcheck // nothing was written through it
	filter, err := fsutil.NewFilterFS(p, &fsutil.FilterOpt{ExcludePatterns: p.rules.exclude})
	if err != nil {
		return nil, err
	}
	listed := map[string]fs.FileMode{}
	err = filter.Walk(ctx, "", func(native string, entry fs.DirEntry, _ error) error {
		rel := filepath.ToSlash(native)
		if p.leaveOut(rel, entry.Type()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := p.root.Lstat(rel)
		if err == nil {
			listed[rel] = Mode(info.Mode())
		}
		return nil
	})
	for name := range opts.Files {
		listed[name] = usualFile
		for i, char := range name {
			if char == '/' {
				listed[name[:i]] = fs.ModeDir | usualDirectory
			}
		}
	}
	return listed, err
}
