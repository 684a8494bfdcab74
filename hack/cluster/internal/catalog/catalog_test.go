package catalog

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/oci"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pins"
)

func TestTektonImage(t *testing.T) {
	// As named by the release manifest of Tekton Pipelines.
	const want = "ghcr.io/tektoncd/pipeline/controller-10a3e32792f33651396d02b6855a6e36:v1.15.1"
	if got := TektonImage("controller", "v1.15.1"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func images(t *testing.T) []oci.Image {
	t.Helper()
	versions := pins.Pins{pins.Kubernetes: "v1.1.0", pins.Tekton: "v1.2.0"}
	images, err := Images(versions, Sources{
		Program:   func(name string) string { return filepath.Join("/programs", name) },
		TektonDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func TestImagesHaveFullNames(t *testing.T) {
	seen := map[string]bool{}
	for _, image := range images(t) {
		host, _, _ := strings.Cut(image.Reference, "/")
		if !strings.Contains(host, ".") || !strings.Contains(image.Reference, ":") {
			t.Errorf("%s lacks a host or a tag", image.Reference)
		}
		if !slices.Contains(Registries(), host) {
			t.Errorf("%s is of a registry that no mirror stands for", image.Reference)
		}
		if seen[image.Reference] {
			t.Errorf("%s is there twice", image.Reference)
		}
		seen[image.Reference] = true
	}
}

func TestEntrypointsAreInTheImage(t *testing.T) {
	for _, image := range images(t) {
		if len(image.Config.Entrypoint) == 0 || !strings.HasPrefix(image.Config.Entrypoint[0], "/") {
			continue
		}
		want := strings.TrimPrefix(image.Config.Entrypoint[0], "/")
		found := false
		for _, file := range image.Files {
			found = found || file.Name == want && file.Source != ""
		}
		if !found {
			t.Errorf("%s starts %s, which it does not hold", image.Reference, want)
		}
	}
}
