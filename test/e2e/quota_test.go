//go:build e2e

package e2e

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestRegistryQuota builds as a developer in a namespace that stores more than an admin allows it.
func TestRegistryQuota(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	a := newAttacker(t, ns)
	quota := func(size string) {
		t.Helper()
		patch := `{"metadata":{"annotations":{"` + manifests.AnnotationQuota + `":"` + size + `"}}}`
		_, err := ns.Kube.CoreV1().Namespaces().Patch(t.Context(), ns.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		env.Check(t, err)
	}
	dir := env.Project(t, "hoarder", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nCOPY Dockerfile /\n"})
	build := func(args ...string) env.Result {
		t.Helper()
		return ns.Pyflow(t, append(append([]string{"build", dir, "--no-deploy", "--force"}, args...), a.flags...)...)
	}
	quota("100Mi")
	build().Succeeded(t)
	runs := len(ns.Runs(t))
	quota("1Mi")
	r := build().Failed(t, "namespace "+ns.Name+" stores ", "its quota is 1.0 MB: hoarder ", "hint: ", "images prune", manifests.AnnotationQuota)
	if after := len(ns.Runs(t)); after != runs {
		t.Errorf("%d runs were created\n%s", after-runs, r)
	}
	refused := ns.Run(t, nil, "kubectl", append([]string{"annotate", "--overwrite", "namespace", ns.Name, manifests.AnnotationQuota + "=1Gi"}, a.flags...)...)
	refused.Failed(t, "forbidden")
	quota("0")
	build().Succeeded(t)
}
