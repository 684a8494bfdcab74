//go:build e2e

package console

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestDenied wants a page for a user who may only read, with what the user may not do
// disabled, and a page for one who may do nothing.
func TestDenied(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	ns.Build(t, env.Page(t, "shop", "hello", "")).Succeeded(t)
	ns.Build(t, env.Page(t, "shop", "hello again", "")).Succeeded(t)
	run := ns.RunList(t)[0].Name
	const reader, stranger = "console-reader", "console-stranger"
	roles, bindings := ns.Kube.RbacV1().Roles(ns.Name), ns.Kube.RbacV1().RoleBindings(ns.Name)
	read := []string{"get", "list", "watch"}
	_, err := roles.Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: reader}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"tekton.dev"}, Resources: []string{"pipelineruns", "taskruns"}, Verbs: read},
		{APIGroups: []string{""}, Resources: []string{"pods", "pods/log", "services", "configmaps"}, Verbs: read},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "statefulsets", "daemonsets"}, Verbs: read},
	}}, metav1.CreateOptions{})
	env.Check(t, err)
	_, err = bindings.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: reader}, Subjects: []rbacv1.Subject{{Kind: "User", Name: reader, APIGroup: rbacv1.GroupName}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: reader},
	}, metav1.CreateOptions{})
	env.Check(t, err)

	tb := open(t, serve(t, ns, "--as="+reader), "/runs/"+ns.Name+"/"+run)
	tb.shows(t, "Succeeded", "You lack the permission: create pipelineruns.tekton.dev")
	if !is[bool](t, tb, `[...document.querySelectorAll(".actions button")].every(b => b.disabled)`) {
		t.Error("a button that the user may not use is enabled")
	}
	tb.accessible(t, "a disabled action")

	tb = open(t, serve(t, ns, "--as="+reader), "/apps/"+ns.Name+"/shop")
	tb.until(t, `document.querySelector('[aria-label="Roll back to release 1"]')`)
	tb.shows(t, "You lack the permission: create pipelineruns.tekton.dev", "You lack the permission: delete deployments.apps",
		"Roll back: you lack the permission", "Restart: you lack the permission", "Scale: you lack the permission")
	if enabled := is[string](t, tb, `[...document.querySelectorAll(".actions button")].filter(b => !b.disabled).map(b => b.innerText).join()`); enabled != "" {
		t.Errorf("buttons that the user may not use are enabled: %s", enabled)
	}
	tb.picture(t, "denied", screens()[0])
	tb.accessible(t, "the disabled actions of an app")

	tb = open(t, serve(t, ns, "--as="+stranger), "/runs")
	tb.shows(t, `cannot list resource "pipelineruns"`)
}
