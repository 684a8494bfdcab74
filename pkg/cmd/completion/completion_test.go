package completion

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestArgs(t *testing.T) {
	for _, test := range []struct{ process, want []string }{
		{[]string{"/usr/bin/kubectl-pyflow", "build", "shop"}, []string{"build", "shop"}},
		{[]string{"/usr/bin/kubectl_complete-pyflow", "build", ""}, []string{"__complete", "build", ""}},
		{[]string{"kubectl_complete-pyflow.exe"}, []string{"__complete"}},
		{nil, nil},
	} {
		if got := Args(test.process); !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.process, got, test.want)
		}
	}
}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "kubectl-pyflow")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, Name)
	for _, want := range []string{"Linked " + link + " to " + program, link + " already links to " + program} {
		if path, done, err := install(program, dir, "linux"); err != nil || path != link || done != want {
			t.Errorf("got %s, %q (%v), want %q", path, done, err, want)
		}
	}
	if content, err := os.ReadFile(link); err != nil || string(content) != "program" {
		t.Errorf("the link has %q (%v)", content, err)
	}

	moved := filepath.Join(t.TempDir(), "kubectl-pyflow")
	if _, _, err := install(moved, dir, "linux"); err != nil {
		t.Errorf("a link of an older installation is not replaced: %v", err)
	}
	if target, _ := os.Readlink(link); target != moved {
		t.Errorf("the link leads to %s, want %s", target, moved)
	}

	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, Name), []byte("script"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := install(program, other, "linux"); !errors.Is(err, ErrExists) {
		t.Errorf("a file of another program: got %v", err)
	}
	if path, _, err := install(program, other, "windows"); err != nil || path != filepath.Join(other, Name+".exe") {
		t.Errorf("windows: got %s (%v)", path, err)
	}
}

func TestBesideOf(t *testing.T) {
	store, bin := t.TempDir(), t.TempDir()
	program, link := filepath.Join(store, "kubectl-pyflow"), filepath.Join(bin, "kubectl-pyflow")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	if got := besideOf(program, []string{t.TempDir(), bin}); got != link {
		t.Errorf("got %s, want %s", got, link)
	}
	if got := besideOf(program, nil); got != program {
		t.Errorf("outside of PATH: got %s", got)
	}
}
