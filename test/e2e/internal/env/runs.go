//go:build e2e

package env

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Status reads `kubectl pyflow status --exit-code`, and requires the exit code to be 0
// if everything is healthy and 1 if not.
func (n *NS) Status(t *testing.T) (*status.Status, Result) {
	t.Helper()
	r := n.Pyflow(t, "status", "-o", "json", "--exit-code")
	snapshot := &status.Status{}
	if err := json.Unmarshal([]byte(r.Stdout), snapshot); err != nil {
		t.Fatalf("the status is not JSON: %v\n%s", err, r)
	}
	if want := map[bool]int{true: 0, false: 1}[snapshot.Healthy]; r.Code != want {
		t.Errorf("the exit code should be %d\n%s", want, r)
	}
	return snapshot, r
}

// Part returns a part of the platform from a status.
func Part(t *testing.T, snapshot *status.Status, name string) status.Part {
	t.Helper()
	i := slices.IndexFunc(snapshot.Platform, func(part status.Part) bool { return part.Name == name })
	if i < 0 {
		t.Fatalf("the status has no %s: %+v", name, snapshot.Platform)
	}
	return snapshot.Platform[i]
}

// App returns an app from a status.
func App(t *testing.T, snapshot *status.Status, name string) status.App {
	t.Helper()
	i := slices.IndexFunc(snapshot.Apps, func(app status.App) bool { return app.Name == name })
	if i < 0 {
		t.Fatalf("the status has no app %s: %+v", name, snapshot.Apps)
	}
	return snapshot.Apps[i]
}

// PlatformHealthy waits until every part of the platform is healthy.
func (n *NS) PlatformHealthy(t *testing.T) {
	t.Helper()
	Eventually(t, "wait for the platform to be healthy", func(context.Context) error {
		snapshot, r := n.Status(t)
		for _, part := range snapshot.Platform {
			if !part.Healthy {
				return fmt.Errorf("%s is not\n%s", part.Name, r)
			}
		}
		return nil
	})
}

