package buildcontext

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

const chunk = 256 << 10

// fixedDate returns the date of directories and links, and the earliest of files.
func fixedDate() time.Time { return time.Date(1980, time.February, 1, 0, 0, 0, 0, time.UTC) }

// Options configure Pack. The zero value is usable.
type Options struct {
	// Dockerfile is the path of the Dockerfile inside the directory; empty means "Dockerfile".
	// It is packed even if the ignore file names it, and it selects <Dockerfile>.dockerignore.
	// It need not exist.
	Dockerfile string
	// Files are packed in addition to the directory, and replace its files of the same
	// path: slash-separated path to content. The ignore rules do not apply to them, their
	// mode is 0644, and an ignore file among them is used.
	Files map[string][]byte
	// Modes replace the modes of files and directories, by slash-separated path.
	Modes map[string]fs.FileMode
	// AllowSecrets are files whose content may be a secret: paths, or patterns as path.Match takes
	// them.
	AllowSecrets []string
	// Progress, which may be nil, is called from the goroutine that called Pack after every
	// file and every piece of a large one, with the files finished and the bytes read so far. Both
	// start at zero again when Pack does.
	// It must be quick.
	Progress func(files int, bytes int64)

	// umask returns the umask of the machine; nil means that of the process.
	umask func() fs.FileMode
}

// Pack writes the directory into a new archive. The ignore rules are those of Docker and
// podman: the first of dockerfile.IgnoreFiles, else DefaultIgnore.
//
// The bytes depend only on names, contents, link targets and modes: entries are sorted and
// owners are the same for all. A mode that the umask of this machine gives becomes 0755 or 0644,
// see Mode; on Windows, files have no others. The date of a file is that
// of its content (see dateOf), so that whoever compares dates sees that a file has changed;
// directories and links have one date. A hard link becomes a file of its own, and other
// metadata is dropped. The compressor is a module with a
// version in go.mod and not that of the standard library, so that a digest does not depend on
// the toolchain that built the program.
//
// The archive has the directory as it was at one time: if an entry is added, written or removed
// meanwhile, Pack starts again, and the third time it returns ErrChanged with the name.
//
// Memory grows with the number of directories and of entries of a single one, not with the size of
// files.
// Symbolic links are kept and never followed; an absolute link that points inside the context
// is made relative. Virtual environments, sockets, pipes and devices are left out. The
// archive's Warnings name what was left out, links that lead outside, and files that should
// probably stay out.
//
// The walk continues after an entry that cannot be packed, and Pack returns all of them in a
// *ContextError. If there is none, it returns the files whose content is a secret in a
// *SecretsError. When ctx is done Pack returns its error.
func Pack(ctx context.Context, dir string, opts Options) (*Archive, error) {
	archive, err := packUnchanged(ctx, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", dir, err)
	}
	return archive, nil
}

func pack(ctx context.Context, dir string, opts Options) (_ *Archive, err error) {
	if opts.umask == nil {
		opts.umask = umask
	}
	p, err := open(dir, opts)
	if err != nil {
		return nil, err
	}
	defer p.root.Close() //nolint:errcheck // nothing was written through it
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
	p.tar, p.buffer, p.archive = tar.NewWriter(io.MultiWriter(gz, content)), make([]byte, chunk), archive
	p.allow = opts.AllowSecrets
	p.progress, p.modes = opts.Progress, modes{umask: opts.umask(), given: opts.Modes}
	if err := p.walk(ctx); err != nil {
		return nil, err
	}
	for _, finish := range []func() error{p.tar.Close, gz.Close, buffer.Flush} {
		if err := finish(); err != nil {
			return nil, &TemporaryError{err}
		}
	}
	info, err := archive.file.Stat()
	if err != nil {
		return nil, &TemporaryError{err}
	}
	archive.Size = info.Size()
	archive.Digest, archive.DiffID = sum(compressed), sum(content)
	archive.Warnings, archive.MoreWarnings = p.warnings.all(archive.ContentSize)
	archive.Notices = p.modes.notices()
	return archive, nil
}

