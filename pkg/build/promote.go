package build

import (
	"context"
	"errors"
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
)

// Promotion describes the delivery of a release in another namespace.
type Promotion struct {
	// Release is what is delivered: its image, byte by byte.
	Release *record.Record
	// From has the image.
	From *Environment
	// WithManifests takes the manifests of Release also if the app has others in the target.
	WithManifests bool
	// Adopt takes over objects that are not the app's, and fields of other managers.
	Adopt bool
}

// ErrSecretsStay reports that a release cannot be moved with its manifests: there are Secrets among
// them, which belong to their namespace.
var ErrSecretsStay = errors.New("there are Secrets among its manifests, and they are not copied between namespaces")

// PreparePromotion prepares the delivery of a release of another namespace in that of env, with the
// manifests that the app has there: its replicas, its resources, its hosts. Where the app has no
// release yet, it gets those of the promoted one. Start copies the image and creates a run that is
// a release of its own. PreparePromotion changes nothing. An error may be ErrImageGone,
// ErrSecretsStay, a *release.HostError, a *release.ForeignError, or a *MissingConfigurationError.
func PreparePromotion(ctx context.Context, env *Environment, promotion Promotion) (*Prepared, error) {
	from, source := promotion.From, promotion.Release
	namespace, name := env.Clients.Namespace, source.App
	if err := from.hasImage(ctx, source); err != nil {
		return nil, err
	}
	node := env.Config.Registry.NodeRepository(namespace, name)
	before, err := release.Current(ctx, env.Clients.Kube, namespace, name, node)
	if err != nil {
		return nil, err
	}
	manifests := source
	if before.Release > 0 && !promotion.WithManifests {
		if manifests, err = record.Get(ctx, env.Clients.Kube, namespace, name, before.Release); err != nil {
			return nil, err
		}
	}
	p := &Prepared{env: env, options: Options{App: name, Adopt: promotion.Adopt, Release: &release.Options{}}, about: source.Info, before: before}
	p.commit.ID, p.commit.Dirty = source.Commit, source.Dirty
	p.about.By, p.about.RollbackTo = env.user(ctx), 0
	p.about.User, p.about.UserOfImage = manifests.User, manifests.UserOfImage
	p.about.PromotedFrom = fmt.Sprintf("%s/%d", source.Namespace, source.Number)
	if p.manifests, err = release.Recorded(name, manifests.Files, manifests.HasSecrets()); err != nil {
		return nil, fmt.Errorf("release %d of app %s: %w", manifests.Number, name, err)
	}
	notice := fmt.Sprintf("With the manifests of release %d in namespace %s (--with-manifests takes those of the promoted release)", manifests.Number, namespace)
	if manifests == source {
		notice = fmt.Sprintf("With the manifests of the release in namespace %s", source.Namespace)
		if source.HasSecrets() {
			return nil, fmt.Errorf("release %d of app %s: %w", source.Number, name, ErrSecretsStay)
		}
		if err := p.manifests.Move(namespace); err != nil {
			return nil, err
		}
	}
	p.options.Notices = append(p.options.Notices, event.Event{Message: notice})
	if err := checkConfiguration(ctx, p); err != nil {
		return nil, err
	}
	if err := settle(ctx, p); err != nil {
		return nil, err
	}
	p.delivery = &pipelinerun.Deploy{
		Meta: pipelinerun.Meta{
			App: name, Namespace: namespace, NodeRepository: node, UserOfImage: p.about.UserOfImage, User: p.about.User,
			Commit: source.Commit, Dirty: source.Dirty, Record: p.about.JSON(), Adopt: promotion.Adopt, Jobs: len(p.manifests.Jobs()) > 0,
		},
		Repository: env.Config.Registry.Repository(namespace, name), Digest: source.Digest,
	}
	if manifests.HasSecrets() {
		p.delivery.SecretsFrom = manifests.Name()
	}
	p.copyImage = func(ctx context.Context) error {
		if err := env.Registry.Copy(ctx, from.Registry, from.path(name), source.Digest, env.path(name), source.Namespace+"-"+source.Run); err != nil {
			return err
		}
		// What is signed of the image goes with it.
		_, err := registry.NewArtifacts(env.Registry).Copy(ctx, registry.NewArtifacts(from.Registry), from.path(name), source.Digest, env.path(name))
		return err
	}
	return p, nil
}
