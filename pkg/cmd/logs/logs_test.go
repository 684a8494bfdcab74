package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/fake"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/logs/replicas"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stored are the logs of a cluster's containers, by pod/container.
type stored map[string][]string

func (s stored) Open(_ context.Context, _, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	var text strings.Builder
	for i, line := range s[pod+"/"+options.Container] {
		fmt.Fprintln(&text, testStart.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano), line)
	}
	return io.NopCloser(strings.NewReader(text.String())), nil
}

func engineLine(level, message string) string {
	return fmt.Sprintf("time=\"2026-03-01T12:00:00Z\" level=%s msg=%q", level, message)
}

func testBuild(app, name string, test *pipelinerun.Test) pipelinerun.Build {
	return pipelinerun.Build{
		Meta:   pipelinerun.Meta{App: app, Namespace: "demo", Name: name},
		Engine: installed.Engine(), Params: engine.Params{Repository: "registry/" + app}, Test: test,
	}
}

// testRun is a run of two tasks that has ended.
func testRun(name string, exitCode int32) (objects stored, run *tektonv1.PipelineRun, taskRuns []*tektonv1.TaskRun, pods []*corev1.Pod) {
	run = pipelinerun.New(testBuild("web", name, nil))
	run.UID = "uid"
	status, reason := corev1.ConditionTrue, "Succeeded"
	if exitCode != 0 {
		status, reason = corev1.ConditionFalse, "Failed"
	}
	condition := &apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: "Tasks Completed: 1"}
	run.Status.SetCondition(condition)
	objects = stored{}
	for i, task := range []struct {
		name  string
		steps []string
	}{{manifests.BuildTask, []string{"fetch", "build"}}, {manifests.DeployTask, []string{"apply"}}} {
		if exitCode != 0 && i > 0 {
			break
		}
		labels := map[string]string{"tekton.dev/pipelineRun": name, "tekton.dev/pipelineTask": task.name}
		taskRun := &tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{
			Namespace: "demo", Name: name + "-" + task.name, Labels: labels, UID: "uid",
			CreationTimestamp: metav1.NewTime(testStart.Add(time.Duration(i) * time.Minute)),
			OwnerReferences:   []metav1.OwnerReference{{Kind: "PipelineRun", Name: name, UID: "uid"}},
		}}
		taskRun.Status.PodName = taskRun.Name + "-pod"
		taskRun.Status.SetCondition(condition)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: taskRun.Status.PodName, Labels: labels}}
		for _, step := range task.steps {
			code := int32(0)
			if step == "build" {
				code = exitCode
			}
			state := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: map[bool]string{true: "Completed", false: "Error"}[code == 0]}}
			taskRun.Status.Steps = append(taskRun.Status.Steps, tektonv1.StepState{Name: step, Container: "step-" + step, ContainerState: state})
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "step-" + step})
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: "step-" + step, State: state})
		}
		taskRuns, pods = append(taskRuns, taskRun), append(pods, pod)
		run.Status.ChildReferences = append(run.Status.ChildReferences, tektonv1.ChildStatusReference{Name: taskRun.Name, PipelineTaskName: task.name})
		run.Status.ChildReferences[i].Kind = "TaskRun"
	}
	objects[name+"-build-pod/step-fetch"] = []string{"fetched"}
	objects[name+"-build-pod/step-build"] = []string{
		engineLine("info", "Building stage 'scratch' [idx: '0', base-idx: '-1']"), engineLine("info", "RUN echo"), "from the RUN", engineLine("info", "Taking snapshot of files..."), engineLine("warning", "old"),
		engineLine("info", "Pushing image to registry/web/cache:0123"), engineLine("info", "CMD x"),
		engineLine("info", "Pushing image to registry/web:x"), engineLine("warning", "slow push"),
	}
	// Only the engine writes in this form of its own.
	objects[name+"-deploy-pod/step-apply"] = []string{engineLine("info", "Taking snapshot"), "deployment.apps/web serverside-applied", ""}
	return objects, run, taskRuns, pods
}

