package remove

import (
	"errors"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// object is one of app shop, unless change says otherwise.
func object(apiVersion, kind, name string, change func(*unstructured.Unstructured)) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	o.SetName(name)
	o.SetNamespace("demo")
	o.SetUID(types.UID("uid-" + name))
	o.SetLabels(map[string]string{manifests.LabelApp: "shop", manifests.LabelManagedBy: manifests.FieldManager})
	if change != nil {
		change(o)
	}
	return o
}

// cluster has app shop, and objects that look like its own.
func cluster() *fake.FakeDynamicClient {
	listKinds := map[schema.GroupVersionResource]string{}
	for _, kind := range kinds() {
		listKinds[kind] = "List"
	}
	ended := func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "2026-03-01T12:00:00Z", "status", "completionTime")
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds,
		object("apps/v1", "Deployment", "shop", nil),
		object("v1", "Service", "shop", nil),
		object("tekton.dev/v1", "PipelineRun", "shop-1", ended),
		object("v1", "Secret", "shop-1-manifests", func(o *unstructured.Unstructured) {
			o.SetOwnerReferences([]metav1.OwnerReference{{Kind: "PipelineRun", Name: "shop-1"}})
		}),
		object("v1", "ConfigMap", "foreign", func(o *unstructured.Unstructured) {
			o.SetLabels(map[string]string{manifests.LabelApp: "shop"})
		}),
		object("apps/v1", "Deployment", "blog", func(o *unstructured.Unstructured) {
			o.SetLabels(map[string]string{manifests.LabelApp: "blog", manifests.LabelManagedBy: manifests.FieldManager})
		}),
	)
}

func names(plan *Plan) string {
	var all []string
	for _, o := range plan.Objects {
		all = append(all, o.String())
	}
	return strings.Join(all, " ")
}

func forbid(client *fake.FakeDynamicClient, verb, resource string) {
	client.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
	})
}

func TestFindObjects(t *testing.T) {
	client := cluster()
	plan := &Plan{Namespace: "demo", App: "shop"}
	if err := plan.findObjects(t.Context(), &kube.Clients{Dynamic: client}); err != nil {
		t.Fatal(err)
	}
	if got := names(plan); got != "pipelineruns.tekton.dev/shop-1 services/shop deployments.apps/shop" || len(plan.Running)+len(plan.Unknown) > 0 {
		t.Errorf("got %q, running %q, unknown %q", got, plan.Running, plan.Unknown)
	}
	forbid(client, "list", "services")
	if err := plan.findObjects(t.Context(), &kube.Clients{Dynamic: client}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(plan.Unknown, []string{"you may not list services in namespace demo"}) {
		t.Errorf("unknown %q", plan.Unknown)
	}
}

// TestRun wants what cannot be deleted to be named, the rest deleted, and the second call to
// finish it.
func TestRun(t *testing.T) {
	client := cluster()
	clients := &kube.Clients{Dynamic: client}
	denied := true
	client.PrependReactor("delete", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return denied, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
	})
	run := func() (deleted []string, err error) {
		plan := &Plan{Namespace: "demo", App: "shop"}
		if err := plan.findObjects(t.Context(), clients); err != nil {
			t.Fatal(err)
		}
		err = plan.Run(t.Context(), clients, false, func(name string) { deleted = append(deleted, name) })
		return deleted, err
	}
	deleted, err := run()
	var left *LeftError
	if !errors.As(err, &left) || !slices.Equal(left.Left, []string{"services/shop"}) || !strings.Contains(err.Error(), "missing permissions: delete services in namespace demo") {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(deleted, []string{"pipelineruns.tekton.dev/shop-1", "deployments.apps/shop"}) {
		t.Errorf("deleted %q", deleted)
	}
	denied = false
	if deleted, err := run(); err != nil || !slices.Equal(deleted, []string{"services/shop"}) {
		t.Errorf("the second call deleted %q, %v", deleted, err)
	}
}

// TestRunning wants nothing to be deleted while the app is being built.
func TestRunning(t *testing.T) {
	client := cluster()
	if err := client.Tracker().Add(object("tekton.dev/v1", "PipelineRun", "shop-2", nil)); err != nil {
		t.Fatal(err)
	}
	plan := &Plan{Namespace: "demo", App: "shop"}
	if err := plan.findObjects(t.Context(), &kube.Clients{Dynamic: client}); err != nil {
		t.Fatal(err)
	}
	err := plan.Run(t.Context(), &kube.Clients{Dynamic: client}, false, func(name string) { t.Errorf("deleted %s", name) })
	if running := (*RunningError)(nil); !errors.As(err, &running) || !slices.Equal(running.Runs, []string{"shop-2"}) {
		t.Errorf("got %v", err)
	}
}
