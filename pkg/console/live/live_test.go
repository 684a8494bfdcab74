package live

import (
	"errors"
	"testing"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// An API server that answers again is no longer said to be unreachable, also if nothing has
// changed meanwhile.
func TestUnreachable(t *testing.T) {
	client := tektonfake.NewSimpleClientset(&tektonv1.PipelineRun{})
	down := true
	client.PrependReactor("list", "pipelineruns", func(clienttesting.Action) (bool, runtime.Object, error) {
		return down, nil, errors.New("connection refused")
	})
	c := &Cluster{state: watch.New()}
	lists := listRuns(client, "demo", c)
	if _, err := lists.ListWithContextFunc(t.Context(), metav1.ListOptions{}); err == nil {
		t.Fatal("the list should fail")
	}
	if c.Unreachable() == nil {
		t.Error("the API server should be unreachable")
	}
	changed := c.Changed()
	down = false
	if _, err := lists.ListWithContextFunc(t.Context(), metav1.ListOptions{}); err != nil || c.Unreachable() != nil {
		t.Errorf("after a list: %v, %v", err, c.Unreachable())
	}
	select {
	case <-changed:
	default:
		t.Error("no page is updated when it answers")
	}
	c.report(errors.New("connection refused"))
	if _, err := lists.WatchFuncWithContext(t.Context(), metav1.ListOptions{}); err != nil || c.Unreachable() != nil {
		t.Errorf("after a watch: %v, %v", err, c.Unreachable())
	}
	// client-go hides a connection that breaks behind a watch that has ended.
	client.PrependWatchReactor("pipelineruns", func(clienttesting.Action) (bool, apiwatch.Interface, error) {
		return true, apiwatch.NewEmptyWatch(), nil
	})
	if _, err := lists.WatchFuncWithContext(t.Context(), metav1.ListOptions{}); err == nil || c.Unreachable() == nil {
		t.Errorf("after a watch that has ended: %v, %v", err, c.Unreachable())
	}
	c.report(nil)
	// An answer that changes nothing is no news: pages would be rendered for it.
	changed = c.Changed()
	c.report(nil)
	select {
	case <-changed:
		t.Error("an answer without news wakes all pages")
	default:
	}
}
