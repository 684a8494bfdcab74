package build

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

const (
	// timeoutSlack is how much later than its own timeout a run may be seen to end.
	timeoutSlack = time.Minute
	// defaultTimeout is Tekton's for a run that has none.
	defaultTimeout = time.Hour
	// cancelTimeout bounds the request to cancel a run, which is also sent after the
	// context has ended.
	cancelTimeout = 10 * time.Second
)

// Run is a run to watch, or a build that needed none.
type Run struct {
	// Object is the run as it was created; nil if there is nothing to wait for.
	Object *tektonv1.PipelineRun
	// Dockerfile is what the run builds; nil if it is not known.
	Dockerfile *dockerfile.Dockerfile
	// Result is what is known of the result before the run has ended.
	Result event.Result
	// Deploys reports that the app is deployed, by the run or before it.
	Deploys bool

	app, namespace string
	// repository is where nodes pull the image, without tag.
	repository string
	// check checks the Dockerfile of a repository; nil if it was checked before the run.
	check func(context.Context, *dockerfile.Dockerfile) error
	// before is what the app ran before this run.
	before release.Deployed
}

// Existing returns a run of the cluster to watch.
func Existing(object *tektonv1.PipelineRun) *Run {
	info := pipelinerun.Parse(object)
	run := &Run{
		Object: object, Deploys: info.Deploys,
		Result: event.Result{Commit: pipelinerun.Verdict(object).Commit, Dirty: info.Dirty},
		app:    info.App, namespace: object.Namespace, repository: info.NodeRepository,
	}
	if info.DockerfileText != "" {
		if parsed, err := dockerfile.Parse(written(info.Dockerfile), []byte(info.DockerfileText)); err == nil {
			run.Dockerfile = parsed
		}
	}
	if run.Dockerfile == nil && !info.DeployOnly {
		run.check = func(_ context.Context, parsed *dockerfile.Dockerfile) error {
			return checkRepository(parsed, engine.Source{BuildArgs: pipelinerun.BuildArgs(object, installed.Engine()), Targets: []string{info.Target}}, nil)
		}
	}
	return run
}

// App returns the name of the app; empty if the run is none of an app.
func (r *Run) App() string { return r.app }

// Repository returns where nodes pull the image of the run, without tag.
func (r *Run) Repository() string { return r.repository }

// Unchecked reports whether the run has a Dockerfile that is only known once it is fetched.
func (r *Run) Unchecked() bool {
	return r.Object != nil && r.check != nil && !pipelinerun.Parse(r.Object).DeployOnly
}

// Tests reports whether the run tests the image.
func (r *Run) Tests() bool { return r.Object != nil && pipelinerun.Parse(r.Object).Test != nil }

// WatchOptions are choices of the caller of Watch.
type WatchOptions struct {
	// Timeout bounds the run and, after it, the rollout; zero means the run's own.
	Timeout time.Duration
	// WaitTimeout bounds how long a pod may wait for its first step, or a rollout may
	// make no progress; zero does not.
	WaitTimeout time.Duration
	// FailFast returns as soon as waiting cannot help, with an *event.Failure that is
	// Terminal. The run is not touched: to cancel it is the caller's decision.
	FailFast bool
	// NoRollout ends with the run.
	NoRollout bool
	// Confirm confirms the Dockerfile of a repository once it has been checked: the run fails
	// if nobody does.
	Confirm bool
	// UntilChecked ends as soon as the Dockerfile of a repository has been checked, or with
	// the run.
	UntilChecked bool
}

// Result is the result of watching.
type Result struct {
	event.Result
	// JUnit are the test results as JUnit XML; empty if there are none.
	JUnit []byte
	// Object is the run as it was seen last.
	Object *tektonv1.PipelineRun
}

// Watch reports a run to recorder until the run has ended and, if it deploys, until its
// rollout has ended. Several callers can watch one run at the same time: Watch changes
// nothing in the cluster, also if ctx ends. Only with options.Confirm it lets the run build
// what was checked.
//
// The error is an *event.Failure for a problem of the build, a *track.CanceledError, a
// *track.SupersededError if a later run of the app was deployed instead, the cause of
// ctx, or a problem of the cluster. The result is filled as far as it is known. The
// caller ends the events with recorder.Finish.
func Watch(ctx context.Context, clients follow.Clients, run *Run, recorder *track.Recorder, options WatchOptions) (Result, error) {
	result := Result{Result: run.Result, Object: run.Object}
	if run.Object == nil {
		return result, nil
	}
	info := pipelinerun.Parse(run.Object)
	options.Timeout = cmp.Or(options.Timeout, info.Timeout, defaultTimeout)
	tracker := track.NewTracker(recorder, installed.Engine(), info, run.Dockerfile)
	recorder.Begin(event.Queue)
	end, err := followRun(ctx, clients, run, tracker, options)
	result.take(end, tracker, run.repository)
	if err != nil || end == nil || !info.Deploys || options.NoRollout {
		return result, err
	}
	return result, watchRollout(ctx, clients.Kube, recorder, rolloutTarget{
		namespace: run.namespace, app: run.app, repository: run.repository, digest: result.Digest, sequence: info.Sequence,
	}, options)
}

