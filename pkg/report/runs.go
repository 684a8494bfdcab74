package report

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// runs reports the last builds in the scope, newest first. Only as many as are
// reported are kept while the list is read.
func (c *collector) runs(ctx context.Context) ([]Run, error) {
	runs := []Run{}
	if c.Runs == 0 {
		return runs, nil
	}
	created := map[string]time.Time{}
	newest := func(a, b Run) int {
		return cmp.Or(
			created[b.Namespace+"/"+b.Name].Compare(created[a.Namespace+"/"+a.Name]),
			strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
		)
	}
	right := platform.Right{Verb: "list", Group: "tekton.dev", Resource: "pipelineruns", Namespace: c.scope}
	err := each(ctx, right, manifests.LabelApp,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return c.Tekton.TektonV1().PipelineRuns(c.scope).List(ctx, options)
		},
		func(object *tektonv1.PipelineRun) {
			created[object.Namespace+"/"+object.Name] = object.CreationTimestamp.Time
			runs = append(runs, newRun(object, c.Now))
			slices.SortFunc(runs, newest)
			if len(runs) > c.Runs {
				dropped := runs[c.Runs]
				delete(created, dropped.Namespace+"/"+dropped.Name)
				runs = runs[:c.Runs]
			}
		})
	if err != nil {
		return []Run{}, err
	}
	return runs, nil
}

// newRun is pure.
func newRun(object *tektonv1.PipelineRun, now time.Time) Run {
	verdict := pipelinerun.Verdict(object)
	run := Run{
		Name: object.Name, Namespace: object.Namespace, App: object.Labels[manifests.LabelApp],
		State: RunRunning, Reason: verdict.Reason, Message: oneLine(verdict.Message),
		Started: object.CreationTimestamp, Digest: verdict.Digest,
	}
	switch {
	case verdict.Succeeded:
		run.State = RunSucceeded
	case verdict.Canceled:
		run.State = RunCancelled
	case verdict.Done:
		run.State = RunFailed
	case object.Status.StartTime == nil:
		run.State = RunPending
	}
	if object.Status.StartTime != nil {
		run.Started = *object.Status.StartTime
	}
	if object.Status.CompletionTime != nil {
		run.Finished = object.Status.CompletionTime
		now = run.Finished.Time
	}
	run.DurationSeconds = int64(max(0, now.Sub(run.Started.Time)).Seconds())
	return run
}
