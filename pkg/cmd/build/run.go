package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/junit"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
)

// secondInterrupt is how long the first Ctrl-C waits for a second one, which leaves the
// run running.
const secondInterrupt = 1500 * time.Millisecond

// Run builds and deploys. It returns when every replica runs the new image, or with the
// reason why not. If ctx ends while the run is running, it cancels the run.
func (o *Options) Run(ctx context.Context) error {
	return o.run(ctx, func(env *build.Environment) (*build.Prepared, error) {
		return build.Prepare(ctx, env, o.build(o.notices(ctx)))
	})
}

// build returns the options of the build.
func (o *Options) build(notices []event.Event) build.Options {
	options := build.Options{
		App: o.App, Git: o.Git, Dockerfile: o.File, Target: o.Target, BuildArgs: o.BuildArgs, Secrets: o.Secrets,
		NoCache: o.NoCache, Force: o.Force, Test: o.Test, Timeout: o.timeout, Notices: notices,
		Resources: pipelinerun.Resources{CPU: o.CPU, Memory: o.Memory, Storage: o.Storage, NodeSelector: o.NodeSelector},
	}
	if o.Git == nil {
		options.Folder = &build.Folder{Dir: o.Dir, Dockerfile: o.Dockerfile, Files: o.Files}
	}
	if !o.NoDeploy {
		options.Release = &o.Release
	}
	return options
}

// notices reports what was found in a folder: for which project the Dockerfile was
// generated, and the number of lint findings, which do not fail the build.
func (o *Options) notices(ctx context.Context) []event.Event {
	if o.Found == nil {
		return nil
	}
	var notices []event.Event
	if o.Found.Detected != nil {
		notices = append(notices, event.Event{Message: o.Found.Summary() + "; --show-dockerfile prints it, kubectl pyflow init keeps it"})
		for _, warning := range o.Found.Warnings() {
			notices = append(notices, event.Event{Reason: event.Warning, Message: warning})
		}
	}
	report, err := lint.Run(ctx, lint.Options{
		Dir: o.Dir, Dockerfile: o.File, Content: o.Files[o.File], Ignore: o.Found.Ignore(), Target: o.Target,
	})
	if err != nil {
		return notices // the build fails with the error in the Dockerfile
	}
	if failures, warnings, _ := report.Count(); failures+warnings > 0 {
		notices = append(notices, event.Event{Message: report.Summary() + "; see them with " + o.lintCommand()})
	}
	return notices
}

// lintCommand returns the command that prints the lint findings of this build.
func (o *Options) lintCommand() string {
	args := []string{"kubectl", "pyflow", "lint", o.Dir}
	if o.Found.Detected != nil {
		args = append(args, "--variant", string(o.Found.Variant.Value))
	} else if o.File != cmp.Or(o.Found.Settings.Build.Dockerfile, project.Dockerfile) {
		args = append(args, "-f", o.File)
	}
	if o.Target != o.Found.Settings.Build.Target {
		args = append(args, "--target", o.Target)
	}
	return display.QuoteCommand(args...)
}

// run takes a build from its preparation, which finds every reason not to start before
// anything is shown, to its end.
func (s *session) run(ctx context.Context, prepare func(*build.Environment) (*build.Prepared, error)) error {
	env, err := build.Connect(ctx, s.clients, build.Permissions(s.clients.Namespace))
	if err != nil {
		return err
	}
	defer env.Close()
	prepared, err := prepare(env)
	if err != nil {
		return err
	}
	shown, err := buildview.New(s.mode, s.streams.Out, s.streams.ErrOut)
	if err != nil {
		return err
	}
	// Closed again below for its error; a second Close does nothing.
	defer shown.Close() //nolint:errcheck // the first one counts
	recorder := track.NewRecorder(prepared.App(), s.clients.Namespace, shown.Show)
	run, err := build.Start(ctx, prepared, recorder)
	if err == nil && s.detach && run.Object != nil {
		s.prune(ctx, env, run, recorder)
		return s.leave(shown, run)
	}
	var result build.Result
	if err == nil {
		result, err = s.watch(ctx, env, run, recorder)
	}
	err = recorder.Finish(ctx, result.Result, err)
	closing := shown.Close()
	if err == nil {
		err = closing
	}
	return err
}

