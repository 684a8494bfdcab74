package live

import (
	"fmt"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/cached"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// The registry is read when a view shows it, and again where something has happened.
func TestRegistryReadsWhatHasChanged(t *testing.T) {
	cluster := &Cluster{state: watch.New()}
	cluster.runs = cache.NewSharedIndexInformer(&cache.ListWatch{}, &tektonv1.PipelineRun{}, 0, cache.Indexers{})
	r := &Registry{cluster: cluster, memory: cached.NewMemory(nil), state: watch.New()}
	run := func(name string, done bool) {
		t.Helper()
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, Labels: map[string]string{manifests.LabelApp: "shop"}}}
		if done {
			run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue})
			run.Status.CompletionTime = &metav1.Time{Time: time.Now()}
		}
		if err := cluster.runs.GetStore().Add(run); err != nil {
			t.Fatal(err)
		}
	}
	want := func(step, task string) {
		t.Helper()
		if got := r.next(); fmt.Sprintf("%+v", got) != task {
			t.Errorf("%s: got %+v, want %s", step, got, task)
		}
	}
	const nothing = "{all:false trust:false apps:[] usage:false}"
	run("shop-1", true)
	want("no view", nothing)
	done := r.View()
	want("a view opens", "{all:true trust:true apps:[] usage:false}")
	r.stored = &Stored{}
	want("nothing has changed", nothing)
	run("shop-2", false)
	want("a run has started", nothing)
	run("shop-2", true)
	want("a run has ended", "{all:false trust:false apps:[team/shop] usage:false}")
	want("only once", nothing)
	cluster.apps = []status.App{{Name: "shop", Digest: "sha256:a"}}
	want("an app has changed", "{all:false trust:false apps:[] usage:true}")
	r.Refresh()
	want("Refresh", "{all:true trust:false apps:[] usage:false}")
	done()
	run("shop-3", true)
	want("the view is closed", nothing)
	r.View()
	want("a view opens again", "{all:false trust:false apps:[team/shop] usage:false}")
	r.err = fmt.Errorf("no connection")
	want("an error is not tried again by itself", nothing)
	r.View()
	want("but for a new view", "{all:true trust:false apps:[] usage:false}")
}

func TestStored(t *testing.T) {
	manifest := &images.Manifest{Manifest: &registry.Manifest{Digest: "sha256:a", Raw: []byte("12345"), Layers: []registry.Descriptor{{Digest: "l", Size: 10}}}, Tags: []string{"x"}}
	other := &images.Manifest{Manifest: &registry.Manifest{Digest: "sha256:b", Raw: []byte("1"), Layers: []registry.Descriptor{{Digest: "l", Size: 10}}}, Tags: []string{"y"}}
	stored := newStored(manifests.RegistryConfig{Host: "r"}, []*images.Repository{
		{Path: "team/shop", Kind: images.Images, Namespace: "team", App: "shop", Manifests: []*images.Manifest{manifest}},
		{Path: "team/shop/cache", Kind: images.Cache, Namespace: "team", App: "shop", Manifests: []*images.Manifest{other}},
	}, &images.Usage{})
	if stored.Total.TotalBytes != 16 || len(stored.Apps) != 1 || len(stored.Images.Items) != 1 {
		t.Errorf("stored is %+v", stored)
	}
	if stored.Image("team", "shop", "sha256:a") != manifest || stored.Image("team", "shop", "sha256:b") != nil || stored.Image("team", "till", "sha256:a") != nil {
		t.Error("an image is not found, or a layer of the cache is taken for one")
	}
}
