package install

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestPlanBuildUsers(t *testing.T) {
	old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "old"}}
	old.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	able := old.DeepCopy()
	able.Name = "able"
	able.Status.RuntimeHandlers = []corev1.NodeRuntimeHandler{{Features: &corev1.NodeRuntimeHandlerFeatures{UserNamespaces: new(true)}}}
	proven := manifests.BuildUsers{Separate: true}
	for name, test := range map[string]struct {
		wanted manifests.HostUsers
		before manifests.BuildUsers
		node   *corev1.Node
		tekton string
		want   manifests.BuildUsers
		reason bool
		fails  bool
	}{
		"first":                      {node: able},
		"proven before":              {before: proven, node: able, want: proven},
		"a node went back":           {before: proven, node: old, reason: true},
		"upgraded":                   {before: manifests.BuildUsers{Reason: "old"}, node: able},
		"shared":                     {wanted: manifests.HostUsersTrue, before: proven, node: able, want: manifests.BuildUsers{Wanted: manifests.HostUsersTrue}},
		"shared, remembered":         {before: manifests.BuildUsers{Wanted: manifests.HostUsersTrue}, node: able, want: manifests.BuildUsers{Wanted: manifests.HostUsersTrue}},
		"auto again":                 {wanted: manifests.HostUsersAuto, before: manifests.BuildUsers{Wanted: manifests.HostUsersTrue}, node: able},
		"separate":                   {wanted: manifests.HostUsersFalse, node: able, want: manifests.BuildUsers{Wanted: manifests.HostUsersFalse}},
		"separate, a node lacks":     {wanted: manifests.HostUsersFalse, node: old, fails: true},
		"an old Tekton":              {before: proven, node: able, tekton: "v1.7.0", reason: true},
		"a Tekton without a version": {node: able, tekton: "devel", reason: true},
		"separate, an old Tekton":    {wanted: manifests.HostUsersFalse, node: able, tekton: "v1.7.0", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planBuildUsers(t.Context(), fake.NewClientset(test.node), cmp.Or(test.tekton, "v1.9.0"), test.wanted, test.before)
			var refused *RequestError
			if (err != nil) != test.fails || err != nil && (!errors.As(err, &refused) || !strings.Contains(err.Error(), "node old") && !strings.Contains(err.Error(), "Tekton Pipelines v1.7.0")) {
				t.Fatalf("error is %v", err)
			}
			if err != nil {
				return
			}
			if (got.Reason != "") != test.reason {
				t.Errorf("the reason is %q", got.Reason)
			}
			got.Reason = ""
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
