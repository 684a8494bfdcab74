//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// TestInterrupt interrupts a build. Its run is canceled.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "sleepy"
	build := ns.Start(t, nil, "build", "--port", "8000", env.Page(t, name, "", env.HeldInstruction))
	ns.Held(t, name)
	env.Check(t, build.Cmd.Process.Signal(syscall.SIGINT))
	if r := build.Ends(t); r.Code != 130 {
		t.Errorf("the exit code should have been 130\n%s", r)
	}
	env.Eventually(t, "wait for the run to be canceled", func(ctx context.Context) error {
		run := ns.RunsOf(t, name)[0]
		if !run.IsDone() || !run.IsCancelled() {
			return fmt.Errorf("the run is %+v", run.Status.Conditions)
		}
		if ns.Inside(ctx, name, "/bin/true") == nil {
			return errors.New("the build goes on")
		}
		return nil
	})
	snapshot, r := ns.Status(t)
	if last := snapshot.Runs[0]; last.State != status.RunCanceled || last.Reason != pipelinerun.ReasonInterrupted || last.Message == "" {
		t.Errorf("the last run should be canceled, with the reason\n%s", r)
	}
}

// TestHangup closes the terminal of a build: its run goes on, and its name is left behind.
func TestHangup(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "hangup"
	// Below nohup the program would ignore the signal, as it should; one that is caught here is not
	// ignored there.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
	build := ns.Start(t, nil, "build", "--no-deploy", env.Page(t, name, "", env.HeldInstruction))
	ns.Held(t, name)
	env.Check(t, build.Cmd.Process.Signal(syscall.SIGHUP))
	run := ns.RunsOf(t, name)[0].Name
	build.Ends(t).FailedWith(t, 129, "The run continues in the cluster: kubectl pyflow logs "+run+" -f")
	ns.Release(t, name)
	ns.Pyflow(t, "logs", "--build", run, "-f").Succeeded(t)
	if last := ns.RunList(t, name)[0]; last.State != status.RunSucceeded {
		t.Errorf("the run should go on: %+v", last)
	}
}

// TestInterruptTwice interrupts a build twice: the cluster does not answer the first
// time.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "impatient"
	way, kubeconfig := servers.NewLine(t, ns.Cluster)
	dir := env.Project(t, name, map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN sleep 600\n"})
	build := ns.Start(t, []string{"KUBECONFIG=" + kubeconfig}, "build", "--no-deploy", dir)
	build.Says(t, "RUN sleep 600")
	way.Freeze()
	env.Check(t, build.Cmd.Process.Signal(syscall.SIGINT))
	build.Says(t, "Canceling run "+name)
	env.Check(t, build.Cmd.Process.Signal(syscall.SIGINT))
	_ = build.Cmd.Wait()
	if status, ok := build.Cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("the second interrupt should end it at once, which %s\n%s", build.Cmd.ProcessState, build.Stderr)
	}
	// It has not reached the cluster, where the run goes on.
	run := ns.RunList(t, name)[0]
	ns.Pyflow(t, "cancel", run.Name).Succeeded(t)
	if run := ns.RunList(t, name)[0]; run.State != status.RunCanceled {
		t.Errorf("the run is %s", run.State)
	}
}

// TestDeletedRun takes a run away under those who watch it.
func TestDeletedRun(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "deleted"
	build := ns.Start(t, nil, "build", "--no-deploy", env.Project(t, name, map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN sleep 600\n"}))
	build.Says(t, "RUN sleep 600")
	run := ns.RunsOf(t, name)[0].Name
	env.Check(t, ns.Tekton.TektonV1().PipelineRuns(ns.Name).Delete(t.Context(), run, metav1.DeleteOptions{}))
	build.Ends(t).Failed(t, run, "the run was deleted")
}

// TestTogether builds one app twice at once: the one that began first is done last.
func TestTogether(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "together"
	older := ns.Start(t, nil, "build", env.Page(t, name, "the older one", env.HeldInstruction))
	ns.Held(t, name)
	digest, url := ns.Build(t, env.Page(t, name, "the newer one", "")).Released(t)
	newer := ns.RunsOf(t, name)[0].Name
	env.Serves(t, url, "the newer one")
	ns.Release(t, name)
	r := older.Ends(t).FailedWith(t, 1, "Superseded: run "+newer, "error: run "+newer+", which started later")
	if r.Stdout != "" {
		t.Errorf("stdout should be empty, as this image does not run\n%s", r)
	}
	env.Serves(t, url, "the newer one")
	snapshot, report := ns.Status(t)
	if app := env.App(t, snapshot, name); app.Digest != digest {
		t.Errorf("the newer one should run\n%s", report)
	}
	// All verbs call it what build has called it.
	for _, runs := range [][]status.Run{snapshot.Runs, ns.RunList(t, name)} {
		if last := runs[1]; last.State != status.RunSuperseded || !strings.Contains(last.Message, newer) {
			t.Errorf("the older run should be superseded: %+v", last)
		}
	}
	// Nothing is lost: the older one is in the registry, and can be deployed.
	for _, run := range ns.RunsOf(t, name) {
		if run.Name != newer {
			if pipelinerun.Verdict(&run).Digest == "" {
				t.Errorf("run %s has no image", run.Name)
			}
			_, url := ns.Pyflow(t, "rerun", run.Name).Released(t)
			env.Serves(t, url, "the older one")
		}
	}
}
