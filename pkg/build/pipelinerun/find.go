package pipelinerun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/pager"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// pageSize bounds what is in memory of a long list.
	pageSize = 250
	// suggestions is how many runs a NotFoundError names.
	suggestions = 5
)

// NotFoundError reports that no run has the name, and which runs exist.
type NotFoundError struct {
	Namespace string
	// Name is what was asked for; empty for the newest run of the namespace.
	Name string
	// Runs are the names of the newest runs, newest first, at most five; Apps those
	// of all apps that have a run, sorted.
	Runs, Apps []string
}

func (e *NotFoundError) Error() string {
	if e.Name == "" {
		return "there are no runs in namespace " + e.Namespace
	}
	return fmt.Sprintf("there is no run and no app %q in namespace %s", e.Name, e.Namespace)
}

// Advice names the runs and apps that exist.
func (e *NotFoundError) Advice() []string {
	if len(e.Runs) == 0 {
		return []string{"runs of other namespaces: kubectl pyflow runs --all-namespaces; to start one: kubectl pyflow build DIRECTORY"}
	}
	return []string{fmt.Sprintf("apps: %s; newest runs: %s; all of them: kubectl pyflow runs", strings.Join(e.Apps, ", "), strings.Join(e.Runs, ", "))}
}

// Newer orders runs by their creation, the newest first. The server records it to the
// second; within one second the name decides, as for the order of deployments.
func Newer(a, b metav1.Object) int {
	return cmp.Or(b.GetCreationTimestamp().Compare(a.GetCreationTimestamp().Time), strings.Compare(b.GetName(), a.GetName()))
}

// Find resolves what a person names: an app, which is its newest run; a run, also
// in the form that -o name prints; or nothing, which is the newest run of the
// namespace. Only runs of ours count. Nothing found is a NotFoundError.
func Find(ctx context.Context, client versioned.Interface, namespace, name string) (*tektonv1.PipelineRun, error) {
	if _, isRun := runName(name); !isRun && len(validation.IsValidLabelValue(name)) == 0 {
		newest, err := Newest(ctx, client, namespace, name, func(*tektonv1.PipelineRun) bool { return true })
		if newest != nil || err != nil {
			return newest, err
		}
	}
	return FindRun(ctx, client, namespace, name)
}

// FindRun is Find without apps: name is a run.
func FindRun(ctx context.Context, client versioned.Interface, namespace, name string) (*tektonv1.PipelineRun, error) {
	// What is no name of an object is none of a request's path either.
	if run, _ := runName(name); len(validation.IsDNS1123Subdomain(run)) == 0 {
		found, err := client.TektonV1().PipelineRuns(namespace).Get(ctx, run, metav1.GetOptions{})
		if err == nil && found.Labels[manifests.LabelApp] != "" {
			return found, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get pipelinerun %s: %w", run, err)
		}
	}
	return nil, missing(ctx, client, namespace, name)
}

// runName returns the name in what -o name prints, and whether it is that.
func runName(name string) (string, bool) {
	kind, run, found := strings.Cut(name, "/")
	if found && slices.Contains([]string{"pipelinerun.tekton.dev", "pipelinerun", "pipelineruns", "pr"}, kind) {
		return run, true
	}
	return name, false
}

// IsRunName reports whether a name can only mean a run: it is in the form that -o name prints.
func IsRunName(name string) bool {
	_, isRun := runName(name)
	return isRun
}

// Newest returns the newest run of an app, or of all apps when it is empty, for which
// is says so; nil if there is none.
func Newest(ctx context.Context, client versioned.Interface, namespace, app string, is func(*tektonv1.PipelineRun) bool) (*tektonv1.PipelineRun, error) {
	return newest(ctx, client, namespace, ofApp(app), is)
}