func testOptions(t *testing.T, exitCode int32, podsGone bool) (o *Options, out, errOut func() string) {
	t.Helper()
	streams, _, outBuffer, errBuffer := genericiooptions.NewTestIOStreams()
	logs, run, taskRuns, pods := testRun("web-1", exitCode)
	tekton, kube := tektonfake.NewSimpleClientset(run), fake.NewClientset()
	for _, taskRun := range taskRuns {
		if err := tekton.Tracker().Add(taskRun); err != nil {
			t.Fatal(err)
		}
	}
	for _, pod := range pods {
		if podsGone {
			break
		}
		if err := kube.Tracker().Add(pod); err != nil {
			t.Fatal(err)
		}
	}
	if podsGone {
		logs = stored{}
	}
	return &Options{
		Clients: follow.Clients{Tekton: tekton, Kube: kube, Logs: logs}, Streams: streams, Namespace: "demo", Tail: -1, Build: true,
	}, outBuffer.String, errBuffer.String
}

func TestRun(t *testing.T) {
	everything := "[fetch] fetched\n[build] RUN echo\n[build] from the RUN\n[build] old\n[build] CMD x\n[build] slow push\n" +
		"[apply] " + engineLine("info", "Taking snapshot") + "\n[apply] deployment.apps/web serverside-applied\n[apply]\n"
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"the newest": {func(*Options) {}, everything},
		"an app":     {func(o *Options) { o.Target = "web" }, everything},
		"a run":      {func(o *Options) { o.Target = "web-1" }, everything},
		"fetch":      {func(o *Options) { o.Stage = event.Fetch }, "[fetch] fetched\n"},
		"build":      {func(o *Options) { o.Stage = event.Build }, "RUN echo\nfrom the RUN\nold\nCMD x\n"},
		"push":       {func(o *Options) { o.Stage = event.Push }, "slow push\n"},
		"all of push": {func(o *Options) { o.Stage, o.All = event.Push, true }, engineLine("info", "Pushing image to registry/web:x") + "\n" +
			engineLine("warning", "slow push") + "\n"},
		"deliver":         {func(o *Options) { o.Stage = event.Deploy }, "[apply] " + engineLine("info", "Taking snapshot") + "\n[apply] deployment.apps/web serverside-applied\n[apply]\n"},
		"tail":            {func(o *Options) { o.Tail = 2 }, "[apply] deployment.apps/web serverside-applied\n[apply]\n"},
		"tail of a stage": {func(o *Options) { o.Tail, o.Stage = 1, event.Build }, "CMD x\n"},
		"no line":         {func(o *Options) { o.Tail = 0 }, ""},
		"a long tail":     {func(o *Options) { o.Tail = 100 }, everything},
		"times":           {func(o *Options) { o.Timestamps, o.Stage = true, event.Fetch }, "2026-03-01T12:00:00Z [fetch] fetched\n"},
	} {
		for _, following := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, following %t", name, following), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o, out, errOut := testOptions(t, 0, false)
					test.change(o)
					o.Follow = following
					if err := o.Run(t.Context()); err != nil || errOut() != "" {
						t.Fatalf("got %v, %s", err, errOut())
					}
					if out() != test.want {
						t.Errorf("got\n%s\nwant\n%s", out(), test.want)
					}
				})
			})
		}
	}
}

// Of a run that keeps its Dockerfile the lines are known.
func TestDockerfile(t *testing.T) {
	o, out, _ := testOptions(t, 3, false)
	run, err := o.Clients.Tekton.TektonV1().PipelineRuns("demo").Get(t.Context(), "web-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	run.Annotations = map[string]string{manifests.AnnotationDockerfile: "FROM scratch\n\nRUN echo\nCMD x\n"}
	if _, err := o.Clients.Tekton.TektonV1().PipelineRuns("demo").Update(t.Context(), run, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	o.Stage = event.Build
	if err := o.Run(t.Context()); err != nil || out() != "Dockerfile:1: FROM scratch\nDockerfile:3: RUN echo\nfrom the RUN\nold\nDockerfile:4: CMD x\n" {
		t.Errorf("got %v\n%s", err, out())
	}
}

func TestRunThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, _ := testOptions(t, 3, false)
		if err := o.Run(t.Context()); err != nil {
			t.Errorf("looking back is no failure: %v", err)
		}
		o.Follow = true
		err := o.Run(t.Context())
		var failed *event.Failure
		if !errors.As(err, &failed) || err.Error() != "run web-1 failed: task build, step build: Error, exit code 3" {
			t.Errorf("got %v", err)
		}
	})
}

