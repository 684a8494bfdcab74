package apply

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"
)

// definition returns a CustomResourceDefinition of widgets that stores the second
// version.
func definition() *unstructured.Unstructured {
	d := object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com")
	d.Object["spec"] = map[string]any{
		"group": "example.com", "names": map[string]any{"plural": "widgets", "kind": "Widget"}, "scope": "Namespaced",
		"versions": []any{
			map[string]any{"name": "v1beta1", "served": true, "storage": false},
			map[string]any{"name": "v1", "served": true, "storage": true},
		},
	}
	return d
}

func TestRemove(t *testing.T) {
	gone := []*unstructured.Unstructured{
		object("v1", "ConfigMap", "system", "a"),
		object("apps/v1", "Deployment", "system", "d"),
		object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "r"),
	}
	stays := object("v1", "ConfigMap", "system", "b")
	applier := fakeApplier(append(slices.Clone(gone), stays)...)
	policies := map[string]metav1.DeletionPropagation{}
	uids := map[string]types.UID{}
	for i, object := range gone {
		object.SetUID(types.UID(string(rune('1' + i))))
	}
	applier.Dynamic.(*fake.FakeDynamicClient).PrependReactor("delete", "*", func(action k8stesting.Action) (bool, runtime.Object, error) {
		deletion := action.(k8stesting.DeleteActionImpl)
		policies[deletion.Name] = *deletion.DeleteOptions.PropagationPolicy
		uids[deletion.Name] = *deletion.DeleteOptions.Preconditions.UID
		return false, nil, nil
	})
	// An object whose kind the cluster no longer knows is gone, too.
	unknown := object("example.com/v1", "Widget", "system", "w")
	var progress []int
	if err := applier.Remove(t.Context(), append(slices.Clone(gone), unknown), func(left int) { progress = append(progress, left) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(progress, []int{0}) {
		t.Errorf("the progress is %v", progress)
	}
	for _, object := range gone {
		want := metav1.DeletePropagationBackground
		if object.GetKind() == "Deployment" {
			want = metav1.DeletePropagationForeground
		}
		if name := object.GetName(); policies[name] != want || uids[name] != object.GetUID() {
			t.Errorf("%s was deleted by %s, UID %q", name, policies[name], uids[name])
		}
	}
	left, err := applier.remaining(t.Context(), append(slices.Clone(gone), stays))
	if err != nil || !slices.Equal(describe(left), describe([]*unstructured.Unstructured{stays})) {
		t.Errorf("the remaining objects are %q, %v", describe(left), err)
	}
}

// TestRemoveReplaced checks that an object that replaced ours stays.
func TestRemoveReplaced(t *testing.T) {
	other := object("v1", "ConfigMap", "system", "a")
	other.SetUID("other")
	applier := fakeApplier(other)
	ours := other.DeepCopy()
	ours.SetUID("ours")
	applier.Dynamic.(*fake.FakeDynamicClient).PrependReactor("delete", "*", func(action k8stesting.Action) (bool, runtime.Object, error) {
		if uid := *action.(k8stesting.DeleteActionImpl).DeleteOptions.Preconditions.UID; uid != other.GetUID() {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "a", errors.New("the UID differs"))
		}
		return false, nil, nil
	})
	if err := applier.Remove(t.Context(), []*unstructured.Unstructured{ours}, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := applier.remaining(t.Context(), []*unstructured.Unstructured{other}); err != nil || len(left) != 1 {
		t.Errorf("the other one is gone: %v, %v", left, err)
	}
}

// TestRemoveStuck checks the reason that each remaining object has at the deadline.
func TestRemoveStuck(t *testing.T) {
	now := metav1.NewTime(time.Unix(1, 0))
	condition := func(object *unstructured.Unstructured, kind, message string) {
		object.Object["status"] = map[string]any{"conditions": []any{
			map[string]any{"type": "Other", "status": "True", "message": "not this"},
			map[string]any{"type": kind, "status": "True", "message": message},
		}}
	}
	finalizer := object("v1", "ConfigMap", "system", "held")
	finalizer.SetFinalizers([]string{"example.com/hold"})
	workload := object("apps/v1", "Deployment", "system", "workload")
	workload.SetFinalizers([]string{metav1.FinalizerDeleteDependents})
	namespace := object("v1", "Namespace", "", "full")
	condition(namespace, "NamespaceContentRemaining", "some content is left")
	widgets := definition()
	widgets.SetFinalizers([]string{"customresourcecleanup.apiextensions.k8s.io"})
	condition(widgets, "Terminating", "instances are being deleted")
	widget := object("example.com/v1", "Widget", "team", "w")
	widget.SetFinalizers([]string{"example.com/widget"})

	for name, test := range map[string]struct {
		object *unstructured.Unstructured
		others []*unstructured.Unstructured
		want   string
	}{
		"finalizer":     {finalizer, nil, "configmap/held in namespace system: it waits for the finalizer example.com/hold"},
		"pods":          {workload, nil, "deployment.apps/workload in namespace system: it waits for its pods"},
		"namespace":     {namespace, nil, "namespace/full: some content is left"},
		"definition":    {widgets, nil, "customresourcedefinition.apiextensions.k8s.io/widgets.example.com: instances are being deleted"},
		"its instances": {widgets, []*unstructured.Unstructured{widget}, "customresourcedefinition.apiextensions.k8s.io/widgets.example.com: widget.example.com/w in namespace team: it waits for the finalizer example.com/widget"},
	} {
		t.Run(name, func(t *testing.T) {
			stuck := test.object.DeepCopy()
			stuck.SetDeletionTimestamp(&now)
			cluster := append([]*unstructured.Unstructured{stuck, object("example.com/v1", "Widget", "team", "free")}, test.others...)
			applier := fakeApplier(cluster...)
			applier.Dynamic.(*fake.FakeDynamicClient).PrependReactor("delete", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := applier.Remove(ctx, []*unstructured.Unstructured{test.object}, func(int) { <-ctx.Done() })
			var left *LeftError
			if !errors.As(err, &left) || left.Error() != "not deleted yet: "+test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	set := Set{Parent: object("v1", "ConfigMap", "system", "parent")}
	ours := object("v1", "ConfigMap", "system", "ours")
	theirs := object("v1", "ConfigMap", "system", "theirs")
	ours.SetLabels(map[string]string{partOfLabel: set.ID(), "managed-by": "us", "app": "x"})
	theirs.SetLabels(map[string]string{partOfLabel: set.ID(), "managed-by": "them"})
	applier := fakeApplier(ours, theirs)
	missing := object("v1", "ConfigMap", "system", "missing")
	if err := applier.Release(t.Context(), []*unstructured.Unstructured{missing, ours, theirs}, map[string]string{"managed-by": "us"}); err != nil {
		t.Fatal(err)
	}
	for object, want := range map[*unstructured.Unstructured]map[string]string{ours: {"app": "x"}, theirs: {"managed-by": "them"}} {
		now, err := applier.remaining(t.Context(), []*unstructured.Unstructured{object})
		if err != nil || len(now) != 1 {
			t.Fatalf("%s: %v, %v", object.GetName(), now, err)
		}
		labels := now[0].GetLabels()
		if len(labels) != len(want) || set.Has(now[0]) {
			t.Errorf("%s has labels %v, want %v", object.GetName(), labels, want)
		}
	}
}
