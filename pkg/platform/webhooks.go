package platform

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// PodWebhooks returns the sorted names of the mutating webhook configurations that may
// change new pods. Any of them may inject a sidecar: a configuration does not show what
// its webhook changes.
func PodWebhooks(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	list, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list mutating webhooks: %w", err)
	}
	var names []string
	for _, configuration := range list.Items {
		if slices.ContainsFunc(configuration.Webhooks, mutatesPods) {
			names = append(names, configuration.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func mutatesPods(webhook admissionregistrationv1.MutatingWebhook) bool {
	return slices.ContainsFunc(webhook.Rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
		creates := slices.Contains(rule.Operations, admissionregistrationv1.Create) || slices.Contains(rule.Operations, admissionregistrationv1.OperationAll)
		return creates && matches(rule.APIGroups, corev1.GroupName) && matches(rule.APIVersions, "v1") &&
			(matches(rule.Resources, "pods") || slices.Contains(rule.Resources, "*/*"))
	})
}

func matches(patterns []string, value string) bool {
	return slices.Contains(patterns, value) || slices.Contains(patterns, "*")
}
