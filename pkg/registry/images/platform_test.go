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
	list, err := Platform(manifests.Tekton())
	if err != nil {
		t.Fatal(err)
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
	if slices.ContainsFunc(without, func(image string) bool { return strings.Contains(image, "tekton") }) || len(without) == 0 {
		t.Errorf("without Tekton it is %q", without)
	}
}
