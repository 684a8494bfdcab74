package install

import (
	"maps"
	"slices"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestReplaced(t *testing.T) {
	now := map[string]string{"a": "1", "b": "2", "unprepared": "3"}
	for name, test := range map[string]struct {
		recorded map[string]string
		previous *manifests.Config
		former   []string
	}{
		"the first setup":               {nil, nil, nil},
		"nothing has changed":           {map[string]string{"a": "1", "b": "2"}, &manifests.Config{Namespaces: []string{"a", "b"}}, nil},
		"another namespace of the name": {map[string]string{"a": "0", "b": "2"}, &manifests.Config{Namespaces: []string{"a", "b"}}, []string{"a"}},
		"an interrupted deletion":       {map[string]string{"a": unclean, "b": "2"}, &manifests.Config{Namespaces: []string{"a", "b"}}, []string{"a"}},
		"a setup while it was gone":     {map[string]string{"a": "0", "b": "2"}, &manifests.Config{Namespaces: []string{"b"}}, []string{"a"}},
		"an older version":              {nil, &manifests.Config{Namespaces: []string{"a", "b"}}, nil},
		"an older version without it":   {nil, &manifests.Config{Namespaces: []string{"b"}}, []string{"a"}},
		"after teardown":                {map[string]string{"a": "1"}, &manifests.Config{Removed: true}, nil},
		"another one after teardown":    {map[string]string{"a": "0"}, &manifests.Config{Removed: true}, []string{"a"}},
	} {
		config := manifests.Config{Namespaces: []string{"a", "b"}, NamespaceUIDs: test.recorded}
		before := maps.Clone(test.recorded)
		former, record := replaced(config, test.previous, now)
		if !slices.Equal(former, test.former) || !maps.Equal(record, map[string]string{"a": "1", "b": "2"}) {
			t.Errorf("%s: got %q and %v", name, former, record)
		}
		if !maps.Equal(before, test.recorded) {
			t.Errorf("%s: the record of the cluster has changed", name)
		}
	}
	// The content of a namespace that is gone stays known.
	_, record := replaced(manifests.Config{Namespaces: []string{"b"}, NamespaceUIDs: map[string]string{"a": "0"}}, &manifests.Config{}, now)
	if record["a"] != "0" {
		t.Errorf("got %v", record)
	}
}
