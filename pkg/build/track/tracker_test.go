package track

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// clock is a time that goes on by a second whenever it is read.
type clock struct{ at time.Time }

func (c *clock) now() time.Time {
	c.at = c.at.Add(time.Second)
	return c.at
}

// recorded is a tracker with the events that it has emitted.
type recorded struct {
	*Tracker
	events []event.Event
}

// record tracks a run of app that builds a Dockerfile, which may be empty.
func record(t *testing.T, dockerfile string, test *pipelinerun.Test) *recorded {
	t.Helper()
	r := &recorded{}
	recorder := NewRecorder("app", "team", func(e event.Event) { r.events = append(r.events, e) })
	recorder.now = (&clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}).now
	recorder.started = recorder.now()
	r.Tracker = NewTracker(recorder, installed.Engine(), pipelinerun.Info{App: "app", Repository: "registry/team/app", Test: test}, parse(t, dockerfile))
	return r
}

func (r *recorded) short() []string {
	var lines []string
	for _, e := range r.events {
		source := ""
		if e.Type == event.Log && e.Source != "" {
			source = e.Source + ":"
		}
		words := []string{string(e.Type), string(e.Phase), string(e.State), e.Reason, source, e.Message, e.Advice}
		if i := e.Instruction; i != nil {
			words = append(words, fmt.Sprintf("%d/%d line %d %s", i.Number, i.Total, i.Line, i.Text))
			if i.Image != "" {
				words = append(words, i.Image)
			}
			if i.Cached {
				words = append(words, "cached")
			}
		}
		if e.Chatter {
			words = append(words, "(chatter)")
		}
		if e.Folded {
			words = append(words, "(folded)")
		}
		if e.Sum {
			words = append(words, "(sum)")
		}
		lines = append(lines, strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " "))
	}
	return lines
}

func (r *recorded) expect(t *testing.T, want ...string) {
	t.Helper()
	got := r.short()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func parse(t *testing.T, text string) *dockerfile.Dockerfile {
	t.Helper()
	if text == "" {
		return nil
	}
	parsed, err := dockerfile.Parse("Dockerfile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

const twoStages = "ARG V=3.13\nFROM python:$V-slim AS build\nCOPY requirements.txt /tmp/\nRUN pip install \\\n  -r /tmp/requirements.txt\nFROM python:$V-slim\nCOPY --from=build /opt /opt\nCOPY src /app\n"

func engineSays(message string) follow.Event {
	return follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: fmt.Sprintf("time=%q level=info msg=%q", "x", message)}
}

func run(name string, status corev1.ConditionStatus, message string) *tektonv1.PipelineRun {
	run := &tektonv1.PipelineRun{}
	run.Name = name
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Message: message})
	return run
}