// Runs lists the namespace's PipelineRuns, newest first.
func (n *NS) Runs(t *testing.T) []tektonv1.PipelineRun {
	t.Helper()
	list, err := n.Tekton.TektonV1().PipelineRuns(n.Name).List(t.Context(), metav1.ListOptions{})
	Check(t, err)
	slices.SortFunc(list.Items, func(a, b tektonv1.PipelineRun) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	return list.Items
}

// RunsOf lists an app's PipelineRuns, newest first.
func (n *NS) RunsOf(t *testing.T, app string) []tektonv1.PipelineRun {
	t.Helper()
	return slices.DeleteFunc(n.Runs(t), func(run tektonv1.PipelineRun) bool { return run.Labels[manifests.LabelApp] != app })
}

// RunList reads `kubectl pyflow runs`, newest first.
func (n *NS) RunList(t *testing.T, args ...string) []status.Run {
	t.Helper()
	r := n.Pyflow(t, append([]string{"runs", "-o", "json"}, args...)...).Succeeded(t)
	list := &status.RunList{}
	if err := json.Unmarshal([]byte(r.Stdout), list); err != nil || list.Kind != status.RunListKind {
		t.Fatalf("the list is no JSON of kind %s: %v\n%s", status.RunListKind, err, r)
	}
	return list.Items
}

// ImageList reads `kubectl pyflow images`.
func (n *NS) ImageList(t *testing.T, args ...string) *images.List {
	t.Helper()
	r := n.Pyflow(t, append([]string{"images", "-o", "json"}, args...)...).Succeeded(t)
	list := &images.List{}
	if err := json.Unmarshal([]byte(r.Stdout), list); err != nil {
		t.Fatalf("the list is not JSON: %v\n%s", err, r)
	}
	return list
}

// Detached starts a run that deploys nothing, and returns its name.
func (n *NS) Detached(t *testing.T, dir string, args ...string) string {
	t.Helper()
	r := n.Build(t, append([]string{dir, "--detach", "--no-deploy"}, args...)...).Succeeded(t)
	name := strings.TrimPrefix(strings.TrimSpace(r.Stdout), "pipelinerun.tekton.dev/")
	if name == "" || strings.ContainsAny(name, " \n/") {
		t.Fatalf("stdout should be the run's name\n%s", r)
	}
	return name
}

// Events reads what `build -o json` printed.
func Events(t *testing.T, r Result) []event.Event {
	t.Helper()
	var events []event.Event
	decoder := json.NewDecoder(strings.NewReader(r.Stdout))
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

// Finished returns the result that `build -o json` printed last.
func Finished(t *testing.T, r Result) *event.Result {
	t.Helper()
	events := Events(t, r)
	return events[len(events)-1].Result
}

// PodsOf lists the pods of a run.
func (n *NS) PodsOf(ctx context.Context, run string) ([]corev1.Pod, error) {
	list, err := n.Kube.CoreV1().Pods(n.Name).List(ctx, metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Inside runs a command of the base image where an app's image is being built.
func (n *NS) Inside(ctx context.Context, app string, args ...string) error {
	pods, err := n.Kube.CoreV1().Pods(n.Name).List(ctx, metav1.ListOptions{
		LabelSelector: manifests.LabelApp + "=" + app + ",tekton.dev/pipelineTask=" + manifests.BuildTask, FieldSelector: "status.phase=Running",
	})
	if err != nil {
		return err
	}
	if len(pods.Items) != 1 {
		return fmt.Errorf("%d pods build %s", len(pods.Items), app)
	}
	exec := append([]string{"exec", "-n", n.Name, pods.Items[0].Name, "-c", "step-" + manifests.BuildTask, "--"}, args...)
	if out, err := n.Command(ctx, "kubectl", exec...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// HeldInstruction is an instruction of a Dockerfile that lasts until Release.
const HeldInstruction = "RUN touch /held && for i in $(seq 6000); do [ -e /go ] && exit 0; sleep 0.1; done; exit 1\n"

// Held waits until an app's build has reached HeldInstruction.
func (n *NS) Held(t *testing.T, app string) {
	t.Helper()
	Eventually(t, "wait for the build of "+app, func(ctx context.Context) error {
		return n.Inside(ctx, app, "/bin/test", "-e", "/held")
	})
}

// Release lets an app's build go on behind HeldInstruction.
func (n *NS) Release(t *testing.T, app string) {
	t.Helper()
	Check(t, n.Inside(t.Context(), app, "/bin/touch", "/go"))
}

// Traces is everything that the cluster has on a run: the logs of its pods by task
// and step, and all of it as one text.
func (n *NS) Traces(t *testing.T, run string) (logs map[string]string, all string) {
	t.Helper()
	logs = map[string]string{}
	var text strings.Builder
	write := func(object any, err error) {
		t.Helper()
		Check(t, err)
		Check(t, json.NewEncoder(&text).Encode(object))
	}
	pipelineRun, err := n.Tekton.TektonV1().PipelineRuns(n.Name).Get(t.Context(), run, metav1.GetOptions{})
	write(pipelineRun, err)
	tasks, err := n.Tekton.TektonV1().TaskRuns(n.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	write(tasks, err)
	events, err := n.Kube.CoreV1().Events(n.Name).List(t.Context(), metav1.ListOptions{})
	write(events, err)
	pods, err := n.PodsOf(t.Context(), run)
	write(pods, err)
	for _, pod := range pods {
		for _, container := range pod.Spec.Containers {
			log, err := n.Kube.CoreV1().Pods(n.Name).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).DoRaw(t.Context())
			Check(t, err)
			logs[pod.Labels["tekton.dev/pipelineTask"]+"/"+strings.TrimPrefix(container.Name, "step-")] = string(log)
			text.Write(log)
		}
	}
	return logs, text.String()
}

// Secret creates a Secret and returns its name.
func (n *NS) Secret(t *testing.T, name string, data map[string]string) string {
	t.Helper()
	_, err := n.Kube.CoreV1().Secrets(n.Name).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data,
	}, metav1.CreateOptions{})
	Check(t, err)
	return name
}

// Leaks fails the test when one of needles is in what commands printed, or in the
// runs, pods, events, ConfigMaps and logs of the namespace or the platform's.
func (n *NS) Leaks(t *testing.T, needles ...string) {
	t.Helper()
	clean := func(place string, text []byte) {
		t.Helper()
		for _, needle := range needles {
			if strings.Contains(string(text), needle) {
				t.Errorf("%s: the password is there", place)
			}
		}
	}
	objects := func(place string, list any, err error) {
		t.Helper()
		Check(t, err)
		data, err := json.Marshal(list)
		Check(t, err)
		clean(place, data)
	}
	clean("what was printed", []byte(n.Printed.String()))
	logs := 0
	for _, namespace := range []string{n.Name, manifests.SystemNamespace} {
		runs, err := n.Tekton.TektonV1().PipelineRuns(namespace).List(t.Context(), metav1.ListOptions{})
		objects("pipelineruns of "+namespace, runs, err)
		tasks, err := n.Tekton.TektonV1().TaskRuns(namespace).List(t.Context(), metav1.ListOptions{})
		objects("taskruns of "+namespace, tasks, err)
		events, err := n.Kube.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		objects("events of "+namespace, events, err)
		configMaps, err := n.Kube.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
		objects("configmaps of "+namespace, configMaps, err)
		pods, err := n.Kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		objects("pods of "+namespace, pods, err)
		for _, pod := range pods.Items {
			for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
				log, err := n.Kube.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).DoRaw(t.Context())
				if err != nil {
					continue // It never ran.
				}
				logs += len(log)
				clean("log of "+pod.Name+"/"+container.Name, log)
			}
		}
	}
	if logs == 0 {
		t.Fatal("no pod has a log")
	}
}
