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

// maxRolloutFailure is how many characters a run keeps of why its rollout failed.
const maxRolloutFailure = 1000

// MarkRolloutFailed keeps on a run why the rollout after it failed: the run itself has succeeded,
// and the objects of the app show it only until they are replaced. An empty reason counts as
// "RolloutFailed".
func MarkRolloutFailed(ctx context.Context, client versioned.Interface, namespace, name, reason, message string) error {
	text := cmp.Or(reason, "RolloutFailed") + ": " + display.Truncate(display.OneLine(message), maxRolloutFailure)
	change, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{manifests.AnnotationRolloutFailed: text}}})
	if err == nil {
		_, err = patch(ctx, client, namespace, name, string(change))
	}
	if err != nil {
		return fmt.Errorf("keep on run %s that its rollout failed: %w", name, err)
	}
	return nil
}

// RolloutFailure returns why the rollout after a run failed; two empty texts if it did not, or if
// nobody watched it.
func RolloutFailure(run *tektonv1.PipelineRun) (reason, message string) {
	reason, message, _ = strings.Cut(run.Annotations[manifests.AnnotationRolloutFailed], ": ")
	return reason, message
}
