//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
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
)

// teardown takes everything off again, first without the images. On a cluster
// that somebody else has set up it does nothing.
func (j *journey) teardown(t *testing.T) {
	if j.before == nil {
		t.Skip("the cluster was set up before")
	}
	members := j.inventory(t)
	_, err := j.tekton.TektonV1().Tasks(j.namespace).Create(t.Context(), &tektonv1.Task{
		ObjectMeta: metav1.ObjectMeta{Name: "not-of-pyflow"},
		Spec:       tektonv1.TaskSpec{Steps: []tektonv1.Step{{Name: "step", Image: "scratch", Command: []string{"true"}}}},
	}, metav1.CreateOptions{})
	check(t, err)
	j.pyflow(t, "teardown", "--keep-tekton=false").failed(t, "no terminal", "--yes")
	j.pyflow(t, "teardown", "--yes").failed(t, "1 task in namespace "+j.namespace, "--keep-tekton")
	dry := j.pyflow(t, "teardown", "--purge", "--dry-run=client").succeeded(t)
	if printed := strings.Count(dry.stdout, "\n"); printed != len(members) {
		t.Errorf("%d objects are in the inventory, and these would go\n%s", len(members), dry)
	}
	if changes := changes(members, j.inventory(t)); len(changes) > 0 {
		t.Errorf("changed without a yes:\n%s", strings.Join(changes, "\n"))
	}
	status, _ := j.status(t, j.namespace)
	image := app(t, status, "mountains").Image

	j.pyflow(t, "teardown", "--yes", "--keep-tekton=false").succeeded(t).says(t, manifests.StorageName, "mountains")
	j.pyflow(t, "status", "-n", j.namespace).failed(t, "not set up")
	serves(t, j.url, "Mount Adams")

	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t)
	j.pulls(t, image)

	j.pyflow(t, "teardown", "--yes", "--purge").succeeded(t)
	serves(t, j.url, "Mount Adams")
	eventually(t, "wait until nothing is left", func(ctx context.Context) error {
		var left []string
		for name := range j.everything(ctx, t) {
			if !j.before[name] {
				left = append(left, name)
			}
		}
		if slices.Sort(left); len(left) > 0 {
			return fmt.Errorf("left are %q", left)
		}
		return nil
	})
	j.pyflow(t, "teardown", "--yes").succeeded(t).says(t, "nothing to remove")
}

// pulls proves that nodes still get an image from the registry, and not from what
// they have of it.
func (j *journey) pulls(t *testing.T, image string) {
	t.Helper()
	pods := j.kube.CoreV1().Pods(j.namespace)
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pulls-"},
		Spec: corev1.PodSpec{
			RestartPolicy:    corev1.RestartPolicyNever,
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: manifests.RegistrySecret}},
			Containers: []corev1.Container{{
				Name: "app", Image: image, ImagePullPolicy: corev1.PullAlways, Command: []string{"python", "-c", "print(1)"},
			}},
		},
	}, metav1.CreateOptions{})
	check(t, err)
	eventually(t, "wait for a pod of "+image, func(ctx context.Context) error {
		current, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && current.Status.Phase != corev1.PodSucceeded {
			err = fmt.Errorf("pod %s is %s: %+v", pod.Name, current.Status.Phase, current.Status.ContainerStatuses)
		}
		return err
	})
	// It would count as a user of the image.
	check(t, pods.Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)))
}

// unlessSetUp lists the cluster's objects, nil when it is set up already.
func (s *suite) unlessSetUp(t *testing.T) map[string]bool {
	t.Helper()
	_, err := s.kube.CoreV1().Namespaces().Get(t.Context(), manifests.SystemNamespace, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		check(t, err)
		return nil
	}
	return s.everything(t.Context(), t)
}

// everything lists all objects of the cluster but those in the tests' namespaces,
// those that come and go by themselves, and those that others have brought along.
func (s *suite) everything(ctx context.Context, t *testing.T) map[string]bool {
	t.Helper()
	lists, err := s.kube.Discovery().ServerPreferredResources()
	check(t, err)
	found := map[string]bool{}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		check(t, err)
		for _, resource := range list.APIResources {
			// Each Service has addresses of its own, the apps' too.
			passing := []string{"events", "leases", "endpoints", "endpointslices", "ipaddresses", "certificatesigningrequests"}
			if !slices.Contains(resource.Verbs, "list") || !slices.Contains(resource.Verbs, "delete") || slices.Contains(passing, resource.Name) {
				continue
			}
			objects, err := s.dynamic.Resource(version.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
				continue // The kind went in between.
			}
			check(t, err)
			for i := range objects.Items {
				object := &objects.Items[i]
				isTests := strings.HasPrefix(object.GetNamespace(), "demo-") || (resource.Name == "namespaces" && strings.HasPrefix(object.GetName(), "demo-"))
				if !isTests && len(object.GetOwnerReferences()) == 0 {
					found[key(object)] = true
				}
			}
		}
	}
	return found
}

