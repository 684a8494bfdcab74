package build

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/rollout"
)

// rolloutTarget is what a run has deployed.
type rolloutTarget struct {
	namespace, app string
	// repository is where nodes pull the image, without tag.
	repository, digest string
	// sequence is the run's.
	sequence string
}

// watchRollout reports the rollout of every workload that a run has deployed, until all
// of them have rolled out.
func watchRollout(ctx context.Context, client kubernetes.Interface, recorder *track.Recorder, target rolloutTarget, options WatchOptions) error {
	ctx, cancel := context.WithTimeoutCause(ctx, options.Timeout, fmt.Errorf("not all replicas are ready after %s", options.Timeout))
	defer cancel()
	recorder.Begin(event.Rollout)
	deployed, err := release.Current(ctx, client, target.namespace, target.app, target.repository)
	if err != nil {
		return err
	}
	if deployed.Sequence > target.sequence {
		return &track.SupersededError{By: release.RunOf(deployed.Sequence)}
	}
	states := map[release.Workload]workload.State{}
	trouble := ""
	err = rollout.Watch(ctx, client, target.namespace, deployed.Workloads, target.repository+"@"+target.digest, func(update rollout.Update) {
		states[update.Workload] = update.State
		if update.Trouble != "" && update.Trouble != trouble {
			recorder.Wait("NotReady", update.Trouble, update.Advice)
		}
		trouble = update.Trouble
		recorder.Update(replicas(states))
	}, rollout.WaitTimeout(options.WaitTimeout))
	var failure *rollout.Failure
	switch {
	case err == nil:
		recorder.End(event.Succeeded, "Rolled out: "+replicas(states))
		return nil
	case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	case !errors.As(err, &failure):
		return err
	}
	if failure.Reason == rollout.Superseded {
		if now, err := release.Current(ctx, client, target.namespace, target.app, target.repository); err == nil && now.Sequence > target.sequence {
			return &track.SupersededError{By: release.RunOf(now.Sequence)}
		}
	}
	for _, line := range failure.Log {
		recorder.Emit(event.Event{Type: event.Log, Phase: event.Rollout, Source: failure.Pod, Message: line, Raw: line})
	}
	if old := stillReady(states); old > 0 {
		recorder.Notice(fmt.Sprintf("The previous release keeps serving: %s ready", display.Count(int(old), "replica")))
	}
	return &event.Failure{
		Message: failure.Error(), Reason: failure.Reason, Advice: failure.Advice,
		Step: failure.Pod, Log: failure.Log, Phase: event.Rollout, Cause: failure,
	}
}

// replicas is how far the rollouts are, as a phrase.
func replicas(states map[release.Workload]workload.State) string {
	var ready, desired, done int32
	message := ""
	for _, state := range states {
		ready += state.Ready
		desired += state.Desired
		message = state.Message
		if state.Done {
			done++
		}
	}
	switch {
	case int(done) == len(states):
		return fmt.Sprintf("%d of %s ready", ready, display.Count(int(desired), "replica"))
	case len(states) == 1:
		return message
	}
	return fmt.Sprintf("%d of %d workloads", done, len(states))
}

// stillReady counts the replicas that are ready while new ones do not become ready.
func stillReady(states map[release.Workload]workload.State) int32 {
	var ready int32
	for workload, state := range states {
		if workload.Built && !state.Done {
			ready += state.Ready
		}
	}
	return ready
}
