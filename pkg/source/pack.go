package source

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
)

const chunk = 256 << 10

// Options says how a directory is packed. The zero value is of use.
type Options struct {
	// Dockerfile is the Dockerfile's path inside the directory; empty means
	// "Dockerfile". It is packed even when the ignore file names it, and it
	// selects <Dockerfile>.dockerignore. It need not exist.
	Dockerfile string
	// Progress, when set, is called from the goroutine that called Pack after
	// every file and every piece of a large one, with the files finished and the
	// bytes read so far. It must be quick.
	Progress func(files int, bytes int64)
}

// Pack writes the directory into a new archive. The ignore rules are Docker's:
// <Dockerfile>.dockerignore, else .dockerignore, else DefaultIgnore.
//
// The bytes are a function of names, contents, link targets and the owner's
// execute bits alone: entries are sorted, times and owners are the same for
// all, modes are 0755 or 0644. A hard link becomes a file of its own, other
// metadata is dropped. The compressor is a module with a version in go.mod and
// not the standard library's, so that a digest does not depend on the toolchain
// that built the program.
//
// Memory does not grow with the size of files, only with the number of entries
// of a single directory. Errors about an entry hold a *FileError. Symbolic links
// are kept, never followed; an absolute one that points inside the context is
// made relative. When ctx is done Pack returns its error.
func Pack(ctx context.Context, dir string, opts Options) (*Archive, error) {
	archive, err := pack(ctx, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", dir, err)
	}
	return archive, nil
}

func pack(ctx context.Context, dir string, opts Options) (_ *Archive, err error) {
	dockerfile, err := contextPath(opts.Dockerfile)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cause(err)
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	rules, err := readRules(root, dockerfile)
	if err != nil {
		return nil, err
	}
	bases, err := absolute(dir)
	if err != nil {
		return nil, err
	}

	archive, err := newArchive()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, archive.Close())
		}
	}()
	compressed, content := sha256.New(), sha256.New()
	buffer := bufio.NewWriterSize(io.MultiWriter(archive.file, compressed), chunk)
	gz, err := gzip.NewWriterLevel(buffer, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	p := &packer{
		ctx:      ctx,
		tar:      tar.NewWriter(io.MultiWriter(gz, content)),
		rules:    rules,
		bases:    bases,
		progress: opts.Progress,
		buffer:   make([]byte, chunk),
		archive:  archive,
	}
	if err := p.directory(root, "", nil); err != nil {
		return nil, err
	}
	for _, finish := range []func() error{p.tar.Close, gz.Close, buffer.Flush} {
		if err := finish(); err != nil {
			return nil, fmt.Errorf("write the archive: %w", err)
		}
	}
	info, err := archive.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("write the archive: %w", err)
	}
	archive.Size = info.Size()
	archive.Digest, archive.DiffID = sum(compressed), sum(content)
	return archive, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// absolute returns the absolute names that dir goes by: as given, and with its
// symbolic links resolved.
func absolute(dir string) ([]string, error) {
	given, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	resolved, err := filepath.EvalSymlinks(given)
	if err != nil {
		return nil, cause(err)
	}
	return []string{given, resolved}, nil
}

// packer is one walk over a directory.
type packer struct {
	ctx      context.Context
	tar      *tar.Writer
	rules    *rules
	bases    []string
	progress func(files int, bytes int64)
	buffer   []byte
	archive  *Archive
	// pending are the directories above the current entry that have not been
	// written: ignored ones, which appear only when something in them does.
	pending []string
}

// directory packs what is in root, the directory rel of the context. It goes
// down by handles, so that no path is too long and no link is followed.
func (p *packer) directory(root *os.Root, rel string, info matches) error {
	entries, err := readDirectory(root)
	if err != nil {
		return &FileError{Path: cmp.Or(rel, "."), Err: cause(err)}
	}
	for _, entry := range entries {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := p.entry(root, entry, path.Join(rel, entry.Name()), info); err != nil {
			return err
		}
	}
	return nil
}

