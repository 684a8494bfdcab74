package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrTwoManifests reports two directories of manifests where one is expected.
var ErrTwoManifests = errors.New("both deploy/ and k8s/ have a kustomization")

// FindManifests returns the kustomize directory of a project: dir joined with deploy or k8s,
// whichever holds a kustomization file. It returns an empty string if neither does, and an
// error that holds ErrTwoManifests if both do.
func FindManifests(dir string) (string, error) {
	found := ""
	for _, name := range []string{"deploy", "k8s"} {
		candidate := filepath.Join(dir, name)
		has, err := hasKustomization(candidate)
		switch {
		case err != nil:
			return "", fmt.Errorf("look for manifests: %w", err)
		case has && found != "":
			return "", fmt.Errorf("%s: %w", dir, ErrTwoManifests)
		case has:
			found = candidate
		}
	}
	return found, nil
}

// hasKustomization looks for the file names that kustomize accepts.
func hasKustomization(dir string) (bool, error) {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case err == nil && !info.IsDir():
			return true, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !isNotDirectory(dir):
			return false, err
		}
	}
	return false, nil
}

// isNotDirectory reports whether the name is that of something else, such as a script named
// deploy.
func isNotDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}
