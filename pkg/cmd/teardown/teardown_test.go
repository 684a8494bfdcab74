package teardown

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/discovery/cached/memory"
	fakediscovery "k8s.io/client-go/discovery/fake"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	fakekube "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// installed is a small platform as setup leaves it, with two app namespaces and its own
// Tekton. The last document is the inventory.
const installed = `
apiVersion: v1
kind: Namespace
metadata: {name: pyflow-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: pyflow-deploy}
---
apiVersion: v1
kind: Namespace
metadata: {name: tekton-pipelines, labels: {app.kubernetes.io/part-of: tekton-pipelines}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: pipelineruns.tekton.dev}
spec:
  group: tekton.dev
  names: {plural: pipelineruns, kind: PipelineRun}
  versions: [{name: v1, served: true, storage: true}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: validation.webhook.pipeline.tekton.dev, labels: {app.kubernetes.io/part-of: tekton-pipelines}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tekton-pipelines-controller
  namespace: tekton-pipelines
  labels: {app.kubernetes.io/part-of: tekton-pipelines, app.kubernetes.io/component: controller, app.kubernetes.io/version: v1.15.1}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tekton-pipelines-webhook
  namespace: tekton-pipelines
  labels: {app.kubernetes.io/part-of: tekton-pipelines, app.kubernetes.io/component: webhook}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: registry-storage, namespace: pyflow-system}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: registry-storage, namespace: pyflow-system}
spec:
  resources: {requests: {storage: 50Gi}}
  storageClassName: fast
  volumeName: pv-1
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-access, namespace: pyflow-system}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: pyflow-build, namespace: pyflow-system}
---
apiVersion: v1
kind: Secret
metadata: {name: pyflow-registry, namespace: team-a}
---
apiVersion: v1
kind: Secret
metadata: {name: pyflow-registry, namespace: team-b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: pyflow, namespace: pyflow-system}
data:
  config.yaml: |
    version: v1.2.3
    fromANewerVersion: true
    namespaces: [team-a, team-b]
    tekton: {version: v1.15.1, namespace: tekton-pipelines}
    registry: {host: registry.pyflow-system.svc, nodeHost: "127.0.0.1:5180", storageSize: 50Gi, storageClass: fast}
`

// others are the objects on the cluster that setup did not create.
const others = `
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt, namespace: pyflow-system}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-1}
spec: {persistentVolumeReclaimPolicy: Retain}
---
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {name: mountains-x, namespace: team-a, labels: {app.kubernetes.io/managed-by: kubectl-pyflow}}
status: {completionTime: "2026-01-01T00:00:00Z"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mountains, namespace: team-a}
spec: {template: {spec: {containers: [{name: app, image: "127.0.0.1:5180/team-a/mountains@sha256:0"}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: elsewhere, namespace: team-a}
spec: {template: {spec: {containers: [{name: app, image: "docker.io/library/nginx"}]}}}
`

const (
	othersRun   = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: theirs, namespace: team-c}\n"
	runningRun  = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: mountains-y, namespace: team-b, labels: {app.kubernetes.io/managed-by: kubectl-pyflow}}\n"
	dashboard   = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: tekton-dashboard, namespace: tekton-pipelines}\n"
	systemGuest = "apiVersion: v1\nkind: Secret\nmetadata: {name: precious, namespace: pyflow-system}\n"
)

// fixture is a cluster in memory and a teardown of it.
type fixture struct {
	*Options
	out, errOut bytes.Buffer
	dynamic     *fakedynamic.FakeDynamicClient
	objects     []*unstructured.Unstructured
	prompts     []string
}

