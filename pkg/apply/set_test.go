package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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
