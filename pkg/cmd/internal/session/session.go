package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/remove"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/signing"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/open"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// secondInterrupt is how long the first Ctrl-C waits for a second one, which leaves the
// run running.
const secondInterrupt = 1500 * time.Millisecond

// ErrHangup is the cause of a context that ended because the terminal was closed.
var ErrHangup = errors.New("the terminal was closed")

// Session is a run that a verb starts and watches.
type Session struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams

	Mode buildview.Mode
	// Detach ends with the start of the run.
	Detach bool
	// Names prints the run of Detach as kubectl names it, and nothing else to standard output.
	Names bool
	// Timeout bounds the run and, after it, the rollout.
	Timeout time.Duration
	// WaitTimeout bounds how long nothing may make progress; zero does not.
	WaitTimeout time.Duration
	// Keep is the number of finished runs of the app to keep; zero keeps all.
	Keep int
	// KeepReleases is the number of releases of the app to keep on record; zero keeps all.
	KeepReleases int
	// Atomic rolls back a release whose deployment or rollout fails.
	Atomic bool
	// Tags are added to the image when everything has succeeded.
	Tags []string
	// Attest attaches to the image what is known of it, after everything else.
	Attest *signing.Attest
	// JUnit is the file for the test results; empty is none.
	JUnit string
	// Open opens the app after the rollout.
	Open bool
	// Then does what is left to do with the image when the run has succeeded; nil does nothing.
	Then func(ctx context.Context, env *build.Environment, result event.Result, recorder *track.Recorder) error
}

// Run prepares a build, starts it and watches it until its app has rolled out. Nothing is
// shown before prepare has returned, as it finds every reason not to start. If ctx ends
// while the run is running, Run cancels the run, unless the cause is ErrHangup.
func (s *Session) Run(ctx context.Context, prepare func(*build.Environment) (*build.Prepared, error)) error {
	env, err := build.Connect(ctx, s.Clients, build.Permissions(s.Clients.Namespace))
	if err != nil {
		return err
	}
	defer env.Close()
	if err := s.Attest.Open(ctx, s.Clients.Kube, s.Streams); err != nil {
		return err
	}
	prepared, err := prepare(env)
	if err != nil {
		return err
	}
	for _, tag := range s.Tags {
		if pipelinerun.NumberOf(prepared.App(), tag) > 0 {
			return option.Usagef("--tag %s is a name of a run, whose image has it as its tag: choose another one", tag)
		}
	}
	results := s.Streams.Out
	if s.Names {
		results = io.Discard
	}
	shown, err := buildview.New(s.Mode, results, s.Streams.ErrOut)
	if err != nil {
		return err
	}
	// Closed again below for its error; a second Close does nothing.
	defer shown.Close() //nolint:errcheck // the first one counts
	recorder := track.NewRecorder(prepared.App(), s.Clients.Namespace, shown.Show)
	run, err := build.Start(ctx, prepared, recorder)
	if err == nil && s.Detach {
		err = s.checked(ctx, run, recorder)
	}
	if err == nil && s.Detach && run.Object != nil {
		s.prune(ctx, env, run, recorder)
		return s.leave(shown, run)
	}
	var result build.Result
	if err == nil {
		result, err = s.watch(ctx, env, run, recorder)
		err = s.failed(ctx, env, run, recorder, shown, err)
	}
	err = recorder.Finish(ctx, result.Result, err)
	closing := shown.Close()
	if err == nil {
		err = closing
	}
	if err == nil && s.Open && run.Deploys {
		return open.New(s.Clients, s.Streams, prepared.App()).Run(ctx)
	}
	return err
}

// checked waits until the Dockerfile of a repository has been checked, which nobody does who does
// not watch. It cancels a run that would build it differently.
func (s *Session) checked(ctx context.Context, run *build.Run, recorder *track.Recorder) error {
	if !run.Unchecked() {
		return nil
	}
	clients := follow.Clients{Tekton: s.Clients.Tekton, Kube: s.Clients.Kube}
	result, err := build.Watch(ctx, clients, run, recorder, build.WatchOptions{
		Timeout: s.Timeout, WaitTimeout: s.WaitTimeout, FailFast: true, NoRollout: true, Confirm: true, UntilChecked: true,
	})
	if err != nil {
		s.cancel(ctx, run, result, recorder, err)
	}
	return err
}

