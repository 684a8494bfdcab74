package images

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Everything in the objects of setup that looks like an image is in the list, not only what the
// rules of the list find.
func TestPlatform(t *testing.T) {
	platform, err := Platform(manifests.Tekton())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, image := range platform.Items {
		list = append(list, image.Reference)
	}
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Errorf("the list is not sorted, each once: %q", list)
	}
	for _, image := range list {
		if _, err := name.ParseReference(image, name.StrictValidation); err != nil {
			t.Errorf("%s is not pinned: %v", image, err)
		}
	}
	rendered, err := render(manifests.Tekton())
	if err != nil {
		t.Fatal(err)
	}
	likeImage := regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})+$`)
	found := 0
	var walk func(where string, value any)
	walk = func(where string, value any) {
		switch value := value.(type) {
		case string:
			if likeImage.MatchString(value) {
				found++
				if !slices.Contains(list, value) {
					t.Errorf("%s: %s is not in the list", where, value)
				}
			}
		case map[string]any:
			for key, item := range value {
				walk(where+"."+key, item)
			}
		case []any:
			for _, item := range value {
				walk(where, item)
			}
		}
	}
	for _, object := range rendered.Objects() {
		walk(object.GetKind()+" "+object.GetName(), object.Object)
	}
	if found < len(list) {
		t.Errorf("only %d images were found of %d", found, len(list))
	}
	for _, part := range []string{"/nop-", "/entrypoint-", "/workingdirinit-", "/sidecarlogresults-", "busybox@", "powershell:", "/kaniko:", "/crane:", "/caddy:", "/registry:"} {
		if !slices.ContainsFunc(list, func(image string) bool { return strings.Contains(image, part) }) {
			t.Errorf("%s is not in the list %q", part, list)
		}
	}
	without, err := Platform(nil)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(without.Items, func(image PlatformImage) bool { return strings.Contains(image.Reference, "tekton") }) || len(without.Items) == 0 {
		t.Errorf("without Tekton it is %v", without.Items)
	}
}

func TestPlatformImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for reference, want := range map[string]PlatformImage{
		"docker.io/library/registry:3.1.2": {Repository: "docker.io/library/registry", Tag: "3.1.2"},
		"gcr.io/nop:v1@" + digest:          {Repository: "gcr.io/nop", Tag: "v1", Digest: digest},
		"cgr.dev/busybox@" + digest:        {Repository: "cgr.dev/busybox", Digest: digest},
		"localhost:5000/nop":               {Repository: "localhost:5000/nop"},
	} {
		want.Reference = reference
		if got := platformImage(reference); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
