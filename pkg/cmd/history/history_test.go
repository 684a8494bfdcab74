package history

import (
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

func TestToDiff(t *testing.T) {
	for name, test := range map[string]struct {
		diff int
		args []string
		want [2]int
		err  string
	}{
		"a list":          {0, []string{"shop"}, [2]int{}, ""},
		"the one before":  {7, []string{"shop"}, [2]int{0, 7}, ""},
		"two":             {3, []string{"shop", "7"}, [2]int{3, 7}, ""},
		"a list of two":   {0, []string{"shop", "7"}, [2]int{}, "only --diff N takes a second release"},
		"no app":          {7, nil, [2]int{}, "--diff needs the name of the app"},
		"not a number":    {7, []string{"shop", "7a"}, [2]int{}, "7a is not the number of a release"},
		"a negative one":  {-1, []string{"shop"}, [2]int{}, "--diff -1 is not the number of a release"},
		"another zero":    {7, []string{"shop", "0"}, [2]int{}, "0 is not the number of a release"},
		"a leading zero":  {7, []string{"shop", "07"}, [2]int{}, "07 is not the number of a release"},
		"two and a space": {7, []string{"shop", "8 9"}, [2]int{}, "8 9 is not the number of a release"},
	} {
		flags := &Flags{Diff: test.diff}
		got, err := flags.toDiff(test.args)
		if got != test.want || (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v, %v, want %v, %q", name, got, err, test.want, test.err)
		}
	}
}

func TestDifferences(t *testing.T) {
	side := func(number int, replicas string) *record.Record {
		return &record.Record{Number: number, Digest: "sha256:" + replicas, Files: map[string]string{
			release.ResourcesFile: "metadata:\n  annotations:\n    " + manifests.AnnotationManifests + ": " + replicas + "abc\nspec:\n  replicas: " + replicas + "\n",
		}}
	}
	older, newer := side(1, "1"), side(2, "3")
	newer.Commit, newer.Dirty, newer.BuildArgs = "4f0c2a1", true, []string{"A=\x1b[31m"}
	lines := facts(older, newer)
	want := []string{"commit: <none> -> 4f0c2a1*", "digest: sha256:1 -> sha256:3"}
	if len(lines) != 3 || !slices.Equal(lines[:2], want) || strings.Contains(lines[2], "\x1b") {
		t.Errorf("the differences are %q", lines)
	}
	if changed := strings.Join(manifestLines(older, newer), "\n"); !strings.Contains(changed, "-  replicas: 1\n+  replicas: 3") || strings.Contains(changed, "abc") {
		t.Errorf("the diff is\n%s", changed)
	}
	if same := manifestLines(older, older); !slices.Equal(same, []string{"manifests: the same"}) {
		t.Errorf("equal manifests differ: %s", same)
	}

	layers := func(digests ...string) *registry.Manifest {
		m := &registry.Manifest{}
		for _, digest := range digests {
			m.Layers = append(m.Layers, registry.Descriptor{Digest: digest, Size: 1000})
		}
		return m
	}
	got := compareLayers(layers("a", "b"), layers("a", "c"))
	if !slices.Equal(got, []string{"image: 1 layer of 2 layers new, 1.0 kB", "- layer b, 1.0 kB", "+ layer c, 1.0 kB"}) {
		t.Errorf("the layers are %q", got)
	}
	packages := comparePackages(
		[]inspect.Package{{Name: "a", Version: "1"}, {Name: "b", Version: "1"}, {Name: "c", Version: "1"}},
		[]inspect.Package{{Name: "a", Version: "1"}, {Name: "b", Version: "2"}, {Name: "d", Version: "1"}})
	if !slices.Equal(packages, []string{"~ package b 1 -> 2", "- package c 1", "+ package d 1"}) {
		t.Errorf("the packages are %q", packages)
	}
}