func readDirectory(root *os.Root) ([]fs.DirEntry, error) {
	handle, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer handle.Close() //nolint:errcheck // only read
	entries, err := handle.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

func (p *packer) entry(root *os.Root, entry fs.DirEntry, rel string, parent matches) error {
	ignored, info, err := p.rules.ignored(rel, parent)
	if err != nil {
		return &FileError{Path: rel, Err: err}
	}
	name := entry.Name()
	switch kind := entry.Type(); {
	case kind.IsDir():
		if p.rules.virtualenv(root, name, rel) || ignored && !p.rules.needed(rel) {
			return nil
		}
		return p.subdirectory(root, name, rel, info, ignored)
	case ignored:
		return nil
	case kind.IsRegular():
		err = p.regular(root, name, rel)
	case kind&fs.ModeSymlink != 0:
		err = p.link(root, name, rel)
	default:
		err = ErrSpecial
	}
	var ours *archiveError
	switch {
	case err == nil:
		p.archive.Files++
		p.report()
		return nil
	case errors.As(err, &ours) || errors.Is(err, p.ctx.Err()):
		return err
	}
	return &FileError{Path: rel, Err: cause(err)}
}

func (p *packer) subdirectory(root *os.Root, name, rel string, info matches, ignored bool) error {
	sub, err := root.OpenRoot(name)
	if err != nil {
		return &FileError{Path: rel, Err: cause(err)}
	}
	defer sub.Close() //nolint:errcheck // nothing was written through it
	depth := len(p.pending)
	p.pending = append(p.pending, rel)
	if !ignored {
		if err := p.directories(); err != nil {
			return err
		}
	}
	if err := p.directory(sub, rel, info); err != nil {
		return err
	}
	// Written by now, or not needed.
	p.pending = p.pending[:min(depth, len(p.pending))]
	return nil
}

// directories writes the directories that are pending.
func (p *packer) directories() error {
	for _, rel := range p.pending {
		if err := p.header(tar.Header{Typeflag: tar.TypeDir, Name: rel + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	p.pending = p.pending[:0]
	return nil
}

func (p *packer) regular(root *os.Root, name, rel string) error {
	file, err := root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return ErrChanged
	}
	mode, head, err := fileMode(file, before)
	if err != nil {
		return err
	}
	if err := p.directories(); err != nil {
		return err
	}
	err = p.header(tar.Header{Typeflag: tar.TypeReg, Name: rel, Mode: mode, Size: before.Size()})
	if err != nil {
		return err
	}
	if err := p.content(io.MultiReader(bytes.NewReader(head), file), before.Size()); err != nil {
		return err
	}
	after, err := file.Stat()
	if err != nil {
		return err
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return ErrChanged
	}
	return nil
}

// fileMode returns the mode of a file and the bytes it had to read to know it.
func fileMode(file io.Reader, info fs.FileInfo) (mode int64, head []byte, err error) {
	executable := info.Mode()&0o100 != 0
	if runtime.GOOS == "windows" {
		// There are no execute bits there; what a kernel would run is executable.
		head = make([]byte, 4)
		n, err := io.ReadFull(file, head)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, err
		}
		head = head[:n]
		executable = bytes.HasPrefix(head, []byte("#!")) || bytes.HasPrefix(head, []byte("\x7fELF"))
	}
	if executable {
		return 0o755, head, nil
	}
	return 0o644, head, nil
}

// content copies exactly size bytes and makes sure that there are no more.
func (p *packer) content(from io.Reader, size int64) error {
	for left := size; ; {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(p.buffer)
		if int64(n) > left {
			return ErrChanged
		}
		left -= int64(n)
		if _, werr := p.tar.Write(p.buffer[:n]); werr != nil {
			return &archiveError{werr}
		}
		p.archive.ContentSize += int64(n)
		switch {
		case errors.Is(err, io.EOF) && left > 0:
			return ErrChanged
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		p.report()
	}
}

func (p *packer) link(root *os.Root, name, rel string) error {
	target, err := root.Readlink(name)
	if err != nil {
		return err
	}
	inside, err := p.target(rel, target)
	if err != nil {
		return err
	}
	if err := p.directories(); err != nil {
		return err
	}
	return p.header(tar.Header{Typeflag: tar.TypeSymlink, Name: rel, Linkname: inside, Mode: 0o777})
}

// target returns what the link rel says in the archive.
func (p *packer) target(rel, target string) (string, error) {
	if !filepath.IsAbs(target) {
		slashed := filepath.ToSlash(target)
		if climbs(strings.Count(rel, "/"), slashed) {
			return "", fmt.Errorf("%w: %s", ErrOutside, target)
		}
		return slashed, nil
	}
	for _, base := range p.bases {
		inside, err := filepath.Rel(base, target)
		if err != nil || !filepath.IsLocal(inside) {
			continue
		}
		relative, err := filepath.Rel(filepath.FromSlash(path.Dir(rel)), inside)
		if err != nil {
			return "", err
		}
		return filepath.ToSlash(relative), nil
	}
	return "", fmt.Errorf("%w: %s", ErrOutside, target)
}

// climbs reports whether a relative target leaves the context on its way from
// a directory that is depth directories below the top.
func climbs(depth int, target string) bool {
	for component := range strings.SplitSeq(target, "/") {
		switch component {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// header writes a header with everything that differs between two checkouts of
// the same tree left out.
func (p *packer) header(h tar.Header) error {
	// Not zero: a zip archive, which a wheel is, can not hold a time before
	// 1980 in any time zone, and builds make wheels of these files.
	h.ModTime = time.Date(1980, time.February, 1, 0, 0, 0, 0, time.UTC)
	// USTAR, with PAX records where a name needs them and nowhere else.
	h.Format = tar.FormatPAX
	if err := p.tar.WriteHeader(&h); err != nil {
		return &archiveError{err}
	}
	return nil
}

func (p *packer) report() {
	if p.progress != nil {
		p.progress(p.archive.Files, p.archive.ContentSize)
	}
}
