package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// MarkFailed keeps on a run that the rollout after it failed, or that a later run was deployed in
// its place, if err says so. Nothing else shows that once the app runs another release.
func (e *Environment) MarkFailed(ctx context.Context, run *Run, err error) error {
	var superseded *track.SupersededError
	if run.Object != nil && errors.As(err, &superseded) {
		ending := pipelinerun.Ending{Reason: pipelinerun.ReasonSuperseded, Message: superseded.Error()}
		return pipelinerun.MarkEnding(ctx, e.Clients.Tekton, run.namespace, run.Object.Name, ending)
	}
	var failure *event.Failure
	if run.Object == nil || !errors.As(err, &failure) || failure.Phase != event.Rollout {
		return nil
	}
	return pipelinerun.MarkRolloutFailed(ctx, e.Clients.Tekton, run.namespace, run.Object.Name, failure.Reason, failure.Message)
}

// Undo makes the last release before a run live again that worked, if err is a failure that has
// changed the app: of its rollout, or of a deployment that broke off. The events of the rollback
// go to recorder, which is none that has an open phase. Undo returns the number of the release; 0
// if there is nothing to undo, or no release to go back to.
func (e *Environment) Undo(ctx context.Context, run *Run, err error, recorder *track.Recorder, options WatchOptions) (int, error) {
	if !changed(err) || run.before.Release == 0 {
		return 0, nil
	}
	to, err := e.lastGood(ctx, run.namespace, run.app, run.before.Release)
	if err != nil || to == nil {
		return 0, err
	}
	prepared, err := PrepareRollback(ctx, e, to, false)
	if err != nil {
		return to.Number, err
	}
	recorder.Notice(fmt.Sprintf("Rolling back to release %d", to.Number))
	back, err := Start(ctx, prepared, recorder)
	if err == nil {
		_, err = Watch(ctx, follow.Clients{Tekton: e.Clients.Tekton, Kube: e.Clients.Kube}, back, recorder, options)
	}
	state := event.Succeeded
	if err != nil {
		state = event.Failed
	}
	recorder.End(state, "")
	return to.Number, err
}

// lastGood returns the newest release up to a number of which nothing is known to have failed, by
// the runs that are left; nil if there is none.
func (e *Environment) lastGood(ctx context.Context, namespace, app string, newest int) (*record.Record, error) {
	records, err := record.List(ctx, e.Clients.Kube, namespace, app)
	if err != nil {
		return nil, err
	}
	failed := map[string]bool{}
	err = pipelinerun.Each(ctx, e.Clients.Tekton, namespace, app, func(run *tektonv1.PipelineRun) {
		rollout, _ := pipelinerun.RolloutFailure(run)
		failed[run.Name] = rollout != "" || !pipelinerun.Verdict(run).Succeeded
	})
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if record.Number <= newest && !failed[record.Run] {
			return record, nil
		}
	}
	return nil, nil //nolint:nilnil // no release is no error
}

// changed reports whether a failure has left the app changed.
func changed(err error) bool {
	var failure *event.Failure
	if !errors.As(err, &failure) {
		return false
	}
	switch failure.Phase { //nolint:exhaustive // in every other one nothing is applied
	case event.Rollout:
		return true
	case event.Deploy:
		// What fails in another step has applied something.
		return failure.Step != "" && !slices.Contains([]string{pipelinerun.PullStep, pipelinerun.OverlayStep, pipelinerun.CheckStep}, failure.Step)
	}
	return false
}