func decode(t *testing.T, documents ...string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifests.Decode([]byte(strings.Join(documents, "\n---\n")))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// members decodes documents and labels them as setup does. The last is the inventory.
func members(t *testing.T, documents ...string) []*unstructured.Unstructured {
	t.Helper()
	objects := decode(t, documents...)
	for _, object := range objects {
		labels := object.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[manifests.LabelManagedBy] = manifests.FieldManager
		object.SetLabels(labels)
	}
	apply.Set{Parent: objects[len(objects)-1], Tooling: "kubectl-pyflow/v1"}.Mark(objects)
	return objects
}

func newFixture(t *testing.T, objects ...*unstructured.Unstructured) *fixture {
	t.Helper()
	// The scheme of client-go has what libraries add to it, too.
	builtIn := runtime.NewScheme()
	if err := scheme.AddToScheme(builtIn); err != nil {
		t.Fatal(err)
	}
	f := &fixture{objects: objects}
	kinds := map[schema.GroupVersion][]metav1.APIResource{}
	kindScheme := runtime.NewScheme()
	var versions []schema.GroupVersion
	var tracked, typed []runtime.Object
	known := map[schema.GroupVersionKind]bool{}
	for i, object := range slices.Concat(objects, decode(t, runningRun)) {
		gvk := object.GroupVersionKind()
		if !known[gvk] {
			known[gvk] = true
			versions = append(versions, gvk.GroupVersion())
			kindScheme.AddKnownTypeWithName(gvk, &unstructured.Unstructured{})
			kindScheme.AddKnownTypeWithName(gvk.GroupVersion().WithKind(gvk.Kind+"List"), &unstructured.UnstructuredList{})
			resource, _ := meta.UnsafeGuessKindToResource(gvk)
			kinds[gvk.GroupVersion()] = append(kinds[gvk.GroupVersion()], metav1.APIResource{
				Name: resource.Resource, Kind: gvk.Kind, Namespaced: object.GetNamespace() != "", Verbs: []string{"list", "get", "delete"},
			})
		}
		if i == len(objects) {
			break // The cluster knows its kind only.
		}
		object.SetUID(uid(i))
		tracked = append(tracked, object.DeepCopy())
		if builtIn.Recognizes(gvk) {
			native, err := builtIn.New(gvk)
			if err != nil {
				t.Fatal(err)
			}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, native); err != nil {
				t.Fatal(err)
			}
			typed = append(typed, native)
		}
	}
	mapper := meta.NewDefaultRESTMapper(versions)
	var lists []*metav1.APIResourceList
	for version, resources := range kinds {
		lists = append(lists, &metav1.APIResourceList{GroupVersion: version.String(), APIResources: resources})
		for _, resource := range resources {
			scope := meta.RESTScopeRoot
			if resource.Namespaced {
				scope = meta.RESTScopeNamespace
			}
			mapper.Add(version.WithKind(resource.Kind), scope)
		}
	}
	f.dynamic = fakedynamic.NewSimpleDynamicClient(kindScheme, tracked...)
	f.dynamic.PrependReactor("patch", "configmaps", f.applyConfigMap)
	client := fakekube.NewClientset(typed...)
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		review.Status.Allowed = true
		return true, review, nil
	})
	client.Discovery().(*fakediscovery.FakeDiscovery).Resources = lists
	f.Options = &Options{
		Clients: &kube.Clients{
			Config: &rest.Config{Host: "https://cluster.example.com"}, Kube: client, Dynamic: f.dynamic,
			Discovery: memory.NewMemCacheClient(client.Discovery()), Mapper: mapper,
		},
		Streams: genericiooptions.IOStreams{Out: &f.out, ErrOut: &f.errOut},
		Timeout: time.Minute, Yes: true,
	}
	return f
}

func uid(i int) types.UID { return types.UID(string(rune('a' + i))) }