// open opens a directory for a walk over what a build context has of it. The caller closes
// the root.
func open(dir string, opts Options) (_ *packer, err error) {
	dockerfile, err := contextPath(opts.Dockerfile)
	if err != nil {
		return nil, err
	}
	for name := range opts.Files {
		if !fs.ValidPath(name) || name == "." {
			return nil, &FileError{Path: name, Err: fs.ErrInvalid}
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cause(err)
	}
	defer func() {
		if err != nil {
			_ = root.Close()
		}
	}()
	p := &packer{root: root, files: opts.Files, parents: map[string]bool{}}
	if p.rules, err = readRules(root, dockerfile, opts.Files); err != nil {
		return nil, err
	}
	if p.bases, err = absolute(dir); err != nil {
		return nil, err
	}
	return p, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// absolute returns the absolute names of dir: as given, and with its symbolic links resolved.
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

// packer is one walk over a directory. It is the file system that BuildKit's filter walks,
// and it packs the entries that the filter passes. So the ignore rules are exactly those of
// Docker. It opens directories by handles, so that no path is too long and no link is
// followed.
type packer struct {
	root  *os.Root
	tar   *tar.Writer
	rules *rules
	files map[string][]byte
	// parents are the directories of files that are in the archive.
	parents  map[string]bool
	bases    []string
	progress func(files int, bytes int64)
	buffer   []byte
	archive  *Archive
	warnings warnings
	modes    modes
	problems ContextError
	allow    []string
	secrets  SecretsError

	// parent is the directory of the current entry.
	parent *os.Root
}

var _ fsutil.FS = (*packer)(nil)

// walk packs all entries. An error is that of ctx, of the archive, or a *ContextError.
func (p *packer) walk(ctx context.Context) error {
	filter, err := fsutil.NewFilterFS(p, &fsutil.FilterOpt{ExcludePatterns: p.rules.exclude})
	if err != nil {
		return err
	}
	if err := filter.Walk(ctx, "", func(name string, entry fs.DirEntry, _ error) error { return p.pack(ctx, name, entry) }); err != nil {
		return err
	}
	if err := p.given(); err != nil {
		return err
	}
	if err := p.problems.orNil(); err != nil {
		return err
	}
	return p.secrets.orNil()
}

// folder writes a directory, and only once if it holds given files.
func (p *packer) folder(rel string) error {
	if p.parents[rel] {
		return nil
	}
	if p.isParent(rel) {
		p.parents[rel] = true
	}
	header, err := p.directoryHeader(rel)
	if err != nil {
		p.problems.add(rel, err)
		return nil
	}
	return p.header(header)
}

// isParent reports whether a given file is below the path.
func (p *packer) isParent(rel string) bool {
	for name := range p.files {
		if strings.HasPrefix(name, rel+"/") {
			return true
		}
	}
	return false
}

// given packs the given files, which are not those of the directory.
func (p *packer) given() error {
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if p.problems.any() {
			return nil
		}
		for i, char := range name {
			if char == '/' {
				if err := p.folder(name[:i]); err != nil {
					return err
				}
			}
		}
		content := p.files[name]
		file := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: dateOf(sha256.Sum256(content))}
		if err := p.header(file); err != nil {
			return err
		}
		if _, err := p.tar.Write(content); err != nil {
			return &TemporaryError{err}
		}
		p.archive.ContentSize += int64(len(content))
		p.archive.Files++
		p.report()
	}
	return nil
}

