package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// ErrSourceGone reports that a run cannot be repeated: the registry no longer has its
// source.
var ErrSourceGone = errors.New("its source is no longer in the registry")

// PrepareRerun checks that the registry still has what a run needs, and reads what the
// cluster runs of the app. It changes nothing.
func PrepareRerun(ctx context.Context, env *Environment, old *tektonv1.PipelineRun) (*Prepared, error) {
	info := pipelinerun.Parse(old)
	again, err := pipelinerun.Rerun(old, info.App+"-"+rand.String(5))
	if err != nil {
		return nil, err
	}
	reference, path := info.Source, env.path(info.App)+"/source"
	if info.DeployOnly {
		reference, path = "@"+info.Digest, env.path(info.App)
	}
	if _, digest, ok := strings.Cut(reference, "@"); ok {
		_, err := env.Registry.Manifest(ctx, path, digest)
		if errors.Is(err, registry.ErrNotFound) {
			return nil, fmt.Errorf("run %s: %w", old.Name, ErrSourceGone)
		}
		if err != nil {
			return nil, err
		}
	}
	namespace := env.Clients.Namespace
	p := &Prepared{env: env, options: Options{App: info.App}, again: again}
	p.commit.ID, p.commit.Dirty = pipelinerun.Verdict(old).Commit, info.Dirty
	p.before, err = release.Current(ctx, env.Clients.Kube, namespace, info.App, env.Config.Registry.NodeRepository(namespace, info.App))
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Tests reports whether the run will test the image.
func (p *Prepared) Tests() bool {
	if p.again != nil {
		return pipelinerun.Parse(p.again).Test != nil
	}
	return p.options.Test != nil
}

// App returns the name of the app.
func (p *Prepared) App() string { return p.options.App }

// repeat creates the run again.
func (p *Prepared) repeat(ctx context.Context, recorder *track.Recorder) (*Run, error) {
	info := pipelinerun.Parse(p.again)
	recorder.Plan(p.phases(info, false)...)
	object, err := pipelinerun.Start(ctx, p.env.runs(), p.again)
	if err != nil {
		return nil, err
	}
	run := Existing(object)
	run.Result = event.Result{Commit: p.commit.ID, Dirty: p.commit.Dirty}
	run.repository = p.env.Config.Registry.NodeRepository(p.env.Clients.Namespace, info.App)
	run.before = p.before.Digest
	recorder.Created(object.Name, p.usual(ctx, object))
	return run, nil
}
