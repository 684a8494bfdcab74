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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/compare"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// imagesInspect comes after the build of the mountains: what the image is made of is
// told by the cluster, and nothing stays of the question.
func (j *journey) imagesInspect(t *testing.T) {
	r := j.pyflow(t, "images", "inspect", "mountains@"+j.digest, "-n", j.namespace, "-o", "json").succeeded(t)
	analysis := &inspect.Analysis{}
	if err := json.Unmarshal([]byte(r.stdout), analysis); err != nil {
		t.Fatalf("the analysis is not JSON: %v\n%s", err, r)
	}
	if analysis.Digest != j.digest || analysis.User != "10001:10001" || analysis.Root {
		t.Errorf("image %s runs as %q, root %t", analysis.Digest, analysis.User, analysis.Root)
	}
	if analysis.CompressedBytes < 1<<20 || analysis.UnpackedBytes <= analysis.CompressedBytes {
		t.Errorf("%d bytes compressed, %d unpacked", analysis.CompressedBytes, analysis.UnpackedBytes)
	}
	code := slices.IndexFunc(analysis.Layers, func(layer inspect.Layer) bool { return layer.CreatedBy == "COPY src /app" })
	if !analysis.Layers[0].Base || analysis.Layers[0].Files == 0 || code < 0 || analysis.Layers[code].Line == 0 || analysis.Layers[code].Base {
		t.Errorf("layers are %+v", analysis.Layers)
	}
	for name, kind := range map[string]string{"fastapi": inspect.Python, "libc6": inspect.Debian} {
		if !slices.ContainsFunc(analysis.Packages, func(p inspect.Package) bool {
			return p.Name == name && p.Kind == kind && p.Version != "" && p.Bytes > 0
		}) {
			t.Errorf("package %s is not among %+v", name, analysis.Packages)
		}
	}
	j.pyflow(t, "images", "inspect", "mountains:gone", "-n", j.namespace).failed(t, "no image mountains:gone", "its newest tags")
	runs, err := j.tekton.TektonV1().PipelineRuns(j.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "!" + manifests.LabelApp + "," + manifests.LabelManagedBy + "=" + manifests.FieldManager})
	check(t, err)
	if len(runs.Items) > 0 {
		t.Errorf("%d runs stay", len(runs.Items))
	}
}

// compare measures a Dockerfile of a service's own and one that is made for it, with the
// rights of a developer, and leaves nothing but a picture.
func (j *journey) compare(t *testing.T) {
	t.Parallel()
	dir := j.example(t, "mountains", "src/mountains/main.py", `title="Mountains"`, `title="Compared"`)
	check(t, os.WriteFile(filepath.Join(dir, "plain"), []byte("FROM python:3.13-slim\nCOPY src /app\nWORKDIR /app\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n"), 0o600))
	picture := filepath.Join(t.TempDir(), "images.svg")
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := j.command(ctx, "kubectl", "pyflow", "compare", dir, "--file", "plain", "--variant", "slim", "--name", "compared", "-n", j.namespace, "-o", "json", "--chart", picture)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+j.developerOf(t))
	r := finish(t, cmd, cmd.Run).succeeded(t)
	comparison := &compare.Comparison{}
	if err := json.Unmarshal([]byte(r.stdout), comparison); err != nil {
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
	check(t, err)
	if !strings.Contains(string(content), "plain") {
		t.Errorf("the picture is\n%s", content)
	}
	if list := j.imageList(t); slices.ContainsFunc(list.Items, func(image images.Image) bool { return image.App == "compared" }) {
		t.Errorf("its images are in the list: %+v", list.Items)
	}
	for _, run := range j.runs(t, j.namespace) {
		if run.Labels[manifests.LabelApp] == "compared" {
			t.Errorf("run %s is in the history of the app", run.Name)
		}
	}
	reader := j.registry(t)
	repositories, err := remote.Catalog(t.Context(), reader.registry, reader.options...)
	check(t, err)
	for _, repository := range repositories {
		if !strings.HasPrefix(repository, j.namespace+"/compared") {
			continue
		}
		// One that has become empty may stay in the catalog.
		tags, err := remote.List(reader.registry.Repo(repository), reader.options...)
		var gone *transport.Error
		if err != nil && (!errors.As(err, &gone) || gone.StatusCode != http.StatusNotFound) {
			t.Fatal(err)
		}
		if len(tags) > 0 {
			t.Errorf("repository %s still has %q", repository, tags)
		}
	}
}
