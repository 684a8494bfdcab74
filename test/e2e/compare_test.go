//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/compare"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// TestCompare measures a Dockerfile of a service's own and one that is made for it, with the
// permissions of a developer, and leaves nothing but a picture.
func TestCompare(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Example(t, "mountains", "src/mountains/main.py", `title="Mountains"`, `title="Compared"`)
	env.Check(t, os.WriteFile(filepath.Join(dir, "plain"), []byte("FROM python:3.13-slim\nCOPY src /app\nWORKDIR /app\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n"), 0o600))
	picture := filepath.Join(t.TempDir(), "images.svg")
	ctx, cancel := context.WithTimeout(t.Context(), env.CommandLimit)
	defer cancel()
	cmd := ns.Command(ctx, "kubectl", "pyflow", "compare", dir, "--file", "plain", "--variant", "slim", "--name", "compared", "-n", ns.Name, "-o", "json", "--chart", picture)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+developerOf(t, ns))
	r := env.Finish(t, cmd, cmd.Run).Succeeded(t)
	comparison := &compare.Comparison{}
	if err := json.Unmarshal([]byte(r.Stdout), comparison); err != nil {
		t.Fatalf("the comparison is not JSON: %v\n%s", err, r)
	}
	if len(comparison.Variants) != 2 || len(comparison.Notes) != 0 || comparison.Changed != "src/mountains/main.py" {
		t.Fatalf("it compares %+v", comparison)
	}
	plain, slim := comparison.Variants[0], comparison.Variants[1]
	for _, variant := range comparison.Variants {
		if variant.Error != "" || variant.ColdSeconds == nil || variant.ChangeSeconds == nil || variant.StartSeconds == nil || len(variant.Starts) != 3 || *variant.StartSeconds <= 0 {
			t.Errorf("%s was not measured: %+v", variant.Name, variant)
		}
	}
	if plain.Name != "plain" || !plain.Root || slim.Name != "slim" || slim.Root {
		t.Errorf("%s runs as %q, root %t; %s as %q, root %t", plain.Name, plain.User, plain.Root, slim.Name, slim.User, slim.Root)
	}
	// It has the same base image, and packages.
	if slim.CompressedBytes <= plain.CompressedBytes || slim.UnpackedBytes <= plain.UnpackedBytes {
		t.Errorf("sizes are %d and %d compressed, %d and %d on disk", plain.CompressedBytes, slim.CompressedBytes, plain.UnpackedBytes, slim.UnpackedBytes)
	}
	content, err := os.ReadFile(picture)
	env.Check(t, err)
	if !strings.Contains(string(content), "plain") {
		t.Errorf("the picture is\n%s", content)
	}
	if list := ns.ImageList(t); slices.ContainsFunc(list.Items, func(image images.Image) bool { return image.App == "compared" }) {
		t.Errorf("its images are in the list: %+v", list.Items)
	}
	for _, run := range ns.Runs(t) {
		if run.Labels[manifests.LabelApp] == "compared" {
			t.Errorf("run %s is in the history of the app", run.Name)
		}
	}
	reader := registrytest.OpenReader(t, ns.Cluster)
	repositories, err := remote.Catalog(t.Context(), reader.Registry, reader.Options...)
	env.Check(t, err)
	for _, repository := range repositories {
		if !strings.HasPrefix(repository, ns.Name+"/compared") {
			continue
		}
		// An empty repository may stay in the catalog.
		tags, err := remote.List(reader.Registry.Repo(repository), reader.Options...)
		var gone *transport.Error
		if err != nil && (!errors.As(err, &gone) || gone.StatusCode != http.StatusNotFound) {
			t.Fatal(err)
		}
		if len(tags) > 0 {
			t.Errorf("repository %s still has %q", repository, tags)
		}
	}
}
