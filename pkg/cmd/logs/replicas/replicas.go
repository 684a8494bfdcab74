// Package replicas prints the log of an app: that of all of its replicas.
package replicas

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/applog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// maxReplicas is how many replicas are read at once: each keeps a connection open.
const maxReplicas = 50

// Options are how the log of an app is printed.
type Options struct {
	Kube    kubernetes.Interface
	Logs    podlog.Source
	Streams genericiooptions.IOStreams
	// Follow goes on with what the replicas write, and with new replicas, until ctx ends.
	Follow bool
	// Since leaves out older lines; zero is none.
	Since time.Duration
	// Tail is how many of the last lines of each container are printed; negative is all.
	Tail int
	// Previous prints the instances before the last restart of each container.
	Previous   bool
	Timestamps bool
	Now        func() time.Time
}

// Run prints the log of an app.
func (o *Options) Run(ctx context.Context, of app.App) error {
	options := applog.Options{Tail: int64(o.Tail), MaxReplicas: maxReplicas}
	if o.Since > 0 {
		options.Since = o.Now().Add(-o.Since)
	}
	p := &printer{streams: o.Streams, timestamps: o.Timestamps, color: display.IsTerminal(o.Streams.Out)}
	if o.Follow {
		return o.follow(ctx, of, options, p)
	}
	replicas, err := o.replicas(ctx, of)
	if err != nil {
		return err
	}
	if err := applog.Read(ctx, o.Logs, replicas, options, o.Previous, p.print); err != nil {
		return err
	}
	if p.lines == 0 {
		o.nothing(of, len(replicas))
	}
	return nil
}

// nothing says why there is no line.
func (o *Options) nothing(of app.App, replicas int) {
	switch {
	case replicas == 0:
		fmt.Fprintf(o.Streams.ErrOut, "app %s has no replicas\n", of.Name)
	case o.Previous:
		fmt.Fprintf(o.Streams.ErrOut, "no container of app %s has restarted\n", of.Name)
	case o.Since > 0:
		fmt.Fprintf(o.Streams.ErrOut, "app %s has written nothing in the last %s\n", of.Name, o.Since)
	default:
		fmt.Fprintf(o.Streams.ErrOut, "app %s has written nothing yet\n", of.Name)
	}
}

// replicas returns the pods of the app.
func (o *Options) replicas(ctx context.Context, of app.App) ([]applog.Replica, error) {
	var replicas []applog.Replica
	for _, w := range of.Workloads {
		list, err := o.Kube.CoreV1().Pods(of.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(w.Selector)})
		if err != nil {
			return nil, app.Denied(err, access.Permission{Verb: "list", Resource: "pods", Namespace: of.Namespace})
		}
		for i := range list.Items {
			replicas = append(replicas, applog.Replica{Workload: w.Meta.Name, Pod: &list.Items[i]})
		}
	}
	if len(replicas) > maxReplicas {
		fmt.Fprintf(o.Streams.ErrOut, "warning: the log leaves out %d of %d replicas\n", len(replicas)-maxReplicas, len(replicas))
		replicas = replicas[:maxReplicas]
	}
	return replicas, nil
}

// follow prints lines until ctx ends, the reader of standard output has gone, or the user lacks
// a permission.
func (o *Options) follow(ctx context.Context, of app.App, options applog.Options, p *printer) error {
	following, stop := context.WithCancelCause(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop(nil)
	follower := applog.NewFollower(o.Kube, o.Logs, of.Namespace, options, func(lines []applog.Line) {
		for _, line := range lines {
			if err := p.print(line); err != nil {
				stop(err)
				return
			}
		}
	})
	group.Go(func() { o.report(following, follower, stop) })
	follower.Follow(following, o.workloads(following, &group, of))
	return context.Cause(following)
}

// workloads returns the function that names the workloads to follow: those of the command line,
// and when it names a whole app those that the app gets later.
func (o *Options) workloads(ctx context.Context, group *sync.WaitGroup, of app.App) func() ([]string, <-chan struct{}) {
	var names []string
	known := map[string]bool{}
	add := func(kind, name string) {
		if resource := strings.ToLower(kind) + ".apps/" + name; !known[resource] {
			known[resource] = true
			names = append(names, resource)
		}
	}
	for _, w := range of.Workloads {
		add(w.Kind, w.Meta.Name)
	}
	if of.Part {
		return func() ([]string, <-chan struct{}) { return names, nil }
	}
	signal := watch.New()
	informers := map[string]cache.SharedIndexInformer{}
	for _, kind := range workload.Kinds() {
		informers[kind] = workload.NewInformer(o.Kube, kind, of.Namespace, func(options *metav1.ListOptions) {
			options.LabelSelector = labels.Set{manifests.LabelApp: of.Name}.String()
		})
		// Those that the app has now are followed without a watch.
		signal.Watch(ctx, group, informers[kind], func(error) {})
	}
	return func() ([]string, <-chan struct{}) {
		changed := signal.Changed()
		for _, kind := range workload.Kinds() {
			for _, key := range informers[kind].GetStore().ListKeys() {
				_, name, _ := cache.SplitMetaNamespaceKey(key)
				add(kind, name)
			}
		}
		return names, changed
	}
}

// report says what is not read. It stops following if the user lacks a permission.
func (o *Options) report(ctx context.Context, follower *applog.Follower, stop context.CancelCauseFunc) {
	said, unread := "", 0
	for ctx.Err() == nil {
		changed := follower.Changed()
		replicas := follower.Replicas()
		for _, err := range []error{replicas.Err, replicas.LogErr} {
			var missing *access.MissingError
			if errors.As(err, &missing) {
				stop(err)
				return
			}
			if err != nil && err.Error() != said {
				said = err.Error()
				fmt.Fprintf(o.Streams.ErrOut, "waiting: %s\n", display.OneLine(said))
			}
		}
		if replicas.Unread != unread {
			unread = replicas.Unread
			fmt.Fprintf(o.Streams.ErrOut, "warning: the log leaves out %d of %d replicas\n", unread, len(replicas.Pods))
		}
		watch.Wait(ctx, changed)
	}
}

// printer prints lines: those of a container to standard output, those about it to standard
// error.
type printer struct {
	streams           genericiooptions.IOStreams
	timestamps, color bool
	lines             int
}

func (p *printer) print(line applog.Line) error {
	p.lines++
	if line.Note {
		fmt.Fprintln(p.streams.ErrOut, buildview.LogLine(line.Source, line.Text, false))
		return nil
	}
	text := buildview.LogLine(line.Source, line.Text, p.color)
	if p.timestamps && !line.Time.IsZero() {
		text = line.Time.UTC().Format(time.RFC3339Nano) + " " + text
	}
	if _, err := fmt.Fprintln(p.streams.Out, text); err != nil {
		return fmt.Errorf("print the log: %w", err)
	}
	return nil
}
