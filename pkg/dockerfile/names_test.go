package dockerfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func writeNames(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("FROM scratch\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadDefaultNames(t *testing.T) {
	for want, names := range map[string][]string{
		"Dockerfile":    {"Containerfile", "Dockerfile", "dockerfile"},
		"dockerfile":    {"Containerfile", "dockerfile", "Dockerfile.prod"},
		"Containerfile": {"Containerfile", "docker/Dockerfile"},
	} {
		if got, err := Read(writeNames(t, names...), ""); err != nil || got.Path != want {
			t.Errorf("of %q: got %v, %v", names, got, err)
		}
	}
	if _, err := Read(writeNames(t, "docker/Dockerfile"), ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func TestOthers(t *testing.T) {
	dir := writeNames(t, "Dockerfile", "Dockerfile.prod", "Dockerfile.dockerignore", "api.dockerfile", "Containerfile", "docker/Dockerfile",
		"docker/deep/Dockerfile", ".git/Dockerfile", "dockerfile.py/x", "web/main.py")
	if got, want := Others(dir, "Dockerfile", false), []string{"Containerfile", "Dockerfile.prod", "api.dockerfile"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Others(dir, "", true), []string{"Containerfile", "Dockerfile", "Dockerfile.prod", "api.dockerfile", "docker/Dockerfile"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIgnoreFiles(t *testing.T) {
	for name, want := range map[string][]string{
		"docker/Dockerfile": {"docker/Dockerfile.dockerignore", "docker/Dockerfile.containerignore", ".dockerignore", ".containerignore"},
		"Containerfile":     {"Containerfile.containerignore", "Containerfile.dockerignore", ".containerignore", ".dockerignore"},
	} {
		if got := IgnoreFiles(name); !slices.Equal(got, want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