func TestARunThatSucceeds(t *testing.T) {
	r := record(t, twoStages, nil)
	r.Created("app-x", 0)
	r.Begin(event.Queue)
	for _, e := range []follow.Event{
		{Kind: follow.TaskStarted, Task: "build"},
		{Kind: follow.Waiting, Task: "build", Reason: "Unschedulable", Text: "no room", Advice: "make some"},
		{Kind: follow.StepStarted, Task: "build", Step: "fetch"},
		{Kind: follow.StepEnded, Task: "build", Step: "fetch"},
		{Kind: follow.StepStarted, Task: "build", Step: "build"},
		engineSays("Retrieving image manifest python:3.13-slim"),
		engineSays("Building stage 'python:3.13-slim' [idx: '0', base-idx: '-1']"),
		engineSays("Using caching version of cmd: COPY requirements.txt /tmp/"),
		engineSays("Unpacking rootfs as cmd RUN pip install   -r /tmp/requirements.txt requires it."),
		engineSays("COPY requirements.txt /tmp/"),
		engineSays("RUN pip install   -r /tmp/requirements.txt"),
		{Kind: follow.Log, Task: "build", Step: "build", Text: "Collecting fastapi"},
		{Kind: follow.Log, Task: "build", Step: "build", Text: "a word of the package"},
		{Kind: follow.Log, Task: "build", Step: "build", Text: "Successfully installed fastapi-0.115.0 starlette-0.45.0"},
		engineSays("Taking snapshot of full filesystem..."),
		engineSays("Pushing layer registry/team/app/cache:abc to cache now"),
		engineSays("Pushing image to registry/team/app/cache:abc"),
		engineSays("Building stage 'python:3.13-slim' [idx: '1', base-idx: '-1']"),
		engineSays("COPY --from=build /opt /opt"),
		engineSays("COPY src /app"),
		engineSays("Pushing image to registry/team/app:app-x"),
		{Kind: follow.StepEnded, Task: "build", Step: "build"},
		{Kind: follow.TaskEnded, Task: "build", Succeeded: true},
		{Kind: follow.TaskStarted, Task: "deploy"},
		{Kind: follow.StepStarted, Task: "deploy", Step: "apply"},
		{Kind: follow.Log, Task: "deploy", Step: "apply", Text: "service/app serverside-applied"},
		{Kind: follow.TaskEnded, Task: "deploy", Succeeded: true},
	} {
		r.Handle(e)
	}
	r.Done()
	r.expect(t,
		"RunCreated",
		"StageStarted queue",
		"Waiting queue Unschedulable no room make some",
		"StageEnded queue Succeeded",
		"StageStarted fetch",
		"StageEnded fetch Succeeded Fetched the source",
		"StageStarted build",
		"StageUpdated build looking up python:3.13-slim",
		"Log build build: Retrieving image manifest python:3.13-slim (chatter)",
		"InstructionStarted build 1/6 line 2 FROM python:$V-slim AS build python:3.13-slim",
		"StageUpdated build",
		"Log build build: Building stage 'python:3.13-slim' [idx: '0', base-idx: '-1'] (chatter)",
		"Log build build: Using caching version of cmd: COPY requirements.txt /tmp/ (chatter)",
		"StageUpdated build unpacking the base image",
		"Log build build: Unpacking rootfs as cmd RUN pip install   -r /tmp/requirements.txt requires it. (chatter)",
		"InstructionEnded build 1/6 line 2 FROM python:$V-slim AS build python:3.13-slim",
		"InstructionStarted build 2/6 line 3 COPY requirements.txt /tmp/ cached",
		"StageUpdated build",
		"Log build build: COPY requirements.txt /tmp/ (chatter)",
		"InstructionEnded build 2/6 line 3 COPY requirements.txt /tmp/ cached",
		"InstructionStarted build 3/6 line 4 RUN pip install   -r /tmp/requirements.txt",
		"Log build build: RUN pip install   -r /tmp/requirements.txt (chatter)",
		"StageUpdated build pip: looking up fastapi",
		"Log build build: Collecting fastapi (folded)",
		"Log build build: a word of the package",
		"Log build build: pip: 2 packages installed (sum)",
		"Log build build: Successfully installed fastapi-0.115.0 starlette-0.45.0 (folded)",
		"StageUpdated build taking a snapshot of the files",
		"Log build build: Taking snapshot of full filesystem... (chatter)",
		"StageUpdated build pushing the layer to the cache",
		"Log build build: Pushing layer registry/team/app/cache:abc to cache now (chatter)",
		"Log build build: Pushing image to registry/team/app/cache:abc (chatter)",
		"InstructionEnded build 3/6 line 4 RUN pip install   -r /tmp/requirements.txt",
		"InstructionStarted build 4/6 line 6 FROM python:$V-slim python:3.13-slim",
		"StageUpdated build",
		"Log build build: Building stage 'python:3.13-slim' [idx: '1', base-idx: '-1'] (chatter)",
		"InstructionEnded build 4/6 line 6 FROM python:$V-slim python:3.13-slim",
		"InstructionStarted build 5/6 line 7 COPY --from=build /opt /opt",
		"Log build build: COPY --from=build /opt /opt (chatter)",
		"InstructionEnded build 5/6 line 7 COPY --from=build /opt /opt",
		"InstructionStarted build 6/6 line 8 COPY src /app",
		"Log build build: COPY src /app (chatter)",
		"InstructionEnded build 6/6 line 8 COPY src /app",
		"StageEnded build Succeeded Built image (1 of 4 steps cached)",
		"StageStarted push",
		"Log push build: Pushing image to registry/team/app:app-x (chatter)",
		"StageEnded push Succeeded Pushed the image",
		"StageStarted deliver",
		"StageUpdated deliver starting the pod that deploys", "StageUpdated deliver",
		"Log deliver apply: service/app serverside-applied",
		"StageEnded deliver Succeeded Applied the manifests",
	)
	if err := r.Finish(t.Context(), event.Result{Digest: "sha256:x"}, nil); err != nil {
		t.Error(err)
	}
	end := r.events[len(r.events)-1]
	var stages []event.Phase
	for _, stage := range end.Result.Phases {
		stages = append(stages, stage.Phase)
		if stage.DurationSeconds <= 0 {
			t.Errorf("stage %s took %v", stage.Phase, stage.DurationSeconds)
		}
	}
	if end.Type != event.Finished || end.Run != "app-x" || end.Result.State != event.Succeeded || end.Failure != nil || end.Result.DurationSeconds <= 0 ||
		!slices.Equal(stages, []event.Phase{event.Queue, event.Fetch, event.Build, event.Push, event.Deploy}) {
		t.Errorf("the end is %+v, %+v", end, end.Result)
	}
}

