package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// summary describes removals in a few words.
func summary(removals []Removal) string {
	texts := make([]string, len(removals))
	for i, r := range removals {
		name := func(m *Manifest) string {
			var hex []byte
			_, _ = fmt.Sscanf(strings.TrimRight(m.Digest[7:], "0"), "%x", &hex)
			return string(hex)
		}
		texts[i] = name(r.Manifest)
		if r.Tag != "" {
			texts[i] += ":" + r.Tag
		}
		for _, part := range r.Parts {
			texts[i] += "+" + name(part)
		}
	}
	return strings.Join(texts, " ")
}

func TestPlanRemovals(t *testing.T) {
	signature := stored("s", 0, []string{"sig"})
	signature.Subject = sha("a")
	shop := repository(Images, "team/shop",
		stored("a", 0, []string{"new", "latest"}), stored("b", 0, []string{"old"}), signature,
		index("i", 0, []string{"multi"}, "x", "y"), stored("x", 0, nil), stored("y", 0, nil),
		index("k", 0, []string{"both"}, "y"), stored("u", 0, []string{"used"}), stored("r", 0, []string{"run-1"}))
	usage := uses(sha("u"), "team/shop:latest")
	usage.digests[sha("b")] = []User{{Resource: "pipelinerun.tekton.dev", Name: "old"}}
	usage.digests[sha("r")] = []User{{Resource: "pipelinerun.tekton.dev", Name: "run-1"}}
	usage.digests[sha("y")] = []User{{Resource: "deployment.apps", Namespace: "team", Name: "web", Previous: true}}
	for name, test := range map[string]struct {
		images   string
		force    bool
		building bool
		want     string
		err      string
	}{
		"one of two tags":             {images: "shop:new", want: "a:new"},
		"its only tag":                {images: "shop:old", want: "b"},
		"a run on record is no use":   {images: "shop@" + sha("b"), want: "b"},
		"twice":                       {images: "shop:old shop@" + sha("b")[:20] + " shop:old", want: "b"},
		"a tag in use":                {images: "shop:latest", err: "image shop:latest is used by pod/x in namespace "},
		"all tags":                    {images: "shop:new shop:latest", force: true, want: "a+s"},
		"whole and a tag":             {images: "shop:new shop@" + sha("a"), force: true, want: "a+s"},
		"in use":                      {images: "shop:old shop:used", err: "is used by pod/x"},
		"in use, forced":              {images: "shop:used", force: true, want: "u"},
		"index, image shared":         {images: "shop:multi", want: "i+x"},
		"index, used for a rollback":  {images: "shop:both", want: "k"},
		"a part of an index":          {images: "shop@" + sha("x"), force: true, err: "is a part of the image for several platforms " + sha("i")},
		"building":                    {images: "shop:run-1", building: true, err: "may be deployed by a run of shop that is in progress"},
		"no longer building":          {images: "shop:run-1", want: "r"},
		"building, pushed by no run":  {images: "shop:multi", building: true, want: "i+x"},
		"unknown":                     {images: "shop:gone", err: "there is no image shop:gone"},
		"unknown after one that goes": {images: "shop:old shop:gone", err: "there is no image shop:gone"},
	} {
		t.Run(name, func(t *testing.T) {
			usage.builds["team/shop"] = test.building
			var names []Name
			for _, image := range strings.Fields(test.images) {
				parsed, err := ParseName(image)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, parsed)
			}
			removals, err := PlanRemovals([]*Repository{shop}, usage, "team", names, test.force)
			if got := summary(removals); got != test.want {
				t.Errorf("removes %q, want %q", got, test.want)
			}
			if fmt.Sprint(err) != "<nil>" != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error is %v, want %q", err, test.err)
			}
			var advised interface{ Advice() []string }
			if errors.As(err, &advised) && len(advised.Advice()) == 0 {
				t.Errorf("%v has no advice", err)
			}
		})
	}
}

