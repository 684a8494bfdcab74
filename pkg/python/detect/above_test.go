package detect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReach(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, base, "home/repository/.git", "gitdir: elsewhere\n")
	for _, dir := range []string{"home/repository/a/b", "home/c/d"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", filepath.Join(base, "home"))
	for dir, want := range map[string]string{"home/repository/a/b": "home/repository", "home/repository": "home/repository", "home/c/d": "home", "home": "home"} {
		if got := reach(filepath.Join(base, dir)); got != filepath.Join(base, want) {
			t.Errorf("%s reaches %s, want %s", dir, got, want)
		}
	}
	if got := reach("/srv/shop/api"); got != "/srv" {
		t.Errorf("without a repository, it reaches %s", got)
	}
}

// TestReadFollowsNoLinkBeside wants a link beside the project to be an error: what it leads to
// does not travel.
func TestReadFollowsNoLinkBeside(t *testing.T) {
	root := t.TempDir()
	write(t, root, "repository/.git/HEAD", "")
	write(t, root, "repository/api/main.py", fastapi)
	write(t, root, "repository/api/requirements.txt", "-e ../lib\n")
	write(t, root, "repository/real/setup.py", "")
	write(t, root, "secret/setup.py", "")
	for _, target := range []string{"real", filepath.Join(root, "secret"), "nowhere"} {
		link := filepath.Join(root, "repository", "lib")
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(filepath.Join(root, "repository", "api"), Options{}); err == nil || !strings.Contains(err.Error(), "which is a symbolic link") {
			t.Errorf("a link to %s: %v", target, err)
		}
	}
}
