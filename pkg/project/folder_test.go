package project

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(content), 0o600))
}

func TestReadCommit(t *testing.T) {
	dir := t.TempDir()
	commit, err := ReadCommit(t.Context(), dir)
	if err != nil || commit != (Commit{}) {
		t.Errorf("no repository: %+v, %v", commit, err)
	}
	git := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	if commit, err := ReadCommit(t.Context(), dir); err != nil || commit != (Commit{}) {
		t.Errorf("no commit yet: %+v, %v", commit, err)
	}
	write(t, dir, "app/main.py", "x")
	write(t, dir, "other/file", "x")
	git("add", ".")
	git("commit", "-qm", "one")
	head := git("rev-parse", "HEAD")
	check := func(why, sub string, dirty bool) {
		t.Helper()
		got, err := ReadCommit(t.Context(), filepath.Join(dir, sub))
		if want := (Commit{ID: head, Dirty: dirty}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", why, got, err, want)
		}
	}
	check("clean", "", false)
	write(t, dir, "other/file", "changed")
	check("changed elsewhere", "app", false)
	check("changed below", "", true)
	write(t, dir, "app/new.py", "x")
	check("a new file", "app", true)
	write(t, dir, ".gitignore", "new.py\n")
	check("an ignored file", "app", false)
}
