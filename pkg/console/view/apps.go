package view

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/applog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// Apps is the model of the list of apps.
type Apps struct {
	Apps []AppRow
	// Total counts the apps that match, All those that there are, Unhealthy those of them.
	Total, All, Unhealthy int
	Pager                 Pager
	// State, Text and Namespace are the filters.
	State, Text, Namespace string
	// ManyNamespaces shows the namespace of each app.
	ManyNamespaces bool
	Ready          bool
	Problem        *Problem
	Build          Action
}

// AppRow is an app with what built it.
type AppRow struct {
	status.App
	// Registry is the path of the view of its image; empty if the image is not known.
	Registry string
	// Built is the run that built the image; nil if that run is deleted.
	Built *status.Run
}

// AppRows returns rows of apps. runs are those of the cluster, newest first.
func AppRows(apps []status.App, runs []status.Run) []AppRow {
	type image struct{ namespace, app, digest string }
	built := map[image]*status.Run{}
	for i := range runs {
		run := &runs[i]
		if run.Digest != "" && run.Pipeline != manifests.DeliverPipelineName {
			built[image{run.Namespace, run.App, run.Digest}] = run // the oldest is the last one
		}
	}
	rows := make([]AppRow, len(apps))
	for i, app := range apps {
		rows[i] = AppRow{App: app}
		if app.Digest != "" {
			rows[i].Registry = Path("registry", app.Namespace, app.Name, app.Digest)
			rows[i].Built = built[image{app.Namespace, app.Name, app.Digest}]
		}
	}
	return rows
}

// Mentions reports whether an app has a text in its name, namespace, URL or image, or in the
// commit or the run that built it.
func (a AppRow) Mentions(text string) bool {
	fields := []string{a.Name, a.Namespace, a.URL, a.Digest, a.Reason}
	if a.Built != nil {
		fields = append(fields, a.Built.Name, a.Built.Commit)
	}
	return Mentions(text, fields...)
}

// App is the model of one app.
type App struct {
	AppRow
	// Deployed reports that the app runs; without it only Runs are known.
	Deployed  bool
	Workloads []Object
	Replicas  []Replica
	// ReplicasReady is false until they have been read once, ReplicasProblem is why they
	// cannot be read.
	ReplicasReady   bool
	ReplicasProblem *Problem
	// ManyWorkloads shows the workload of each replica.
	ManyWorkloads bool
	// Runs are the newest of AllRuns runs.
	Runs     []status.Run
	AllRuns  int
	Releases Releases
	// Open is the command that opens it, for an app without a URL.
	Open string
	// Processes are its workloads; none if it is not deployed.
	Processes []Process
	Actions   []Action
	Log       Log
	// LogNotes are what is missing in the log, and why.
	LogNotes []string
	// Replica is the only one whose log is shown, and AllReplicas the view with that of all;
	// empty if that is shown.
	Replica, AllReplicas string
	// ManyNamespaces is for the list of runs, which are of one namespace here.
	ManyNamespaces bool
}

// OneApp reports that the list of runs need not name the app of each.
func (App) OneApp() bool { return true }

// Log is the model of a log. Its lines come in a stream of their own.
type Log struct {
	// Name is what the browser keeps the log under, Title heads it.
	Name, Title string
	// Sources lets the user choose the lines of one source; it is what a source is called.
	Sources string
	// Chatter lets the user see lines that are hidden at first.
	Chatter bool
}

// LogNotes returns what is missing in the log of an app that shows one replica, or all if it is
// empty, of which most are read at once. It is pure.
func LogNotes(replicas applog.Replicas, replica string, most int) []string {
	switch {
	case !replicas.Ready:
	case replicas.Unread > 0:
		return []string{fmt.Sprintf("The log has %d of %d replicas, the newest ones: %d are read at once. The list above opens the log of any other.",
			len(replicas.Pods)-replicas.Unread, len(replicas.Pods), most)}
	case replica != "" && !slices.ContainsFunc(replicas.Pods, func(one applog.Replica) bool { return one.Pod.Name == replica }):
		return []string{"Replica " + replica + " does not exist any more, and its log is gone with it."}
	}
	return nil
}

// Replica is a pod of an app.
type Replica struct {
	// Name is the pod's, Object the path of its YAML, and Log the query of the view with its log.
	Name, Object, Log, Workload string
	// State is one word or two, Tone the class of its color.
	State, Tone string
	// Message is why it is not ready, Remedy what to do; both may be empty.
	Message, Remedy string
	Restarts        int32
	// Restarted is when its last instance ended; zero if none has.
	Restarted time.Time
	Node      string
	Created   time.Time
	// Earlier reports that it runs another image than the app's.
	Earlier bool
}

// Tones of states: the names are those of states with a color in console.css.
const (
	toneGood = "healthy"
	toneBad  = "unhealthy"
	toneBusy = "running"
	toneIdle = "idle"
)

// Replicas returns the rows of pods of an app with that image. It is pure.
func Replicas(pods []applog.Replica, image string) []Replica {
	rows := make([]Replica, 0, len(pods))
	for _, one := range pods {
		pod := one.Pod
		row := Replica{
			Name: pod.Name, Object: Path("objects", pod.Namespace, "pods", pod.Name), Log: "?" + url.Values{"replica": {pod.Name}}.Encode(), Workload: one.Workload,
			Node: pod.Spec.NodeName, Created: pod.CreationTimestamp.Time,
		}
		row.State, row.Tone, row.Message, row.Remedy = stateOf(pod)
		for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			row.Restarts += container.RestartCount
			for _, ended := range []*corev1.ContainerStateTerminated{container.State.Terminated, container.LastTerminationState.Terminated} {
				if ended != nil && container.RestartCount > 0 && ended.FinishedAt.After(row.Restarted) {
					row.Restarted = ended.FinishedAt.Time
				}
			}
		}
		row.Earlier = image != "" && !slices.ContainsFunc(slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers), func(container corev1.Container) bool {
			return container.Image == image
		})
		rows = append(rows, row)
	}
	return rows
}

// stateOf returns the state of a pod.
func stateOf(pod *corev1.Pod) (state, tone, message, remedy string) {
	if pod.DeletionTimestamp != nil {
		return "Terminating", toneIdle, "", ""
	}
	if problems := diagnose.OfPod(pod); len(problems) > 0 {
		worst := problems[0]
		return worst.Reason, toneBad, worst.Message, worst.Remedy
	}
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return "Completed", toneIdle, "", ""
	case corev1.PodFailed:
		return cmp.Or(pod.Status.Reason, "Failed"), toneBad, pod.Status.Message, ""
	case corev1.PodRunning:
		if waiting, ok := diagnose.NotReady(pod); ok {
			return "Not ready", toneBusy, waiting.Message, waiting.Remedy
		}
		return "Ready", toneGood, "", ""
	}
	return "Starting", toneBusy, "", ""
}
