//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestUnchanged builds an unchanged folder again, which repairs the running app.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Page(t, "same", "the same", "")
	r := ns.Build(t, dir, "-o", "json").Succeeded(t)
	first := env.Events(t, r)
	result := first[len(first)-1].Result
	var stages []event.Phase
	for _, stage := range result.Phases {
		stages = append(stages, stage.Phase)
	}
	if r.Stderr != "" || !slices.Equal(stages, slices.DeleteFunc(event.Phases(), func(stage event.Phase) bool { return stage == event.Test })) || result.State != event.Succeeded || result.SizeBytes < 1<<19 ||
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
		t.Errorf("instructions of the lines %s were reported", got)
	}
	env.Serves(t, result.URL, "the same")

	before := len(ns.RunsOf(t, "same"))
	again := ns.Build(t, dir, "--quiet").Succeeded(t)
	if again.Stdout != result.Digest+"\n" || again.Stderr != "" {
		t.Errorf("--quiet should print the digest only\n%s", again)
	}
	t.Logf("what runs already: %s", again.Took)
	ns.Build(t, dir).Succeeded(t).Says(t, "the release is already running", "--force")
	ns.Build(t, dir, "--no-deploy").Succeeded(t).Says(t, "Nothing has changed")
	if after := len(ns.RunsOf(t, "same")); after != before {
		t.Errorf("%d runs were created for nothing", after-before)
	}

	// A change in the cluster is reverted without a build.
	env.Check(t, ns.Kube.CoreV1().Services(ns.Name).Delete(t.Context(), "same", metav1.DeleteOptions{}))
	repaired := ns.Build(t, dir)
	repaired.Says(t, "deploying it again")
	digest, url := repaired.Released(t)
	if digest != result.Digest || strings.Contains(repaired.Stderr, "Uploaded") {
		t.Errorf("the image %s should have been deployed again\n%s", result.Digest, repaired)
	}
	env.Serves(t, url, "the same")
	if run := ns.RunsOf(t, "same")[0]; pipelinerun.Parse(&run).Pipeline != manifests.DeliverPipelineName || pipelinerun.Verdict(&run).Digest != digest {
		t.Errorf("the last run is one of pipeline %q", pipelinerun.Parse(&run).Pipeline)
	}
	// Another setting makes another image, and --force always builds.
	ns.Build(t, dir, "--force", "--no-deploy").Succeeded(t).Says(t, "Pushed the image")

	// The same without files of this machine.
	env.Check(t, os.RemoveAll(dir))
	runs := ns.RunsOf(t, "same")
	for _, name := range []string{runs[1].Name, runs[2].Name} {
		_, url = ns.Pyflow(t, "rerun", name).Released(t)
		env.Serves(t, url, "the same")
	}
}

// TestBuildSettings checks that the settings of a build are in its pod and its image.
func TestBuildSettings(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "settings", map[string]string{
		"docker/web.Dockerfile": "ARG TAG=none\nFROM busybox:${TAG} AS test\nARG WORD\nRUN echo the word is $WORD\nFROM busybox:${TAG}\nRUN false\n",
	})
	r := ns.Build(t, dir, "-f", "docker/web.Dockerfile", "--target", "test", "--build-arg", "TAG=1.37", "--build-arg", "WORD=edelweiss",
		"--cpu", "500m", "--memory", "1Gi", "--storage", "2Gi", "--node-selector", "kubernetes.io/os=linux", "--no-cache", "--no-deploy", "--timeout", "10m").Succeeded(t)
	r.Says(t, "the word is edelweiss", "docker/web.Dockerfile:4: RUN echo")
	run := ns.RunsOf(t, "settings")[0]
	pods, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run.Name})
	env.Check(t, err)
	if len(pods.Items) != 1 {
		t.Fatalf("a build without a deployment has %d pods", len(pods.Items))
	}
	pod := pods.Items[0]
	i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "step-build" })
	limits := pod.Spec.Containers[i].Resources.Limits
	if limits.Cpu().String() != "500m" || limits.Memory().String() != "1Gi" || limits.StorageEphemeral().String() != "2Gi" || pod.Spec.NodeSelector["kubernetes.io/os"] != "linux" {
		t.Errorf("the build has %v on %v", limits, pod.Spec.NodeSelector)
	}
	if _, err := ns.Kube.AppsV1().Deployments(ns.Name).Get(t.Context(), "settings", metav1.GetOptions{}); err == nil {
		t.Error("--no-deploy deploys")
	}
}

