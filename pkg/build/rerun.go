package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// ErrSourceGone reports that a run cannot be repeated: the registry no longer has its
// source.
var ErrSourceGone = errors.New("its source is no longer in the registry")

// PrepareRerun prepares the repetition of a run, with changes; adopt takes over what is not the
// app's. It checks that the changes go
// with the run and that the registry still has what it needs, and reads what the cluster
// runs of the app. It changes nothing. An error holds a *pipelinerun.ChangeError or an
// *UnsupportedError if the run cannot have the changes.
func PrepareRerun(ctx context.Context, env *Environment, old *tektonv1.PipelineRun, changes pipelinerun.Changes, adopt bool) (*Prepared, error) {
	info := pipelinerun.Parse(old)
	again, err := pipelinerun.Rerun(old, info.App)
	if err != nil {
		return nil, err
	}
	if err := pipelinerun.Change(again, old.Name, installed.Engine(), changes); err != nil {
		return nil, err
	}
	if adopt {
		pipelinerun.Adopt(again)
	}
	if err := checkBuildArgs(old, changes.BuildArgs, pipelinerun.BuildArgs(again, installed.Engine())); err != nil {
		return nil, err
	}
	if info.Git != nil {
		if err := access.Check(ctx, env.Clients.Kube, []access.Permission{ConfirmPermission(env.Clients.Namespace)}); err != nil {
			return nil, err
		}
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

// checkBuildArgs checks given build arguments against the Dockerfile that a run has built,
// as a build of its folder does; all are those of the repetition. That of a repository is
// checked once it is fetched.
func checkBuildArgs(old *tektonv1.PipelineRun, given, all []string) error {
	info := pipelinerun.Parse(old)
	if len(given) == 0 || info.Git != nil {
		return nil
	}
	refused := &pipelinerun.ChangeError{
		Run: info.Name, Why: "cannot be repeated with other build arguments: its Dockerfile was rewritten for those that it had",
		Remedy: "build the folder: kubectl pyflow build DIR --build-arg KEY=VALUE",
	}
	if strings.HasPrefix(info.Dockerfile, travelDir) {
		return refused
	}
	if info.DockerfileText == "" {
		refused.Why = "cannot be repeated with other build arguments: its Dockerfile is too long to be kept with it, so they cannot be checked"
		return refused
	}
	parsed, err := dockerfile.Parse(info.Dockerfile, []byte(info.DockerfileText))
	if err != nil {
		return err
	}
	if err := parsed.CheckBuildArgs(given); err != nil {
		return fmt.Errorf("run %s: %w", info.Name, err)
	}
	check := func(args []string) (engine.Conformance, error) {
		return installed.Engine().Check(installed.Version(), engine.Source{
			Dockerfile: parsed.WithBuildArgs(args), BuildArgs: args, Targets: []string{info.Target},
		})
	}
	before, err := check(pipelinerun.BuildArgs(old, installed.Engine()))
	if err != nil {
		return err
	}
	found, err := check(all)
	switch {
	case err != nil:
		return err
	case found.Platform != before.Platform:
		refused.Why = "cannot be repeated with these build arguments: they choose another platform, and with it another node"
		return refused
	case len(found.Refusals) > 0:
		return &UnsupportedError{Dockerfile: parsed.Path, Engine: installed.Engine().Name(), Refusals: found.Refusals}
	case found.Rewritten:
		refused.Why = "cannot be repeated with these build arguments: its Dockerfile would have to be rewritten for them"
		return refused
	}
	return nil
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
	var about record.Info
	if err := json.Unmarshal([]byte(pipelinerun.Record(p.again)), &about); err != nil {
		about = record.Info{} // a run of another tool
	}
	about.By = p.env.user(ctx)
	object, err := p.env.numbered(ctx, info.App, func(number int) (*tektonv1.PipelineRun, error) {
		pipelinerun.Renumber(p.again, info.App, number, about.JSON())
		return pipelinerun.Start(ctx, p.env.runs(), p.again)
	})
	if err != nil {
		return nil, err
	}
	run := Existing(object)
	run.Result = event.Result{Commit: p.commit.ID, Dirty: p.commit.Dirty}
	run.repository = p.env.Config.Registry.NodeRepository(p.env.Clients.Namespace, info.App)
	run.before = p.before
	recorder.Created(object.Name, p.usual(ctx, object))
	return run, nil
}
