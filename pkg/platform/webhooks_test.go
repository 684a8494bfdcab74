package platform

import (
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestPodWebhooks(t *testing.T) {
	type rule = admissionregistrationv1.Rule
	webhook := func(name string, operation admissionregistrationv1.OperationType, rules ...rule) *admissionregistrationv1.MutatingWebhookConfiguration {
		configuration := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, r := range rules {
			configuration.Webhooks = append(configuration.Webhooks, admissionregistrationv1.MutatingWebhook{Rules: []admissionregistrationv1.RuleWithOperations{
				{Operations: []admissionregistrationv1.OperationType{operation}, Rule: r},
			}})
		}
		return configuration
	}
	core := func(resources ...string) rule {
		return rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: resources}
	}
	client := fake.NewClientset(
		webhook("tekton", admissionregistrationv1.OperationAll, rule{APIGroups: []string{"tekton.dev"}, APIVersions: []string{"v1"}, Resources: []string{"*"}}),
		webhook("services", admissionregistrationv1.Create, core("services", "pods/status")),
		webhook("evictions", admissionregistrationv1.Update, core("pods")),
		webhook("sidecars", admissionregistrationv1.Create, core("services"), core("pods")),
		webhook("everything", admissionregistrationv1.OperationAll, rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}}),
	)
	names, err := PodWebhooks(t.Context(), client)
	if err != nil || !slices.Equal(names, []string{"everything", "sidecars"}) {
		t.Errorf("got %q, %v", names, err)
	}
}