func TestJUnit(t *testing.T) {
	o, out, errOut := testOptions(t, 0, false)
	o.JUnit = true
	if err := o.Run(t.Context()); err == nil || err.Error() != "run web-1 tests nothing" {
		t.Errorf("without tests: %v", err)
	}
	// The task that tests stands where the delivery was.
	run, err := o.Clients.Tekton.TektonV1().PipelineRuns("demo").Get(t.Context(), "web-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	run.Spec.Params = pipelinerun.New(testBuild("web", "web-1", &pipelinerun.Test{Command: []string{"pytest"}})).Spec.Params
	if _, err := o.Clients.Tekton.TektonV1().PipelineRuns("demo").Update(t.Context(), run, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := o.Run(t.Context()); err == nil || err.Error() != "run web-1 has no test results as JUnit XML" {
		t.Errorf("without results: %v", err)
	}
	task, err := o.Clients.Tekton.TektonV1().TaskRuns("demo").Get(t.Context(), "web-1-deploy", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	task.Labels["tekton.dev/pipelineTask"] = manifests.TestTask
	task.Status.Steps[0].Name, task.Status.Steps[0].Container = pipelinerun.ReportStep, "step-"+pipelinerun.ReportStep
	if _, err := o.Clients.Tekton.TektonV1().TaskRuns("demo").Update(t.Context(), task, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod, err := o.Clients.Kube.CoreV1().Pods("demo").Get(t.Context(), "web-1-deploy-pod", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec.Containers[0].Name, pod.Status.ContainerStatuses[0].Name = "step-report", "step-report"
	if _, err := o.Clients.Kube.CoreV1().Pods("demo").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	logs, _, _, _ := testRun("web-1", 0)
	logs["web-1-deploy-pod/step-report"] = []string{"<testsuite><testcase", `name="a"/></testsuite>`}
	o.Clients.Logs = logs
	if err := o.Run(t.Context()); err != nil || out() != "<testsuite><testcase\nname=\"a\"/></testsuite>\n" {
		t.Errorf("got %v, %q", err, out())
	}
	if said := errOut(); said != "" {
		t.Errorf("of results that are whole it says %q", said)
	}
	logs["web-1-deploy-pod/step-report"] = []string{"<testsuite><testcase"}
	if err := o.Run(t.Context()); err != nil || !strings.Contains(errOut(), "warning: the results are not JUnit XML, or are cut off") {
		t.Errorf("of results that are cut off it says %q, %v", errOut(), err)
	}
	o.JUnit = false
	before := len(out())
	if err := o.Run(t.Context()); err != nil || strings.Contains(out()[before:], "testsuite") {
		t.Errorf("the results are no log: %v, %q", err, out()[before:])
	}
}

func TestNothingToShow(t *testing.T) {
	o, out, _ := testOptions(t, 0, true)
	if err := o.Run(t.Context()); !errors.Is(err, ErrLogsGone) || !strings.Contains(err.Error(), "web-1") || out() != "" {
		t.Errorf("pods are gone: %v, %q", err, out())
	}

	o, _, errOut := testOptions(t, 3, false)
	o.Stage = event.Deploy
	if err := o.Run(t.Context()); err != nil || !strings.Contains(errOut(), "run web-1 has no lines of stage deliver") {
		t.Errorf("a stage that never was: %v, %q", err, errOut())
	}

	run := pipelinerun.New(testBuild("api", "api-1", nil))
	o.Clients.Tekton = tektonfake.NewSimpleClientset(run)
	o.Target, o.Stage = "api", ""
	if err := o.Run(t.Context()); err != nil || !strings.Contains(errOut(), "run api-1 has written nothing yet; to wait for it: kubectl pyflow logs api-1 -f\n") {
		t.Errorf("a run that has not started: %v, %q", err, errOut())
	}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: "CouldntGetPipeline", Message: "no such Pipeline"})
	o.Clients.Tekton = tektonfake.NewSimpleClientset(run)
	if err := o.Run(t.Context()); err == nil || err.Error() != "run api-1 has no log: no such Pipeline" {
		t.Errorf("a run that never began: %v", err)
	}
	o.Target = "nothing"
	var missing *pipelinerun.NotFoundError
	if err := o.Run(t.Context()); !errors.As(err, &missing) {
		t.Errorf("no run: %v", err)
	}
}

// brokenPipe is the standard output of a command whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRunEndsWithItsReader(t *testing.T) {
	o, _, _ := testOptions(t, 0, false)
	o.Streams.Out = brokenPipe{}
	if err := o.Run(t.Context()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestColor(t *testing.T) {
	var out strings.Builder
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	p := newPrinter(&Options{Streams: streams})
	p.out, p.color = &out, true
	p.show(event.Event{Type: event.Log, Phase: event.Deploy, Source: "apply", Message: "done"})
	if got := out.String(); got != "\x1b[36m[apply]\x1b[m done\n" {
		t.Errorf("got %q", got)
	}
}

func TestFlags(t *testing.T) {
	for want, flags := range map[string]*Flags{
		`--stage is one of fetch, build, push, test, deliver, not "queue"`: {Stage: "queue"},
		"--tail -3 is negative":                                            {Tail: -3},
		"--since -1m0s is negative":                                        {Since: -time.Minute},
		"--previous shows what has ended: leave out --follow":              {Previous: true, Follow: true},
		"--since and --previous are for the log of an app, not of a build": {Since: time.Minute, All: true},
	} {
		streams, _, _, _ := genericiooptions.NewTestIOStreams()
		if _, err := flags.ToOptions(streams, nil); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestTarget wants the log of what a name means, and an error for what it may mean.
func TestTarget(t *testing.T) {
	deployment := func(app, name string) *appsv1.Deployment {
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{manifests.LabelApp: app}},
			Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"run": name}}},
		}
	}
	for name, test := range map[string]struct {
		target    string
		change    func(*Options)
		out, says string
		err       string
	}{
		"an app":              {"shop", nil, "[aaaaa] first\n[aaaaa] second\n", "", ""},
		"its workload":        {"shop/shop", nil, "[aaaaa] first\n[aaaaa] second\n", "", ""},
		"times":               {"shop", func(o *Options) { o.Replicas.Timestamps, o.Replicas.Since = true, time.Minute-time.Second }, "2026-03-01T12:00:01Z [aaaaa] second\n", "", ""},
		"nothing before":      {"shop", func(o *Options) { o.Replicas.Previous = true }, "", "no container of app shop has restarted\n", ""},
		"a workload it lacks": {"shop/cache", nil, "", "", `app shop has no workload "cache": it has shop`},
		"a run":               {"web-1", func(o *Options) { o.Tail = 1 }, "[apply]\n", "", ""},
		"a run by its kind":   {"pipelinerun/web-1", func(o *Options) { o.Tail = 1 }, "[apply]\n", "", ""},
		"since of a run":      {"web-1", func(o *Options) { o.Replicas.Since = time.Minute }, "", "", "--since and --previous are for the log of an app, not of a build"},
		"built only":          {"web", nil, "", "", "app web does not run in namespace demo"},
		"neither":             {"typo", nil, "", "", `there is no run and no app "typo" in namespace demo`},
		"the only app":        {"", nil, "[aaaaa] first\n[aaaaa] second\n", "", ""},
		"both": {"web-1", func(o *Options) {
			_ = o.Clients.Kube.(*fake.Clientset).Tracker().Add(deployment("web-1", "web-1"))
		}, "", "", "web-1 is the name of an app and of a run"},
		"one of two": {"", func(o *Options) {
			_ = o.Clients.Kube.(*fake.Clientset).Tracker().Add(deployment("blog", "blog"))
		}, "", "", "namespace demo runs 2 apps: name one of blog, shop"},
	} {
		t.Run(name, func(t *testing.T) {
			o, out, errOut := testOptions(t, 0, false)
			tracker := o.Clients.Kube.(*fake.Clientset).Tracker()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shop-5f4-aaaaa", Namespace: "demo", Labels: map[string]string{"run": "shop"}}}
			pod.Spec.Containers = []corev1.Container{{Name: "app"}}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", ContainerID: "containerd://1"}}
			for _, object := range []runtime.Object{deployment("shop", "shop"), pod} {
				if err := tracker.Add(object); err != nil {
					t.Fatal(err)
				}
			}
			logs, _, _, _ := testRun("web-1", 0)
			logs["shop-5f4-aaaaa/app"] = []string{"first", "second"}
			o.Clients.Logs, o.Build, o.Target = logs, false, test.target
			o.Replicas = replicas.Options{
				Kube: o.Clients.Kube, Logs: logs, Streams: o.Streams, Tail: -1, Now: func() time.Time { return testStart.Add(time.Minute) },
			}
			if test.change != nil {
				test.change(o)
			}
			err := o.Run(t.Context())
			if (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
				t.Fatalf("got %v", err)
			}
			if out() != test.out || errOut() != test.says {
				t.Errorf("got %q, %q", out(), errOut())
			}
		})
	}
}
