package programs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// sources lists the files and directories of this module that the programs
// are made of; the cluster tool itself is not among them, so that a change to it
// builds nothing again.
func sources() []string {
	return []string{"go.mod", "go.sum", "cmd", "internal/nodespec", "internal/pipindex", "internal/provisioner"}
}

// key names the output of a build by everything that goes into it.
func key(root string, inputs ...string) (string, error) {
	sum := sha256.New()
	for _, input := range inputs {
		_, _ = fmt.Fprintln(sum, input)
	}
	for _, source := range sources() {
		files, err := sourceFiles(filepath.Join(root, source))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if err := hashFile(sum, root, file); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

func sourceFiles(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasSuffix(file, "_test.go") {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	sort.Strings(files)
	return files, nil
}

func hashFile(sum io.Writer, root, path string) error {
	name, err := filepath.Rel(root, path)
	if err != nil {
		return fmt.Errorf("name source: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read source: %w", err)
	}
	_, _ = fmt.Fprintln(sum, name, len(content))
	_, _ = sum.Write(content)
	return nil
}