// Replay reports what a run has done until now, and does not wait for more. It returns
// the run as it is.
func Replay(ctx context.Context, clients follow.Clients, run *Run, recorder *track.Recorder) (Result, error) {
	result := Result{Result: run.Result, Object: run.Object}
	events, err := follow.Past(ctx, clients, run.namespace, run.Object.Name)
	if err != nil {
		return result, err
	}
	tracker := track.NewTracker(recorder, installed.Engine(), pipelinerun.Parse(run.Object), run.Dockerfile)
	end := follow.Event{Run: run.Object}
	for e := range events {
		tracker.Handle(e)
		end = e
	}
	result.take(end.Run, tracker, run.repository)
	switch {
	case ctx.Err() != nil:
		return result, context.Cause(ctx)
	case end.Err != nil:
		return result, fmt.Errorf("follow run %s: %w", run.Object.Name, end.Err)
	}
	return result, nil
}

// take adds what a run and its log say.
func (r *Result) take(end *tektonv1.PipelineRun, tracker *track.Tracker, repository string) {
	r.JUnit, r.Tests = tracker.JUnit(), tracker.Tests()
	if end != nil {
		outcome := pipelinerun.Verdict(end)
		r.Object = end
		r.Digest = cmp.Or(r.Digest, outcome.Digest)
		r.Commit = cmp.Or(outcome.Commit, r.Commit)
	}
	if r.Digest != "" {
		r.Image = repository + "@" + r.Digest
	}
}

// followRun reports the run until it has ended, and returns it as it was seen last; nil
// if its end was not seen.
func followRun(ctx context.Context, clients follow.Clients, watched *Run, tracker *track.Tracker, options WatchOptions) (*tektonv1.PipelineRun, error) {
	run, check := watched.Object, watched.check
	// Tekton bounds the run; this bounds waiting for a server that is gone.
	limit := options.Timeout + timeoutSlack
	following, stop := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no end of it within %s; it may still continue in the cluster", limit))
	defer stop()
	events, err := follow.Run(following, clients, run.Namespace, run.Name, follow.WaitTimeout(options.WaitTimeout))
	var end follow.Event
	if err == nil {
		for e := range answering(following, clients.Kube, events, tracker.Recorder) {
			tracker.Handle(e)
			end = e
			if e.Hopeless && options.FailFast {
				return nil, &event.Failure{Message: e.Reason + ": " + e.Text, Reason: e.Reason, Advice: e.Advice, Terminal: true}
			}
			if _, _, fetched := tracker.Fetched(); !fetched || check == nil {
				continue
			}
			check = nil
			if failure := checkFetched(ctx, clients, watched, tracker, options); failure != nil && options.FailFast {
				return nil, failure
			}
			if options.UntilChecked {
				return nil, nil
			}
		}
		err = end.Err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil && end.Kind != follow.RunEnded {
		err = context.Cause(following)
	}
	if err != nil {
		return nil, fmt.Errorf("follow run %s: %w", run.Name, err)
	}
	if err := tracker.Verdict(end.Run); err != nil {
		return end.Run, err
	}
	tracker.Done()
	return end.Run, nil
}

// answering passes on the events of a run, and records in between that the API server gives no
// answer.
func answering(ctx context.Context, client kubernetes.Interface, events <-chan follow.Event, recorder *track.Recorder) iter.Seq[follow.Event] {
	return func(yield func(follow.Event) bool) {
		beating, stop := context.WithCancel(ctx)
		defer stop()
		heartbeat, silent := kube.Heartbeat(beating, client), time.Time{}
		for {
			select {
			case e, ok := <-events:
				if !ok || !yield(e) {
					return
				}
			case err := <-heartbeat:
				if err != nil {
					silent = time.Now()
					recorder.Wait("NoAnswer", err.Error()+"; the run continues in the cluster", "")
					continue
				}
				recorder.Notice("The API server answers again after " + display.Seconds(time.Since(silent)))
			}
		}
	}
}

// checkFetched checks the Dockerfile of a repository, which has just been fetched, and confirms
// it if that is asked for. It returns why the run must not build it, or cannot.
func checkFetched(ctx context.Context, clients follow.Clients, run *Run, tracker *track.Tracker, options WatchOptions) error {
	parsed, text, _ := tracker.Fetched()
	if failure := unfaithful(tracker.Recorder, run.check(ctx, parsed)); failure != nil || !options.Confirm {
		return failure
	}
	return Confirm(ctx, clients.Kube, run.Object.Namespace, run.Object.Name, text)
}

// Cancel asks for the end of a run, also after ctx has ended, and records why. It does not wait for
// it.
func Cancel(ctx context.Context, clients pipelinerun.Clients, run *Run, why pipelinerun.Ending) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer stop()
	return pipelinerun.Cancel(ctx, clients.Tekton, run.namespace, run.Object.Name, why)
}
