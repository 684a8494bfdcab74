//go:build e2e

package e2e

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestRemove removes a separate inventory from a cluster. It needs nothing that setup
// installs.
func TestRemove(t *testing.T) {
	t.Parallel()
	s := env.Shared(t)
	namespace := s.EmptyNamespace(t)
	group := namespace + ".example.com"
	applier := &apply.Applier{Dynamic: s.Dynamic, Mapper: s.Mapper, FieldManager: "e2e", WebhookPatience: time.Second}
	objects, err := manifests.Decode([]byte(strings.NewReplacer("NAMESPACE", namespace, "GROUP", group).Replace(removable)))
	env.Check(t, err)
	parent := objects[0]
	set := apply.Set{Parent: parent, Tooling: "e2e/v1"}
	set.Mark(objects)
	_, err = applier.Apply(t.Context(), objects)
	env.Check(t, err)
	definitions := s.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	t.Cleanup(func() {
		_ = definitions.Delete(context.WithoutCancel(t.Context()), "widgets."+group, metav1.DeleteOptions{})
	})
	members := func() []*unstructured.Unstructured {
		t.Helper()
		members, err := applier.Members(t.Context(), set, apply.ReadInventory(parent))
		env.Check(t, err)
		return members
	}
	if found := members(); len(found) != len(objects) {
		t.Fatalf("%d members, want %d", len(found), len(objects))
	}
	secrets := s.Kube.CoreV1().Secrets(namespace)
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "of-others"}}, metav1.CreateOptions{})
	env.Check(t, err)

	// A setup that wants the parent alone prunes neither the volume's claim nor the
	// definition, and keeps both in mind.
	wanted := apply.Set{Parent: parent.DeepCopy(), Tooling: "e2e/v2"}
	wanted.Mark([]*unstructured.Unstructured{wanted.Parent})
	pruned, kept, err := applier.Prune(t.Context(), wanted, parent, []*unstructured.Unstructured{wanted.Parent})
	env.Check(t, err)
	if len(pruned) != 3 || len(kept) != 2 {
		t.Errorf("pruned %d objects and kept %d", len(pruned), len(kept))
	}
	_, err = applier.Apply(t.Context(), objects)
	env.Check(t, err)

	widgets := s.Dynamic.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: "widgets"}).Namespace(namespace)
	held := &unstructured.Unstructured{Object: map[string]any{"apiVersion": group + "/v1", "kind": "Widget"}}
	held.SetName("held")
	held.SetFinalizers([]string{"e2e.example.com/hold"})
	_, err = widgets.Create(t.Context(), held, metav1.CreateOptions{})
	env.Check(t, err)

	// One that is left to others is no member any more; what replaced a member of
	// the same name is not ours.
	all := members()
	left := slices.IndexFunc(all, func(object *unstructured.Unstructured) bool { return object.GetName() == "left" })
	env.Check(t, applier.Release(t.Context(), all[left:left+1], nil))
	all = slices.Delete(all, left, left+1)
	env.Check(t, secrets.Delete(t.Context(), "replaced", metav1.DeleteOptions{}))
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "replaced"}}, metav1.CreateOptions{})
	env.Check(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err = applier.Remove(ctx, all, nil)
	var stuck *apply.LeftError
	want := "widget." + group + "/held in namespace " + namespace + ": it waits for the finalizer e2e.example.com/hold"
	if !errors.As(err, &stuck) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want one with %s", err, want)
	}
	unhold(t, widgets, "held")
	settling, cancel := context.WithTimeout(t.Context(), env.SettleLimit)
	defer cancel()
	env.Check(t, applier.Remove(settling, all, nil))

	for _, name := range []string{"of-others", "replaced", "left"} {
		_, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
		env.Check(t, err)
	}
	for _, object := range all {
		mapping, err := s.Mapper.RESTMapping(object.GroupVersionKind().GroupKind())
		if meta.IsNoMatchError(err) || object.GetName() == "replaced" {
			continue
		}
		env.Check(t, err)
		if _, err := s.Dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()).Get(t.Context(), object.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s is still there: %v", kube.Describe(object), err)
		}
	}
}

func unhold(t *testing.T, resource dynamic.ResourceInterface, name string) {
	t.Helper()
	object, err := resource.Get(t.Context(), name, metav1.GetOptions{})
	env.Check(t, err)
	object.SetFinalizers(nil)
	_, err = resource.Update(t.Context(), object, metav1.UpdateOptions{})
	env.Check(t, err)
}

const removable = `
apiVersion: v1
kind: ConfigMap
metadata: {name: parent, namespace: NAMESPACE}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NAMESPACE}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Secret
metadata: {name: replaced, namespace: NAMESPACE}
---
apiVersion: v1
kind: Secret
metadata: {name: left, namespace: NAMESPACE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: workload, namespace: NAMESPACE}
spec:
  replicas: 0
  selector: {matchLabels: {app: workload}}
  template:
    metadata: {labels: {app: workload}}
    spec: {containers: [{name: app, image: example.com/none}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object}}
`
