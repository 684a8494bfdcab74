package live

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// numberedRun returns a run with a text that lists do not show.
func numberedRun(i int) *tektonv1.PipelineRun {
	return &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("shop-%03d", i), Namespace: "demo", UID: types.UID(fmt.Sprint(i)), ResourceVersion: "5",
		Labels:      map[string]string{manifests.LabelApp: "shop"},
		Annotations: map[string]string{manifests.AnnotationDockerfile: "FROM scratch", manifests.AnnotationCommit: "c0ffee"},
	}}
}

// A long list shows what it has read so far, and is complete at its end.
func TestRunsSoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := tektonfake.NewSimpleClientset()
		stream := apiwatch.NewFake()
		client.PrependWatchReactor("pipelineruns", func(clienttesting.Action) (bool, apiwatch.Interface, error) {
			return true, stream, nil
		})
		c := &Cluster{state: watch.New()}
		lists := listRuns(client, "demo", c)
		c.runs = cache.NewSharedIndexInformer(lists, &tektonv1.PipelineRun{}, 0, cache.Indexers{})
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		c.state.Watch(ctx, &group, c.runs, func(err error) { t.Errorf("the watch failed: %v", err) })
		defer group.Wait()
		defer stop()

		changed := c.Changed()
		for i := range firstFound {
			if runs, ok, err := c.Runs(time.Now()); len(runs) != i || ok || err != nil {
				t.Fatalf("after %d runs of a list there are %d, complete %t, %v", i, len(runs), ok, err)
			}
			stream.Add(numberedRun(i))
			synctest.Wait()
		}
		select {
		case <-changed:
		default:
			t.Error("the first rows wake no page")
		}
		// The next ones come at once, and wake a page only when some time has passed.
		changed = c.Changed()
		stream.Add(numberedRun(firstFound))
		synctest.Wait()
		select {
		case <-changed:
			t.Error("each run wakes the pages")
		default:
		}
		time.Sleep(foundEvery)
		stream.Add(numberedRun(firstFound + 1))
		synctest.Wait()
		<-changed

		stream.Action(apiwatch.Bookmark, &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: "9", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}})
		time.Sleep(time.Second)
		synctest.Wait()
		runs, ok, err := c.Runs(time.Now())
		if len(runs) != firstFound+2 || !ok || err != nil {
			t.Errorf("at the end there are %d runs, complete %t, %v", len(runs), ok, err)
		}
		kept := c.Run("demo", "shop-000")
		if kept == nil || kept.Annotations[manifests.AnnotationDockerfile] != "" || kept.Annotations[manifests.AnnotationCommit] == "" {
			t.Errorf("the run is not trimmed: %+v", kept)
		}
		// What comes later is trimmed as well.
		stream.Modify(numberedRun(0))
		stream.Delete(numberedRun(1))
		synctest.Wait()
		if kept = c.Run("demo", "shop-000"); kept == nil || kept.Annotations[manifests.AnnotationDockerfile] != "" {
			t.Errorf("a changed run is not trimmed: %+v", kept)
		}
		if runs, _, _ = c.Runs(time.Now()); len(runs) != firstFound+1 {
			t.Errorf("after a deletion there are %d runs", len(runs))
		}
	})
}

// A watch that nobody reads any more ends.
func TestRunWatchStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := apiwatch.NewFakeWithChanSize(2, false)
		w := newRunWatch(stream, nil, false, nil, func() { t.Error("a watch that was stopped is not one that ended") })
		stream.Modify(numberedRun(1))
		stream.Modify(numberedRun(2))
		synctest.Wait()
		w.Stop()
		w.Stop()
		// Its goroutine has ended, or else synctest reports a deadlock.
		for range w.ResultChan() {
			t.Error("an event came after the end")
		}
	})
}

// A watch that ends by itself may be the first sign of an API server that does not answer.
func TestRunWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := apiwatch.NewFakeWithChanSize(2, false)
		ended := false
		w := newRunWatch(stream, &apiwatch.Event{Type: apiwatch.Added, Object: numberedRun(1)}, false, nil, func() { ended = true })
		stream.Modify(numberedRun(2))
		stream.Stop()
		var types []apiwatch.EventType
		for event := range w.ResultChan() {
			types = append(types, event.Type)
		}
		synctest.Wait()
		if !ended || !slices.Equal(types, []apiwatch.EventType{apiwatch.Added, apiwatch.Modified}) {
			t.Errorf("ended is %v after %v", ended, types)
		}
	})
}