// applyConfigMap implements server-side apply, which the fake lacks. It replaces the
// object, because there is only one owner.
func (f *fixture) applyConfigMap(action k8stesting.Action) (bool, runtime.Object, error) {
	patch := action.(k8stesting.PatchAction)
	if patch.GetPatchType() != types.ApplyPatchType {
		return false, nil, nil
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(patch.GetPatch(), &object.Object); err != nil {
		return true, nil, err
	}
	tracker := f.dynamic.Tracker()
	if current, err := tracker.Get(patch.GetResource(), patch.GetNamespace(), patch.GetName()); err == nil {
		object.SetUID(current.(*unstructured.Unstructured).GetUID())
		return true, object, tracker.Update(patch.GetResource(), object, patch.GetNamespace())
	}
	return true, object, tracker.Create(patch.GetResource(), object, patch.GetNamespace())
}

// answering answers the questions of the command with answers, one after the other.
func (f *fixture) answering(answers ...string) {
	f.Yes = false
	f.Ask = func(_ context.Context, prompt string) (string, error) {
		f.prompts = append(f.prompts, prompt)
		answer := answers[0]
		answers = answers[1:]
		return answer, nil
	}
}

// left lists the fixture's objects that are still in the cluster.
func (f *fixture) left(t *testing.T) []string {
	t.Helper()
	var left []string
	for _, object := range f.objects {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		if _, err := f.dynamic.Tracker().Get(resource, object.GetNamespace(), object.GetName()); err == nil {
			left = append(left, kube.Describe(object))
		}
	}
	return left
}

func (f *fixture) get(t *testing.T, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range f.objects {
		if object.GetKind() == kind && object.GetNamespace() == namespace && object.GetName() == name {
			resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
			now, err := f.dynamic.Tracker().Get(resource, namespace, name)
			if err != nil {
				t.Fatal(err)
			}
			return now.(*unstructured.Unstructured)
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

// deletions returns the names of the deleted objects, in order.
func (f *fixture) deletions() []string {
	var names []string
	for _, action := range f.dynamic.Actions() {
		if deletion, ok := action.(k8stesting.DeleteAction); ok {
			names = append(names, action.GetResource().Resource+"/"+deletion.GetName())
		}
	}
	return names
}

func (f *fixture) changes() []string {
	var changes []string
	for _, action := range f.dynamic.Actions() {
		if verb := action.GetVerb(); verb != "get" && verb != "list" {
			changes = append(changes, verb+" "+action.GetResource().Resource)
		}
	}
	return changes
}

func (f *fixture) says(t *testing.T, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(f.errOut.String(), word) {
			t.Errorf("the output does not contain %q:\n%s", word, f.errOut.String())
		}
	}
}

var theirs = []string{
	"configmap/kube-root-ca.crt in namespace pyflow-system", "persistentvolume/pv-1",
	"pipelinerun.tekton.dev/mountains-x in namespace team-a",
	"deployment.apps/mountains in namespace team-a", "deployment.apps/elsewhere in namespace team-a",
}

func TestTeardownKeepsTheImages(t *testing.T) {
	f := newFixture(t, slices.Concat(members(t, installed), decode(t, others))...)
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := append([]string{
		"namespace/pyflow-system", "persistentvolumeclaim/registry-storage in namespace pyflow-system",
		"task.tekton.dev/pyflow-build in namespace pyflow-system", // deleted with its kind, except by the fake
		"configmap/pyflow in namespace pyflow-system",
	}, theirs...)
	if left := f.left(t); !slices.Equal(left, want) {
		t.Errorf("got the remaining objects\n%s\nwant\n%s", strings.Join(left, "\n"), strings.Join(want, "\n"))
	}
	f.says(t, "https://cluster.example.com", "Access of the namespaces team-a, team-b: 2 objects", "history of 1 build",
		"These workloads use images of the registry", "deployment.apps/mountains in namespace team-a",
		"persistentvolumeclaim/registry-storage in namespace pyflow-system stays")
	if strings.Contains(f.errOut.String(), "elsewhere") {
		t.Errorf("the output names a workload that uses no image of the registry:\n%s", f.errOut.String())
	}
	// The next setup finds the settings, and the next teardown finds the remaining objects.
	parent := f.get(t, "ConfigMap", manifests.SystemNamespace, manifests.ConfigName)
	text, _, _ := unstructured.NestedString(parent.Object, "data", manifests.ConfigKey)
	for _, word := range []string{"removed: true", "storageSize: 50Gi", "storageClass: fast", "fromANewerVersion: true"} {
		if !strings.Contains(text, word) {
			t.Errorf("the configuration should have %q:\n%s", word, text)
		}
	}
	if strings.Contains(text, "team-a") {
		t.Errorf("the configuration still has the namespaces:\n%s", text)
	}
	inventory := apply.ReadInventory(parent)
	kinds := []schema.GroupKind{{Kind: "ConfigMap"}, {Kind: "Namespace"}, {Kind: "PersistentVolumeClaim"}}
	if !slices.Equal(inventory.Kinds, kinds) || !slices.Equal(inventory.Namespaces, []string{manifests.SystemNamespace}) {
		t.Errorf("the inventory is %v", inventory)
	}

	f.errOut.Reset()
	before := len(f.changes())
	if err := f.Run(t.Context()); err != nil || len(f.changes()) != before {
		t.Errorf("a second teardown: %v, %q", err, f.changes()[before:])
	}
	f.says(t, "nothing to remove but the stored images")

	f.errOut.Reset()
	f.Purge = true
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = append([]string{"task.tekton.dev/pyflow-build in namespace pyflow-system"}, theirs...)
	if left := f.left(t); !slices.Equal(left, want) {
		t.Errorf("got the remaining objects after a purge\n%s", strings.Join(left, "\n"))
	}
	f.says(t, "persistentvolume/pv-1 stays")
}

// TestOrder checks that objects are deleted before those that they need.
func TestOrder(t *testing.T) {
	f := newFixture(t, slices.Concat(members(t, installed), decode(t, others))...)
	f.Purge = true
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	order := f.deletions()
	before := func(first, second string) {
		i, j := slices.Index(order, first), slices.Index(order, second)
		if i < 0 || j < 0 || i > j {
			t.Errorf("%s must be deleted before %s: %q", first, second, order)
		}
	}
	before("secrets/pyflow-registry", "daemonsets/node-access")
	before("daemonsets/node-access", "statefulsets/registry-storage")
	before("statefulsets/registry-storage", "persistentvolumeclaims/registry-storage")
	before("customresourcedefinitions/pipelineruns.tekton.dev", "validatingwebhookconfigurations/validation.webhook.pipeline.tekton.dev")
	before("validatingwebhookconfigurations/validation.webhook.pipeline.tekton.dev", "deployments/tekton-pipelines-webhook")
	before("deployments/tekton-pipelines-controller", "namespaces/tekton-pipelines")
	before("namespaces/tekton-pipelines", "configmaps/pyflow")
	before("persistentvolumeclaims/registry-storage", "namespaces/pyflow-system")
	if slices.Contains(order, "tasks/pyflow-build") {
		t.Errorf("a Task was deleted on its own, which needs Tekton's webhook: %q", order)
	}
}

func TestKeepTekton(t *testing.T) {
	f := newFixture(t, slices.Concat(members(t, installed), decode(t, others, othersRun, dashboard))...)
	f.KeepTekton = new(bool)
	*f.KeepTekton, f.Purge = true, true
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.says(t, "Tekton Pipelines stays (5 objects); the next setup adopts it")
	want := slices.Concat([]string{
		"namespace/tekton-pipelines", "customresourcedefinition.apiextensions.k8s.io/pipelineruns.tekton.dev",
		"validatingwebhookconfiguration.admissionregistration.k8s.io/validation.webhook.pipeline.tekton.dev",
		"deployment.apps/tekton-pipelines-controller in namespace tekton-pipelines",
		"deployment.apps/tekton-pipelines-webhook in namespace tekton-pipelines",
	}, theirs, []string{"pipelinerun.tekton.dev/theirs in namespace team-c", "deployment.apps/tekton-dashboard in namespace tekton-pipelines"})
	if left := f.left(t); !slices.Equal(left, want) {
		t.Errorf("got the remaining objects\n%s\nwant\n%s", strings.Join(left, "\n"), strings.Join(want, "\n"))
	}
	// Without the label, setup treats it as installed by another tool.
	labels := f.get(t, "Deployment", "tekton-pipelines", "tekton-pipelines-controller").GetLabels()
	if labels[manifests.LabelManagedBy] != "" || labels["applyset.kubernetes.io/part-of"] != "" || labels["app.kubernetes.io/component"] != "controller" {
		t.Errorf("Tekton's controller has the labels %v", labels)
	}
	patched := ""
	for _, action := range f.dynamic.Actions() {
		if patch, ok := action.(k8stesting.PatchAction); ok && patch.GetPatchType() == types.MergePatchType {
			patched = patch.GetName()
		}
	}
	if patched != "tekton-pipelines-controller" {
		t.Errorf("the last released object is %q, want the controller", patched)
	}
}

func TestTektonInUse(t *testing.T) {
	for name, other := range map[string]string{"a run": othersRun, "a part in its namespace": dashboard} {
		for _, test := range []struct {
			name    string
			options func(*fixture)
			want    error
			gone    bool
		}{
			{"without a decision", func(*fixture) {}, ErrTektonInUse, false},
			{"deleted anyway", func(f *fixture) { f.KeepTekton = new(bool) }, nil, true},
			{"asked, kept", func(f *fixture) { f.answering("no", "yes") }, nil, false},
			{"asked, deleted", func(f *fixture) { f.answering("yes", "yes") }, nil, true},
			{"asked, no answer", func(f *fixture) { f.answering("") }, ErrDeclined, false},
			{"asked, then declined", func(f *fixture) { f.answering("yes", "no") }, ErrDeclined, false},
		} {
			t.Run(name+" "+test.name, func(t *testing.T) {
				f := newFixture(t, slices.Concat(members(t, installed), decode(t, others, other))...)
				test.options(f)
				err := f.Run(t.Context())
				if !errors.Is(err, test.want) {
					t.Fatalf("got error %v, want %v", err, test.want)
				}
				if changes := f.changes(); err != nil && len(changes) > 0 {
					t.Errorf("the cluster was changed despite the error: %q", changes)
				}
				deleted := slices.Contains(f.deletions(), "customresourcedefinitions/pipelineruns.tekton.dev")
				if deleted != test.gone {
					t.Errorf("Tekton's kinds were deleted: %t", deleted)
				}
				if other == othersRun {
					f.says(t, "NOT pyflow's", "1 pipelinerun in namespace team-c")
				} else if test.gone {
					f.says(t, "namespace/tekton-pipelines stays: it contains objects that setup did not create: deployment.apps/tekton-dashboard")
					f.get(t, "Namespace", "", "tekton-pipelines")
				}
			})
		}
	}
}

func TestObjectsOfOthersStay(t *testing.T) {
	objects := members(t, installed)
	find := func(kind, name string) *unstructured.Unstructured {
		return objects[slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })]
	}
	role := find("ClusterRole", "pyflow-deploy")
	labels := role.GetLabels()
	labels[manifests.LabelManagedBy] = "Helm"
	role.SetLabels(labels)
	f := newFixture(t, slices.Concat(objects, decode(t, others, systemGuest))...)
	f.Purge = true
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.says(t, "clusterrole.rbac.authorization.k8s.io/pyflow-deploy stays: it is managed by another tool now",
		"namespace/pyflow-system stays: it contains objects that setup did not create: secret/precious in namespace pyflow-system")
	for _, object := range []struct{ kind, namespace, name, manager string }{
		{"ClusterRole", "", "pyflow-deploy", "Helm"}, {"Namespace", "", manifests.SystemNamespace, ""}, {"Secret", manifests.SystemNamespace, "precious", ""},
	} {
		labels := f.get(t, object.kind, object.namespace, object.name).GetLabels()
		if labels["applyset.kubernetes.io/part-of"] != "" || labels[manifests.LabelManagedBy] != object.manager {
			t.Errorf("%s has labels %v", object.name, labels)
		}
	}
	if slices.Contains(f.left(t), "configmap/pyflow in namespace pyflow-system") {
		t.Error("the empty inventory still exists")
	}
}

// TestTransientObjects checks that an object of ours that is in no inventory does not keep
// a namespace.
func TestTransientObjects(t *testing.T) {
	const passing = "apiVersion: v1\nkind: Secret\nmetadata: {name: passing, namespace: pyflow-system, labels: {app.kubernetes.io/managed-by: kubectl-pyflow}}\n"
	f := newFixture(t, slices.Concat(members(t, installed), decode(t, passing))...)
	f.Purge = true
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said := f.errOut.String(); strings.Contains(said, "stays") || slices.Contains(f.left(t), "namespace/pyflow-system") {
		t.Errorf("the namespace was not deleted\n%s", said)
	}
}

func TestTektonOfAnotherTool(t *testing.T) {
	objects := members(t, installed)
	for _, object := range objects {
		if labels := object.GetLabels(); labels["app.kubernetes.io/component"] == "controller" {
			labels[manifests.LabelManagedBy] = "tekton-operator"
			object.SetLabels(labels)
		}
	}
	f := newFixture(t, slices.Concat(objects, decode(t, others, othersRun))...)
	f.KeepTekton = new(bool) // has no effect
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.says(t, "another tool has taken it over")
	for _, kind := range []string{"customresourcedefinitions", "validatingwebhookconfigurations", "deployments", "namespaces"} {
		if slices.ContainsFunc(f.deletions(), func(name string) bool { return strings.HasPrefix(name, kind+"/") }) {
			t.Errorf("a part of Tekton was deleted: %q", f.deletions())
		}
	}
}

// isOfTekton reports whether an object of installed is Tekton's.
func isOfTekton(object *unstructured.Unstructured) bool {
	return strings.HasSuffix(object.GetName(), ".tekton.dev") || object.GetLabels()["app.kubernetes.io/part-of"] == "tekton-pipelines"
}

func TestAdoptedTektonStays(t *testing.T) {
	ours := slices.DeleteFunc(members(t, installed), isOfTekton)
	f := newFixture(t, slices.Concat(ours, decode(t, others, othersRun, `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: tekton-pipelines-controller
  namespace: openshift-pipelines
  labels: {app.kubernetes.io/part-of: tekton-pipelines, app.kubernetes.io/component: controller, app.kubernetes.io/version: v1.3.0}
`))...)
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.says(t, "Tekton Pipelines in namespace openshift-pipelines stays: setup did not install it")
	if order := f.deletions(); !slices.Contains(order, "tasks/pyflow-build") || slices.Contains(order, "deployments/tekton-pipelines-controller") {
		t.Errorf("the deleted objects are %q", order)
	}
}

func TestQuestion(t *testing.T) {
	cluster := func() []*unstructured.Unstructured {
		return slices.Concat(members(t, installed), decode(t, others, runningRun))
	}
	for name, test := range map[string]struct {
		options func(*fixture)
		want    error
	}{
		"no terminal": {func(f *fixture) { f.Yes = false }, ErrNotInteractive},
		"declined":    {func(f *fixture) { f.answering("y") }, ErrDeclined},
		"dry run":     {func(f *fixture) { f.Yes, f.DryRun = false, option.DryRunClient }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, cluster()...)
			test.options(f)
			if err := f.Run(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			if changes := f.changes(); len(changes) > 0 {
				t.Errorf("the cluster was changed: %q", changes)
			}
			f.says(t, "1 build is running and will fail: pipelinerun.tekton.dev/mountains-y in namespace team-b")
		})
	}
	f := newFixture(t, cluster()...)
	f.answering("yes")
	if err := f.Run(t.Context()); err != nil || len(f.deletions()) == 0 {
		t.Errorf("a yes does not start the deletion: %v", err)
	}
	if len(f.prompts) != 1 || !strings.Contains(f.prompts[0], "Delete 11 objects of https://cluster.example.com?") {
		t.Errorf("the questions are %q", f.prompts)
	}
}

