package detect

import (
	"path/filepath"
	"testing"
)

func TestIsPython(t *testing.T) {
	for file, want := range map[string]bool{
		"pyproject.toml": true, "setup.py": true, "setup.cfg": true, "requirements.txt": true, "Pipfile": true, "main.py": true,
		"README.md": false, "package.json": false, "requirements.in": false, "notes.pyc": false, "src/main.py": false, "lib/pyproject.toml": false,
	} {
		dir := t.TempDir()
		write(t, dir, file, "")
		if got := IsPython(dir); got != want {
			t.Errorf("IsPython of a directory with %s is %t", file, got)
		}
	}
	if IsPython(t.TempDir()) || IsPython(filepath.Join(t.TempDir(), "absent")) {
		t.Error("a directory without files is no Python project")
	}
	// What a shell would expand is a name here.
	dir := filepath.Join(t.TempDir(), "[a]*")
	write(t, dir, "main.py", "")
	if !IsPython(dir) {
		t.Error("a directory with a name like a pattern is read as a pattern")
	}
}
