package buildcontext

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestPackAgain changes a directory once while it is packed, after the walk has passed the place:
// the archive has the later state.
func TestPackAgain(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string){
		"a file is added": func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.WriteFile(filepath.Join(dir, "a/new"), []byte("new"), 0o600))
		},
		"a file is written": func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.WriteFile(filepath.Join(dir, "a/old"), []byte("later"), 0o600))
		},
		"a file is removed": func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.Remove(filepath.Join(dir, "a/old")))
		},
		"a directory is added": func(t *testing.T, dir string) {
			t.Helper()
			tree{"b/file": {content: "b"}}.write(t, dir)
		},
		"a file goes to another name": func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.Rename(filepath.Join(dir, "a/old"), filepath.Join(dir, "z/old")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tree{"a/old": {content: "old"}, "z/last": {content: "last"}}.write(t, dir)
			done := false
			archive, err := Pack(t.Context(), dir, Options{Progress: func(files int, _ int64) {
				if files == 2 && !done {
					done = true
					change(t, dir)
				}
			}})
			must(t, err)
			defer archive.Close()
			quiet, err := Pack(t.Context(), dir, Options{})
			must(t, err)
			defer quiet.Close()
			if archive.Digest != quiet.Digest || archive.Files != quiet.Files {
				t.Errorf("the archive has %d files and the digest %s, a later one %d and %s", archive.Files, archive.Digest, quiet.Files, quiet.Digest)
			}
		})
	}
}

// TestPackNamesChanges changes a directory every time that it is packed.
func TestPackNamesChanges(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, dir string, n int)
		names  []string
	}{
		"added": {func(t *testing.T, dir string, n int) {
			t.Helper()
			must(t, os.WriteFile(filepath.Join(dir, "a", fmt.Sprint("new-", n)), nil, 0o600))
		}, []string{"a/new-3"}},
		"removed": {func(t *testing.T, dir string, n int) {
			t.Helper()
			must(t, os.Remove(filepath.Join(dir, "a", fmt.Sprint(n))))
		}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tree{"a/1": {content: "1"}, "a/2": {content: "2"}, "a/3": {content: "3"}, "a/keep": {content: "k"}}.write(t, dir)
			for _, file := range []string{"a/1", "a/2", "a/3", "a/keep"} {
				must(t, os.Chtimes(filepath.Join(dir, file), fixedDate(), fixedDate()))
			}
			n := 0
			last := int64(0)
			_, err := Pack(t.Context(), dir, Options{Progress: func(files int, bytes int64) {
				// The first file of an attempt.
				if files == 1 && bytes <= 1 && last != 1 {
					n++
					defer test.change(t, dir, n)
				}
				last = int64(files)
			}})
			wantProblems(t, err, test.names...)
			if !errors.Is(err, ErrChanged) || n != attempts {
				t.Errorf("after %d attempts: %v", n, err)
			}
		})
	}
}

// TestPackIgnoredChanges changes what the ignore rules exclude: nothing has to be packed again.
func TestPackIgnoredChanges(t *testing.T) {
	dir := t.TempDir()
	tree{".dockerignore": {content: "*.log\nlogs\n"}, "main.py": {content: "1"}, "app.log": {content: "a"}, "logs/a": {content: "a"}}.write(t, dir)
	calls := 0
	archive, err := Pack(t.Context(), dir, Options{Progress: func(files int, _ int64) {
		calls++
		for _, name := range []string{"app.log", "logs/a", "logs/b", "new.log"} {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(fmt.Sprint(calls)), 0o600))
		}
	}})
	must(t, err)
	defer archive.Close()
	if calls > 4 {
		t.Errorf("it was packed again: %d reports of progress", calls)
	}
}
