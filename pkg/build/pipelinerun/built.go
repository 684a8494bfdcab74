package pipelinerun

import (
	"context"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Built returns the newest run of an app that pushed the image with a key of BuildKey,
// or that was to deploy it, whether or not that succeeded; nil if there is none. An image
// that has not passed the tests of its run does not count.
func Built(ctx context.Context, client versioned.Interface, namespace, app, key string) (*tektonv1.PipelineRun, error) {
	selector := labels.Set{manifests.LabelApp: app, manifests.LabelBuildKey: key}.String()
	return newest(ctx, client, namespace, selector, func(run *tektonv1.PipelineRun) bool { return Verdict(run).Tested })
}
