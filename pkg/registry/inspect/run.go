package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// task and listStep are the only task of the run, and the step that logs the listing.
	task     = "inspect"
	listStep = "list"
	// logLimit limits the log: the Task writes no longer one.
	logLimit = 16 << 20
	// cleanupTimeout limits the deletion of the run, also after ctx has ended.
	cleanupTimeout = 10 * time.Second
)

// ErrNoTask reports that an older version set up the cluster, without the Task.
var ErrNoTask = errors.New("the cluster has no Task " + manifests.InspectTask)

// Error reports why an image could not be listed.
type Error struct {
	Message, Hint string
}

func (e *Error) Error() string { return "list the image's files: " + e.Message }

// Advice returns what to do.
func (e *Error) Advice() []string {
	if e.Hint == "" {
		return nil
	}
	return []string{e.Hint}
}

// Clients are the API clients that List needs.
type Clients struct {
	Tekton versioned.Interface
	Kube   kubernetes.Interface
}

// Target is the image to list.
type Target struct {
	Namespace string
	// Repository is the repository from which pods pull the image, without a tag. Digest is
	// that of the image, not of an index.
	Repository, Digest string
	// Layers are the digests of its layers.
	Layers []string
	// Timeout limits the run, WaitTimeout the time that its pod may make no progress before it
	// starts.
	Timeout, WaitTimeout time.Duration
}

// List lists the image's files in the cluster, by a run that it always deletes again. It calls
// progress, which may be nil, with a few words about what happens and whether that is waiting.
// The error is an *Error, holds ErrNoTask or ErrListing, or is that of the cluster.
func List(ctx context.Context, clients Clients, target Target, progress func(text string, waiting bool)) (*Listing, error) {
	run := newRun(target)
	runs := clients.Tekton.TektonV1().PipelineRuns(target.Namespace)
	// The run is deleted also if the answer to its creation was lost.
	defer func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer stop()
		background := metav1.DeletePropagationBackground
		// A run that stays behind ends by itself, and its name is unique.
		_ = runs.Delete(ctx, run.Name, metav1.DeleteOptions{PropagationPolicy: &background})
	}()
	err := kube.UntilWebhookAnswers(ctx, kube.WebhookPatience, func(ctx context.Context) error {
		_, err := runs.Create(ctx, run, metav1.CreateOptions{FieldManager: manifests.FieldManager})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create pipelinerun %s: %w", run.Name, err)
	}
	following, stop := context.WithTimeoutCause(ctx, target.Timeout+time.Minute, fmt.Errorf("it did not end within %s", target.Timeout+time.Minute))
	defer stop()
	events, err := follow.Run(following, follow.Clients{Tekton: clients.Tekton, Kube: clients.Kube}, target.Namespace, run.Name, follow.WaitTimeout(target.WaitTimeout))
	if err != nil {
		return nil, err
	}
	w := watcher{progress: progress}
	for event := range events {
		if w.end == nil {
			w.observe(event)
		}
		if w.end != nil {
			stop() // and read to the channel's end
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case w.end == nil:
		return nil, fmt.Errorf("follow run %s: %w", run.Name, context.Cause(following))
	case w.end.err != nil:
		return nil, w.end.err
	}
	return Decode(strings.NewReader(w.log.String()))
}

// watcher collects the results of a run from its events.
type watcher struct {
	progress func(text string, waiting bool)
	log      strings.Builder
	said     []string
	failed   *follow.Event
	end      *ending
}

type ending struct{ err error }

func (w *watcher) tell(text string, waiting bool) {
	if w.progress != nil {
		w.progress(text, waiting)
	}
}

func (w *watcher) observe(event follow.Event) {
	switch event.Kind {
	case follow.StepStarted:
		if event.Step == listStep {
			w.tell("Listing the image's files", false)
		} else {
			w.tell("Pulling the image in the cluster", false)
		}
	case follow.Log:
		line := pipelinerun.ParseFetchLine(event.Text)
		switch {
		case line.Level != "" || event.Step != listStep:
			w.said = append(w.said[max(0, len(w.said)-9):], line.Message)
		case w.log.Len()+len(event.Text) > logLimit:
			w.end = &ending{fmt.Errorf("%w: its log has more than %d MiB", ErrListing, logLimit>>20)}
		default:
			w.log.WriteString(event.Text)
		}
	case follow.StepEnded:
		if event.ExitCode != 0 && w.failed == nil {
			w.failed = &event
		}
	case follow.Waiting:
		w.tell(event.Reason+": "+event.Text, true)
		if event.Hopeless {
			w.end = &ending{&Error{Message: event.Reason + ": " + event.Text, Hint: event.Advice}}
		}
	case follow.RunEnded:
		w.end = &ending{w.verdict(event)}
	case follow.TaskStarted, follow.TaskEnded, follow.Warning, follow.StepRestarted:
	}
}

// verdict returns why a run that has ended has no listing; nil if it has one.
func (w *watcher) verdict(event follow.Event) error {
	if event.Err != nil {
		return event.Err
	}
	outcome := pipelinerun.Verdict(event.Run)
	switch {
	case outcome.Succeeded:
		return nil
	case strings.Contains(outcome.Message, manifests.InspectTask) && strings.Contains(outcome.Message, "not found"):
		return ErrNoTask
	case w.failed == nil:
		return &Error{Message: outcome.Reason + ": " + outcome.Message, Hint: event.Advice}
	}
	why := w.failed.Text
	if len(w.said) > 0 {
		why = w.said[len(w.said)-1]
	}
	if why == "" {
		why = fmt.Sprintf("step %s exited with code %d (%s)", w.failed.Step, w.failed.ExitCode, w.failed.Reason)
	}
	return &Error{Message: why, Hint: w.failed.Advice}
}

// newRun returns the run. It has no label of an app, because it does not belong to its history.
func newRun(target Target) *tektonv1.PipelineRun {
	noToken := false
	layers := make([]string, 0, len(target.Layers))
	seen := map[string]bool{}
	for _, digest := range target.Layers {
		if !seen[digest] {
			// An OCI layout names a blob by sha256/<hex>.
			layers = append(layers, strings.Replace(digest, ":", "/", 1))
		}
		seen[digest] = true
	}
	param := func(name, value string) tektonv1.Param {
		return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
	}
	return &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: tektonv1.SchemeGroupVersion.String(), Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "pyflow-inspect-" + rand.String(8), Namespace: target.Namespace,
			Labels: map[string]string{manifests.LabelManagedBy: manifests.FieldManager},
		},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef: &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{
				Resolver: "cluster",
				Params: tektonv1.Params{
					param("kind", "pipeline"), param("name", manifests.InspectTask), param("namespace", manifests.SystemNamespace),
				},
			}},
			Params: tektonv1.Params{
				param("image", target.Repository+"@"+target.Digest),
				{Name: "layers", Value: tektonv1.ParamValue{Type: tektonv1.ParamTypeArray, ArrayVal: layers}},
			},
			Workspaces: []tektonv1.WorkspaceBinding{{Name: "registry", Secret: &corev1.SecretVolumeSource{
				SecretName: manifests.RegistrySecret,
				Items: []corev1.KeyToPath{
					{Key: corev1.DockerConfigJsonKey, Path: "config.json"},
					{Key: manifests.CAKey, Path: manifests.CAKey},
				},
			}}},
			TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{
				ServiceAccountName: manifests.BuildServiceAccount,
				PodTemplate:        &pod.PodTemplate{AutomountServiceAccountToken: &noToken},
			},
			Timeouts: &tektonv1.TimeoutFields{Pipeline: &metav1.Duration{Duration: target.Timeout}},
		},
	}
}
