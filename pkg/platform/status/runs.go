package status

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// RunListKind is the kind of a RunList. Its APIVersion is that of Status.
const RunListKind = "RunList"

// RunList lists runs, newest first. Its JSON form is documented in docs/output.md.
type RunList struct {
	metav1.TypeMeta `json:",inline"`
	// Items is never nil.
	Items []Run `json:"items"`
}

var _ runtime.Object = (*RunList)(nil)

// DeepCopyObject makes RunList an object that kubectl's printers accept.
func (l *RunList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = slices.Clone(l.Items)
	for i := range c.Items {
		c.Items[i].Finished = l.Items[i].Finished.DeepCopy()
	}
	return &c
}

// RunOptions select runs.
type RunOptions struct {
	// Namespace is that of the runs; empty is all namespaces.
	Namespace string
	// App selects the runs of one app; empty is all.
	App string
	// Selector selects runs by their labels; nil is all.
	Selector labels.Selector
	// Limit is the number of the newest runs to return; zero is all.
	Limit int
	// Now is the time of the report.
	Now time.Time
}

// Runs returns runs, newest first. It returns an access.MissingError to a user who may not list
// them.
func Runs(ctx context.Context, client versioned.Interface, options RunOptions) (*RunList, error) {
	list := &RunList{TypeMeta: metav1.TypeMeta{Kind: RunListKind, APIVersion: APIVersion}, Items: []Run{}}
	created := map[string]metav1.Time{}
	meta := func(r Run) *metav1.ObjectMeta {
		return &metav1.ObjectMeta{Name: r.Name, CreationTimestamp: created[r.Namespace+"/"+r.Name]}
	}
	newest := func(a, b Run) int {
		return cmp.Or(created[b.Namespace+"/"+b.Name].Compare(created[a.Namespace+"/"+a.Name].Time), strings.Compare(a.Namespace, b.Namespace), pipelinerun.Newer(meta(a), meta(b)))
	}
	_, err := read(access.Permission{Verb: "list", Group: "tekton.dev", Resource: "pipelineruns", Namespace: options.Namespace}, func() (struct{}, error) {
		return struct{}{}, pipelinerun.Each(ctx, client, options.Namespace, options.App, func(object *tektonv1.PipelineRun) {
			if options.Selector != nil && !options.Selector.Matches(labels.Set(object.Labels)) {
				return
			}
			created[object.Namespace+"/"+object.Name] = object.CreationTimestamp
			list.Items = append(list.Items, NewRun(object, options.Now))
			if options.Limit > 0 && len(list.Items) > options.Limit {
				// Keeps no more than Limit runs in memory while it reads the list.
				slices.SortFunc(list.Items, newest)
				dropped := list.Items[options.Limit]
				delete(created, dropped.Namespace+"/"+dropped.Name)
				list.Items = list.Items[:options.Limit]
			}
		})
	})
	slices.SortFunc(list.Items, newest)
	return list, err
}

// runs reports the last builds in the scope.
func (c *collector) runs(ctx context.Context) ([]Run, error) {
	if c.Runs == 0 {
		return []Run{}, nil
	}
	list, err := Runs(ctx, c.Tekton, RunOptions{Namespace: c.scope, App: c.App, Selector: c.Selector, Limit: c.Runs, Now: c.Now})
	return list.Items, err
}

// NewRun returns the state of a run at a time. It is pure. It reads what pipelinerun.Trim
// leaves of the run.
func NewRun(object *tektonv1.PipelineRun, now time.Time) Run {
	verdict, info := pipelinerun.Verdict(object), pipelinerun.Parse(object)
	run := Run{
		Name: object.Name, Namespace: object.Namespace, App: object.Labels[manifests.LabelApp],
		State: RunRunning, Reason: verdict.Reason, Message: display.OneLine(verdict.Message),
		Started: object.CreationTimestamp, Digest: verdict.Digest,
		Commit: verdict.Commit, Dirty: info.Dirty,
		Pipeline: info.Pipeline,
	}
	rollout, why := pipelinerun.RolloutFailure(object)
	ending := pipelinerun.EndingOf(object)
	switch {
	case verdict.Done && ending.Reason == pipelinerun.ReasonSuperseded:
		run.State, run.Reason, run.Message = RunSuperseded, ending.Reason, display.OneLine(ending.Message)
	case verdict.Succeeded && rollout != "":
		run.State, run.Reason, run.Message = RunFailed, rollout, display.OneLine(why)
	case verdict.Succeeded:
		run.State = RunSucceeded
	case verdict.Canceled:
		run.State = RunCanceled
		if ending.Reason != "" {
			run.Reason, run.Message = ending.Reason, display.OneLine(ending.Message)
		}
	case verdict.Done:
		run.State = RunFailed
	case pipelinerun.Abandoned(object, now):
		run.State, run.Reason, run.Message = RunPending, "Abandoned", "its client was ended before it started the run; the next build deletes it"
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
