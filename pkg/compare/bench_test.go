package compare

import (
	"context"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// TestCleanAwaitsTheUnfinished proves that nothing is emptied while a build may push.
func TestCleanAwaitsTheUnfinished(t *testing.T) {
	tekton := tektonfake.NewSimpleClientset()
	for _, name := range []string{"ended", "under-way"} {
		run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team"}}
		if err := tekton.Tracker().Add(run); err != nil {
			t.Fatal(err)
		}
	}
	policies := map[string]metav1.DeletionPropagation{}
	tekton.PrependReactor("delete", "pipelineruns", func(action clienttesting.Action) (bool, runtime.Object, error) {
		deleted, ok := action.(clienttesting.DeleteAction)
		if !ok {
			return false, nil, nil
		}
		policies[deleted.GetName()] = *deleted.GetDeleteOptions().PropagationPolicy
		// The server answers at once; the run goes when its pod has.
		return deleted.GetName() == "under-way", nil, nil
	})
	asked := 0
	tekton.PrependReactor("get", "pipelineruns", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if asked++; asked < 2 {
			return false, nil, nil
		}
		return false, nil, tekton.Tracker().Delete(action.GetResource(), "team", "under-way")
	})
	bench := &Bench{Tekton: tekton, Namespace: "team", runs: []string{"ended", "gone", "under-way"}, unfinished: "under-way"}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := bench.Clean(ctx); err != nil {
		t.Error(err)
	}
	if policies["ended"] != metav1.DeletePropagationBackground || policies["under-way"] != metav1.DeletePropagationForeground {
		t.Errorf("they are deleted by %v", policies)
	}
	if runs, err := tekton.TektonV1().PipelineRuns("team").List(t.Context(), metav1.ListOptions{}); err != nil || len(runs.Items) != 0 {
		t.Errorf("runs %v stay, %v", runs.Items, err)
	}
}