// watch follows a run to its end. Watching alone never cancels a run; cancel does it
// after an interrupt, or if the run cannot succeed.
func (s *Session) watch(ctx context.Context, env *build.Environment, run *build.Run, recorder *track.Recorder) (build.Result, error) {
	clients := follow.Clients{Tekton: s.Clients.Tekton, Kube: s.Clients.Kube}
	result, err := build.Watch(ctx, clients, run, recorder, s.watching())
	if err == nil {
		s.tidy(ctx, run, recorder)
		if err = env.Tag(ctx, run.App(), result.Digest, s.Tags); err == nil && len(s.Tags) > 0 {
			recorder.Notice("Tagged the image: " + strings.Join(s.Tags, ", "))
		}
		if err == nil {
			err = env.Measure(ctx, run, &result.Result)
		}
		if err == nil && s.Then != nil {
			err = s.Then(ctx, env, result.Result, recorder)
		}
		if err == nil {
			err = s.Attest.Run(ctx, env, images.Name{App: run.App(), Digest: result.Digest}, s.Timeout, s.WaitTimeout, recorder)
		}
	} else {
		s.cancel(ctx, run, result, recorder, err)
	}
	if writing := s.writeJUnit(recorder, run, result.JUnit); err == nil {
		err = writing
	}
	s.prune(ctx, env, run, recorder)
	return result, err
}

// tidy deletes what the program generated for releases before the live one and the live one does
// not have, and names the rest. The next build can do it, so a failure is a warning.
func (s *Session) tidy(ctx context.Context, run *build.Run, recorder *track.Recorder) {
	if run.Object == nil || !run.Deploys {
		return
	}
	obsolete, err := remove.DeleteObsolete(ctx, s.Clients, run.App(), pipelinerun.Parse(run.Object).Sequence)
	for _, object := range obsolete.Deleted {
		recorder.Notice("Deleted " + object + ", which this release does not have")
	}
	if len(obsolete.Left) > 0 {
		recorder.Notice("This release does not have " + strings.Join(obsolete.Left, ", ") + ", which an earlier one deployed: delete what you do not need")
	}
	if err != nil && ctx.Err() == nil {
		recorder.Warn(err.Error())
	}
}

// watching is how a run is watched that the session has started.
func (s *Session) watching() build.WatchOptions {
	return build.WatchOptions{Timeout: s.Timeout, WaitTimeout: s.WaitTimeout, FailFast: true, Confirm: true}
}

// failed keeps on the run that its rollout failed or that it is superseded, and rolls back if that
// is wanted. It returns err with what came of that.
func (s *Session) failed(ctx context.Context, env *build.Environment, run *build.Run, recorder *track.Recorder, shown buildview.View, err error) error {
	var failure *event.Failure
	if ctx.Err() != nil || err == nil {
		return err
	}
	if marking := env.MarkFailed(ctx, run, err); marking != nil {
		recorder.Warn(marking.Error())
	}
	if !s.Atomic || !errors.As(err, &failure) {
		return err
	}
	if failure.Phase == "" {
		failure.Phase = recorder.Phase()
	}
	recorder.End(event.Failed, "")
	back, undoing := env.Undo(ctx, run, err, track.NewRecorder(run.App(), s.Clients.Namespace, shown.Show), s.watching())
	switch {
	case undoing != nil:
		recorder.Warn(fmt.Sprintf("the rollback to release %d failed: %v", back, undoing))
	case back > 0:
		failure.Message += fmt.Sprintf("; release %d is live again", back)
	}
	return err
}

// decision is what the verb does with a run that it stops watching.
type decision int

const (
	// leaveAlone does nothing: the run has ended, or it can still succeed.
	leaveAlone decision = iota
	// giveUp cancels a run that waits for something that cannot happen.
	giveUp
	// interrupt cancels a run because the user interrupted the command.
	interrupt
)

