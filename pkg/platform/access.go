package platform

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Right is one thing a verb needs to be allowed to do.
type Right struct {
	Verb, Group, Resource, Subresource string
	// Namespace is empty for the whole cluster.
	Namespace string
	// Name is empty for all objects.
	Name string
}

// String is the right in the words of kubectl auth can-i.
func (r Right) String() string {
	resource := r.Resource
	if r.Group != "" {
		resource += "." + r.Group
	}
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	if r.Name != "" {
		resource += " " + r.Name
	}
	if r.Namespace == "" {
		return fmt.Sprintf("%s %s", r.Verb, resource)
	}
	return fmt.Sprintf("%s %s in namespace %s", r.Verb, resource, r.Namespace)
}

// MissingRightsError lists what the user is not allowed to do.
type MissingRightsError struct{ Missing []Right }

func (e *MissingRightsError) Error() string {
	texts := make([]string, len(e.Missing))
	for i, right := range e.Missing {
		texts[i] = right.String()
	}
	return "missing rights: " + strings.Join(texts, ", ")
}

// CheckRights asks the API server whether the user may do all of rights, and
// returns a MissingRightsError with those, in order, that it denies.
func CheckRights(ctx context.Context, client kubernetes.Interface, rights []Right) error {
	// One question suffices for most who run setup.
	everything, err := allowed(ctx, client, Right{Verb: "*", Group: "*", Resource: "*"})
	if err != nil || everything {
		return err
	}
	answers := make([]bool, len(rights))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, right := range rights {
		group.Go(func() error {
			var err error
			answers[i], err = allowed(ctx, client, right)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var missing []Right
	for i, right := range rights {
		if !answers[i] {
			missing = append(missing, right)
		}
	}
	if len(missing) > 0 {
		return &MissingRightsError{Missing: missing}
	}
	return nil
}

func allowed(ctx context.Context, client kubernetes.Interface, right Right) (bool, error) {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: right.Verb, Group: right.Group, Resource: right.Resource,
				Subresource: right.Subresource, Namespace: right.Namespace, Name: right.Name,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether you may %s: %w", right, err)
	}
	return review.Status.Allowed, nil
}
