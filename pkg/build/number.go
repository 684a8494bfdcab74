package build

import (
	"context"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// numberTries bounds how often another client may take the number of a run first.
const numberTries = 20

// numbered creates a run with the next number of an app. The API server decides which of several
// clients gets a number: the name of a run holds it.
func (e *Environment) numbered(ctx context.Context, app string, create func(number int) (*tektonv1.PipelineRun, error)) (*tektonv1.PipelineRun, error) {
	number, err := e.lastNumber(ctx, app)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		run, err := create(number + try)
		if err == nil || !apierrors.IsAlreadyExists(err) || try == numberTries {
			return run, err
		}
	}
}

// lastNumber returns the greatest number of the runs and releases of an app. Who may not list
// the records of releases counts the runs, which are there longer than no release.
func (e *Environment) lastNumber(ctx context.Context, app string) (int, error) {
	namespace := e.Clients.Namespace
	last, err := pipelinerun.LastNumber(ctx, e.Clients.Tekton, namespace, app)
	if err != nil {
		return 0, err
	}
	records, err := record.List(ctx, e.Clients.Kube, namespace, app)
	if err != nil && !apierrors.IsForbidden(err) {
		return 0, err
	}
	for _, one := range records {
		last = max(last, one.Number)
	}
	return last, nil
}

// user returns the user of the connection as the cluster names it; empty if it does not tell.
func (e *Environment) user(ctx context.Context) string {
	review, err := e.Clients.Kube.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return ""
	}
	return review.Status.UserInfo.Username
}
