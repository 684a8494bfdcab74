package platform

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// EnforceLabel is on a namespace the Pod Security Standard that it enforces.
	EnforceLabel = "pod-security.kubernetes.io/enforce"
	// BaselineLevel is the standard that setup makes namespaces enforce: builds run as root, and
	// need no more than it allows.
	BaselineLevel = "baseline"
	// PodSecurityManager is the field manager of the label that setup sets, and of nothing else.
	PodSecurityManager = "kubectl-pyflow-pod-security"
)

// ReleasePodSecurity removes the level that setup set from a namespace. One that a person set stays,
// and a namespace that is gone is no error.
func ReleasePodSecurity(ctx context.Context, client kubernetes.Interface, namespace string) error {
	object, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err == nil {
		for _, entry := range object.ManagedFields {
			if entry.Manager == PodSecurityManager {
				_, err = client.CoreV1().Namespaces().Apply(ctx, corev1apply.Namespace(namespace), metav1.ApplyOptions{FieldManager: PodSecurityManager})
				break
			}
		}
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the Pod Security level of namespace %s: %w", namespace, err)
	}
	return nil
}
