package apply

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// TestSetID holds the ID to the specification's example of its computation:
// base64 of the SHA-256 of name.namespace.kind.group.
func TestSetID(t *testing.T) {
	set := Set{Parent: object("v1", "ConfigMap", "pyflow-system", "pyflow")}
	// printf pyflow.pyflow-system.ConfigMap. | sha256sum | xxd -r -p | basenc --base64url, unpadded
	const want = "applyset-B1-rkAKErKgFVbpKb9FOBLwag5b1vF7SAZ6Ymzk5ABo-v1"
	if got := set.ID(); got != want {
		t.Errorf("ID is %q, want %q", got, want)
	}
}

func TestSetMark(t *testing.T) {
	parent := object("v1", "ConfigMap", "system", "parent")
	deployment := object("apps/v1", "Deployment", "system", "d")
	role := object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "r")
	secret := object("v1", "Secret", "team-a", "s")
	set := Set{Parent: parent, Tooling: "tool/v1"}
	set.Mark([]*unstructured.Unstructured{parent, deployment, role, secret})
	for _, member := range []*unstructured.Unstructured{parent, deployment, role, secret} {
		if got := member.GetLabels()[partOfLabel]; got != set.ID() {
			t.Errorf("%s is marked %q, want %q", kube.Describe(member), got, set.ID())
		}
	}
	annotations := parent.GetAnnotations()
	if got, want := annotations[groupKindsAnnotation], "ClusterRole.rbac.authorization.k8s.io,ConfigMap,Deployment.apps,Secret"; got != want {
		t.Errorf("kinds are %q, want %q", got, want)
	}
	if got, want := annotations[namespacesAnnotation], "team-a"; got != want {
		t.Errorf("namespaces are %q, want %q: the parent's own does not count", got, want)
	}

	old := parent.DeepCopy()
	old.SetAnnotations(map[string]string{groupKindsAnnotation: "Job.batch,Secret", namespacesAnnotation: "team-b"})
	union := set.Extend(old).GetAnnotations()
	if got, want := union[groupKindsAnnotation], "ClusterRole.rbac.authorization.k8s.io,ConfigMap,Deployment.apps,Job.batch,Secret"; got != want {
		t.Errorf("union of kinds is %q, want %q", got, want)
	}
	if got, want := union[namespacesAnnotation], "team-a,team-b"; got != want {
		t.Errorf("union of namespaces is %q, want %q", got, want)
	}
	if parent.GetAnnotations()[namespacesAnnotation] != "team-a" {
		t.Error("Extend changed the parent itself")
	}
}

func TestPrune(t *testing.T) {
	const definition = "CustomResourceDefinition"
	parent := object("v1", "ConfigMap", "system", "parent")
	keep := object("v1", "ConfigMap", "system", "kept")
	gone := []*unstructured.Unstructured{
		object("v1", "ConfigMap", "system", "gone"),
		object("v1", "ConfigMap", "team-a", "kept"), // the name of another in its own namespace
		object("rbac.authorization.k8s.io/v1", "ClusterRole", "", "gone"),
	}
	holding := []*unstructured.Unstructured{
		object("v1", "Namespace", "", "holds-others-objects"),
		object("apiextensions.k8s.io/v1", definition, "", "has-others-instances"),
		object("v1", "PersistentVolumeClaim", "system", "has-images"),
	}
	set := Set{Parent: parent, Tooling: "tool/v1"}
	members := slices.Concat([]*unstructured.Unstructured{parent, keep}, gone, holding)
	set.Mark(members)
	foreign := []*unstructured.Unstructured{
		object("v1", "ConfigMap", "system", "not-marked"),
		object("v1", "ConfigMap", "team-b", "in-a-namespace-that-is-not-listed"),
	}
	setLabel(foreign[1], partOfLabel, set.ID())

	applier := fakeApplier(slices.Concat(members, foreign)...)

	changes, left, err := applier.Prune(t.Context(), set, parent, []*unstructured.Unstructured{parent, keep})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, change := range changes {
		got = append(got, string(change.Result)+" "+kube.Describe(change.Object))
	}
	for _, member := range gone {
		want = append(want, "pruned "+kube.Describe(member))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := describe(left), describe(holding); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	again, _, err := applier.Prune(t.Context(), set, parent, []*unstructured.Unstructured{parent, keep})
	if err != nil || len(again) > 0 {
		t.Errorf("a second prune did %v, %v", again, err)
	}

	// What was kept stays in the inventory of a parent that does not want it.
	next := Set{Parent: object("v1", "ConfigMap", "system", "parent"), Tooling: "tool/v2"}
	next.Mark([]*unstructured.Unstructured{next.Parent})
	next.Include(left)
	listed, err := applier.Members(t.Context(), next, ReadInventory(next.Parent))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := describe(listed), describe(slices.Concat([]*unstructured.Unstructured{parent, keep}, holding)); !slices.Equal(got, want) {
		t.Errorf("members are %q, want %q", got, want)
	}
}

func describe(objects []*unstructured.Unstructured) []string {
	texts := make([]string, len(objects))
	for i, object := range objects {
		texts[i] = kube.Describe(object)
	}
	slices.Sort(texts)
	return texts
}

// fakeApplier works on a cluster that holds objects, and knows their kinds.
func fakeApplier(objects ...*unstructured.Unstructured) *Applier {
	var versions []schema.GroupVersion
	for _, object := range objects {
		versions = append(versions, object.GroupVersionKind().GroupVersion())
	}
	mapper := meta.NewDefaultRESTMapper(versions)
	scheme := runtime.NewScheme()
	var tracked []runtime.Object
	for _, object := range objects {
		gvk := object.GroupVersionKind()
		scope := meta.RESTScopeRoot
		if object.GetNamespace() != "" {
			scope = meta.RESTScopeNamespace
		}
		mapper.Add(gvk, scope)
		if !scheme.Recognizes(gvk) {
			scheme.AddKnownTypeWithName(gvk, &unstructured.Unstructured{})
			scheme.AddKnownTypeWithName(gvk.GroupVersion().WithKind(gvk.Kind+"List"), &unstructured.UnstructuredList{})
		}
		tracked = append(tracked, object)
	}
	return &Applier{Dynamic: fake.NewSimpleDynamicClient(scheme, tracked...), Mapper: mapper}
}
