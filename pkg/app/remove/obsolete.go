package remove

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Obsolete are the objects of an app that releases before the live one made and the live one does
// not have, as kubectl names them.
type Obsolete struct {
	// Deleted are those that the program generated, such as a worker that the settings no longer
	// have.
	Deleted []string
	// Left are those of the user's manifests, which only the user deletes.
	Left []string
}

// obsoleteKinds are the kinds that do something. Data, configuration and the Jobs that have run
// stay: they are of no harm, and may be of use.
func obsoleteKinds() []schema.GroupVersionResource {
	keep := []string{"pipelineruns", "jobs", "serviceaccounts", "persistentvolumeclaims", "secrets", "configmaps"}
	return slices.DeleteFunc(kinds(), func(kind schema.GroupVersionResource) bool { return slices.Contains(keep, kind.Resource) })
}

// DeleteObsolete deletes the generated objects of an app that are of an earlier delivery than the
// one of sequence, which is the live one, and returns the others, too. It leaves out what the
// user may not list. If it fails, the next call does the rest.
func DeleteObsolete(ctx context.Context, clients *kube.Clients, app, sequence string) (Obsolete, error) {
	kinds := obsoleteKinds()
	found := make([][]unstructured.Unstructured, len(kinds))
	group, listing := errgroup.WithContext(ctx)
	for i, kind := range kinds {
		group.Go(func() error {
			objects, err := objectsOf(listing, clients, kind, clients.Namespace, app)
			if apierrors.IsForbidden(err) {
				return nil
			}
			found[i] = objects
			return err
		})
	}
	var obsolete Obsolete
	if err := group.Wait(); err != nil {
		return obsolete, err
	}
	plan := &Plan{Namespace: clients.Namespace, App: app}
	for i, kind := range kinds {
		for _, object := range found[i] {
			of := object.GetAnnotations()[manifests.AnnotationSequence]
			if of == "" || of >= sequence || metav1.GetControllerOf(&object) != nil {
				continue
			}
			one := Object{Kind: kind, ObjectMeta: metav1.ObjectMeta{Name: object.GetName(), UID: object.GetUID()}}
			if object.GetLabels()[manifests.LabelGenerated] != "true" {
				obsolete.Left = append(obsolete.Left, one.String())
				continue
			}
			if err := plan.remove(ctx, clients, one); err != nil {
				return obsolete, err
			}
			obsolete.Deleted = append(obsolete.Deleted, one.String())
		}
	}
	return obsolete, nil
}