// The Dockerfile of a repository is known by the step that fetches it.
func TestARunFromARepository(t *testing.T) {
	r := record(t, "", nil)
	r.Created("app-x", 0)
	r.Begin(event.Queue)
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "fetch", Step: "clone"})
	for _, line := range []string{"FROM a", "RUN make"} {
		r.Handle(follow.Event{Kind: follow.Log, Task: "fetch", Step: "clone", Text: manifests.AnnotationDockerfile + " " + line})
	}
	r.Handle(follow.Event{Kind: follow.StepEnded, Task: "fetch", Step: "clone"})
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "fetch", Step: "push"})
	r.Handle(follow.Event{Kind: follow.Log, Task: "fetch", Step: "push", Text: "2026/11/30 08:06:56 pushed blob: sha256:0a"})
	r.Handle(follow.Event{Kind: follow.TaskEnded, Task: "fetch", Succeeded: true})
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "build", Step: "fetch"})
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "build", Step: "build"})
	r.Handle(engineSays("Building stage 'a' [idx: '0', base-idx: '-1']"))
	r.Handle(engineSays("RUN make"))
	r.Handle(engineSays("Taking snapshot of full filesystem..."))
	r.Handle(engineSays("Running: [/bin/sh -c make]"))
	r.expect(t, "RunCreated", "StageStarted queue", "StageEnded queue Succeeded", "StageStarted fetch",
		"Log fetch push: 2026/11/30 08:06:56 pushed blob: sha256:0a (chatter)",
		"StageUpdated fetch starting the pod that builds", "StageUpdated fetch",
		"StageEnded fetch Succeeded Fetched the source", "StageStarted build",
		"InstructionStarted build 1/2 line 1 FROM a a", "Log build build: Building stage 'a' [idx: '0', base-idx: '-1'] (chatter)",
		"InstructionEnded build 1/2 line 1 FROM a a",
		"InstructionStarted build 2/2 line 2 RUN make", "Log build build: RUN make (chatter)",
		"StageUpdated build taking a snapshot of the files", "Log build build: Taking snapshot of full filesystem... (chatter)",
		// The command runs: nothing else goes on.
		"StageUpdated build", "Log build build: Running: [/bin/sh -c make] (chatter)")
}