// TestCommits checks that the result and the run name the commit of the source.
func TestCommits(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "versioned", map[string]string{"Dockerfile": "FROM scratch\nCOPY app.py /\n", "app.py": ""})
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
			env.Check(t, os.WriteFile(filepath.Join(dir, "app.py"), []byte("# changed"), 0o600))
		}
		r := ns.Build(t, dir, "--no-deploy", "-o", "json").Succeeded(t)
		printed := env.Events(t, r)
		if result := printed[len(printed)-1].Result; result.Commit != head || result.Dirty != dirty {
			t.Errorf("the result has commit %s, dirty %t\n%s", result.Commit, result.Dirty, r)
		}
		if run := ns.RunList(t, "versioned")[0]; run.Commit != head || run.Dirty != dirty {
			t.Errorf("the run has commit %s, dirty %t", run.Commit, run.Dirty)
		}
	}
}

// TestFailedBuild checks that a failed build leaves a failed run and nothing else.
func TestFailedBuild(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "broken", map[string]string{
		"Dockerfile": "FROM " + env.SmallBase + "\nRUN echo about to fail && exit 3\nCMD [\"true\"]\n",
	})
	r := ns.Build(t, dir, "--port", "8000").Failed(t, "about to fail && exit 3")
	if env.DigestPattern.MatchString(r.Stdout) {
		t.Errorf("stdout should have no digest\n%s", r)
	}
	if run := ns.Runs(t)[0]; run.Labels[manifests.LabelApp] != "broken" || !run.IsFailure() {
		t.Errorf("the run should have failed: %+v", run.Status.Conditions)
	}
	snapshot, r := ns.Status(t)
	deployed := slices.ContainsFunc(snapshot.Apps, func(app status.App) bool { return app.Name == "broken" })
	if !snapshot.Healthy || deployed || snapshot.Runs[0].State != status.RunFailed {
		t.Errorf("a failed build is a failed run and nothing more\n%s", r)
	}
}