func TestDryRun(t *testing.T) {
	for names, want := range map[bool]string{false: "secret/pyflow-registry in namespace team-a (dry run)\n", true: "secret/pyflow-registry\n"} {
		f := newFixture(t, slices.Concat(members(t, installed), decode(t, others))...)
		f.DryRun, f.Names = option.DryRunClient, names
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out := f.out.String(); !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 11 || strings.Contains(out, "persistentvolumeclaim") {
			t.Errorf("the output is\n%s", out)
		}
	}
}

func TestMissingPermissions(t *testing.T) {
	f := newFixture(t, slices.Concat(members(t, installed), decode(t, others))...)
	f.Clients.Kube.(*fakekube.Clientset).PrependReactor("create", "selfsubjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		attributes := review.Spec.ResourceAttributes
		review.Status.Allowed = attributes.Verb != "*" && attributes.Resource != "customresourcedefinitions"
		return true, review, nil
	})
	err := f.Run(t.Context())
	var missing *access.MissingError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "delete customresourcedefinitions.apiextensions.k8s.io") || len(f.changes()) > 0 {
		t.Errorf("got %v, changes %q", err, f.changes())
	}
}

func TestNothingToRemove(t *testing.T) {
	f := newFixture(t, decode(t, others)...)
	if err := f.Run(t.Context()); err != nil || len(f.changes()) > 0 {
		t.Errorf("got %v, changes %q", err, f.changes())
	}
	f.says(t, "nothing to remove")
}