func TestFailures(t *testing.T) {
	build := func(events ...follow.Event) []follow.Event {
		all := append([]follow.Event{
			{Kind: follow.StepStarted, Task: "build", Step: "build"},
			engineSays("Retrieving image manifest python:3.13-slim"),
		}, events...)
		return append(all, follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 7, Reason: "Error"})
	}
	line := func(text string) follow.Event {
		return follow.Event{Kind: follow.Log, Task: "build", Step: "build", Text: text}
	}
	begins := engineSays("Building stage 'python:3.13-slim' [idx: '0', base-idx: '-1']")
	tests := map[string]struct {
		events  []follow.Event
		message string
		line    int
		excerpt []string
		advice  string
		log     []string
		is      error
	}{
		"a command": {
			events: build(begins, engineSays("RUN pip install   -r /tmp/requirements.txt"), line("no such package"),
				line("error building image: error building stage: failed to execute command: exit status 7")),
			message: "run app-x failed: Dockerfile:4: RUN pip install -r /tmp/requirements.txt: exit code 7",
			line:    4, excerpt: []string{"RUN pip install \\", "  -r /tmp/requirements.txt"},
			log: []string{"no such package"},
		},
		"out of memory": {
			events: append(build(begins, engineSays("COPY requirements.txt /tmp/"))[:4],
				follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 137, Reason: "OOMKilled", Advice: "raise --memory"}),
			message: "run app-x failed: Dockerfile:3: COPY requirements.txt /tmp/: OOMKilled, exit code 137",
			line:    3, excerpt: []string{"COPY requirements.txt /tmp/"}, advice: "raise --memory",
		},
		"the engine is killed": {
			events: append(build(begins, engineSays("RUN pip install   -r /tmp/requirements.txt"), line("downloading"))[:5],
				follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 255, Reason: "Error"}),
			message: "run app-x failed: the build engine was killed from outside, by a signal: the Dockerfile is not the cause; it was at Dockerfile:4",
			advice:  "build again; if it happens again, find what ends processes in the pods of builds: a security agent of the node, kubectl exec, or the kernel when the node itself is out of memory",
			log:     []string{"downloading"},
		},
		"the pod is deleted": {
			events: append(build(begins, engineSays("RUN pip install   -r /tmp/requirements.txt"), line("downloading"))[:5],
				follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 255, Reason: follow.PodDeleted, Text: "Eviction API: evicting", Advice: "wait for the node"}),
			message: "run app-x failed: the pod of the build was deleted while it ran: the Dockerfile is not the cause: Eviction API: evicting",
			advice:  "wait for the node",
			log:     []string{"downloading"},
		},
		"a command that exits as if the engine were killed": {
			events: append(build(begins, engineSays("RUN pip install   -r /tmp/requirements.txt"), line("no such package"),
				line("error building image: error building stage: failed to execute command: exit status 255"))[:6],
				follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 255, Reason: "Error"}),
			message: "run app-x failed: Dockerfile:4: RUN pip install -r /tmp/requirements.txt: exit code 255",
			line:    4, excerpt: []string{"RUN pip install \\", "  -r /tmp/requirements.txt"},
			log: []string{"no such package"},
		},
		"a base image": {
			events:  build(line("error building image: GET https://index.docker.io/v2/library/python/manifests/3.13-slim: MANIFEST_UNKNOWN: manifest unknown")),
			message: "run app-x failed: Dockerfile:2: FROM python:$V-slim AS build: there is no such base image",
			line:    2, excerpt: []string{"FROM python:$V-slim AS build"}, advice: "check its name and its tag",
			log: []string{"error building image: GET https://index.docker.io/v2/library/python/manifests/3.13-slim: MANIFEST_UNKNOWN: manifest unknown"},
		},
		"a file that another stage has not": {
			events: build(begins,
				line("error building image: failed to optimize instructions: failed to get files used from context: failed to get fileinfo for /kaniko/deps/0/opt: lstat /kaniko/deps/0/opt: no such file or directory")),
			message: "run app-x failed: Dockerfile:7: COPY --from=build /opt /opt: opt is not in the stage or the image that it is copied from",
			line:    7, excerpt: []string{"COPY --from=build /opt /opt"}, advice: "check the path, which starts at the root of that stage or image",
			log: []string{"error building image: failed to optimize instructions: failed to get files used from context: failed to get fileinfo for /kaniko/deps/0/opt: lstat /kaniko/deps/0/opt: no such file or directory"},
		},
		"a file that is not there, before its turn": {
			events: build(begins, engineSays("No cached layer found for cmd COPY requirements.txt /tmp/"),
				line("error building image: failed to optimize instructions: failed to get files used from context: failed to get fileinfo for /kaniko/buildcontext/src: lstat /kaniko/buildcontext/src: no such file or directory")),
			message: "run app-x failed: Dockerfile:8: COPY src /app: src is not in the build context",
			line:    8, excerpt: []string{"COPY src /app"}, advice: "check the path, which starts at the folder that is built, and that .dockerignore does not exclude it",
			log: []string{"error building image: failed to optimize instructions: failed to get files used from context: failed to get fileinfo for /kaniko/buildcontext/src: lstat /kaniko/buildcontext/src: no such file or directory"},
		},
		"a full registry": {
			events: build(begins, engineSays("COPY src /app"),
				line("error pushing image: failed to push to destination r/app:1: PATCH https://r/v2/app/blobs/uploads/1: UNKNOWN: unknown error; write /var/lib/registry/data: no space left on device")),
			message: "run app-x failed: step build: the registry's volume is full",
			log:     []string{"error pushing image: failed to push to destination r/app:1: PATCH https://r/v2/app/blobs/uploads/1: UNKNOWN: unknown error; write /var/lib/registry/data: no space left on device"},
			is:      registry.ErrFull,
		},
		"another step": {
			events: []follow.Event{
				{Kind: follow.StepStarted, Task: "build", Step: "fetch"},
				{Kind: follow.Log, Task: "build", Step: "fetch", Text: "crane: no"},
				{Kind: follow.StepEnded, Task: "build", Step: "fetch", ExitCode: 1, Reason: "Error"},
			},
			message: "run app-x failed: task build, step fetch: Error, exit code 1", log: []string{"crane: no"},
		},
		"a repository": {
			events: []follow.Event{
				{Kind: follow.StepStarted, Task: "fetch", Step: "clone"},
				{Kind: follow.Log, Task: "fetch", Step: "clone", Text: "pyflow: authentication failed: no"},
				{Kind: follow.StepEnded, Task: "fetch", Step: "clone", ExitCode: 1, Reason: "Error"},
			},
			message: "run app-x failed: task fetch, step clone: authentication failed: no", log: []string{"authentication failed: no"},
		},
		"a delivery": {
			events: []follow.Event{
				{Kind: follow.StepStarted, Task: "deploy", Step: "apply"},
				{Kind: follow.StepEnded, Task: "deploy", Step: "apply", ExitCode: 1, Reason: "Error", Text: "Error from server: no", Advice: "ask"},
			},
			message: "run app-x failed: task deploy, step apply: Error from server: no", advice: "ask",
		},
		"no step": {
			events: []follow.Event{
				{Kind: follow.TaskEnded, Task: "build", Reason: "PodCreationFailed", Text: "violates PodSecurity", Advice: "allow it"},
			},
			message: "run app-x failed: task build: PodCreationFailed: violates PodSecurity", advice: "allow it",
		},
		"only a wait": {
			events:  []follow.Event{{Kind: follow.Waiting, Reason: "Unschedulable", Text: "no room", Advice: "make some"}},
			message: "run app-x failed: Unschedulable: no room (all tasks failed)", advice: "make some",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := record(t, twoStages, nil)
			r.Created("app-x", 0)
			r.Begin(event.Queue)
			for _, e := range test.events {
				r.Handle(e)
			}
			ended := run("app-x", corev1.ConditionFalse, "all tasks failed")
			err := r.Verdict(ended)
			var failure *event.Failure
			if !errors.As(err, &failure) {
				t.Fatalf("error is %v", err)
			}
			got := 0
			if failure.Instruction != nil {
				got = failure.Instruction.Line
			}
			if err.Error() != test.message || got != test.line || !slices.Equal(failure.Excerpt, test.excerpt) ||
				failure.Advice != test.advice || !slices.Equal(failure.Log, test.log) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got %q, line %d, %+v", err.Error(), got, failure)
			}
		})
	}
}

