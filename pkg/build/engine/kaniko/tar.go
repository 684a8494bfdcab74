package kaniko

import (
	"archive/tar"
	"compress/bzip2"
	"io"

	"github.com/klauspost/compress/gzip"
)

// isTar reports whether a compressed file is an archive.
func isTar(file io.Reader, compression string) bool {
	content := bzip2.NewReader(file)
	if compression == "gzip" {
		unzipped, err := gzip.NewReader(file)
		if err != nil {
			return false
		}
		content = unzipped
	}
	_, err := tar.NewReader(content).Next()
	return err == nil
}
