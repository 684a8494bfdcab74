package diff

import (
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// The hash of the manifests differs in every release, and is no difference.
func TestDiff(t *testing.T) {
	side := func(number int, hash, replicas string) *record.Record {
		return &record.Record{Number: number, Digest: "sha256:a", Files: map[string]string{
			release.ResourcesFile: "metadata:\n  annotations:\n    " + manifests.AnnotationManifests + ": " + hash + "\nspec:\n  replicas: " + replicas + "\n",
		}}
	}
	for name, test := range map[string]struct {
		newer     *record.Record
		info      record.Info
		facts     []Fact
		manifests string
	}{
		"the same":  {newer: side(2, "b", "1")},
		"manifests": {newer: side(2, "b", "3"), manifests: "-  replicas: 1\n+  replicas: 3\n"},
		"facts": {
			newer: side(2, "b", "1"), info: record.Info{Commit: "4f0c2a1", Dirty: true, Target: "slim", BuildArgs: []string{"A=1", "B=2"}},
			facts: []Fact{{"commit", "", "4f0c2a1*"}, {"target", "", "slim"}, {"build arguments", "", "A=1 B=2"}},
		},
	} {
		older := side(1, "a", "1")
		test.newer.Info = test.info
		if got := Facts(older, test.newer); !slices.Equal(got, test.facts) {
			t.Errorf("%s: the facts are %q", name, got)
		}
		got := Manifests(older, test.newer)
		if !strings.Contains(got, test.manifests) || (test.manifests == "") != (got == "") {
			t.Errorf("%s: the diff is %q", name, got)
		}
	}
}
