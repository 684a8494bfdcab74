package pipelinerun

import (
	"context"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Built returns the newest run of an app that pushed the image of a key of
// BuildKey, or was to deliver it, whatever became of the delivery; nil if there is
// none. An image that has not passed the tests of its run does not count.
func Built(ctx context.Context, client versioned.Interface, namespace, app, key string) (*tektonv1.PipelineRun, error) {
	selector := labels.Set{manifests.LabelApp: app, manifests.LabelBuildKey: key}.String()
	return newest(ctx, client, namespace, selector, func(run *tektonv1.PipelineRun) bool { return Verdict(run).Tested })
}

// Delivers says whether a run delivers what it builds.
func Delivers(run *tektonv1.PipelineRun) bool { return text(run, paramDeploy) != "false" }

// DeliverySequence is the value of manifests.AnnotationSequence on what a run
// delivers; empty for one that Create has not made.
func DeliverySequence(run *tektonv1.PipelineRun) string { return text(run, paramSequence) }

// text is a parameter of a run; empty without it.
func text(run *tektonv1.PipelineRun, name string) string {
	for _, param := range run.Spec.Params {
		if param.Name == name {
			return param.Value.StringVal
		}
	}
	return ""
}

// DockerfilePath is the Dockerfile's path inside of a run's source.
func DockerfilePath(run *tektonv1.PipelineRun) string { return text(run, paramDockerfile) }