func TestSuperseded(t *testing.T) {
	r := record(t, "", nil)
	r.Created("app-x", 0)
	r.Begin(event.Queue)
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "deploy", Step: "apply"})
	r.Handle(follow.Event{Kind: follow.Log, Task: "deploy", Step: "apply", Text: `Error from server (Invalid): services "app" is forbidden: ValidatingAdmissionPolicy 'pyflow-delivery' with binding 'pyflow-delivery' denied request: run app-y, which started later, ` + manifests.Superseded})
	r.Handle(follow.Event{Kind: follow.StepEnded, Task: "deploy", Step: "apply", ExitCode: 1, Reason: "Error"})
	ended := run("app-x", corev1.ConditionFalse, "failed")
	err := r.Verdict(ended)
	var superseded *SupersededError
	if !errors.As(err, &superseded) || superseded.By != "app-y" {
		t.Fatalf("error is %v", err)
	}
	if err := r.Finish(t.Context(), event.Result{}, err); !errors.As(err, &superseded) {
		t.Errorf("a build that a later one superseded ends with %v", err)
	}
	if end := r.events[len(r.events)-1]; end.Result.State != event.Superseded || end.Failure != nil {
		t.Errorf("the end is %+v", end)
	}
}

// TestJobs wants the Job of a release that failed, by name, and what serves.
func TestJobs(t *testing.T) {
	for name, test := range map[string]struct {
		step, line, reason, message string
	}{
		"a Job that failed":     {"complete", "error: timed out waiting for the condition on jobs/migrate", "JobFailed", "Job migrate failed: nothing runs the new image"},
		"one that still runs":   {"clear", `The jobs "migrate" is invalid: : ValidatingAdmissionPolicy 'pyflow-jobs' with binding 'pyflow-jobs' denied request: release 4 still runs it`, "JobRunning", "Job migrate of an earlier release still runs"},
		"a server that is gone": {"clear", "Unable to connect to the server", "Error", "step clear"},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, "", nil)
			r.Created("app-x", 0)
			r.Begin(event.Queue)
			r.Handle(follow.Event{Kind: follow.StepStarted, Task: "deploy", Step: test.step})
			r.Handle(follow.Event{Kind: follow.Log, Task: "deploy", Step: test.step, Text: test.line})
			r.Handle(follow.Event{Kind: follow.StepEnded, Task: "deploy", Step: test.step, ExitCode: 1, Reason: "Error"})
			var failure *event.Failure
			if err := r.Verdict(run("app-x", corev1.ConditionFalse, "failed")); !errors.As(err, &failure) {
				t.Fatalf("error is %v", err)
			}
			if failure.Reason != test.reason || !strings.Contains(failure.Message, test.message) {
				t.Errorf("the failure is %s: %s", failure.Reason, failure.Message)
			}
		})
	}
}

