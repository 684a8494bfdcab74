//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// page is a project that serves text, after the Dockerfile's instructions more.
func page(t *testing.T, name, text, more string) string {
	t.Helper()
	return project(t, name, map[string]string{
		"Dockerfile": "FROM python:3.13-slim AS base\n" + more + "COPY index.html /app/\nWORKDIR /app\nEXPOSE 8000\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n",
		"index.html": text,
	})
}

// events reads what build -o json has printed.
func events(t *testing.T, r result) []event.Event {
	t.Helper()
	var events []event.Event
	decoder := json.NewDecoder(strings.NewReader(r.stdout))
	decoder.DisallowUnknownFields()
	for decoder.More() {
		var e event.Event
		if err := decoder.Decode(&e); err != nil {
			t.Fatalf("stdout should be events: %v\n%s", err, r)
		}
		events = append(events, e)
	}
	if len(events) < 2 || events[0].Type != event.Planned || events[len(events)-1].Type != event.Finished {
		t.Fatalf("the first event should be Planned and the last Finished\n%s", r)
	}
	return events
}

// runsOf lists an app's runs, newest first.
func (j *journey) runsOf(t *testing.T, app string) []tektonv1.PipelineRun {
	t.Helper()
	return slices.DeleteFunc(j.runs(t, j.namespace), func(run tektonv1.PipelineRun) bool { return run.Labels[manifests.LabelApp] != app })
}

// sideBySide are steps with apps of their own, which need not wait for each other.
func (j *journey) sideBySide(t *testing.T) {
	t.Run("three ways to build it", j.compare)
	t.Run("projects without a Dockerfile", j.detected)
	t.Run("tests", j.tests)
	t.Run("a new service, and a project that is there", j.initialize)
	t.Run("nothing has changed", j.unchanged)
	t.Run("settings of a build", j.settings)
	t.Run("a stage that is the test", j.testStage)
	t.Run("commits", j.commits)
	t.Run("logs of a run at work, and its end", j.logsAndCancel)
	t.Run("old runs go", j.retention)
	t.Run("a bundle for support", j.gather)
	t.Run("from git", j.git)
	t.Run("secrets", j.buildSecrets)
	t.Run("deliveries in the wrong order", j.sequence)
	t.Run("two at once", j.together)
	t.Run("a run that is deleted", j.deletedRun)
	t.Run("interrupted twice", j.impatient)
	t.Run("what keeps a build waiting", j.waitingBuild)
	t.Run("that fail", j.brokenBuilds)
}

// unchanged builds what is built, and what runs.
func (j *journey) unchanged(t *testing.T) {
	t.Parallel()
	j.forget(t, "same")
	j.forgetRuns(t, "same")
	dir := page(t, "same", "the same", "")
	r := j.pyflowBuild(t, dir, "-o", "json").succeeded(t)
	first := events(t, r)
	result := first[len(first)-1].Result
	var stages []event.Phase
	for _, stage := range result.Phases {
		stages = append(stages, stage.Phase)
	}
	if r.stderr != "" || !slices.Equal(stages, slices.DeleteFunc(event.Phases(), func(stage event.Phase) bool { return stage == event.Test })) || result.State != event.Succeeded || result.SizeBytes < 1<<20 ||
		!strings.HasSuffix(result.Image, "/same@"+result.Digest) || result.URL == "" || result.Unchanged {
		t.Errorf("the result is %+v\n%s", result, r)
	}
	var instructions []string
	for _, e := range first {
		if e.Type == event.InstructionStarted {
			instructions = append(instructions, strconv.Itoa(e.Instruction.Line))
		}
		if e.Run == "" && e.Phase == event.Build {
			t.Errorf("the event %+v has no run", e)
		}
	}
	if got := strings.Join(instructions, " "); got != "1 2 3 4 5" {
		t.Errorf("instructions of the lines %s were told", got)
	}
	serves(t, result.URL, "the same")

	before := len(j.runsOf(t, "same"))
	again := j.pyflowBuild(t, dir, "--quiet").succeeded(t)
	if again.stdout != result.Digest+"\n" || again.stderr != "" {
		t.Errorf("--quiet should print the digest only\n%s", again)
	}
	t.Logf("what runs already: %s", again.took)
	j.pyflowBuild(t, dir).succeeded(t).says(t, "runs already", "--force")
	j.pyflowBuild(t, dir, "--no-deploy").succeeded(t).says(t, "Nothing has changed")
	if after := len(j.runsOf(t, "same")); after != before {
		t.Errorf("%d runs were created for nothing", after-before)
	}

	// What somebody has changed in the cluster is delivered again, and not built.
	check(t, j.kube.CoreV1().Services(j.namespace).Delete(t.Context(), "same", metav1.DeleteOptions{}))
	repaired := j.pyflowBuild(t, dir)
	repaired.says(t, "delivered again")
	digest, url := repaired.released(t)
	if digest != result.Digest || strings.Contains(repaired.stderr, "Uploaded") {
		t.Errorf("the image %s should have been delivered again\n%s", result.Digest, repaired)
	}
	serves(t, url, "the same")
	if run := j.runsOf(t, "same")[0]; pipelinerun.Pipeline(&run) != manifests.DeliverPipelineName || pipelinerun.Verdict(&run).Digest != digest {
		t.Errorf("the last run is one of pipeline %q", pipelinerun.Pipeline(&run))
	}
	// Another setting is another image, and --force is one in any case.
	j.pyflowBuild(t, dir, "--force", "--no-deploy").succeeded(t).says(t, "Image pushed")

	// The same without this machine.
	check(t, os.RemoveAll(dir))
	runs := j.runsOf(t, "same")
	for _, name := range []string{runs[1].Name, runs[2].Name} {
		_, url = j.pyflow(t, "rerun", name, "-n", j.namespace).released(t)
		serves(t, url, "the same")
	}
}

