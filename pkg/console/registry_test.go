package console

import (
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

func TestParseChosen(t *testing.T) {
	if got := parseChosen("team/shop@sha256:abc"); got == nil || *got != (chosen{"team", "shop", "sha256:abc"}) || got.String() != "team/shop@sha256:abc" {
		t.Errorf("got %+v", got)
	}
	for _, text := range []string{"", "shop@sha256:abc", "team/shop", "/shop@sha256:a", "team/@sha256:a", "a/b/c@sha256:a", "team/shop@md5:a", "<script>"} {
		if got := parseChosen(text); got != nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

// A preview is shown again for the same settings, until something was deleted.
func TestPreviewed(t *testing.T) {
	var p previewed
	result := &images.Pruned{FreedBytes: 1}
	p.set([]string{"--keep=5"}, result)
	if p.get([]string{"--keep=5"}) != result || p.get([]string{"--keep=4"}) != nil {
		t.Error("another result is returned")
	}
	p.at = p.at.Add(-previewAge)
	if p.get([]string{"--keep=5"}) != nil {
		t.Error("an old result is returned")
	}
	p.set([]string{"--keep=5"}, result)
	p.set(nil, nil)
	if p.get([]string{"--keep=5"}) != nil {
		t.Error("a result is returned after a deletion")
	}
}
