package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// defaultKeep is how many images of each app a prune keeps if the user does not say.
const defaultKeep = "5"

// previewAge is how long a preview is shown again, as for another page of its list.
const previewAge = 2 * time.Minute

// preview is a dry run of a prune. Its fields are guarded by state.
type preview struct {
	state    *watch.Signal
	progress string
	result   *images.Pruned
	problem  *view.Problem
}

// previewed is the last preview that has ended. It is safe for concurrent use.
type previewed struct {
	mu     sync.Mutex
	args   []string
	result *images.Pruned
	at     time.Time
}

// get returns the result of a preview with args; nil if there is none, or an old one.
func (p *previewed) get(args []string) *images.Pruned {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.args, args) || time.Since(p.at) > previewAge {
		return nil
	}
	return p.result
}

// set keeps a result; nil forgets the last one.
func (p *previewed) set(args []string, result *images.Pruned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.args, p.result, p.at = args, result, time.Now()
}

// registryPrune shows what a prune would delete, and then makes it.
func (s *registryViews) registryPrune(ctx context.Context, r *http.Request) (*page, error) {
	query := r.URL.Query()
	form := url.Values{"keep": {cmp.Or(query.Get("keep"), defaultKeep)}, "cache": {query.Get("cache")}, "namespace": {s.cluster.Namespace()}}
	model := view.Prune{Keep: form.Get("keep"), Cache: form.Get("cache") != "", Namespace: s.cluster.Namespace()}
	show := func(model view.Prune) (view.Page, error) {
		return view.Page{Title: "Prune the registry", Section: "registry", Template: "registry-prune", Model: model}, nil
	}
	args, err := pruneArgs(form)
	if err != nil {
		model.Problem = &view.Problem{Message: err.Error()}
		return &page{render: func(context.Context) (view.Page, error) { return show(model) }}, nil //nolint:nilerr // the view shows it
	}
	config, err := platform.Config(ctx, s.options.Clients.Kube)
	if err != nil {
		return nil, err
	}
	if config.Registry.External {
		return nil, images.ErrExternal
	}
	args = append(args, "--dry-run=client", "--output=json")
	model.Command = s.commandLine(args)
	action := view.Action{
		Name: "prune", Label: "Delete and free the space", Title: "Prune the registry?", Danger: true,
		Text:   "Deletes what nothing uses any more at that moment. Then the registry's storage stops for some seconds to free the space; builds and pulls wait.",
		Fields: fields("namespace", model.Namespace, "keep", model.Keep, "cache", form.Get("cache")),
	}
	p := &preview{state: watch.New(), progress: "Reading the registry…"}
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	if known := s.previewed.get(args); known != nil && r.Header.Get(refreshHeader) == "" {
		p.progress, p.result = "", known
		close(done)
	} else {
		go func() {
			defer close(done)
			s.preview(running, p, args)
		}()
	}
	return &page{
		changed: p.state.Changed,
		close: func() {
			stop()
			<-done
		},
		render: func(ctx context.Context) (view.Page, error) {
			model := model
			p.state.Read(func() { model.Progress, model.Result, model.Problem = p.progress, p.result, p.problem })
			if model.Result != nil {
				model.Kinds = view.NewPruneKinds(model.Result)
				model.Rows, model.Pager = view.Paginate(model.Result.Deleted, listSize, "/registry/prune", query)
				model.Action = s.action(ctx, action, images.PrunePermissions(config.Registry, false)...)
			}
			return show(model)
		},
	}, nil
}

// preview runs a dry run of a prune.
func (s *registryViews) preview(ctx context.Context, p *preview, args []string) {
	var out bytes.Buffer
	lines := &progress{line: func(text string) { p.state.Update(func() { p.progress = text }) }}
	code := s.options.Verb(ctx, args, &out, lines)
	lines.flush()
	result := &images.Pruned{}
	var problem *view.Problem
	if err := json.Unmarshal(out.Bytes(), result); code != 0 || err != nil {
		message, advice := lines.failure()
		if code == 0 {
			message = fmt.Sprint("the preview cannot be read: ", errors.Join(err))
		}
		result, problem = nil, &view.Problem{Message: display.Sanitize(message), Advice: display.Sanitize(advice)}
	}
	s.previewed.set(args, result)
	p.state.Update(func() { p.progress, p.result, p.problem = "", result, problem })
}