// settings are those of a build that show in its pod and its image.
func (j *journey) settings(t *testing.T) {
	t.Parallel()
	j.forgetRuns(t, "settings")
	dir := project(t, "settings", map[string]string{
		"docker/web.Dockerfile": "ARG TAG=none\nFROM python:${TAG} AS test\nARG WORD\nRUN echo the word is $WORD\nFROM python:${TAG}\nRUN false\n",
	})
	r := j.pyflowBuild(t, dir, "-f", "docker/web.Dockerfile", "--target", "test", "--build-arg", "TAG=3.13-slim", "--build-arg", "WORD=edelweiss",
		"--cpu", "500m", "--memory", "1Gi", "--storage", "2Gi", "--node-selector", "kubernetes.io/os=linux", "--no-cache", "--no-deploy", "--timeout", "10m").succeeded(t)
	r.says(t, "the word is edelweiss", "docker/web.Dockerfile:4: RUN echo")
	run := j.runsOf(t, "settings")[0]
	pods, err := j.kube.CoreV1().Pods(j.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run.Name})
	check(t, err)
	if len(pods.Items) != 1 {
		t.Fatalf("a build without a delivery has %d pods", len(pods.Items))
	}
	pod := pods.Items[0]
	i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "step-build" })
	limits := pod.Spec.Containers[i].Resources.Limits
	if limits.Cpu().String() != "500m" || limits.Memory().String() != "1Gi" || limits.StorageEphemeral().String() != "2Gi" || pod.Spec.NodeSelector["kubernetes.io/os"] != "linux" {
		t.Errorf("the build has %v on %v", limits, pod.Spec.NodeSelector)
	}
	if _, err := j.kube.AppsV1().Deployments(j.namespace).Get(t.Context(), "settings", metav1.GetOptions{}); err == nil {
		t.Error("--no-deploy delivers")
	}
}

// commits are those that the source is of.
func (j *journey) commits(t *testing.T) {
	t.Parallel()
	j.forgetRuns(t, "versioned")
	dir := project(t, "versioned", map[string]string{"Dockerfile": "FROM scratch\nCOPY app.py /\n", "app.py": ""})
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "one")
	head := git("rev-parse", "HEAD")
	for _, dirty := range []bool{false, true} {
		if dirty {
			check(t, os.WriteFile(filepath.Join(dir, "app.py"), []byte("# changed"), 0o600))
		}
		r := j.pyflowBuild(t, dir, "--no-deploy", "-o", "json").succeeded(t)
		told := events(t, r)
		if result := told[len(told)-1].Result; result.Commit != head || result.Dirty != dirty {
			t.Errorf("the result has commit %s, dirty %t\n%s", result.Commit, result.Dirty, r)
		}
		if run := j.runList(t, "versioned")[0]; run.Commit != head || run.Dirty != dirty {
			t.Errorf("the run has commit %s, dirty %t", run.Commit, run.Dirty)
		}
	}
}