func TestTransfer(t *testing.T) {
	r := record(t, "", nil)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return at }
	r.Begin(event.Upload)
	for i := range int64(1000) {
		at = at.Add(10 * time.Millisecond)
		r.Transfer(event.Transfer{Bytes: i * 10, Total: 9990})
	}
	var last event.Transfer
	count := 0
	for _, e := range r.events {
		if e.Type == event.PhaseUpdated {
			count, last = count+1, *e.Transfer
		}
	}
	if count < 90 || count > 110 || last.Bytes != 9990 || last.BytesPerSecond < 900 || last.BytesPerSecond > 1100 {
		t.Errorf("%d updates, the last one %+v", count, last)
	}
}

func TestFinish(t *testing.T) {
	interrupted, interrupt := context.WithCancelCause(t.Context())
	cause := errors.New("interrupt signal received")
	interrupt(cause)
	broken := errors.New("the server is gone")
	later := &SupersededError{By: "app-y"}
	failure := &event.Failure{Message: "run app-x failed", Advice: "ask", Phase: event.Rollout}
	result := event.Result{Image: "r/app@sha256:x", Digest: "sha256:x", Commit: "c"}
	for name, test := range map[string]struct {
		ctx     context.Context
		err     error
		ends    error
		state   event.State
		failure *event.Failure
		notice  bool
	}{
		"success":                        {state: event.Succeeded},
		"success after an interrupt":     {ctx: interrupted, state: event.Succeeded},
		"an error of the cluster":        {err: broken, ends: broken, state: event.Failed, failure: &event.Failure{Message: "the server is gone", Phase: event.Queue}},
		"a failure":                      {err: &event.Failure{Message: "no", Reason: "Error"}, state: event.Failed, failure: &event.Failure{Message: "no", Reason: "Error", Phase: event.Queue}},
		"a failure that knows its stage": {err: failure, ends: failure, state: event.Failed, failure: failure},
		"a failure inside of an error":   {err: fmt.Errorf("build: %w", failure), ends: failure, state: event.Failed, failure: failure},
		"an interrupt":                   {ctx: interrupted, err: cause, ends: cause, state: event.Canceled, failure: &event.Failure{Message: "interrupted", Phase: event.Queue}},
		"a failure by an interrupt":      {ctx: interrupted, err: failure, ends: failure, state: event.Canceled, failure: &event.Failure{Message: "interrupted", Phase: event.Queue}},
		"a later run":                    {err: fmt.Errorf("deploy: %w", later), ends: later, state: event.Superseded, notice: true},
		"a later run and an interrupt":   {ctx: interrupted, err: later, ends: later, state: event.Superseded, notice: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, "", nil)
			r.Created("app-x", 0)
			r.Begin(event.Queue)
			ctx := test.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			err := r.Finish(ctx, result, test.err)
			if (test.failure == nil && test.ends == nil) != (err == nil) || !errors.Is(err, test.ends) && test.ends != nil {
				t.Errorf("it ends with %v", err)
			}
			want := []event.Type{event.RunCreated, event.PhaseStarted, event.PhaseEnded, event.Finished}
			if test.notice {
				want = []event.Type{event.RunCreated, event.PhaseStarted, event.Notice, event.PhaseEnded, event.Finished}
			}
			var types []event.Type
			for _, e := range r.events {
				types = append(types, e.Type)
				if e.Type == event.PhaseEnded && e.State != test.state {
					t.Errorf("the stage ends as %s", e.State)
				}
			}
			if !slices.Equal(types, want) {
				t.Errorf("events are %v, want %v", types, want)
			}
			end := r.events[len(r.events)-1]
			if end.State != test.state || end.Result.State != test.state || end.Result.Image != result.Image || end.Result.Commit != "c" || len(end.Result.Phases) != 1 {
				t.Errorf("the end is %+v, %+v", end, end.Result)
			}
			if !reflect.DeepEqual(end.Failure, test.failure) {
				t.Errorf("the failure is %+v, want %+v", end.Failure, test.failure)
			}
		})
	}
}