// TestUnparsableDockerfile checks that the error comes before a run is created.
func TestUnparsableDockerfile(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	before := len(ns.Runs(t))
	dir := env.Project(t, "unparsable", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUNN pip install nothing\n"})
	ns.Build(t, dir, "--port", "8000").Failed(t, "Dockerfile:2", "RUNN")
	if after := len(ns.Runs(t)); after != before {
		t.Errorf("%d runs were created", after-before)
	}
}

// TestCrashingApp deploys a release that exits immediately. The previous one keeps serving.
func TestCrashingApp(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	const name = "crashing"
	dir := env.Project(t, name, map[string]string{
		"Dockerfile": "FROM " + env.PythonBase + "\nCOPY main.py /app/\nEXPOSE 8000\nCMD [\"python\", \"/app/main.py\"]\n",
		"main.py":    "import http.server\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port=8000)\n",
	})
	_, url := ns.Build(t, dir, "--replicas", "2").Released(t)
	env.Serves(t, url, "Directory listing")
	env.Check(t, os.WriteFile(filepath.Join(dir, "main.py"), []byte("import nosuchmodule\n"), 0o600))
	r := ns.Build(t, dir, "--replicas", "2")
	r.Failed(t, "CrashLoopBackOff", "ModuleNotFoundError: No module named 'nosuchmodule' (/app/main.py:",
		"hint: the image has no module nosuchmodule: add its package to the dependencies")
	if env.DigestPattern.MatchString(r.Stdout) && env.URLPattern.MatchString(r.Stdout) {
		t.Errorf("stdout should not look like a release\n%s", r)
	}
	body, err := env.Get(t.Context(), url)
	if err != nil || !strings.Contains(body, "Directory listing") {
		t.Errorf("the previous release should still answer: %v %s", err, body)
	}
	status, report := ns.Status(t)
	if app := env.App(t, status, name); status.Healthy || app.Healthy || app.Ready != 2 || !strings.Contains(app.Message, "exited with code 1") {
		t.Errorf("the app should be unhealthy for its new pods, with the old ones ready\n%s", report)
	}
	// Without --exit-code the report itself succeeds.
	ns.Pyflow(t, "status").Succeeded(t).Prints(t, "Unhealthy", "exited with code 1")
	ns.Pyflow(t, "runs").Succeeded(t).Prints(t, "Failed (CrashLoopBackOff)")
	if got := releases(t, ns, name); states(got) != "2 Failed, 1 Live" && states(got) != "2 Failed, 1 Replaced" {
		t.Errorf("the releases are %s", states(got))
	}

	// It goes back by itself to the last release that worked, and what failed stays known.
	env.Check(t, os.WriteFile(filepath.Join(dir, "main.py"), []byte("import nosuchmodule, another\n"), 0o600))
	ns.Build(t, dir, "--replicas", "2", "--atomic").Failed(t, "CrashLoopBackOff", "release 1 is live again").Says(t, "Rolling back to release 1")
	env.Serves(t, url, "Directory listing")
	got := releases(t, ns, name)
	if states(got) != "4 Live, 3 Failed, 2 Failed, 1 Replaced" || got[1].Reason != "CrashLoopBackOff" || !strings.Contains(got[1].Message, "nosuchmodule") {
		t.Errorf("the releases are %s: %+v", states(got), got)
	}
	if status, report := ns.Status(t); !env.App(t, status, name).Healthy {
		t.Errorf("the app should be healthy again\n%s", report)
	}
}

// TestBrokenBuilds checks that failed builds report where and why.
func TestBrokenBuilds(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
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
			"FROM " + env.SmallBase + " AS a\nFROM python:0.0-none\nRUN true\n", nil,
			[]string{"Dockerfile:2: FROM python:0.0-none: ", "no such base image", "hint: "},
		},
		"nofile": {
			"FROM " + env.SmallBase + "\nRUN true\nCOPY absent.txt /\n", nil,
			[]string{"Dockerfile:3: COPY absent.txt /: the directory has no absent.txt", "hint: check the path"},
		},
		"nomemory": {
			// tail keeps a line that has no end.
			"FROM " + env.SmallBase + "\nRUN head -c 3000m /dev/zero | tail > /dev/null && echo sur\"\"vived\n",
			[]string{"--memory", "400Mi"},
			[]string{"Dockerfile:2: RUN head", "memory", "hint: ", "--memory"},
		},
		"nostorage": {
			"FROM " + env.SmallBase + "\nRUN head -c 700m /dev/zero > /large && sleep 300\n",
			[]string{"--storage", "500Mi"},
			[]string{"Dockerfile:2: RUN head", "Evicted", "hint: ", "--storage"},
		},
		"notime": {
			"FROM " + env.SmallBase + "\nRUN sleep 300\n",
			[]string{"--timeout", "25s"},
			[]string{"Dockerfile:2: RUN sleep 300: it took too long", "hint: ", "--timeout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := env.Project(t, name, map[string]string{"Dockerfile": test.dockerfile})
			r := ns.Build(t, append([]string{dir, "--no-deploy"}, test.args...)...).Failed(t, test.words...)
			if r.Stdout != "" || strings.Contains(r.Stderr, "survived") {
				t.Errorf("stdout should be empty\n%s", r)
			}
			if strings.Count("\n"+r.Stderr, "\nerror: ") != 1 {
				t.Errorf("there should be one error\n%s", r)
			}
		})
	}
}

// TestRefusedContext builds a folder with files that it may not read. The error names all of
// them, and nothing is uploaded.
func TestRefusedContext(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	dir := env.Project(t, "refused", map[string]string{"Dockerfile": "FROM scratch\nCOPY main.py /\n", "main.py": "", "private/key": "x", "private/token": "x"})
	env.Check(t, os.Symlink("/etc/passwd", filepath.Join(dir, "outside")))
	env.Check(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	env.Check(t, os.Chmod(filepath.Join(dir, "private", "key"), 0))
	env.Check(t, os.Chmod(filepath.Join(dir, "private", "token"), 0))
	runs := len(ns.Runs(t))

	ctx, cancel := context.WithTimeout(t.Context(), env.CommandLimit)
	defer cancel()
	cmd := ns.Command(ctx, "kubectl", "pyflow", "build", dir, "-n", ns.Name, "--no-deploy")
	if os.Geteuid() == 0 {
		// Root can read every file, unless it lacks the capability.
		setpriv, err := exec.LookPath("setpriv")
		env.Check(t, err)
		const all = "-dac_override,-dac_read_search"
		cmd.Args = append([]string{setpriv, "--inh-caps=" + all, "--bounding-set=" + all, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = setpriv
	}
	r := env.Finish(t, cmd, cmd.Run).Failed(t, "2 entries of the build context cannot be packed",
		"private/key: permission denied", "private/token: permission denied", "hint: ")
	if after := len(ns.Runs(t)); after != runs {
		t.Errorf("%d runs were created\n%s", after-runs, r)
	}
}