// brokenBuilds fail, and say where and why.
func (j *journey) brokenBuilds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dockerfile string
		args       []string
		words      []string
	}{
		"fails": {
			"FROM python:3.13-slim\n# one, in two lines\nRUN echo so far && \\\n  python -c 'import nothing_like_it'\n", nil,
			[]string{"Dockerfile:3: RUN echo so far", "ModuleNotFoundError: No module named 'nothing_like_it'", " 3 | >>> RUN echo so far && \\", " 4 | >>>   python -c", "exit code 1"},
		},
		"nobase": {
			"FROM python:3.13-slim AS a\nFROM python:0.0-none\nRUN true\n", nil,
			[]string{"Dockerfile:2: FROM python:0.0-none: ", "no such base image", "hint: "},
		},
		"nofile": {
			"FROM python:3.13-slim\nRUN true\nCOPY absent.txt /\n", nil,
			[]string{"Dockerfile:3: COPY absent.txt /: absent.txt is not in the build context", "hint: check the path"},
		},
		"nomemory": {
			"FROM python:3.13-slim\nRUN python -c 'x = [bytearray(1 << 24) for _ in range(200)]; print(\"sur\" + \"vived\")'\n",
			[]string{"--memory", "400Mi"},
			[]string{"Dockerfile:2: RUN python -c", "memory", "hint: ", "--memory"},
		},
		"nostorage": {
			"FROM python:3.13-slim\nRUN head -c 700M /dev/zero > /large && sleep 300\n",
			[]string{"--storage", "500Mi"},
			[]string{"Dockerfile:2: RUN head", "Evicted", "hint: ", "--storage"},
		},
		"notime": {
			"FROM python:3.13-slim\nRUN sleep 300\n",
			[]string{"--timeout", "50s"},
			[]string{"Dockerfile:2: RUN sleep 300: it took too long", "hint: ", "--timeout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j.forgetRuns(t, name)
			dir := project(t, name, map[string]string{"Dockerfile": test.dockerfile})
			r := j.pyflowBuild(t, append([]string{dir, "--no-deploy"}, test.args...)...).failed(t, test.words...)
			if r.stdout != "" || strings.Contains(r.stderr, "survived") {
				t.Errorf("stdout should be empty\n%s", r)
			}
			if strings.Count(r.stderr, "\nerror: ") != 1 {
				t.Errorf("there should be one error\n%s", r)
			}
		})
	}
}

// together builds one app twice at once: the one that began first is done last.
func (j *journey) together(t *testing.T) {
	t.Parallel()
	const name = "together"
	j.forget(t, name)
	j.forgetRuns(t, name)
	older := j.start(t, "build", "-n", j.namespace, page(t, name, "the older one", "RUN for i in $(seq 600); do [ -e /go ] && break; sleep 1; done\n"))
	eventually(t, "wait for the first build to be under way", func(ctx context.Context) error {
		return j.inside(ctx, name, "/usr/bin/test", "-d", "/usr/local/lib/python3.13")
	})
	digest, url := j.pyflowBuild(t, page(t, name, "the newer one", "")).released(t)
	newer := j.runsOf(t, name)[0].Name
	serves(t, url, "the newer one")
	check(t, j.inside(t.Context(), name, "/usr/bin/touch", "/go"))
	r := older.ends(t).succeeded(t)
	r.says(t, "Superseded", newer)
	if r.stdout != "" {
		t.Errorf("stdout should be empty, as this image does not run\n%s", r)
	}
	serves(t, url, "the newer one")
	status, report := j.status(t, j.namespace)
	if app := app(t, status, name); app.Digest != digest {
		t.Errorf("the newer one should run\n%s", report)
	}
	// Nothing is lost: the older one is in the registry, and can be delivered.
	for _, run := range j.runsOf(t, name) {
		if run.Name != newer {
			if pipelinerun.Verdict(&run).Digest == "" {
				t.Errorf("run %s has no image", run.Name)
			}
			_, url := j.pyflow(t, "rerun", run.Name, "-n", j.namespace).released(t)
			serves(t, url, "the older one")
		}
	}
}