// Nothing has started: a program reads a list all the same.
func TestFinishBeforeAStage(t *testing.T) {
	r := record(t, "", nil)
	if err := r.Finish(t.Context(), event.Result{}, nil); err != nil {
		t.Error(err)
	}
	if len(r.events) != 1 || r.events[0].Result.Phases == nil {
		t.Errorf("events are %+v", r.events)
	}
}

// The repository of an app's layers is below the app's own, whatever its name.
func TestPushOfAnAppNamedCache(t *testing.T) {
	r := record(t, "", nil)
	r.run.Repository = "registry/team/cache"
	r.Begin(event.Build)
	r.Handle(engineSays("Pushing image to registry/team/cache/cache-1:0123"))
	if r.Phase() != event.Build {
		t.Errorf("a layer begins the stage %s", r.Phase())
	}
	r.Handle(engineSays("Pushing image to registry/team/cache:cache-x7k2p"))
	if r.Phase() != event.Push {
		t.Errorf("the image leaves the stage at %s", r.Phase())
	}
}

// TestDeliveryWithTheUserOfTheImage wants a word for each pod and each step that takes seconds.
func TestDeliveryWithTheUserOfTheImage(t *testing.T) {
	r := record(t, "", nil)
	r.Begin(event.Push)
	r.Handle(follow.Event{Kind: follow.TaskStarted, Task: "deploy"})
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "deploy", Step: "pull"})
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "deploy", Step: "overlay"})
	r.Handle(follow.Event{Kind: follow.StepStarted, Task: "deploy", Step: "apply"})
	r.expect(t, "StageStarted push", "StageEnded push Succeeded Pushed the image", "StageStarted deliver",
		"StageUpdated deliver starting the pod that deploys", "StageUpdated deliver looking up the user in the image", "StageUpdated deliver")
}

