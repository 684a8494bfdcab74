package pipelinerun

import (
	"context"
	"fmt"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// usualRuns is how many runs say what is usual.
const usualRuns = 5

// Usual returns how long the last runs took that did what run does: the median of the newest
// five of the same app that succeeded, with the same Pipeline and the same kind of test. It
// is zero if there are none.
func Usual(ctx context.Context, client versioned.Interface, run *tektonv1.PipelineRun) (time.Duration, error) {
	app := run.Labels[manifests.LabelApp]
	if app == "" {
		return 0, nil
	}
	list, err := client.TektonV1().PipelineRuns(run.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{manifests.LabelApp: app}.String(), Limit: pageSize,
	})
	if err != nil {
		return 0, fmt.Errorf("list pipelineruns of %s: %w", app, err)
	}
	return usual(list.Items, run), nil
}

// usual is Usual of the runs of the app.
func usual(runs []tektonv1.PipelineRun, run *tektonv1.PipelineRun) time.Duration {
	runs = slices.DeleteFunc(runs, func(other tektonv1.PipelineRun) bool {
		return !Verdict(&other).Succeeded || other.Status.StartTime == nil || other.Status.CompletionTime == nil ||
			pipelineOf(&other) != pipelineOf(run) || text(&other, paramTest) != text(run, paramTest)
	})
	if len(runs) == 0 {
		return 0
	}
	slices.SortFunc(runs, func(a, b tektonv1.PipelineRun) int { return Newer(&a, &b) })
	var times []time.Duration
	for i := range runs[:min(usualRuns, len(runs))] {
		times = append(times, runs[i].Status.CompletionTime.Sub(runs[i].Status.StartTime.Time))
	}
	slices.Sort(times)
	return times[len(times)/2]
}