// inside runs a command of the base image where an app's image is being built.
func (j *journey) inside(ctx context.Context, app string, args ...string) error {
	pods, err := j.kube.CoreV1().Pods(j.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: manifests.LabelApp + "=" + app + ",tekton.dev/pipelineTask=" + manifests.BuildTask, FieldSelector: "status.phase=Running",
	})
	if err != nil {
		return err
	}
	if len(pods.Items) != 1 {
		return fmt.Errorf("%d pods build %s", len(pods.Items), app)
	}
	exec := append([]string{"exec", "-n", j.namespace, pods.Items[0].Name, "-c", "step-" + manifests.BuildTask, "--"}, args...)
	if out, err := j.command(ctx, "kubectl", exec...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// brokenWays are what a build goes through when its way to the cluster breaks, and
// when the API server starts again.
func (j *journey) brokenWays(t *testing.T) {
	t.Run("while its log is followed", j.disconnected)
	t.Run("while a large context is sent", j.bigContext)
}

// disconnected follows a build: every line comes once, in order.
func (j *journey) disconnected(t *testing.T) {
	t.Parallel()
	const name, lines = "talkative", 300
	j.forgetRuns(t, name)
	dir := project(t, name, map[string]string{
		"Dockerfile": fmt.Sprintf("FROM python:3.13-slim\nRUN for i in $(seq %d); do echo line $i of it; sleep 0.1; done\n", lines),
	})
	way, kubeconfig := j.newLine(t)
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := j.command(ctx, "kubectl", "pyflow", "build", "-n", j.namespace, "--no-deploy", dir)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	stderr := &output{}
	cmd.Stdout, cmd.Stderr = &output{}, stderr
	check(t, cmd.Start())
	said := func(line int) {
		t.Helper()
		eventually(t, fmt.Sprintf("wait for line %d", line), func(context.Context) error {
			if !strings.Contains(stderr.String(), fmt.Sprintf("line %d of it", line)) {
				return errors.New(stderr.String())
			}
			return nil
		})
	}
	for _, line := range []int{20, 60} {
		said(line)
		way.cut()
	}
	said(100)
	if os.Getenv("PYFLOW_CLUSTER_TOOL") != "" {
		j.machine(t).run(t, "restart-apiserver").succeeded(t)
	}
	r := finish(t, cmd, cmd.Wait).succeeded(t)
	told := regexp.MustCompile(`\[build\] line (\d+) of it`).FindAllStringSubmatch(r.stderr, -1)
	for i, line := range told {
		if line[1] != strconv.Itoa(i+1) {
			t.Fatalf("line %s comes where %d should\n%s", line[1], i+1, r)
		}
	}
	if len(told) != lines {
		t.Errorf("%d of %d lines were told\n%s", len(told), lines, r)
	}
}

// deletedRun takes a run away under those who watch it.
func (j *journey) deletedRun(t *testing.T) {
	t.Parallel()
	const name = "deleted"
	build := j.start(t, "build", "-n", j.namespace, "--no-deploy", project(t, name, map[string]string{"Dockerfile": "FROM python:3.13-slim\nRUN sleep 600\n"}))
	build.says(t, "RUN sleep 600")
	run := j.runsOf(t, name)[0].Name
	check(t, j.tekton.TektonV1().PipelineRuns(j.namespace).Delete(t.Context(), run, metav1.DeleteOptions{}))
	build.ends(t).failed(t, run, "the run was deleted")
}

// impatient interrupts twice: the cluster does not answer the first time.
func (j *journey) impatient(t *testing.T) {
	t.Parallel()
	const name = "impatient"
	j.forgetRuns(t, name)
	way, kubeconfig := j.newLine(t)
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	cmd := j.command(ctx, "kubectl", "pyflow", "build", "-n", j.namespace, "--no-deploy", project(t, name, map[string]string{"Dockerfile": "FROM python:3.13-slim\nRUN sleep 600\n"}))
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	stderr := &output{}
	cmd.Stdout, cmd.Stderr = &output{}, stderr
	check(t, cmd.Start())
	says := func(text string) {
		t.Helper()
		eventually(t, "wait for "+text, func(context.Context) error {
			if !strings.Contains(stderr.String(), text) {
				return errors.New(stderr.String())
			}
			return nil
		})
	}
	says("RUN sleep 600")
	way.freeze()
	check(t, cmd.Process.Signal(syscall.SIGINT))
	says("Canceling run " + name)
	check(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("the second interrupt should end it at once, which %s\n%s", cmd.ProcessState, stderr)
	}
	// It has not reached the cluster, where the run goes on.
	run := j.runList(t, name)[0]
	j.pyflow(t, "cancel", run.Name, "-n", j.namespace).succeeded(t)
	if run := j.runList(t, name)[0]; run.State != "Cancelled" {
		t.Errorf("the run is %s", run.State)
	}
}
