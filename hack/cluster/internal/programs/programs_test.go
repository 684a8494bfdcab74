package programs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMajorMinor(t *testing.T) {
	for version, want := range map[string][2]string{
		"v1.36.3":      {"1", "36"},
		"v1.36.0-rc.1": {"1", "36"},
		"v1":           {"", ""},
	} {
		major, minor := majorMinor(version)
		if major != want[0] || minor != want[1] {
			t.Errorf("%s: got %s and %s", version, major, minor)
		}
	}
}

// tree makes a module of the shape that key reads.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, source := range sources() {
		path := filepath.Join(root, source)
		if filepath.Ext(source) == "" {
			path = filepath.Join(path, "main.go")
		}
		put(t, path, "content of "+source)
	}
	return root
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKeyFollowsWhatIsBuilt(t *testing.T) {
	root := tree(t)
	keyOf := func(inputs ...string) string {
		t.Helper()
		key, err := key(root, inputs...)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := keyOf("go1")
	if keyOf("go2") == first {
		t.Error("another compiler keeps the key")
	}
	put(t, filepath.Join(root, "internal/other/other.go"), "x")
	put(t, filepath.Join(root, "cmd/main_test.go"), "x")
	if keyOf("go1") != first {
		t.Error("files that are not built change the key")
	}
	put(t, filepath.Join(root, "cmd/main.go"), "changed")
	if keyOf("go1") == first {
		t.Error("a changed program keeps the key")
	}
}

// What a program imports from this module has to be part of the key.
func TestSourcesCoverTheProgramsImports(t *testing.T) {
	output, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "../../cmd/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for imported := range strings.FieldsSeq(string(output)) {
		local, ok := strings.CutPrefix(imported, module+"/")
		if !ok {
			continue
		}
		covered := false
		for _, source := range sources() {
			covered = covered || local == source || strings.HasPrefix(local, source+"/")
		}
		if !covered {
			t.Errorf("%s is built into a program, but a change to it builds nothing", local)
		}
	}
}

func TestCompileError(t *testing.T) {
	failed := errors.New("exit status 1")
	offline := "go: example.test/a@v1.0.0: Get \"https://proxy.test/a\": dial tcp: lookup proxy.test: no such host\n"
	if err := compileError(failed, offline); !errors.Is(err, ErrNetwork) || strings.Contains(err.Error(), "\n") {
		t.Errorf("offline: %v", err)
	}
	if err := compileError(failed, "a.go:1: undefined: b\n"); errors.Is(err, ErrNetwork) || !strings.Contains(err.Error(), "undefined: b") {
		t.Errorf("broken code: %v", err)
	}
}

func TestRemoveOthers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"old/file", "new/file", "other/file", "stray"} {
		put(t, filepath.Join(dir, name), "x")
	}
	if err := RemoveOthers(dir, "new", "other"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 || entries[0].Name() != "new" || entries[1].Name() != "other" {
		t.Errorf("left are %v", entries)
	}
}