// TestRemove takes an inventory of its own off a cluster, and needs nothing that
// setup brings.
func TestRemove(t *testing.T) {
	s := newSuite(t)
	namespace := s.namespace(t)
	group := namespace + ".example.com"
	applier := &apply.Applier{Dynamic: s.dynamic, Mapper: s.mapper, FieldManager: "e2e", WebhookPatience: time.Second}
	objects, err := manifests.Decode([]byte(strings.NewReplacer("NAMESPACE", namespace, "GROUP", group).Replace(removable)))
	check(t, err)
	parent := objects[0]
	set := apply.Set{Parent: parent, Tooling: "e2e/v1"}
	set.Mark(objects)
	_, err = applier.Apply(t.Context(), objects)
	check(t, err)
	definitions := s.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	t.Cleanup(func() {
		_ = definitions.Delete(context.WithoutCancel(t.Context()), "widgets."+group, metav1.DeleteOptions{})
	})
	members := func() []*unstructured.Unstructured {
		t.Helper()
		members, err := applier.Members(t.Context(), set, apply.ReadInventory(parent))
		check(t, err)
		return members
	}
	if found := members(); len(found) != len(objects) {
		t.Fatalf("%d members, want %d", len(found), len(objects))
	}
	secrets := s.kube.CoreV1().Secrets(namespace)
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "of-somebody-else"}}, metav1.CreateOptions{})
	check(t, err)

	// A setup that wants the parent alone prunes neither the volume's claim nor the
	// definition, and keeps both in mind.
	wanted := apply.Set{Parent: parent.DeepCopy(), Tooling: "e2e/v2"}
	wanted.Mark([]*unstructured.Unstructured{wanted.Parent})
	pruned, kept, err := applier.Prune(t.Context(), wanted, parent, []*unstructured.Unstructured{wanted.Parent})
	check(t, err)
	if len(pruned) != 3 || len(kept) != 2 {
		t.Errorf("pruned %d objects and kept %d", len(pruned), len(kept))
	}
	_, err = applier.Apply(t.Context(), objects)
	check(t, err)

	widgets := s.dynamic.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: "widgets"}).Namespace(namespace)
	held := &unstructured.Unstructured{Object: map[string]any{"apiVersion": group + "/v1", "kind": "Widget"}}
	held.SetName("held")
	held.SetFinalizers([]string{"e2e.example.com/hold"})
	_, err = widgets.Create(t.Context(), held, metav1.CreateOptions{})
	check(t, err)

	// One that is left to others is no member any more; what replaced a member of
	// the same name is not ours.
	all := members()
	left := slices.IndexFunc(all, func(object *unstructured.Unstructured) bool { return object.GetName() == "left" })
	check(t, applier.Release(t.Context(), all[left:left+1], nil))
	all = slices.Delete(all, left, left+1)
	check(t, secrets.Delete(t.Context(), "replaced", metav1.DeleteOptions{}))
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "replaced"}}, metav1.CreateOptions{})
	check(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err = applier.Remove(ctx, all, nil)
	var stuck *apply.LeftError
	want := "widget." + group + "/held in namespace " + namespace + ": it waits for the finalizer e2e.example.com/hold"
	if !errors.As(err, &stuck) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want one with %s", err, want)
	}
	release(t, widgets, "held")
	settling, cancel := context.WithTimeout(t.Context(), settleLimit)
	defer cancel()
	check(t, applier.Remove(settling, all, nil))

	for _, name := range []string{"of-somebody-else", "replaced", "left"} {
		_, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
		check(t, err)
	}
	for _, object := range all {
		mapping, err := s.mapper.RESTMapping(object.GroupVersionKind().GroupKind())
		if meta.IsNoMatchError(err) || object.GetName() == "replaced" {
			continue
		}
		check(t, err)
		if _, err := s.dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()).Get(t.Context(), object.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s is still there: %v", kube.Describe(object), err)
		}
	}
}

func release(t *testing.T, resource dynamic.ResourceInterface, name string) {
	t.Helper()
	object, err := resource.Get(t.Context(), name, metav1.GetOptions{})
	check(t, err)
	object.SetFinalizers(nil)
	_, err = resource.Update(t.Context(), object, metav1.UpdateOptions{})
	check(t, err)
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
