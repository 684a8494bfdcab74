package install

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	k8stesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// lines records the lines of progress.
type lines struct {
	mutex sync.Mutex
	text  []string
}

func (l *lines) Print(line string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.text = append(l.text, line)
}

func (l *lines) Start(string) func(string, error) {
	return func(result string, err error) {
		if err != nil {
			result = "✗ " + err.Error()
		}
		l.Print(result)
	}
}

func (l *lines) Update(string)         {}
func (l *lines) Log(string, ...string) {}

// applyingCluster is a cluster with namespaces, which applies objects to those that exist
// and are not being deleted. before is called with each object before it is applied.
func applyingCluster(names []string, before func(kube *fake.Clientset, object k8stesting.PatchAction)) (*kube.Clients, *[]string) {
	typed := fake.NewClientset()
	for _, name := range names {
		_ = typed.Tracker().Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	var mutex sync.Mutex
	applied := &[]string{}
	dynamic := dynamicfake.NewSimpleDynamicClient(scheme.Scheme)
	dynamic.PrependReactor("patch", "*", func(action k8stesting.Action) (bool, runtime.Object, error) {
		mutex.Lock()
		defer mutex.Unlock()
		patch := action.(k8stesting.PatchAction)
		before(typed, patch)
		object, err := typed.Tracker().Get(corev1.SchemeGroupVersion.WithResource("namespaces"), "", action.GetNamespace())
		if err != nil {
			return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, action.GetNamespace())
		}
		if object.(*corev1.Namespace).DeletionTimestamp != nil && action.GetResource().Resource != "rolebindings" {
			return true, nil, apierrors.NewForbidden(action.GetResource().GroupResource(), patch.GetName(), errors.New("its namespace is being terminated"))
		}
		*applied = append(*applied, action.GetNamespace()+"/"+patch.GetName())
		result := &unstructured.Unstructured{}
		return true, result, result.UnmarshalJSON(patch.GetPatch())
	})
	return &kube.Clients{Kube: typed, Dynamic: dynamic, Mapper: testrestmapper.TestOnlyStaticRESTMapper(scheme.Scheme)}, applied
}

// TestNamespacesDeletedMeanwhile deletes namespaces while setup applies their access.
func TestNamespacesDeletedMeanwhile(t *testing.T) {
	remove := func(name string) func(*fake.Clientset, k8stesting.PatchAction) {
		return func(kube *fake.Clientset, _ k8stesting.PatchAction) {
			_ = kube.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("namespaces"), "", name)
		}
	}
	terminate := func(kube *fake.Clientset, _ k8stesting.PatchAction) {
		now := metav1.Now()
		_ = kube.Tracker().Update(corev1.SchemeGroupVersion.WithResource("namespaces"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-b", DeletionTimestamp: &now}}, "")
	}
	for name, test := range map[string]struct {
		before func(*fake.Clientset, k8stesting.PatchAction)
		want   []string // namespaces that have the Secret afterwards
		says   string
		err    string
	}{
		"none":                 {before: func(*fake.Clientset, k8stesting.PatchAction) {}, want: []string{"team-a", "team-b", "team-c"}},
		"one is gone":          {before: remove("team-b"), want: []string{"team-a", "team-c"}, says: "namespace team-b was deleted in the meantime: skipped"},
		"one is being deleted": {before: terminate, want: []string{"team-a", "team-c"}, says: "namespace team-b was deleted in the meantime: skipped"},
		"the one to set up":    {before: remove("team-a"), err: `namespaces "team-a" not found`},
		"two, one after another": {before: func(kube *fake.Clientset, patch k8stesting.PatchAction) {
			remove("team-b")(kube, patch)
			if patch.GetNamespace() == "team-c" && patch.GetName() == manifests.RegistrySecret {
				remove("team-c")(kube, patch)
			}
		}, want: []string{"team-a"}, says: "namespace team-c was deleted in the meantime: skipped"},
		"another failure": {before: func(*fake.Clientset, k8stesting.PatchAction) {}, err: "no more"},
	} {
		t.Run(name, func(t *testing.T) {
			names := []string{"team-a", "team-b", "team-c"}
			clients, applied := applyingCluster(names, test.before)
			if name == "another failure" {
				clients.Dynamic.(*dynamicfake.FakeDynamicClient).PrependReactor("patch", "secrets", func(k8stesting.Action) (bool, runtime.Object, error) {
					return true, nil, errors.New("no more")
				})
			}
			plan := &Plan{namespace: "team-a", config: manifests.Config{Namespaces: names}}
			decided, err := ownCredentials(Request{Namespace: "team-a"}, cluster(nil), plan.config)
			must(t, err)
			plan.secrets = decided
			plan.initial, err = plan.render(manifests.NodeAccessConfig{Mode: manifests.NodeAccessNone})
			must(t, err)
			progress := &lines{}
			installer := &Installer{Clients: clients, Plan: plan, Progress: progress, Timeout: time.Minute}
			err = installer.applyNamespaces(t.Context(), &State{rendering: plan.initial})
			said := strings.Join(progress.text, "\n")
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(said, "skipped") {
					t.Errorf("got %v, %q, want %s", err, said, test.err)
				}
				return
			}
			if err != nil || !strings.Contains(said, test.says) || strings.Contains(said, "✗") || test.says == "" && strings.Contains(said, "skipped") {
				t.Errorf("got %v, %q", err, said)
			}
			if line, _, _ := strings.Cut(said, ":"); line != "Access of the namespaces "+strings.Join(test.want, ", ") {
				t.Errorf("it reports %q", line)
			}
			for _, name := range test.want {
				if !slices.Contains(*applied, name+"/"+manifests.RegistrySecret) {
					t.Errorf("namespace %s has no credentials: %q", name, *applied)
				}
			}
		})
	}
}