// decide returns what to do with a run after watching it ended with err. The run is
// canceled only if it has not ended and either the user interrupted the command or the
// run cannot succeed: an error of the connection leaves it alone.
func decide(run *build.Run, result build.Result, interrupted bool, err error) decision {
	var failure *event.Failure
	switch {
	case err == nil || run.Object == nil || pipelinerun.Verdict(result.Object).Done:
		return leaveAlone
	case errors.As(err, &failure) && failure.Terminal:
		return giveUp
	case interrupted:
		return interrupt
	}
	return leaveAlone
}

// cancel cancels the run if that is the decision.
func (s *Session) cancel(ctx context.Context, run *build.Run, result build.Result, recorder *track.Recorder, err error) {
	why := pipelinerun.Ending{Reason: pipelinerun.ReasonInterrupted, Message: "the command that started the run was interrupted"}
	switch decide(run, result, ctx.Err() != nil, err) {
	case leaveAlone:
		return
	case interrupt:
		if errors.Is(context.Cause(ctx), ErrHangup) {
			// Whoever redirects standard error, or looks at the runs, finds the name.
			recorder.Notice("The terminal was closed. The run continues in the cluster: " + display.QuoteCommand("kubectl", "pyflow", "logs", run.Object.Name, "-f"))
			return
		}
		s.announce(recorder, run.Object.Name)
	case giveUp:
		why = pipelinerun.Ending{Reason: "GivenUp", Message: err.Error()}
		var failure *event.Failure
		if errors.As(err, &failure) && failure.Reason != "" {
			why.Reason, why.Message = failure.Reason, strings.TrimPrefix(failure.Message, failure.Reason+": ")
		}
	}
	if err := build.Cancel(ctx, pipelinerun.Clients{Tekton: s.Clients.Tekton, Kube: s.Clients.Kube}, run, why); err != nil {
		recorder.Warn(fmt.Sprintf("run %s continues: %v", run.Object.Name, err))
	}
}

// announce reports that the run is about to be canceled. At a terminal it waits for a
// second Ctrl-C, which ends the process and so leaves the run running.
func (s *Session) announce(recorder *track.Recorder, run string) {
	if !display.IsTerminal(s.Streams.ErrOut) {
		recorder.Notice("Canceling run " + run)
		return
	}
	recorder.Notice("Canceling run " + run + "; press Ctrl-C again to leave it running")
	<-time.After(secondInterrupt)
}

// writeJUnit writes the test results to the file of --junit, also those of failed tests.
func (s *Session) writeJUnit(recorder *track.Recorder, run *build.Run, results []byte) error {
	switch {
	case s.JUnit == "":
		return nil
	case !run.Tests():
		recorder.Notice("Nothing was tested, because nothing has changed since the tests passed: " + s.JUnit + " is not written")
		return nil
	case len(results) == 0:
		recorder.Warn("the tests wrote no JUnit XML: " + s.JUnit + " is not written")
		return nil
	}
	if err := os.WriteFile(s.JUnit, results, 0o644); err != nil { //nolint:gosec // for everyone who reads reports
		return fmt.Errorf("--junit: %w", err)
	}
	if _, err := junit.Parse(results); err != nil {
		recorder.Warn("the content of " + s.JUnit + " is not JUnit XML, or is cut off: " + err.Error())
	}
	return nil
}

// leave prints the name of the run and how to follow it.
func (s *Session) leave(shown buildview.View, run *build.Run) error {
	if err := shown.Close(); err != nil || s.Mode == buildview.JSON {
		return err
	}
	name := run.Object.Name
	fmt.Fprintf(s.Streams.ErrOut, "The run continues in the cluster: %s\n", display.QuoteCommand("kubectl", "pyflow", "logs", name, "-f"))
	if s.Names {
		name = "pipelinerun.tekton.dev/" + name
	}
	_, err := fmt.Fprintln(s.Streams.Out, name)
	return err
}

// prune deletes old runs and releases. The next build can do it, so a failure is a warning.
func (s *Session) prune(ctx context.Context, env *build.Environment, run *build.Run, recorder *track.Recorder) {
	if run.Object == nil || ctx.Err() != nil {
		return
	}
	if err := env.Prune(ctx, run, s.Keep, s.KeepReleases); err != nil && ctx.Err() == nil {
		recorder.Warn(err.Error())
	}
}