// TestMissingInventory checks that teardown finds the platform without its inventory.
func TestMissingInventory(t *testing.T) {
	objects := members(t, installed)
	for name, test := range map[string]struct {
		objects []*unstructured.Unstructured
		keeps   bool
	}{
		"only the inventory": {objects[:len(objects)-1], true},
		"with its namespace": {slices.DeleteFunc(members(t, installed), func(o *unstructured.Unstructured) bool {
			return o.GetNamespace() == manifests.SystemNamespace || o.GetName() == manifests.SystemNamespace
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, slices.Concat(test.objects, decode(t, others))...)
			if err := f.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"clusterroles/pyflow-deploy", "secrets/pyflow-registry", "namespaces/tekton-pipelines"} {
				if !slices.Contains(f.deletions(), name) {
					t.Errorf("%s was not found: %q", name, f.deletions())
				}
			}
			parent, err := f.dynamic.Tracker().Get(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, manifests.SystemNamespace, manifests.ConfigName)
			if (err == nil) != test.keeps {
				t.Fatalf("the new inventory: %v", err)
			}
			if test.keeps {
				text, _, _ := unstructured.NestedString(parent.(*unstructured.Unstructured).Object, "data", manifests.ConfigKey)
				config, err := manifests.ParseConfig(map[string]string{manifests.ConfigKey: text})
				if err != nil || !config.Removed || config.Registry.StorageSize != "50Gi" || config.Registry.StorageClass != "fast" {
					t.Errorf("the configuration is %q, %v", text, err)
				}
			}
		})
	}
}
