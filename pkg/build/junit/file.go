package junit

import (
	"fmt"
	"os"
	"path/filepath"
)

// CheckFile checks that results can be written to a file later: its directory exists, and it is no
// directory itself. An empty path is no file, and no error.
func CheckFile(path string) error {
	if path == "" {
		return nil
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory: name a file in it", path)
	}
	return nil
}
