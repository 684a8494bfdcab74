package pipelinerun

import (
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

// annotations returns the annotations of a run that record the ending.
func (e Ending) annotations() map[string]string {
	return map[string]string{manifests.AnnotationEnding: e.Reason + ": " + display.Truncate(display.OneLine(e.Message), maxRolloutFailure)}
}

// EndingOf returns what MarkEnding or Cancel has recorded on a run.
func EndingOf(run *tektonv1.PipelineRun) Ending {
	reason, message, _ := strings.Cut(run.Annotations[manifests.AnnotationEnding], ": ")
	return Ending{Reason: reason, Message: message}
}

// MarkEnding records on a run why it ended.
func MarkEnding(ctx context.Context, client versioned.Interface, namespace, name string, ending Ending) error {
	change, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": ending.annotations()}})
	if err == nil {
		_, err = patch(ctx, client, namespace, name, string(change))
	}
	if err != nil {
		return fmt.Errorf("keep on run %s why it ended: %w", name, err)
	}
	return nil
}
