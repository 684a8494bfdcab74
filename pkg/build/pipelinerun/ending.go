package pipelinerun

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Reasons of an Ending. A run that was given up has the reason of what it waited for.
const (
	// ReasonSuperseded is that of a run in whose place a later one was deployed.
	ReasonSuperseded = "Superseded"
	// ReasonInterrupted is that of a run whose command was interrupted.
	ReasonInterrupted = "Interrupted"
	// ReasonCanceled is that of a run that a user canceled.
	ReasonCanceled = reasonCanceled
	// ReasonDeleted is that of a run whose app was deleted.
	ReasonDeleted = "AppDeleted"
)

// Ending is why a run ended as it did, where Tekton does not know it: to Tekton a run that was given
// up is a canceled one, and a superseded one has failed.
type Ending struct {
	// Reason is one word; empty if nothing is on record.
	Reason string
	// Message is one line.
	Message string
}

// maxEnding is how many characters a run keeps of why it ended.
const maxEnding = 1000

// annotation returns the ending as an annotation has it.
func (e Ending) annotation() string {
	return e.Reason + ": " + display.Truncate(display.OneLine(e.Message), maxEnding)
}

// annotated returns the ending in an annotation of a run; a zero one if there is none.
func annotated(run *tektonv1.PipelineRun, annotation string) Ending {
	reason, message, _ := strings.Cut(run.Annotations[annotation], ": ")
	return Ending{Reason: reason, Message: message}
}

// annotate writes the ending into an annotation of a run.
func annotate(ctx context.Context, client versioned.Interface, namespace, name, annotation string, ending Ending) error {
	change, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotation: ending.annotation()}}})
	if err == nil {
		_, err = patch(ctx, client, namespace, name, string(change))
	}
	return err
}

// EndingOf returns what MarkEnding or Cancel has recorded on a run.
func EndingOf(run *tektonv1.PipelineRun) Ending {
	return annotated(run, manifests.AnnotationEnding)
}

// MarkEnding records on a run why it ended.
func MarkEnding(ctx context.Context, client versioned.Interface, namespace, name string, ending Ending) error {
	if err := annotate(ctx, client, namespace, name, manifests.AnnotationEnding, ending); err != nil {
		return fmt.Errorf("keep on run %s why it ended: %w", name, err)
	}
	return nil
}

// MarkRolloutFailed keeps on a run why the rollout after it failed: the run itself has succeeded,
// and the objects of the app show it only until they are replaced. An empty reason counts as
// "RolloutFailed".
func MarkRolloutFailed(ctx context.Context, client versioned.Interface, namespace, name, reason, message string) error {
	failed := Ending{Reason: cmp.Or(reason, "RolloutFailed"), Message: message}
	if err := annotate(ctx, client, namespace, name, manifests.AnnotationRolloutFailed, failed); err != nil {
		return fmt.Errorf("keep on run %s that its rollout failed: %w", name, err)
	}
	return nil
}

// RolloutFailure returns why the rollout after a run failed; two empty texts if it did not, or if
// nobody watched it.
func RolloutFailure(run *tektonv1.PipelineRun) (reason, message string) {
	failed := annotated(run, manifests.AnnotationRolloutFailed)
	return failed.Reason, failed.Message
}