// Open is not called: entries are opened by the handle of their directory.
func (p *packer) Open(name string) (io.ReadCloser, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// Walk calls visit for every entry below the root, in the order of the names of each
// directory. It skips a directory for which visit returns fs.SkipDir.
func (p *packer) Walk(ctx context.Context, _ string, visit fs.WalkDirFunc) error {
	return p.directory(ctx, p.root, "", visit)
}

func (p *packer) directory(ctx context.Context, root *os.Root, rel string, visit fs.WalkDirFunc) error {
	entries, err := readDirectory(root)
	if err != nil {
		p.problems.add(cmp.Or(rel, "."), err)
		return nil
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := entry.Name()
		below := path.Join(rel, name)
		p.parent = root
		// The filter only accepts its own type.
		stat := &fsutil.DirEntryInfo{Stat: &types.Stat{Path: filepath.FromSlash(below), Mode: uint32(entry.Type())}}
		switch err := visit(stat.Path, stat, nil); {
		case errors.Is(err, fs.SkipDir) && entry.IsDir():
			continue
		case err != nil:
			return err
		case entry.IsDir():
			if err := p.subdirectory(ctx, root, name, below, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *packer) subdirectory(ctx context.Context, root *os.Root, name, rel string, visit fs.WalkDirFunc) error {
	sub, err := root.OpenRoot(name)
	if err != nil {
		p.problems.add(rel, err)
		return nil
	}
	defer sub.Close() //nolint:errcheck // nothing was written through it
	return p.directory(ctx, sub, rel, visit)
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

// pack packs an entry that the filter passes: one of p.parent, or a directory above it that
// holds such an entry. After the first problem it writes nothing more and only checks the
// rest.
func (p *packer) pack(ctx context.Context, native string, entry fs.DirEntry) error {
	rel := filepath.ToSlash(native)
	_, given := p.files[rel]
	name := entry.Name()
	var err error
	switch kind := entry.Type(); {
	case given && !kind.IsDir():
		return nil
	case given, !kind.IsDir() && p.isParent(rel):
		err = ErrConflict
	case p.leaveOut(rel, kind):
		if kind.IsDir() {
			return fs.SkipDir
		}
		return nil
	case kind.IsDir():
		return p.folder(rel)
	case kind.IsRegular():
		err = p.regular(ctx, name, rel)
	default:
		err = p.link(name, rel)
	}
	var ours *TemporaryError
	switch {
	case err == nil:
		p.archive.Files++
		p.report()
	case errors.As(err, &ours):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		p.problems.add(rel, err)
	}
	return nil
}

// leaveOut reports whether an entry is left out, with a warning: a virtual environment, or
// what is no file, directory or link.
func (p *packer) leaveOut(rel string, kind fs.FileMode) bool {
	what := ""
	switch {
	case kind.IsRegular():
		return false
	case kind.IsDir(), kind&fs.ModeSymlink != 0:
		if p.rules.wanted(rel) || !isVirtualenv(p.bases[0], rel) {
			return false
		}
		if p.rules.silent && kind.IsDir() {
			return true
		}
		what = "a virtual environment of this machine"
	case kind&fs.ModeSocket != 0:
		what = "a socket"
	case kind&fs.ModeNamedPipe != 0:
		what = "a named pipe"
	default:
		what = "a device"
	}
	p.warnings.add(&p.warnings.others, Warning{Path: rel, Kind: LeftOut, Reason: what})
	return true
}

func (p *packer) regular(ctx context.Context, name, rel string) error {
	file, err := p.parent.Open(name)
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
	mode, err := p.modes.file(rel, file, before)
	if err != nil {
		return err
	}
	if p.problems.any() {
		return nil
	}
	date, err := p.date(ctx, file)
	if err != nil {
		return err
	}
	err = p.header(tar.Header{Typeflag: tar.TypeReg, Name: rel, Mode: mode, Size: before.Size(), ModTime: date})
	if err != nil {
		return err
	}
	found, err := p.content(ctx, file, rel, before.Size())
	if err != nil {
		return err
	}
	after, err := file.Stat()
	if err != nil {
		return err
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return ErrChanged
	}
	p.judge(rel, before.Size(), found)
	p.modes.read(rel, mode)
	return nil
}

// date returns the date of a file's content, and moves its offset back to the start. The file
// is read for it, because its header precedes its content in the archive.
func (p *packer) date(ctx context.Context, file io.ReadSeeker) (time.Time, error) {
	content := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return time.Time{}, err
		}
		n, err := file.Read(p.buffer)
		content.Write(p.buffer[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return time.Time{}, err
		}
	}
	_, err := file.Seek(0, io.SeekStart)
	return dateOf([sha256.Size]byte(content.Sum(nil))), err
}

// dateOf returns the date of a file with a content of this SHA-256: an even second between
// February 1980 and February 2014. Web servers make an ETag of the date and the size of a
// file, Python and build engines compare both to see whether it has changed, so two contents
// of one size need two dates. Builds make wheels of the files, and a wheel is a zip archive,
// which cannot hold a time before 1980 or an odd second. A future date would be a warning or
// an error for others.
func dateOf(content [sha256.Size]byte) time.Time {
	return fixedDate().Add(2 * time.Second * time.Duration(binary.BigEndian.Uint32(content[:])>>3))
}

// content copies a file and checks that it has exactly size bytes. For a small file it
// returns the secret in it.
func (p *packer) content(ctx context.Context, from io.Reader, name string, size int64) (found secret.Found, err error) {
	for left := size; ; {
		if err := ctx.Err(); err != nil {
			return found, err
		}
		n, err := from.Read(p.buffer)
		if int64(n) > left {
			return found, ErrChanged
		}
		if left == size && size <= secretLimit {
			found, _ = secret.InFile(name, p.buffer[:n])
		}
		left -= int64(n)
		if _, werr := p.tar.Write(p.buffer[:n]); werr != nil {
			return found, &TemporaryError{werr}
		}
		p.archive.ContentSize += int64(n)
		switch {
		case errors.Is(err, io.EOF) && left > 0:
			return found, ErrChanged
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return found, err
		}
		p.report()
	}
}

func (p *packer) link(name, rel string) error {
	target, err := p.parent.Readlink(name)
	if err != nil {
		return err
	}
	packed, inside := p.target(rel, target)
	if !inside {
		p.warnings.add(&p.warnings.others, Warning{Path: rel, Kind: Outside, Reason: target})
	}
	return p.header(tar.Header{Typeflag: tar.TypeSymlink, Name: rel, Linkname: packed, Mode: 0o777})
}

// target returns the target of the link rel in the archive, and whether it is inside of the
// context.
func (p *packer) target(rel, target string) (packed string, inside bool) {
	if !filepath.IsAbs(target) {
		slashed := filepath.ToSlash(target)
		return slashed, !climbs(strings.Count(rel, "/"), slashed)
	}
	for _, base := range p.bases {
		inside, err := filepath.Rel(base, target)
		if err != nil || !filepath.IsLocal(inside) {
			continue
		}
		relative, err := filepath.Rel(filepath.FromSlash(path.Dir(rel)), inside)
		if err != nil {
			continue
		}
		return filepath.ToSlash(relative), true
	}
	return filepath.ToSlash(target), false
}

// climbs reports whether a relative target leaves the context on its way from a directory that
// is depth directories below the top.
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

// header writes a header without anything that differs between two checkouts of the same
// tree.
func (p *packer) header(h tar.Header) error {
	if p.problems.any() {
		return nil
	}
	if h.ModTime.IsZero() {
		h.ModTime = fixedDate()
	}
	// USTAR, with PAX records where a name needs them and nowhere else.
	h.Format = tar.FormatPAX
	if err := p.tar.WriteHeader(&h); err != nil {
		return &TemporaryError{err}
	}
	return nil
}

func (p *packer) report() {
	if p.progress != nil && !p.problems.any() {
		p.progress(p.archive.Files, p.archive.ContentSize)
	}
}
