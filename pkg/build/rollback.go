package build

import (
	"context"
	"errors"
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// ErrImageGone reports that a release cannot be delivered again: the registry no longer has its
// image.
var ErrImageGone = errors.New("its image is no longer in the registry")

// PrepareRollback prepares the delivery of an earlier release: its image and its manifests, with
// the replicas that autoscalers manage left as they are, and without its Jobs. Start creates a run
// that is a release of its own. PrepareRollback changes nothing. An error may be ErrImageGone or a
// *release.ForeignError.
func PrepareRollback(ctx context.Context, env *Environment, to *record.Record, adopt bool) (*Prepared, error) {
	namespace, config := env.Clients.Namespace, env.Config
	if err := env.hasImage(ctx, to); err != nil {
		return nil, err
	}
	p := &Prepared{env: env, options: Options{App: to.App, Adopt: adopt}, about: to.Info}
	p.commit.ID, p.commit.Dirty = to.Commit, to.Dirty
	p.about.By, p.about.RollbackTo, p.about.PromotedFrom = env.user(ctx), to.Number, ""
	var err error
	if p.manifests, err = release.Recorded(to.App, to.Files, to.HasSecrets()); err != nil {
		return nil, fmt.Errorf("release %d of app %s: %w", to.Number, to.App, err)
	}
	skipped, err := p.manifests.WithoutJobs()
	if err != nil {
		return nil, err
	}
	for _, name := range skipped {
		p.options.Notices = append(p.options.Notices, event.Event{
			Reason:  "JobSkipped",
			Message: fmt.Sprintf("a rollback does not run Job/%s: what the Jobs of later releases did, such as migrations of a database, is not undone", name),
		})
	}
	if err := settle(ctx, p); err != nil {
		return nil, err
	}
	node := config.Registry.NodeRepository(namespace, to.App)
	if p.before, err = release.Current(ctx, env.Clients.Kube, namespace, to.App, node); err != nil {
		return nil, err
	}
	p.delivery = &pipelinerun.Deploy{
		Meta: pipelinerun.Meta{
			App: to.App, Namespace: namespace, NodeRepository: node, UserOfImage: to.UserOfImage, User: to.User,
			Commit: to.Commit, Dirty: to.Dirty, Record: p.about.JSON(), Adopt: adopt,
		},
		Repository: config.Registry.Repository(namespace, to.App), Digest: to.Digest,
	}
	if to.HasSecrets() {
		p.delivery.SecretsFrom = to.Name()
	}
	return p, nil
}

// hasImage checks that the registry has the image of a release of the namespace; otherwise the
// error is ErrImageGone.
func (e *Environment) hasImage(ctx context.Context, of *record.Record) error {
	_, err := e.Registry.Manifest(ctx, e.path(of.App), of.Digest)
	if errors.Is(err, registry.ErrNotFound) {
		return fmt.Errorf("release %d of app %s: %w", of.Number, of.App, ErrImageGone)
	}
	return err
}

// startDelivery creates the run that delivers a release without a build.
func startDelivery(ctx context.Context, p *Prepared, recorder *track.Recorder) (*Run, error) {
	phases := p.phases(pipelinerun.Parse(pipelinerun.New(*p.delivery)), false)
	if p.copyImage != nil {
		phases = append([]event.Phase{event.Upload}, phases...)
	}
	recorder.Plan(phases...)
	for _, notice := range p.options.Notices {
		notice.Type = event.Notice
		recorder.Emit(notice)
	}
	if p.copyImage != nil {
		recorder.Begin(event.Upload)
		if err := p.copyImage(ctx); err != nil {
			return nil, err
		}
		recorder.End(event.Succeeded, "Copied the image")
	}
	result := p.result()
	result.Digest, result.Image = p.delivery.Digest, p.delivery.NodeRepository+"@"+p.delivery.Digest
	return p.create(ctx, recorder, *p.delivery, p.run(result))
}
