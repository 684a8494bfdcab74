// Package access reports what the user may do in the cluster.
package access

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Permission is one action on a kind of objects.
type Permission struct {
	Verb, Group, Resource, Subresource string
	// Namespace is empty for all namespaces and for cluster-scoped objects.
	Namespace string
	// Name is empty for all objects.
	Name string
}

// String returns the permission in the words of kubectl auth can-i.
func (p Permission) String() string {
	resource := p.Resource
	if p.Group != "" {
		resource += "." + p.Group
	}
	if p.Subresource != "" {
		resource += "/" + p.Subresource
	}
	if p.Name != "" {
		resource += " " + p.Name
	}
	if p.Namespace == "" {
		return fmt.Sprintf("%s %s", p.Verb, resource)
	}
	return fmt.Sprintf("%s %s in namespace %s", p.Verb, resource, p.Namespace)
}

// MissingError lists permissions that the user does not have.
type MissingError struct{ Missing []Permission }

func (e *MissingError) Error() string {
	texts := make([]string, len(e.Missing))
	for i, permission := range e.Missing {
		texts[i] = permission.String()
	}
	return "missing permissions: " + strings.Join(texts, ", ")
}

// Check asks the API server whether the user has all permissions, by
// SelfSubjectAccessReviews. It returns a *MissingError with those that it denies, in
// the order of permissions.
func Check(ctx context.Context, client kubernetes.Interface, permissions []Permission) error {
	// One request suffices for a cluster admin.
	everything, err := allowed(ctx, client, Permission{Verb: "*", Group: "*", Resource: "*"})
	if err != nil || everything {
		return err
	}
	answers := make([]bool, len(permissions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, permission := range permissions {
		group.Go(func() error {
			var err error
			answers[i], err = allowed(ctx, client, permission)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var missing []Permission
	for i, permission := range permissions {
		if !answers[i] {
			missing = append(missing, permission)
		}
	}
	if len(missing) > 0 {
		return &MissingError{Missing: missing}
	}
	return nil
}

func allowed(ctx context.Context, client kubernetes.Interface, permission Permission) (bool, error) {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: permission.Verb, Group: permission.Group, Resource: permission.Resource,
				Subresource: permission.Subresource, Namespace: permission.Namespace, Name: permission.Name,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether you may %s: %w", permission, err)
	}
	return review.Status.Allowed, nil
}
