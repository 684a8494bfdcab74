package oci

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteArchive writes a layout as the tar stream that containerd imports.
func WriteArchive(layout string, archive io.Writer) error {
	writer := tar.NewWriter(archive)
	if err := addTree(writer, layout); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return nil
}

func addTree(writer *tar.Writer, root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err = io.Copy(writer, file)
		return err
	})
}