func newest(ctx context.Context, client versioned.Interface, namespace, selector string, is func(*tektonv1.PipelineRun) bool) (*tektonv1.PipelineRun, error) {
	var newest *tektonv1.PipelineRun
	err := each(ctx, client, namespace, selector, func(run *tektonv1.PipelineRun) {
		if is(run) && (newest == nil || Newer(run, newest) < 0) {
			newest = run
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list pipelineruns: %w", err)
	}
	return newest, nil
}

// missing makes the NotFoundError.
func missing(ctx context.Context, client versioned.Interface, namespace, name string) error {
	apps := map[string]bool{}
	var runs []*metav1.ObjectMeta
	err := Each(ctx, client, namespace, "", func(run *tektonv1.PipelineRun) {
		apps[run.Labels[manifests.LabelApp]] = true
		runs = append(runs, &metav1.ObjectMeta{Name: run.Name, CreationTimestamp: run.CreationTimestamp})
		slices.SortFunc(runs, func(a, b *metav1.ObjectMeta) int { return Newer(a, b) })
		runs = runs[:min(len(runs), suggestions)]
	})
	if err != nil {
		return fmt.Errorf("list pipelineruns: %w", err)
	}
	e := &NotFoundError{Namespace: namespace, Name: name, Apps: slices.Sorted(maps.Keys(apps))}
	for _, run := range runs {
		e.Runs = append(e.Runs, run.Name)
	}
	return e
}

// Each hands the runs of an app, or of all apps when it is empty, to visit, in no
// order; of all namespaces when that is empty. A cluster without Tekton has none. An
// error is the server's.
func Each(ctx context.Context, client versioned.Interface, namespace, app string, visit func(*tektonv1.PipelineRun)) error {
	return each(ctx, client, namespace, ofApp(app), visit)
}

// ofApp selects the runs of an app, or of all apps when it is empty.
func ofApp(app string) string {
	if app == "" {
		return manifests.LabelApp
	}
	return labels.Set{manifests.LabelApp: app}.String()
}

func each(ctx context.Context, client versioned.Interface, namespace, selector string, visit func(*tektonv1.PipelineRun)) error {
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.TektonV1().PipelineRuns(namespace).List(ctx, options)
	})
	pages.PageSize, pages.PageBufferSize = pageSize, 0
	err := pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: selector}, func(item runtime.Object) error {
		run, ok := item.(*tektonv1.PipelineRun)
		if !ok {
			return fmt.Errorf("an item is a %T", item)
		}
		visit(run)
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// FindRunning returns the runs that a name means if they are to be canceled: all running
// runs of an app, newest first, or the run of that name. A run that has ended is an
// EndedError, an app without a running run a NotRunningError, and nothing found a
// NotFoundError.
func FindRunning(ctx context.Context, client versioned.Interface, namespace, name string) ([]*tektonv1.PipelineRun, error) {
	var running []*tektonv1.PipelineRun
	known := false
	if _, isRun := runName(name); !isRun && name != "" && len(validation.IsValidLabelValue(name)) == 0 {
		err := Each(ctx, client, namespace, name, func(run *tektonv1.PipelineRun) {
			known = true
			if !run.IsDone() {
				running = append(running, run)
			}
		})
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // the pager returns less
		}
		if err != nil {
			return nil, fmt.Errorf("list pipelineruns of %s: %w", name, err)
		}
	}
	if len(running) > 0 {
		slices.SortFunc(running, func(a, b *tektonv1.PipelineRun) int { return Newer(a, b) })
		return running, nil
	}
	run, err := FindRun(ctx, client, namespace, name)
	var missing *NotFoundError
	switch {
	case known && errors.As(err, &missing):
		return nil, &NotRunningError{Namespace: namespace, App: name}
	case err != nil:
		return nil, err
	}
	return []*tektonv1.PipelineRun{run}, CheckRunning(run)
}

// NotRunningError reports an app none of whose runs is running.
type NotRunningError struct{ Namespace, App string }

func (e *NotRunningError) Error() string {
	return fmt.Sprintf("no run of app %s is running in namespace %s", e.App, e.Namespace)
}

// EndedError reports a run that cannot be canceled because it has ended.
type EndedError struct{ Name, Reason string }

func (e *EndedError) Error() string {
	return fmt.Sprintf("run %s has ended already: %s", e.Name, e.Reason)
}

// CheckRunning returns an EndedError for a run that has ended.
func CheckRunning(run *tektonv1.PipelineRun) error {
	if !run.IsDone() {
		return nil
	}
	return &EndedError{Name: run.Name, Reason: cmp.Or(Verdict(run).Reason, string(corev1.ConditionUnknown))}
}
