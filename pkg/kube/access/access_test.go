package access_test

import (
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
)

func TestCheck(t *testing.T) {
	create := access.Permission{Verb: "create", Group: "tekton.dev", Resource: "pipelineruns", Namespace: "team-a"}
	forward := access.Permission{Verb: "create", Resource: "pods", Subresource: "portforward", Namespace: "pyflow-system"}
	for name, test := range map[string]struct {
		granted []access.Permission
		missing string
	}{
		"admin":   {[]access.Permission{{Verb: "*", Group: "*", Resource: "*"}}, ""},
		"all":     {[]access.Permission{create, forward}, ""},
		"one":     {[]access.Permission{create}, "missing permissions: create pods/portforward in namespace pyflow-system"},
		"nothing": {nil, "missing permissions: create pipelineruns.tekton.dev in namespace team-a, create pods/portforward in namespace pyflow-system"},
	} {
		t.Run(name, func(t *testing.T) {
			client := kubefake.NewClientset()
			client.PrependReactor("create", "selfsubjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
				review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
				a := review.Spec.ResourceAttributes
				review.Status.Allowed = slices.Contains(test.granted, access.Permission{a.Verb, a.Group, a.Resource, a.Subresource, a.Namespace, a.Name})
				return true, review, nil
			})
			err := access.Check(t.Context(), client, []access.Permission{create, forward})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.missing {
				t.Errorf("got %q, want %q", got, test.missing)
			}
		})
	}
}
