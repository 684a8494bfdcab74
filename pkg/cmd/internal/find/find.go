// Package find resolves the run that a command line names, and reports why there is none.
package find

import (
	"cmp"
	"context"
	"errors"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// Run returns the run that name means, as pipelinerun.Find does. Its error is that of Why.
func Run(ctx context.Context, clients pipelinerun.Clients, namespace, name string) (*tektonv1.PipelineRun, error) {
	run, err := pipelinerun.Find(ctx, clients.Tekton, namespace, name)
	return run, Why(ctx, clients.Kube, namespace, err)
}

// Why returns err, or the reason why namespace has no runs at all if err is a
// *pipelinerun.NotFoundError: an error of platform.CheckNamespace.
func Why(ctx context.Context, client kubernetes.Interface, namespace string, err error) error {
	var missing *pipelinerun.NotFoundError
	if !errors.As(err, &missing) || len(missing.Runs) > 0 {
		return err
	}
	return cmp.Or(platform.CheckNamespace(ctx, client, namespace), err)
}
