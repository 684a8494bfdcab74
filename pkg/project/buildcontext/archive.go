// Package buildcontext packs a directory into a build context: a tar.gz whose bytes depend
// only on the content of the directory.
package buildcontext

import (
	"fmt"
	"io"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// Archive is a packed build context: a tar.gz in a temporary file. It is safe for concurrent
// use. The caller must Close it.
type Archive struct {
	// Digest is the SHA-256 of the compressed file.
	Digest v1.Hash
	// DiffID is the SHA-256 of the tar inside.
	DiffID v1.Hash
	// Size is the length of the compressed file in bytes.
	Size int64
	// ContentSize is the sum of the lengths of the regular files in bytes.
	ContentSize int64
	// Files counts the regular files and symbolic links; directories are not counted.
	Files int
	// Warnings are the packed files that should probably stay out and what was left out:
	// secrets first, then what was left out and links that lead outside, then large files,
	// each sorted by path, at most 100.
	Warnings []Warning
	// MoreWarnings is the number of further warnings.
	MoreWarnings int
	// Notices say in a line each that entries are packed with another mode than they have, and
	// that files can be read by root only.
	Notices []string

	file  *os.File
	close func() error
}

// newArchive creates the temporary file. Where the system allows it the file has no name, so
// that nothing is left behind if the process is killed, and a temporary directory inside the
// context is not packed.
func newArchive() (*Archive, error) {
	file, err := os.CreateTemp("", "pyflow-context-*.tar.gz")
	if err != nil {
		return nil, &TemporaryError{err}
	}
	named := os.Remove(file.Name()) != nil
	return &Archive{
		file: file,
		close: sync.OnceValue(func() error {
			err := file.Close()
			if named {
				if rerr := os.Remove(file.Name()); err == nil {
					err = rerr
				}
			}
			return err
		}),
	}, nil
}

// Open returns a new reader of the compressed file, which is an io.Seeker, too. Readers are
// independent of each other and fail with os.ErrClosed after the archive is closed.
func (a *Archive) Open() (io.ReadCloser, error) {
	if _, err := a.file.Stat(); err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	return reader{io.NewSectionReader(a.file, 0, a.Size)}, nil
}

// reader reads the file of an archive.
type reader struct{ *io.SectionReader }

// Close does nothing: the archive owns the file.
func (reader) Close() error { return nil }

// Close removes the temporary file. Further calls do nothing and return the result of the
// first one.
func (a *Archive) Close() error { return a.close() }

// Layer returns the archive as an OCI image layer of media type
// application/vnd.oci.image.layer.v1.tar+gzip. Each read starts a new reader of the file, in
// constant memory. It is usable until the archive is closed.
func (a *Archive) Layer() v1.Layer { return layer{a} }

type layer struct{ archive *Archive }

var _ v1.Layer = layer{}

func (l layer) Digest() (v1.Hash, error)            { return l.archive.Digest, nil }
func (l layer) DiffID() (v1.Hash, error)            { return l.archive.DiffID, nil }
func (l layer) Size() (int64, error)                { return l.archive.Size, nil }
func (l layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l layer) Compressed() (io.ReadCloser, error)  { return l.archive.Open() }

func (l layer) Uncompressed() (io.ReadCloser, error) {
	compressed, err := l.archive.Open()
	if err != nil {
		return nil, err
	}
	content, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	return content, nil
}