// watch follows a run to its end. This is where interrupts and hopeless waiting cancel the
// run: watching alone never does.
func (s *session) watch(ctx context.Context, env *build.Environment, run *build.Run, recorder *track.Recorder) (build.Result, error) {
	clients := follow.Clients{Tekton: s.clients.Tekton, Kube: s.clients.Kube}
	result, err := build.Watch(ctx, clients, run, recorder, build.WatchOptions{Timeout: s.timeout, WaitTimeout: s.waitTimeout, FailFast: true})
	if err == nil {
		err = env.Measure(ctx, run, &result.Result)
	} else {
		s.cancel(ctx, run, result, recorder, err)
	}
	if writing := s.writeJUnit(recorder, run, result.JUnit); err == nil {
		err = writing
	}
	s.prune(ctx, env, run, recorder)
	return result, err
}

// cancel cancels a run that has not ended if the user interrupts the command, or if the
// run waits for something that cannot happen.
func (s *session) cancel(ctx context.Context, run *build.Run, result build.Result, recorder *track.Recorder, err error) {
	var failure *event.Failure
	terminal := errors.As(err, &failure) && failure.Terminal
	if run.Object == nil || pipelinerun.Verdict(result.Object).Done || !terminal && ctx.Err() == nil {
		return
	}
	if !terminal {
		s.announce(recorder, run.Object.Name)
	}
	if err := build.Cancel(ctx, pipelinerun.Clients{Tekton: s.clients.Tekton, Kube: s.clients.Kube}, run); err != nil {
		recorder.Warn(fmt.Sprintf("run %s continues: %v", run.Object.Name, err))
	}
}

// announce reports that the run is about to be canceled. At a terminal it waits for a
// second Ctrl-C, which ends the process and so leaves the run running.
func (s *session) announce(recorder *track.Recorder, run string) {
	if !display.IsTerminal(s.streams.ErrOut) {
		recorder.Notice("Canceling run " + run)
		return
	}
	recorder.Notice("Canceling run " + run + "; press Ctrl-C again to leave it running")
	<-time.After(secondInterrupt)
}

// writeJUnit writes the test results to the file of --junit, also those of failed tests.
func (s *session) writeJUnit(recorder *track.Recorder, run *build.Run, results []byte) error {
	switch {
	case s.junit == "":
		return nil
	case !run.Tests():
		recorder.Notice("Nothing was tested, because nothing has changed since the tests passed: " + s.junit + " is not written")
		return nil
	case len(results) == 0:
		recorder.Warn("the tests wrote no JUnit XML: " + s.junit + " is not written")
		return nil
	}
	if err := os.WriteFile(s.junit, results, 0o644); err != nil { //nolint:gosec // for everyone who reads reports
		return fmt.Errorf("--junit: %w", err)
	}
	if _, err := junit.Parse(results); err != nil {
		recorder.Warn("the content of " + s.junit + " is not JUnit XML, or is cut off: " + err.Error())
	}
	return nil
}

// leave prints the name of the run and how to follow it.
func (s *session) leave(shown buildview.View, run *build.Run) error {
	if err := shown.Close(); err != nil || s.mode == buildview.JSON {
		return err
	}
	name := run.Object.Name
	fmt.Fprintf(s.streams.ErrOut, "The run continues in the cluster: %s\n", display.QuoteCommand("kubectl", "pyflow", "logs", name, "-f"))
	_, err := fmt.Fprintln(s.streams.Out, name)
	return err
}

// prune deletes old runs. The next build can do it, so a failure is a warning.
func (s *session) prune(ctx context.Context, env *build.Environment, run *build.Run, recorder *track.Recorder) {
	if run.Object == nil || s.keep == 0 || ctx.Err() != nil {
		return
	}
	if err := env.Prune(ctx, run, s.keep); err != nil && ctx.Err() == nil {
		recorder.Warn(err.Error())
	}
}
