package buildcontext

import (
	"context"
	"errors"
	"hash/fnv"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tonistiigi/fsutil"
)

// attempts is how often a directory is packed that changes meanwhile.
const attempts = 3

// packUnchanged packs the directory as it is at one time. It packs again if something changed
// meanwhile, and names what changed the last time.
func packUnchanged(ctx context.Context, dir string, opts Options) (*Archive, error) {
	for attempt := 1; ; attempt++ {
		start := time.Now()
		before, err := look(ctx, dir, opts)
		if err != nil {
			return nil, err
		}
		archive, err := pack(ctx, dir, opts)
		if err == nil {
			var after state
			if after, err = look(ctx, dir, opts); err == nil {
				err = before.changed(after, start)
			}
			if err == nil {
				return archive, nil
			}
			err = errors.Join(err, archive.Close())
		}
		if !errors.Is(err, ErrChanged) || attempt == attempts {
			return nil, err
		}
	}
}

// state is what a directory of a build context has, without what the ignore rules exclude. Memory
// grows with the number of directories, not with that of files.
type state map[string]*folderState

// folderState is one directory.
type folderState struct {
	// sum is of the names, the sizes and the dates of all entries.
	sum uint64
	// last is the entry that was written last, at the time written.
	last    string
	written time.Time
}

// look reads the state of a directory. It opens no file.
func look(ctx context.Context, dir string, opts Options) (state, error) {
	p, err := open(dir, opts)
	if err != nil {
		return nil, err
	}
	defer p.root.Close() //nolint:errcheck // only read
	filter, err := fsutil.NewFilterFS(p, &fsutil.FilterOpt{ExcludePatterns: p.rules.exclude})
	if err != nil {
		return nil, err
	}
	all := state{}
	return all, filter.Walk(ctx, "", func(native string, entry fs.DirEntry, _ error) error {
		rel := filepath.ToSlash(native)
		_, given := p.files[rel]
		switch {
		case p.leaveOut(rel, entry.Type()) && entry.IsDir():
			return fs.SkipDir
		case given || entry.IsDir() || entry.Type()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0:
			return nil
		}
		info, err := p.parent.Lstat(entry.Name())
		all.add(rel, info, err)
		return nil
	})
}

// add adds an entry. The entries of a directory come in the order of their names. One that cannot be
// read is reported when it is packed.
func (s state) add(rel string, info fs.FileInfo, err error) {
	directory := path.Dir(rel)
	folder := s[directory]
	if folder == nil {
		folder = &folderState{}
		s[directory] = folder
	}
	text := rel
	if err == nil {
		text = strings.Join([]string{rel, info.Mode().String(), strconv.FormatInt(info.Size(), 10), info.ModTime().String()}, "\n")
		if info.ModTime().After(folder.written) {
			folder.last, folder.written = rel, info.ModTime()
		}
	}
	sum := fnv.New64a()
	_, _ = sum.Write(strconv.AppendUint(nil, folder.sum, 10))
	_, _ = sum.Write([]byte(text))
	folder.sum = sum.Sum64()
}

// changed returns a *ContextError with what differs later: the entry of each directory that was
// written after start, or else the directory, from which entries are gone.
func (s state) changed(later state, start time.Time) error {
	var names []string
	for directory, folder := range later {
		if before := s[directory]; before != nil && before.sum == folder.sum {
			continue
		}
		name := directory
		// The clock of the file system is coarser than ours.
		if folder.written.After(start.Add(-10 * time.Millisecond)) {
			name = folder.last
		}
		names = append(names, name)
	}
	for directory := range s {
		if later[directory] == nil {
			names = append(names, directory)
		}
	}
	slices.Sort(names)
	problems := &ContextError{}
	for _, name := range names {
		problems.add(name, ErrChanged)
	}
	return problems.orNil()
}
