package compare

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadSourceOfAPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "main.py"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSource(dir, "main.py"); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("error %v", err)
	}
}
