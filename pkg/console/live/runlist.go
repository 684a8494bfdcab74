package live

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// pageSize bounds what of a long list is in memory with all of its fields.
const pageSize = 100

// runReader follows how a list of runs proceeds. An informer does not say what it has read of a
// list so far, nor that a connection is refused, nor that the next one is not.
type runReader interface {
	// started is called before each list, and found with each run of it.
	started()
	found(run *tektonv1.PipelineRun)
	// report is called with the error of each list and of each start of a watch, also nil.
	report(err error)
}

// listRuns lists and watches the runs of builds. It trims one run after the other: 2,000 runs
// with all of their fields are 50 MB.
func listRuns(client versioned.Interface, namespace string, reader runReader) *cache.ListWatch {
	runs := client.TektonV1().PipelineRuns(namespace)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			// A list from the server's cache ignores the size of a page.
			options.LabelSelector, options.ResourceVersion, options.ResourceVersionMatch = manifests.LabelApp, "", ""
			pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				list, err := runs.List(ctx, options)
				if err != nil {
					return nil, err
				}
				for i := range list.Items {
					pipelinerun.Trim(&list.Items[i])
					reader.found(&list.Items[i])
				}
				return list, nil
			})
			pages.PageSize, pages.PageBufferSize = pageSize, 0
			reader.started()
			list, _, err := pages.List(ctx, options)
			reader.report(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			options.LabelSelector = manifests.LabelApp
			// A server that can sends the list as the first events of a watch.
			lists := options.SendInitialEvents != nil && *options.SendInitialEvents
			if lists {
				reader.started()
			}
			watch, err := runs.Watch(ctx, options)
			var first *apiwatch.Event
			if err == nil {
				first, err = peek(watch)
			}
			reader.report(err)
			if err != nil {
				return nil, err
			}
			return newRunWatch(watch, first, lists, reader, func() {
				// Watches end regularly. The informer waits for up to a minute before the next one.
				bounded, cancel := context.WithTimeout(ctx, answerWithin)
				defer cancel()
				if _, err := runs.List(bounded, metav1.ListOptions{Limit: 1}); err != nil && ctx.Err() == nil {
					reader.report(err)
				}
			}), nil
		},
	}
}

const (
	// foundEvery is the shortest time between two changes of what a list has read so far, and
	// firstFound how many runs are shown at first: a screen is full of them.
	foundEvery = 100 * time.Millisecond
	firstFound = 50
)

// soFar are the runs that a list has read so far. It is safe for concurrent use.
type soFar struct {
	mu    sync.Mutex
	runs  map[types.UID]*tektonv1.PipelineRun
	shown time.Time
}

// add adds a run, and reports whether it is time to show what is there.
func (s *soFar) add(run *tektonv1.PipelineRun) (show bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == nil {
		s.runs = map[types.UID]*tektonv1.PipelineRun{}
	}
	s.runs[run.UID] = run
	// The first rows are shown when there are some.
	if len(s.runs) < firstFound || time.Since(s.shown) < foundEvery {
		return false
	}
	s.shown = time.Now()
	return true
}

func (s *soFar) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = nil
}

// list returns the runs, in no order. Do not change them.
func (s *soFar) list() []*tektonv1.PipelineRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.runs))
}

// runWatch is a watch that trims the runs. They are read as soon as they are there, so nothing
// may change them later.
type runWatch struct {
	watch  apiwatch.Interface
	events chan apiwatch.Event
	// stopped is closed by stop.
	stopped chan struct{}
	stop    func()
}

// errNoAnswer stands for the error that client-go hides: of a server that breaks a connection or
// lets it time out, it makes a watch that has ended.
var errNoAnswer = errors.New("the connection broke before an answer")

// peek returns the first event of a watch if it is there already, and errNoAnswer if the watch
// has ended.
func peek(watch apiwatch.Interface) (*apiwatch.Event, error) {
	select {
	case event, open := <-watch.ResultChan():
		if !open {
			return nil, errNoAnswer
		}
		return &event, nil
	default:
		return nil, nil //nolint:nilnil // no event yet is no error
	}
}

// answerWithin is how long an API server that works takes to answer at most.
const answerWithin = 5 * time.Second

// newRunWatch wraps a watch whose first event may be read already. With lists, it sends a list
// first, and reader is called with the runs of it. ended is called if the watch ends by itself.
func newRunWatch(watch apiwatch.Interface, first *apiwatch.Event, lists bool, reader runReader, ended func()) *runWatch {
	w := &runWatch{watch: watch, events: make(chan apiwatch.Event), stopped: make(chan struct{})}
	w.stop = sync.OnceFunc(func() { close(w.stopped) })
	go w.run(first, lists, reader, ended)
	return w
}

// Stop ends the watch.
func (w *runWatch) Stop() {
	w.stop()
	w.watch.Stop()
}

// ResultChan returns the events, which end with those of the watch.
func (w *runWatch) ResultChan() <-chan apiwatch.Event { return w.events }

func (w *runWatch) run(first *apiwatch.Event, listing bool, reader runReader, ended func()) {
	defer close(w.events)
	forward := func(event apiwatch.Event) bool {
		if run, ok := event.Object.(*tektonv1.PipelineRun); ok {
			pipelinerun.Trim(run)
			listing = listing && run.Annotations[metav1.InitialEventsAnnotationKey] != "true"
			if listing && event.Type == apiwatch.Added {
				reader.found(run)
			}
		}
		select {
		case w.events <- event:
			return true
		case <-w.stopped:
			return false
		}
	}
	if first != nil && !forward(*first) {
		return
	}
	for event := range w.watch.ResultChan() {
		if !forward(event) {
			return
		}
	}
	select {
	case <-w.stopped:
	default:
		go ended()
	}
}
