package images

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

var pruneNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func digit(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

type noProgress struct{}

func (noProgress) Start(string) func(string, error) { return func(string, error) {} }

func (noProgress) Update(string) {}

// outcome describes a prune in a few words.
func outcome(pruned *Pruned) string {
	if pruned == nil {
		return "nothing"
	}
	return fmt.Sprintf("dry run %t, deleted %d, reclaimed %t, freed %d, unknown %d", pruned.DryRun, len(pruned.Deleted), pruned.Reclaimed, pruned.FreedBytes, pruned.FreedUnknown)
}

// fakeStore has two images of an app.
type fakeStore struct {
	tags    map[string]string
	events  *[]string
	failing string
}

func (s *fakeStore) Catalog(context.Context) ([]string, error) { return []string{"team-a/shop"}, nil }

func (s *fakeStore) Tags(context.Context, string) ([]string, error) {
	return []string{"new", "old"}, nil
}

func (s *fakeStore) Manifest(_ context.Context, _, reference string) (*registry.Manifest, error) {
	return &registry.Manifest{Digest: s.tags[reference], Raw: []byte("0123456789"), Config: registry.Descriptor{Digest: s.tags[reference], Size: 10}}, nil
}

func (s *fakeStore) Created(_ context.Context, _ string, config registry.Descriptor) (time.Time, error) {
	if config.Digest == s.tags["new"] {
		return pruneNow, nil
	}
	return pruneNow.Add(-time.Hour), nil
}

func (s *fakeStore) DeleteManifest(_ context.Context, _, digest string) error {
	return s.note("delete " + digest[7:8])
}

func (s *fakeStore) PutManifest(_ context.Context, _ string, manifest *registry.Manifest, tags []string) error {
	return s.note("put " + manifest.Digest[7:8] + fmt.Sprint(tags))
}

func (s *fakeStore) note(event string) error {
	*s.events = append(*s.events, event)
	if s.failing == event {
		return errors.New("no connection")
	}
	return nil
}

type fakeCollector struct {
	events *[]string
	err    error
}

func (c *fakeCollector) Recover(context.Context) error { return nil }

func (c *fakeCollector) Collect(context.Context) (Collected, error) {
	*c.events = append(*c.events, "collect")
	return Collected{Blobs: []string{digit("b"), digit("e")}}, c.err
}

func TestPrune(t *testing.T) {
	// using lists an object that uses the old image, from the nth look on.
	using := func(after int) func(action k8stesting.Action) (bool, runtime.Object, error) {
		looks := 0
		return func(action k8stesting.Action) (bool, runtime.Object, error) {
			looks++
			list := unstructuredList(action.GetResource())
			if looks > after {
				list = unstructuredList(action.GetResource(), "127.0.0.1:5180/team-a/shop@"+digit("b"))
			}
			return true, list, nil
		}
	}
	for name, test := range map[string]struct {
		change func(p *pruner, store *fakeStore, cluster *dynamicfake.FakeDynamicClient)
		dryRun bool
		events string
		want   string
		err    string
	}{
		"prunes":            {events: "delete b,collect", want: "dry run false, deleted 1, reclaimed true, freed 10, unknown 1"},
		"dry run":           {dryRun: true, want: "dry run true, deleted 1, reclaimed false, freed 10, unknown 0"},
		"ephemeral":         {change: func(p *pruner, _ *fakeStore, _ *dynamicfake.FakeDynamicClient) { p.ephemeral = true }, events: "delete b", want: "dry run false, deleted 1, reclaimed false, freed 0, unknown 0"},
		"nothing to delete": {change: func(p *pruner, _ *fakeStore, _ *dynamicfake.FakeDynamicClient) { p.rules.Keep = 2 }, events: "collect", want: "dry run false, deleted 0, reclaimed true, freed 10, unknown 1"},
		"used": {change: func(_ *pruner, _ *fakeStore, c *dynamicfake.FakeDynamicClient) {
			c.PrependReactor("list", "pods", using(0))
		}, events: "collect", want: "dry run false, deleted 0, reclaimed true, freed 10, unknown 1"},
		"used meanwhile": {
			change: func(_ *pruner, _ *fakeStore, c *dynamicfake.FakeDynamicClient) {
				c.PrependReactor("list", "pods", using(1))
			},
			events: "delete b,put b[old],collect", want: "dry run false, deleted 0, reclaimed true, freed 10, unknown 1",
		},
		"what is used cannot be read again": {
			change: func(_ *pruner, _ *fakeStore, c *dynamicfake.FakeDynamicClient) {
				looks := 0
				c.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
					looks++
					return looks > 1, nil, errors.New("server down")
				})
			},
			events: "delete b", want: "dry run false, deleted 1, reclaimed false, freed 0, unknown 0", err: "server down",
		},
		"a namespace without images": {change: func(p *pruner, _ *fakeStore, _ *dynamicfake.FakeDynamicClient) {
			p.rules.Namespace = "typo"
			p.checkNamespace = func(context.Context) error { return &kube.NamespaceNotFoundError{Namespace: "typo"} }
		}, want: "nothing", err: `namespace "typo" does not exist`},
		"a deleted namespace with images": {change: func(p *pruner, _ *fakeStore, _ *dynamicfake.FakeDynamicClient) {
			p.rules.Namespace = "team-a"
		}, events: "delete b,collect", want: "dry run false, deleted 1, reclaimed true, freed 10, unknown 1"},
		"the registry does not delete": {change: func(_ *pruner, s *fakeStore, _ *dynamicfake.FakeDynamicClient) { s.failing = "delete b" }, events: "delete b", want: "nothing", err: "no connection"},
		"garbage cannot be collected": {
			change: func(p *pruner, s *fakeStore, _ *dynamicfake.FakeDynamicClient) {
				p.collector = &fakeCollector{events: s.events, err: &StrandedError{Err: errors.New("no node")}}
			},
			events: "delete b,collect", want: "dry run false, deleted 1, reclaimed false, freed 0, unknown 0", err: "storage is stopped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var events []string
			store := &fakeStore{tags: map[string]string{"new": digit("a"), "old": digit("b")}, events: &events}
			cluster := fakeCluster(t)
			p := &pruner{
				store: store, reader: store, cluster: cluster, collector: &fakeCollector{events: &events},
				rules: Rules{Keep: 1, Now: pruneNow}, progress: noProgress{},
			}
			if test.change != nil {
				test.change(p, store, cluster)
			}
			pruned, err := p.run(t.Context(), test.dryRun)
			if (test.err == "") != (err == nil) || !strings.Contains(fmt.Sprint(err), test.err) {
				t.Errorf("error is %v, want %q", err, test.err)
			}
			if got := strings.Join(events, ","); got != test.events {
				t.Errorf("got %q, want %q", got, test.events)
			}
			if got := outcome(pruned); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func unstructuredList(resource schema.GroupVersionResource, images ...string) runtime.Object {
	list := newUnstructuredList(resource)
	for i, image := range images {
		list.Items = append(list.Items, newUnstructuredPod(fmt.Sprint("p", i), image))
	}
	return list
}

func newUnstructuredList(resource schema.GroupVersionResource) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(resource.GroupVersion().WithKind("PodList"))
	return list
}

func newUnstructuredPod(name, image string) unstructured.Unstructured {
	return unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": "team-a"},
		"spec": map[string]any{"containers": []any{map[string]any{"image": image}}},
	}}
}