// An index with an image that another index has as well leaves that image, and what only a
// rollback would run is in use.
func TestPlanRemovalsOfRollback(t *testing.T) {
	shop := repository(Images, "team/shop", stored("a", 0, []string{"a"}))
	usage := uses()
	usage.digests[sha("a")] = []User{{Resource: "deployment.apps", Namespace: "team", Name: "web", Previous: true}}
	_, err := PlanRemovals([]*Repository{shop}, usage, "team", []Name{{App: "shop", Tag: "a"}}, false)
	var used *InUseError
	if !errors.As(err, &used) || !strings.Contains(err.Error(), "deployment.apps/web (for a rollback)") || !strings.Contains(used.Advice()[0], "a rollback would run it") {
		t.Errorf("error is %v", err)
	}
}

type recorder struct {
	mu     sync.Mutex
	events []string
	fails  string
}

func (r *recorder) note(event string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if event == r.fails {
		return errors.New("no connection")
	}
	r.events = append(r.events, event)
	return nil
}

func (r *recorder) DeleteManifest(_ context.Context, repository, reference string) error {
	return r.note(repository + " " + reference)
}

func TestRemove(t *testing.T) {
	shop := repository(Images, "team/shop", index("i", 0, []string{"multi"}, "x"), stored("x", 0, nil), stored("a", 0, []string{"new", "latest"}))
	removals, err := PlanRemovals([]*Repository{shop}, uses(), "team", []Name{{App: "shop", Tag: "multi"}, {App: "shop", Tag: "new"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"team/shop " + sha("i"), "team/shop " + sha("x"), "team/shop new"}
	all := &recorder{}
	if done, err := remove(t.Context(), all, removals, func(int) {}); err != nil || len(done) != 2 || !slices.Equal(slices.Sorted(slices.Values(all.events)), slices.Sorted(slices.Values(want))) ||
		slices.Index(all.events, want[0]) > slices.Index(all.events, want[1]) {
		t.Errorf("removed %d: %q, %v", len(done), all.events, err)
	}
	failing := &recorder{fails: want[2]}
	done, err := remove(t.Context(), failing, removals, func(int) {})
	// The other one is at work when the first fails, or does not start.
	if want := len(failing.events) / 2; err == nil || len(done) != want {
		t.Errorf("removed %d of %d, error %v", len(done), want, err)
	}
}

// Who may not look everywhere looks in the own namespace, and hears of it.
func TestFindReachableUsage(t *testing.T) {
	shop := repository(Images, "team/shop", stored("a", 0, []string{"a"}))
	cluster := fakeCluster(t, `{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: team, uid: u}, spec: {containers: [{image: "localhost:5180/team/shop@`+sha("a")+`"}]}}`)
	usage, err := FindReachableUsage(t.Context(), cluster, "team", []*Repository{shop})
	if err != nil || len(usage.Missing) > 0 || len(usage.Users(shop, shop.Manifests[0])) != 1 {
		t.Errorf("everywhere: %+v, %v", usage, err)
	}
	cluster.PrependReactor("list", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		if action.GetNamespace() == "" {
			return true, nil, apierrors.NewForbidden(action.GetResource().GroupResource(), "", nil)
		}
		return false, nil, nil
	})
	usage, err = FindReachableUsage(t.Context(), cluster, "team", []*Repository{shop})
	if err != nil || len(usage.Missing) != 1 || len(usage.Users(shop, shop.Manifests[0])) != 1 {
		t.Errorf("in one namespace: %+v, %v", usage, err)
	}
}

func TestSumByApp(t *testing.T) {
	repositories := []*Repository{
		repository(Images, "b/shop", stored("c", 0, []string{"c"}, "base")),
		repository(Images, "a/till", stored("b", 0, []string{"b"}, "base")),
		repository(Images, "a/shop", stored("a", 0, []string{"a"}, "base", "own")),
		repository(Cache, "a/shop/cache-1", stored("l", 0, []string{"l"}, "own")),
		repository(Other, "mirror/x", stored("m", 0, []string{"m"}, "big")),
	}
	var got []string
	for _, s := range SumByApp(repositories) {
		got = append(got, fmt.Sprintf("%s/%s %d %d+%d", s.Namespace, s.App, s.TotalBytes, s.Images.Bytes, s.Cache.Bytes))
	}
	// A manifest has 10 bytes, a layer 100; what the cache shares counts once in the total.
	if want := []string{"a/shop 220 210+110", "a/till 110 110+0", "b/shop 110 110+0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if all := SumAll(repositories); all.TotalBytes != 240 || all.Images.Count != 3 {
		t.Errorf("all is %+v", all)
	}
}