// TestSecretsInTheLog plants secrets in the logs of all steps: no event repeats one, and what stands
// around them stays.
func TestSecretsInTheLog(t *testing.T) {
	planted := []string{"hunter2-of-the-index", "ghp_" + strings.Repeat("aB3dE6gH9k", 3) + "1Z2y3X", "pypi-AgEIcHlwaS5vcmc" + strings.Repeat("aB3dE6gH9k", 6)}
	for _, at := range [][2]string{{"build", "build"}, {"build", "fetch"}, {"test", "test"}, {"fetch", "clone"}, {"deploy", "apply"}} {
		r := record(t, "FROM python\nRUN pip install x\n", nil)
		for _, text := range []string{
			"Looking in indexes: https://me:" + planted[0] + "@pypi.shop.internal/simple", "token " + planted[1] + " is set",
			"uploading with " + planted[2], `pyflow: error: cannot read https://me:` + planted[0] + `@git.shop.internal/a.git`,
		} {
			r.Handle(follow.Event{Kind: follow.Log, Task: at[0], Step: at[1], Text: text})
		}
		r.Handle(follow.Event{Kind: follow.StepEnded, Task: at[0], Step: at[1], ExitCode: 1, Reason: "Error"})
		r.Handle(follow.Event{Kind: follow.TaskEnded, Task: at[0], Reason: "Failed"})
		data, err := json.Marshal(r.events)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range planted {
			if strings.Contains(string(data), secret) {
				t.Errorf("step %s of task %s: an event repeats %s", at[1], at[0], secret)
			}
		}
		if !strings.Contains(string(data), "https://me:***@pypi.shop.internal/simple") {
			t.Errorf("step %s of task %s: the line is not there: %s", at[1], at[0], data)
		}
	}
}

// TestSecretsInTheDockerfile checks that a failed instruction is shown without the password in it.
func TestSecretsInTheDockerfile(t *testing.T) {
	const password = "hunter2-of-the-index"
	run := "RUN pip install -i https://me:" + password + "@pypi.shop.internal/simple x"
	r := record(t, "FROM python\n"+run+"\n", nil)
	for _, message := range []string{"Retrieving image manifest python", run, "Running: [/bin/sh -c pip install]"} {
		r.Handle(engineSays(message))
	}
	failed := &follow.Event{Kind: follow.StepEnded, Task: "build", Step: "build", ExitCode: 1, Reason: "Error"}
	r.steps.failed = failed
	failure := explanation{r.Tracker}.stepFailure("run app-1", pipelinerun.Outcome{})
	hideIn(failure)
	data, err := json.Marshal([]any{r.events, failure})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), password) || !strings.Contains(string(data), "https://me:***@pypi.shop.internal/simple x") {
		t.Errorf("the instruction is shown as %s", data)
	}
}
