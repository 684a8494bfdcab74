package buildcontext

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestPackUnreadable(t *testing.T) {
	tests := map[string]struct {
		name   string
		dir    bool
		mode   fs.FileMode
		ignore string
		fails  bool
	}{
		"file":                       {name: "sub/secret", mode: 0, fails: true},
		"file, ignored":              {name: "sub/secret", mode: 0, ignore: "sub/secret"},
		"directory":                  {name: "sub", dir: true, mode: 0, fails: true},
		"directory, not listable":    {name: "sub", dir: true, mode: 0o111, fails: true},
		"directory, not enterable":   {name: "sub", dir: true, mode: 0o444, fails: true},
		"directory, ignored":         {name: "sub", dir: true, mode: 0, ignore: "sub"},
		"directory, maybe needed":    {name: "sub", dir: true, mode: 0, ignore: "sub\n!sub/x", fails: true},
		"the ignore file":            {name: ignoreFile, mode: 0, ignore: "x", fails: true},
		"the Dockerfile, if ignored": {name: "Dockerfile", mode: 0, ignore: "Dockerfile", fails: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "unreadable") //nolint:usetesting // others may not enter t.TempDir
			must(t, err)
			t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
			must(t, os.Chmod(dir, 0o755))
			files("Dockerfile", "sub/secret").write(t, dir)
			if test.ignore != "" {
				must(t, os.WriteFile(filepath.Join(dir, ignoreFile), []byte(test.ignore), 0o644))
			}
			must(t, os.Chmod(filepath.Join(dir, test.name), test.mode))
			t.Cleanup(func() { must(t, os.Chmod(filepath.Join(dir, test.name), 0o755)) })

			err = packUnprivileged(t, dir)
			switch {
			case !test.fails:
				must(t, err)
			default:
				wantFileError(t, err, test.name, fs.ErrPermission)
			}
		})
	}
}

// packUnprivileged packs with the file permissions of an ordinary user, because root may read
// everything. The identity is that of one thread, which ends.
func packUnprivileged(t *testing.T, dir string) error {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				result <- err
				return
			}
		}
		archive, err := Pack(t.Context(), dir, Options{})
		if err == nil {
			err = archive.Close()
		}
		result <- err
	}()
	return <-result
}

func TestPackReportsEveryKindOfProblem(t *testing.T) {
	dir, err := os.MkdirTemp("", "problems") //nolint:usetesting // others may not enter t.TempDir
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	tree{
		"Dockerfile": {content: "FROM scratch\n"}, "a": {content: "a"}, "closed/x": {content: "x"},
		"sub/secret": {content: "x"},
	}.write(t, dir)
	for _, name := range []string{"closed", "sub/secret"} {
		file := filepath.Join(dir, name)
		must(t, os.Chmod(file, 0))
		t.Cleanup(func() { must(t, os.Chmod(file, 0o755)) })
	}
	err = packUnprivileged(t, dir)
	wantProblems(t, err, "closed", "sub/secret")
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error is %v", err)
	}
}

func TestPackLeavesPipesOut(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	archive := mustPack(t, dir, Options{})
	if len(archive.Warnings) != 1 || archive.Warnings[0].String() != "left out: fifo is a named pipe" || archive.Files != 0 {
		t.Errorf("warnings are %v", archive.Warnings)
	}
}
