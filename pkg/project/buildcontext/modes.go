package buildcontext

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
)

// usualUmask is the umask with which files and directories get 0644 and 0755.
const usualUmask fs.FileMode = 0o022

// The modes of files and directories that have no other.
const (
	usualFile      = 0o666 &^ usualUmask
	usualDirectory = 0o777 &^ usualUmask
)

// modes decides about the modes in an archive. A mode that files get by the umask of the
// machine says nothing about the file: it becomes what the usual umask gives, so that two
// checkouts of one commit make the same archive. Any other mode was set on purpose.
type modes struct {
	umask fs.FileMode
	// given are modes that replace those of the directory, by path.
	given map[string]fs.FileMode
	// changed counts the entries whose mode became another one.
	changed int
	// private are the files that only root can read in an image, with their modes.
	private []string
}

// Mode returns the mode with which a file or a directory of that mode is packed, on this
// machine.
func Mode(found fs.FileMode) fs.FileMode {
	if runtime.GOOS == "windows" {
		if found.IsDir() {
			return fs.ModeDir | usualDirectory
		}
		return found.Type() | usualFile
	}
	m := modes{umask: umask()}
	return m.of(found)
}

// of returns the mode in the archive.
func (m *modes) of(found fs.FileMode) fs.FileMode {
	perm, special := found.Perm(), found&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	packed := perm
	switch {
	case perm == 0o777&^m.umask:
		packed = usualDirectory
	case perm == 0o666&^m.umask && !found.IsDir():
		packed = usualFile
	}
	if packed != perm {
		m.changed++
	}
	if found.IsDir() {
		// Engines leave them out of directories.
		special = 0
	}
	return found.Type() | packed | special
}

// read takes down a packed file that only root can read in an image.
func (m *modes) read(rel string, mode int64) {
	if mode&0o044 == 0 {
		m.private = append(m.private, fmt.Sprintf("%s (%04o)", quoted(rel), mode))
	}
}

// maxPrivate is how many files a notice names.
const maxPrivate = 3

// notices returns lines about modes that became others, and about files that only root can read.
func (m *modes) notices() []string {
	var lines []string
	if m.changed > 0 {
		lines = append(lines, fmt.Sprintf("%d files and directories have the mode of this machine's umask %04o; they travel as with the umask %04o",
			m.changed, m.umask, usualUmask))
	}
	if n := len(m.private); n > 0 {
		text := "only root can read them in the image: " + strings.Join(m.private[:min(n, maxPrivate)], ", ")
		if n > maxPrivate {
			text += fmt.Sprintf(" and %d more", n-maxPrivate)
		}
		lines = append(lines, text)
	}
	return lines
}

// headerMode returns a mode as a header of tar has it.
func headerMode(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	for flag, bit := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// file returns the header's mode of a file, and does not move its offset.
func (m *modes) file(rel string, file io.ReaderAt, info fs.FileInfo) (int64, error) {
	if mode, ok := m.given[rel]; ok {
		return headerMode(mode), nil
	}
	if runtime.GOOS != "windows" {
		return headerMode(m.of(info.Mode())), nil
	}
	// Windows has no execute bits. A file that a kernel can run is executable.
	head := make([]byte, 4)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	head = head[:n]
	if bytes.HasPrefix(head, []byte("#!")) || bytes.HasPrefix(head, []byte("\x7fELF")) {
		return 0o755, nil
	}
	return 0o644, nil
}

// directoryHeader returns the header of a directory of the context.
func (p *packer) directoryHeader(rel string) (tar.Header, error) {
	header := tar.Header{Typeflag: tar.TypeDir, Name: rel + "/", Mode: int64(usualDirectory)}
	if mode, ok := p.modes.given[rel]; ok {
		header.Mode = headerMode(mode)
		return header, nil
	}
	if runtime.GOOS == "windows" {
		return header, nil
	}
	info, err := p.root.Lstat(rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return header, nil // only given files are below it
	case err != nil:
		return header, err
	}
	if special := info.Mode() & (fs.ModeSetgid | fs.ModeSticky); special != 0 {
		p.warnings.add(&p.warnings.others, Warning{Path: rel, Kind: SpecialMode})
	}
	header.Mode = headerMode(p.modes.of(info.Mode()))
	return header, nil
}
