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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waitTimeout is how long the builds of these tests wait for what may pass.
const waitTimeout = "20s"

// stuckApp is a project whose image is built in no time and can not run, so that
// only what keeps its pod from starting counts. Its manifests have the pod's fields
// that are given, and further documents.
func stuckApp(t *testing.T, name, pod string, documents ...string) string {
	t.Helper()
	manifest := fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
%[2]s`, name, indent(pod, 6))
	return project(t, name, map[string]string{
		"Dockerfile":             "FROM scratch\nCOPY Dockerfile /Dockerfile\nCMD [\"/none\"]\n",
		"k8s/kustomization.yaml": "resources: [deployment.yaml]\n",
		"k8s/deployment.yaml":    strings.Join(append(documents, manifest), "---\n"),
	})
}

func indent(text string, spaces int) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Repeat(" ", spaces)+line)
	}
	return strings.Join(lines, "")
}

// wantReason wants of a failed build the reason, the name of the thing, and what to
// do about it.
func (r result) wantReason(t *testing.T, advice string, words ...string) {
	t.Helper()
	r.failed(t, append(words, "hint: ")...)
	for line := range strings.Lines(r.stderr) {
		if strings.HasPrefix(line, "hint: ") && strings.Contains(line, advice) {
			return
		}
	}
	t.Errorf("stderr should have the advice %q after hint:\n%s", advice, r)
}

// waitingBuild is about the pods of a build that do not come up. Nothing of the run
// goes on afterwards.
func (j *journey) waitingBuild(t *testing.T) {
	t.Parallel()
	namespace := j.neighbor(t, "waiting-build")
	dir := project(t, "waiting", map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /Dockerfile\n"})
	build := func(t *testing.T, flags ...string) result {
		t.Helper()
		r := j.pyflow(t, append([]string{"build", "-n", namespace, dir, "--port", "8000", "--wait-timeout", waitTimeout}, flags...)...)
		fmt.Fprintln(&j.outputs, r)
		eventually(t, "wait for the end of the run", func(context.Context) error {
			if run := j.runs(t, namespace)[0]; !run.IsDone() {
				return fmt.Errorf("run %s goes on: %+v", run.Name, run.Status.Conditions)
			}
			return nil
		})
		return r
	}

	t.Run("too much memory", func(t *testing.T) {
		r := build(t, "--memory", "9Ti")
		r.wantReason(t, "--memory", "Unschedulable", "Insufficient memory", "waiting: ", "20s")
	})
	t.Run("quota", func(t *testing.T) {
		quotas := j.kube.CoreV1().ResourceQuotas(namespace)
		_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "no-pods"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
		}, metav1.CreateOptions{})
		check(t, err)
		// Until its controller has counted, a quota refuses in other words.
		eventually(t, "wait for the quota", func(ctx context.Context) error {
			quota, err := quotas.Get(ctx, "no-pods", metav1.GetOptions{})
			if err == nil && quota.Status.Hard == nil {
				err = fmt.Errorf("its status is empty")
			}
			return err
		})
		build(t).wantReason(t, "ResourceQuota no-pods", "ExceededResourceQuota", "no-pods", "pods=1")
		check(t, quotas.Delete(t.Context(), "no-pods", metav1.DeleteOptions{}))
	})
	t.Run("pod security", func(t *testing.T) {
		j.label(t, namespace, "pod-security.kubernetes.io/enforce", "restricted")
		build(t).wantReason(t, "kubectl label --overwrite namespace "+namespace, "PodAdmissionFailed", `violates PodSecurity "restricted`, "runAsNonRoot")
	})
}

// label sets a label of a namespace.
func (j *journey) label(t *testing.T, namespace, name, value string) {
	t.Helper()
	j.run(t, nil, "kubectl", "label", "--overwrite", "namespace", namespace, name+"="+value).succeeded(t)
}

// waitingApp is about the pods of an app that do not come up. The level of
// PodSecurity is the one that the advice for builds names, so it has to do for them.
func (j *journey) waitingApp(t *testing.T) {
	namespace := j.neighbor(t, "waiting-app")
	j.label(t, namespace, "pod-security.kubernetes.io/enforce", "baseline")
	j.lostNode(t, "e2e-lost")
	j.downWebhook(t, namespace, "stuck-webhook")
	_, err := j.kube.CoreV1().ResourceQuotas(namespace).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "no-devices"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"requests.pyflow.dev/device": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	check(t, err)

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
			"stuck-node", container + "nodeSelector: {kubernetes.io/hostname: e2e-lost}\n", nil,
			"not ready",
			[]string{"Unschedulable", "node e2e-lost has the taint node.kubernetes.io/"},
		},
		{
			"stuck-webhook", container, nil,
			"webhook stuck.e2e.pyflow.dev does not answer",
			[]string{`failed calling webhook "stuck.e2e.pyflow.dev"`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			dir := stuckApp(t, test.name, strings.ReplaceAll(test.pod, "%s", test.name), test.documents...)
			r := j.pyflow(t, "build", "-n", namespace, dir, "--manifests", filepath.Join(dir, "k8s"), "--wait-timeout", waitTimeout)
			r.wantReason(t, test.advice, test.words...)
		})
	}
}

// lostNode adds a node whose kubelet has never been heard of, until the test ends.
func (j *journey) lostNode(t *testing.T, name string) {
	t.Helper()
	nodes := j.kube.CoreV1().Nodes()
	_, err := nodes.Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux"},
		},
		// Without it the node is as good as any until it has been silent for a while.
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", LastHeartbeatTime: metav1.Now(),
		}}},
	}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		err := nodes.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete node %s: %v", name, err)
		}
	})
}

// downWebhook makes the API server ask a service that is not there about one
// Deployment, until the test ends.
func (j *journey) downWebhook(t *testing.T, namespace, deployment string) {
	t.Helper()
	fail, none := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	webhooks := j.kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	_, err := webhooks.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    "stuck.e2e.pyflow.dev",
			FailurePolicy:           &fail,
			SideEffects:             &none,
			AdmissionReviewVersions: []string{"v1"},
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: "nobody"}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			MatchConditions:         []admissionregistrationv1.MatchCondition{{Name: "one-deployment", Expression: fmt.Sprintf("object.metadata.name == %q", deployment)}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}},
		}},
	}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		if err := webhooks.Delete(context.WithoutCancel(t.Context()), namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete webhook configuration %s: %v", namespace, err)
		}
	})
}
