package uninstall

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

func object(apiVersion, kind, namespace, name string, labels map[string]string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetLabels(labels)
	return o
}

// member returns an object that setup manages.
func member(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	return object(apiVersion, kind, namespace, name, map[string]string{manifests.LabelManagedBy: manifests.FieldManager})
}

// TestPlan checks which members are deleted, kept and released, and in which order.
func TestPlan(t *testing.T) {
	const (
		system     = "namespace/pyflow-system"
		crd        = "customresourcedefinition.apiextensions.k8s.io/tasks.tekton.dev"
		task       = "task.tekton.dev/build in namespace pyflow-system"
		nodeAccess = "daemonset.apps/node-access in namespace pyflow-system"
		registry   = "statefulset.apps/registry-storage in namespace pyflow-system"
		claim      = "persistentvolumeclaim/registry-storage in namespace pyflow-system"
		parent     = "configmap/pyflow in namespace pyflow-system"
		secret     = "secret/pyflow-registry in namespace team-a"
		role       = "clusterrole.rbac.authorization.k8s.io/pyflow-deploy"
	)
	members := func() []*unstructured.Unstructured {
		return []*unstructured.Unstructured{
			member("v1", "Namespace", "", manifests.SystemNamespace),
			member("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "tasks.tekton.dev"),
			member("tekton.dev/v1", "Task", manifests.SystemNamespace, "build"),
			member("apps/v1", "DaemonSet", manifests.SystemNamespace, manifests.NodeAccessName),
			member("apps/v1", "StatefulSet", manifests.SystemNamespace, "registry-storage"),
			member("v1", "PersistentVolumeClaim", manifests.SystemNamespace, "registry-storage"),
			member("v1", "ConfigMap", manifests.SystemNamespace, manifests.ConfigName),
			member("v1", "Secret", "team-a", "pyflow-registry"),
			member("rbac.authorization.k8s.io/v1", "ClusterRole", "", "pyflow-deploy"),
		}
	}
	guest := object("v1", "Secret", manifests.SystemNamespace, "precious", nil)
	for name, test := range map[string]struct {
		purge, keepTekton       bool
		tekton                  *platform.Tekton
		guests                  []*unstructured.Unstructured
		deleted, kept, released []string
	}{
		"images stay": {
			deleted: []string{secret, nodeAccess, registry, crd, task, role},
			kept:    []string{system, claim, parent},
		},
		"purge": {
			purge:   true,
			deleted: []string{secret, nodeAccess, registry, crd, task, claim, system, parent, role},
		},
		"Tekton stays": {
			purge: true, keepTekton: true,
			deleted:  []string{secret, task, nodeAccess, registry, claim, system, parent, role},
			released: []string{crd},
		},
		"Tekton of another tool": {
			purge: true, tekton: &platform.Tekton{Namespace: "tekton-pipelines"},
			deleted:  []string{secret, task, nodeAccess, registry, claim, system, parent, role},
			released: []string{crd},
		},
		"guest": {
			purge: true, guests: []*unstructured.Unstructured{guest},
			deleted:  []string{secret, nodeAccess, registry, crd, task, claim, parent, role},
			released: []string{system},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Cluster{members: members(), tekton: test.tekton, guests: test.guests}
			plan := c.Plan(test.purge, test.keepTekton)
			var gone, kept, freed []string
			for _, object := range plan.Objects() {
				gone = append(gone, kube.Describe(object))
			}
			for _, object := range plan.kept {
				kept = append(kept, kube.Describe(object))
			}
			for _, released := range plan.released {
				freed = append(freed, kube.Describe(released.object))
			}
			if !slices.Equal(gone, test.deleted) {
				t.Errorf("deleted %q\nwant    %q", gone, test.deleted)
			}
			if !slices.Equal(kept, test.kept) {
				t.Errorf("kept %q\nwant %q", kept, test.kept)
			}
			if !slices.Equal(freed, test.released) {
				t.Errorf("released %q\nwant     %q", freed, test.released)
			}
		})
	}
}
