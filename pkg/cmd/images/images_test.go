package images

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func sha(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

func ago(d time.Duration) *metav1.Time {
	at := metav1.NewTime(testNow.Add(-d))
	return &at
}

func TestPrint(t *testing.T) {
	list := &images.List{
		TypeMeta: metav1.TypeMeta{Kind: images.ListKind, APIVersion: images.APIVersion},
		Items: []images.Image{
			{
				Namespace: "team-a", App: "shop", Tags: []string{"shop-x7k2p"}, Digest: sha("a"), SizeBytes: 48_300_000, Created: ago(90 * time.Second),
				Repository: "registry.pyflow-system.svc/team-a/shop", Reference: "127.0.0.1:5180/team-a/shop@" + sha("a"),
				UsedBy: []images.User{{Resource: "deployment.apps", Namespace: "team-a", Name: "shop"}, {Resource: "pod", Namespace: "team-b", Name: "x"}},
			},
			{
				Namespace: "team-a", App: "shop", Tags: []string{"latest", "shop-b5c1d"}, Digest: sha("b"), SizeBytes: 47_100_000, Created: ago(50 * time.Hour),
				Repository: "registry.pyflow-system.svc/team-a/shop", Reference: "127.0.0.1:5180/team-a/shop@" + sha("b"),
				UsedBy: []images.User{{Resource: "deployment.apps", Namespace: "team-a", Name: "shop", Previous: true}},
			},
			{
				Namespace: "team-b", App: "till", Tags: []string{"1"}, Digest: sha("c"), SizeBytes: 900,
				Repository: "registry.pyflow-system.svc/team-b/till", Reference: "127.0.0.1:5180/team-b/till@" + sha("c"), UsedBy: []images.User{},
			},
		},
		Stored: []images.Stored{},
	}
	whole := *list
	whole.Stored = []images.Stored{{
		Namespace: "team-a", Images: images.Amount{Count: 2, Bytes: 50_000_000}, Contexts: images.Amount{Count: 3, Bytes: 33_000},
		Cache: images.Amount{Count: 7, Bytes: 41_000_000}, TotalBytes: 52_000_000,
	}}
	whole.Warnings = []string{"the users of the images are incomplete: you may not list jobs.batch"}
	pruned := images.Pruned{
		TypeMeta: metav1.TypeMeta{Kind: images.PruneKind, APIVersion: images.APIVersion}, Reclaimed: true, FreedBytes: 12_000_000,
		Deleted: []images.Pruning{
			{Namespace: "team-a", App: "shop", Kind: images.Images, Repository: "team-a/shop", Tags: []string{"shop-b5c1d"}, Digest: sha("b"), SizeBytes: 47_100_000, Created: ago(50 * time.Hour)},
			{Namespace: "team-a", App: "shop", Kind: images.Cache, Repository: "team-a/shop/cache", Tags: []string{}, Digest: sha("d"), SizeBytes: 1_100_000},
		},
	}
	print := func(f func(out *bytes.Buffer) error) string {
		t.Helper()
		var out bytes.Buffer
		if err := f(&out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	json, err := (&option.Output{Format: "json"}).ToPrinter()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"table.txt": print(func(out *bytes.Buffer) error { return printTable(list, tableOptions{Now: testNow}, out) }),
		"wide.txt": print(func(out *bytes.Buffer) error {
			return printTable(&whole, tableOptions{Now: testNow, Wide: true, Namespaces: true}, out)
		}),
		"names.txt": print(func(out *bytes.Buffer) error { return printNames(list, out) }),
		"empty.txt": print(func(out *bytes.Buffer) error { return printTable(&images.List{}, tableOptions{}, out) }),
		"list.json": print(func(out *bytes.Buffer) error { return json.PrintObj(&whole, out) }),
		"pruned.txt": print(func(out *bytes.Buffer) error {
			return printPruned(&pruned, tableOptions{Now: testNow, Namespaces: true}, out)
		}),
		"pruned.json": print(func(out *bytes.Buffer) error { return json.PrintObj(&pruned, out) }),
	} {
		golden(t, name, got)
	}
}

func TestSummary(t *testing.T) {
	one := []images.Pruning{{Kind: images.Images}}
	for want, pruned := range map[string]images.Pruned{
		"0 images deleted, 0 B freed":                                       {Reclaimed: true},
		"1 image would be deleted, 5 B freed":                               {DryRun: true, Deleted: one, FreedBytes: 5},
		"1 image deleted, no space freed":                                   {Deleted: one},
		"1 image deleted, 5 B freed, and 2 blobs that no image referred to": {Deleted: one, Reclaimed: true, FreedBytes: 5, FreedUnknown: 2},
		"0 images, 1 build context, 2 cached layers deleted, 5 B freed":     {Reclaimed: true, FreedBytes: 5, Deleted: []images.Pruning{{Kind: images.Cache}, {Kind: images.Contexts}, {Kind: images.Cache}}},
	} {
		if got := summary(&pruned); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-o xml":                              "--output is one of wide, name, json",
		"shop till":                           "accepts at most 1 arg",
		"prune --keep -1":                     "--keep -1 is negative",
		"prune --keep many":                   `invalid argument "many"`,
		"prune --timeout 0s":                  "--timeout 0s is not positive",
		"prune -o wide":                       "--output is one of json, yaml",
		"prune shop":                          "unknown command",
		"platform shop":                       "unknown command",
		"platform --tekton-manifest /nowhere": "/nowhere",
		"platform --tekton-manifest images_test.go":                "tekton manifest",
		"platform --without-tekton --tekton-manifest release.yaml": "exclude each other",
	} {
		cmd := NewCommand(genericclioptions.NewConfigFlags(true), genericiooptions.NewTestIOStreamsDiscard())
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}

func TestPlatform(t *testing.T) {
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	cmd := NewCommand(genericclioptions.NewConfigFlags(true), streams)
	cmd.SetArgs([]string{"platform", "--without-tekton"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 5 || !strings.Contains(out.String(), "docker.io/library/registry:3.1.2\n") || strings.Contains(out.String(), "tekton") {
		t.Errorf("it prints\n%s", out)
	}
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
		return testNow, nil
	}
	return testNow.Add(-time.Hour), nil
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

func (c *fakeCollector) Collect(context.Context) (images.Collected, error) {
	*c.events = append(*c.events, "collect")
	return images.Collected{Blobs: []string{sha("b"), sha("e")}}, c.err
}

func TestPrune(t *testing.T) {
	// using lists an object that uses the old image, from the nth look on.
	using := func(after int) func(action k8stesting.Action) (bool, runtime.Object, error) {
		looks := 0
		return func(action k8stesting.Action) (bool, runtime.Object, error) {
			looks++
			list := unstructuredList(action.GetResource())
			if looks > after {
				list = unstructuredList(action.GetResource(), "127.0.0.1:5180/team-a/shop@"+sha("b"))
			}
			return true, list, nil
		}
	}
	for name, test := range map[string]struct {
		change func(p *prune, store *fakeStore, cluster *dynamicfake.FakeDynamicClient)
		dryRun bool
		events string
		want   string
		err    string
	}{
		"prunes":            {events: "delete b,collect", want: "1 image deleted, 10 B freed, and 1 blob that no image referred to"},
		"dry run":           {dryRun: true, want: "1 image would be deleted, 10 B freed"},
		"ephemeral":         {change: func(p *prune, _ *fakeStore, _ *dynamicfake.FakeDynamicClient) { p.ephemeral = true }, events: "delete b", want: "1 image deleted, no space freed"},
		"nothing to delete": {change: func(p *prune, _ *fakeStore, _ *dynamicfake.FakeDynamicClient) { p.rules.Keep = 2 }, events: "collect", want: "0 images deleted, 10 B freed, and 1 blob that no image referred to"},
		"used": {change: func(_ *prune, _ *fakeStore, c *dynamicfake.FakeDynamicClient) {
			c.PrependReactor("list", "pods", using(0))
		}, events: "collect", want: "0 images deleted, 10 B freed, and 1 blob that no image referred to"},
		"used meanwhile": {
			change: func(_ *prune, _ *fakeStore, c *dynamicfake.FakeDynamicClient) {
				c.PrependReactor("list", "pods", using(1))
			},
			events: "delete b,put b[old],collect", want: "0 images deleted, 10 B freed, and 1 blob that no image referred to",
		},
		"what is used can not be read again": {
			change: func(_ *prune, _ *fakeStore, c *dynamicfake.FakeDynamicClient) {
				looks := 0
				c.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
					looks++
					return looks > 1, nil, errors.New("server down")
				})
			},
			events: "delete b", want: "1 image deleted, no space freed", err: "server down",
		},
		"the registry does not delete": {change: func(_ *prune, s *fakeStore, _ *dynamicfake.FakeDynamicClient) { s.failing = "delete b" }, events: "delete b", err: "no connection"},
		"garbage can not be collected": {
			change: func(p *prune, s *fakeStore, _ *dynamicfake.FakeDynamicClient) {
				p.collector = &fakeCollector{events: s.events, err: &images.StrandedError{Err: errors.New("no node")}}
			},
			events: "delete b,collect", want: "1 image deleted, no space freed", err: "storage is stopped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var events []string
			store := &fakeStore{tags: map[string]string{"new": sha("a"), "old": sha("b")}, events: &events}
			cluster := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds())
			p := &prune{
				store: store, cluster: cluster, collector: &fakeCollector{events: &events},
				rules: images.Rules{Keep: 1, Now: testNow}, steps: display.NewSteps(&bytes.Buffer{}),
			}
			if test.change != nil {
				test.change(p, store, cluster)
			}
			pruned, err := p.run(t.Context(), test.dryRun)
			if (test.err == "") != (err == nil) || !strings.Contains(fmt.Sprint(err), test.err) {
				t.Errorf("error is %v, want %q", err, test.err)
			}
			if got := strings.Join(events, ","); got != test.events {
				t.Errorf("it did %q, want %q", got, test.events)
			}
			got := ""
			if pruned != nil {
				got = summary(pruned)
			}
			if got != test.want {
				t.Errorf("it says %q, want %q", got, test.want)
			}
		})
	}
}

func listKinds() map[schema.GroupVersionResource]string {
	kinds := map[schema.GroupVersionResource]string{}
	for _, right := range images.RecordPermissions() {
		kinds[schema.GroupVersionResource{Group: right.Group, Version: "v1", Resource: right.Resource}] = right.Resource + "List"
	}
	return kinds
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
