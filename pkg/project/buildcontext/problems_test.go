package buildcontext

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPackReportsAllProblems(t *testing.T) {
	dir := t.TempDir()
	made := tree{
		"Dockerfile": {content: "FROM scratch\n"}, "large": {content: strings.Repeat("x", 3*chunk)},
		"a/out": {content: "x"}, "b/out": {link: "/etc/passwd"}, "ignored/out": {content: "x"}, "z/in": {link: "../a"},
		ignoreFile: {content: "ignored\n"},
	}
	made.write(t, dir)
	calls := 0
	given := below("a/out", "b/out", "ignored/out")
	_, err := Pack(t.Context(), dir, Options{Files: given, Progress: func(int, int64) { calls++ }})
	wantProblems(t, err, "a/out", "b/out")
	if !errors.Is(err, ErrConflict) {
		t.Errorf("error is %v", err)
	}
	want := "pack " + dir + ": 2 entries of the build context cannot be packed:\n" +
		"  a/out: conflicts with a generated file of the same path\n" +
		"  b/out: conflicts with a generated file of the same path"
	if err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
	// The ignore file and the Dockerfile came before the first problem. After it, no large file
	// is read.
	if calls > 4 {
		t.Errorf("progress was called %d times", calls)
	}
}

// below returns a given file below each name, so that a file of that name is a problem.
func below(names ...string) map[string][]byte {
	given := map[string][]byte{}
	for _, name := range names {
		given[name+"/x"] = nil
	}
	return given
}

func TestPackLimitsProblems(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range problemLimit + 5 {
		name := fmt.Sprintf("link-%02d", i)
		must(t, os.Symlink("/etc/passwd", filepath.Join(dir, name)))
		want = append(want, name)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	_, err := Pack(t.Context(), dir, Options{Files: below(want...)})
	if more := wantProblems(t, err, want[:problemLimit]...); more != 5 || !strings.Contains(err.Error(), "25 entries") || !strings.HasSuffix(err.Error(), "\n  and 5 more") {
		t.Errorf("%d more in %v", more, err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left in the temporary directory: %v %v", left, err)
	}
}

func TestOneProblemIsOneLine(t *testing.T) {
	dir := t.TempDir()
	tree{"out\n": {link: "/etc"}}.write(t, dir)
	_, err := Pack(t.Context(), dir, Options{Files: below("out\n")})
	if want := "pack " + dir + `: "out\n": conflicts with a generated file of the same path`; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestPackContinuesAfterChangedFile(t *testing.T) {
	dir := t.TempDir()
	tree{"a": {content: "a"}, "b": {content: strings.Repeat("x", 3*chunk)}, "c": {link: "/etc"}}.write(t, dir)
	size := int64(3 * chunk)
	_, err := Pack(t.Context(), dir, Options{Files: below("c"), Progress: func(_ int, bytes int64) {
		if bytes > 1 {
			size--
			must(t, os.Truncate(filepath.Join(dir, "b"), size))
		}
	}})
	wantProblems(t, err, "b", "c")
	if !errors.Is(err, ErrChanged) || !errors.Is(err, ErrConflict) {
		t.Errorf("error is %v", err)
	}
}

// wantProblems checks the names, in order, and returns the number of further problems.
func wantProblems(t *testing.T, err error, names ...string) int {
	t.Helper()
	var all *ContextError
	if !errors.As(err, &all) {
		t.Fatalf("error is %v", err)
	}
	var got []string
	for _, problem := range all.Problems {
		got = append(got, problem.Path)
	}
	if !slices.Equal(got, names) {
		t.Errorf("problems with %q, want %q", got, names)
	}
	var file *FileError
	var path *fs.PathError
	if !errors.As(err, &file) || file.Path != names[0] || errors.As(err, &path) {
		t.Errorf("error is %#v", err)
	}
	return all.More
}

// TestTemporaryDirectory packs with a temporary directory that does not exist.
func TestTemporaryDirectory(t *testing.T) {
	dir := t.TempDir()
	tree{"a": {content: "a"}}.write(t, dir)
	absent := filepath.Join(t.TempDir(), "absent")
	t.Setenv("TMPDIR", absent)
	_, err := Pack(t.Context(), dir, Options{})
	var temporary *TemporaryError
	if !errors.As(err, &temporary) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "temporary directory "+absent+": no such file or directory") {
		t.Errorf("error is %v", err)
	}
}
