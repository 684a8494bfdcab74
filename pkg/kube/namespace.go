package kube

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// CheckNamespace returns a *NamespaceNotFoundError if a namespace certainly does not
// exist. It returns nil if the user may not read the namespace.
func CheckNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	if _, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return &NamespaceNotFoundError{Namespace: name}
	}
	return nil
}
