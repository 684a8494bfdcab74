//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestWaitingBuild is about the pods of a build that do not come up. Nothing of the run
// goes on afterwards.
func TestWaitingBuild(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "waiting", map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /Dockerfile\n"})
	build := func(t *testing.T, flags ...string) env.Result {
		t.Helper()
		r := ns.Pyflow(t, append([]string{"build", dir, "--port", "8000", "--wait-timeout", env.WaitTimeout}, flags...)...)
		env.Eventually(t, "wait for the end of the run", func(context.Context) error {
			if run := ns.Runs(t)[0]; !run.IsDone() {
				return fmt.Errorf("run %s goes on: %+v", run.Name, run.Status.Conditions)
			}
			return nil
		})
		return r
	}

	t.Run("too much memory", func(t *testing.T) {
		r := build(t, "--memory", "9Ti")
		r.Hints(t, "--memory", "Unschedulable", "Insufficient memory", "waiting: ", "20s")
		if run := ns.RunList(t, "waiting")[0]; run.State != status.RunCanceled || run.Reason != "Unschedulable" || !strings.Contains(run.Message, "Insufficient memory") {
			t.Errorf("the run should have the reason: %+v", run)
		}
		ns.Pyflow(t, "runs").Succeeded(t).Prints(t, "Canceled (Unschedulable)")
	})
	t.Run("quota", func(t *testing.T) {
		quotas := ns.Kube.CoreV1().ResourceQuotas(ns.Name)
		_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "no-pods"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
		}, metav1.CreateOptions{})
		env.Check(t, err)
		// Until its controller has counted, a quota refuses in other words.
		env.Eventually(t, "wait for the quota", func(ctx context.Context) error {
			quota, err := quotas.Get(ctx, "no-pods", metav1.GetOptions{})
			if err == nil && quota.Status.Hard == nil {
				err = fmt.Errorf("its status is empty")
			}
			return err
		})
		build(t).Hints(t, "ResourceQuota no-pods", "ExceededResourceQuota", "no-pods", "pods=1")
		env.Check(t, quotas.Delete(t.Context(), "no-pods", metav1.DeleteOptions{}))
	})
	t.Run("pod security", func(t *testing.T) {
		label(t, ns, "pod-security.kubernetes.io/enforce", "restricted")
		build(t).Hints(t, "kubectl label --overwrite namespace "+ns.Name, "PodAdmissionFailed", `violates PodSecurity "restricted`, "runAsNonRoot")
	})
}

// label sets a label of a namespace.
func label(t *testing.T, ns *env.NS, name, value string) {
	t.Helper()
	ns.Run(t, nil, "kubectl", "label", "--overwrite", "namespace", ns.Name, name+"="+value).Succeeded(t)
}

// TestWaitingApp is about the pods of an app that do not come up. The level of
// PodSecurity is the one that the advice for builds names, so it has to do for them.
func TestWaitingApp(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	label(t, ns, "pod-security.kubernetes.io/enforce", "baseline")
	downWebhook(t, ns, "stuck-webhook")
	_, err := ns.Kube.CoreV1().ResourceQuotas(ns.Name).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "no-devices"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"requests.pyflow.dev/device": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	env.Check(t, err)

	container := "containers: [{name: app, image: %s}]\n"
	for _, test := range []struct {
		name, pod string
		documents []string
		advice    string
		words     []string
	}{
		{
			"stuck-memory", "containers: [{name: app, image: stuck-memory, resources: {requests: {memory: 9Ti}}}]\n", nil,
			"resources.requests.memory",
			[]string{"Unschedulable", "Insufficient memory", "9Ti", "20s"},
		},
		{
			"stuck-image", container + "initContainers: [{name: migrate, image: does-not-exist.invalid/migrate:1}]\n", nil,
			"correct",
			[]string{"container migrate", "Pull", "does-not-exist.invalid/migrate:1"},
		},
		{
			"stuck-quota", "containers: [{name: app, image: stuck-quota, resources: {limits: {pyflow.dev/device: 1}}}]\n", nil,
			"ResourceQuota no-devices",
			[]string{"FailedCreate", "exceeded quota: no-devices"},
		},
		{
			"stuck-security", container + "hostNetwork: true\n", nil,
			"securityContext",
			[]string{"FailedCreate", `violates PodSecurity "baseline`, "hostNetwork"},
		},
		{
			"stuck-secret", "containers: [{name: app, image: stuck-secret, envFrom: [{secretRef: {name: stuck-password}}]}]\n", nil,
			"create secret generic stuck-password",
			[]string{"CreateContainerConfigError", `secret "stuck-password" not found`},
		},
		{
			"stuck-account", container + "serviceAccountName: stuck-walker\n", nil,
			"create serviceaccount stuck-walker",
			[]string{"FailedCreate", `serviceaccount "stuck-walker" not found`},
		},
		{
			"stuck-volume", container + "volumes: [{name: data, persistentVolumeClaim: {claimName: stuck-data}}]\n",
			[]string{"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: stuck-data}\nspec:\n  storageClassName: stuck-class\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Mi}}\n"},
			"storageClassName",
			[]string{"Unschedulable", "PersistentVolumeClaim stuck-data", `storageclass "stuck-class" not found`},
		},
		{
			"stuck-webhook", container, nil,
			"webhook stuck.e2e.pyflow.dev does not answer",
			[]string{`failed calling webhook "stuck.e2e.pyflow.dev"`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			dir := env.StuckApp(t, test.name, strings.ReplaceAll(test.pod, "%s", test.name), test.documents...)
			r := ns.Pyflow(t, "build", dir, "--manifests", filepath.Join(dir, "k8s"), "--wait-timeout", env.WaitTimeout)
			r.Hints(t, test.advice, test.words...)
		})
	}
}

// downWebhook makes the API server ask a service that is not there about one
// Deployment, until the test ends.
func downWebhook(t *testing.T, ns *env.NS, deployment string) {
	t.Helper()
	fail, none := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	webhooks := ns.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := webhooks.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ns.Name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    "stuck.e2e.pyflow.dev",
			FailurePolicy:           &fail,
			SideEffects:             &none,
			AdmissionReviewVersions: []string{"v1"},
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: ns.Name, Name: "nobody"}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns.Name}},
			MatchConditions:         []admissionregistrationv1.MatchCondition{{Name: "one-deployment", Expression: fmt.Sprintf("object.metadata.name == %q", deployment)}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}},
		}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	t.Cleanup(func() {
		if err := webhooks.Delete(context.WithoutCancel(t.Context()), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete webhook configuration %s: %v", ns.Name, err)
		}
	})
}
