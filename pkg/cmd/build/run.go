package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// registryPatience is how long the registry may be away: as long as its front
// holds requests.
const registryPatience = 10 * time.Minute

// Run builds and delivers. It returns once every replica runs the new image, or
// with the reason why not; when ctx ends while the run is under way, the run is
// canceled.
func (o *Options) Run(ctx context.Context) error {
	// Found before anything is shown or changed: every reason not to begin.
	p, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	return o.show(ctx, o.App, func(tracker *track.Tracker) (*begun, error) {
		return o.start(ctx, tracker, p)
	})
}

// prepared is what a build needs of the cluster.
type prepared struct {
	config   *manifests.Config
	registry *registry.Client
	// secret is known to those who may build in the namespace, and to no others.
	secret   string
	manifest *release.Manifests
	before   release.Deployed
	commit   project.Commit
}

func (o *Options) prepare(ctx context.Context) (*prepared, error) {
	config, err := platform.Config(ctx, o.clients.Kube)
	if err != nil {
		return nil, err
	}
	if err := access.Check(ctx, o.clients.Kube, append(o.rights(), platform.RegistryPermissions(config.Registry)...)); err != nil {
		return nil, err
	}
	p := &prepared{config: config}
	if p.registry, p.secret, err = o.connect(ctx, config); err != nil {
		return nil, err
	}
	if !o.NoDeploy {
		wanted := o.Release
		wanted.App, wanted.Namespace = o.App, o.clients.Namespace
		wanted.PullSecret, wanted.Key = manifests.RegistrySecret, []byte(p.secret)
		if p.manifest, err = release.Render(wanted); err != nil {
			return nil, err
		}
	}
	if p.before, err = release.Current(ctx, o.clients.Kube, o.clients.Namespace, o.App, config.Registry.NodeRepository(o.clients.Namespace, o.App)); err != nil {
		return nil, err
	}
	if o.Git == nil {
		p.commit, err = project.ReadCommit(ctx, o.Dir)
	}
	return p, err
}

// start takes the source to the cluster and starts the run, unless there is
// nothing to do.
func (o *Options) start(ctx context.Context, tracker *track.Tracker, p *prepared) (*begun, error) {
	b := &begun{
		app: o.App, before: p.before, config: p.config, registry: p.registry,
		result:   event.Result{Commit: p.commit.ID, Dirty: p.commit.Dirty},
		delivers: p.manifest != nil,
	}
	spec := o.spec(p)
	tracker.Plan(o.stages(pipelinerun.New(spec), true)...)
	tracker.Dockerfile(o.Dockerfile)
	o.tell(ctx, tracker)
	var archive *buildcontext.Archive
	if o.Git == nil {
		var err error
		if archive, err = o.pack(ctx, tracker); err != nil {
			return b, err
		}
		defer archive.Close() //nolint:errcheck // a temporary file that is gone anyway
		spec.ContextDigest = archive.Digest.String()
	}
	spec.BuildKey = pipelinerun.BuildKey(spec, manifests.Engine()+" "+p.secret)
	known, err := o.known(ctx, p, spec.BuildKey)
	if err != nil {
		return b, err
	}
	if known != nil {
		return o.reuse(ctx, tracker, p, b, spec, known)
	}
	if archive != nil {
		if spec.Source, err = o.upload(ctx, tracker, p, archive); err != nil {
			return b, err
		}
	}
	return b, o.create(ctx, tracker, p, b, spec)
}

// tell reports what was found in a folder: for which project the Dockerfile was generated,
// and the number of lint findings, which do not fail the build.
func (o *Options) tell(ctx context.Context, tracker *track.Tracker) {
	if o.Found == nil {
		return
	}
	if o.Found.Detected != nil {
		tracker.Notice(o.Found.Summary() + "; --show-dockerfile prints it, kubectl pyflow init keeps it")
		for _, warning := range o.Found.Warnings() {
			tracker.Warn(warning)
		}
	}
	report, err := lint.Run(ctx, lint.Options{
		Dir: o.Dir, Dockerfile: o.File, Content: o.Files[o.File], Ignore: o.Found.Ignore(), Target: o.Target,
	})
	if err != nil {
		return // the build fails with the error in the Dockerfile
	}
	if failures, warnings, _ := report.Count(); failures+warnings > 0 {
		tracker.Notice(report.Summary() + "; see them with " + o.lintCommand())
	}
}

// lintCommand returns the command that prints the lint findings of this build.
func (o *Options) lintCommand() string {
	args := []string{"kubectl", "pyflow", "lint", o.Dir}
	if o.Found.Detected != nil {
		args = append(args, "--variant", string(o.Found.Variant.Value))
	} else if o.File != cmp.Or(o.Found.Settings.Build.Dockerfile, project.Dockerfile) {
		args = append(args, "-f", o.File)
	}
	if o.Target != o.Found.Settings.Build.Target {
		args = append(args, "--target", o.Target)
	}
	return display.QuoteCommand(args...)
}

// stages are what will take place.
func (o *Options) stages(run *tektonv1.PipelineRun, upload bool) []event.Phase {
	var stages []event.Phase
	if o.Git == nil {
		stages = append(stages, event.Pack)
		if upload {
			stages = append(stages, event.Upload)
		}
	}
	return append(stages, stagesOf(run)...)
}

// spec is all of the run that is known before its source.
func (o *Options) spec(p *prepared) pipelinerun.Spec {
	namespace := o.clients.Namespace
	spec := pipelinerun.Spec{
		App:            o.App,
		Namespace:      namespace,
		Name:           o.App + "-" + rand.String(5),
		Git:            o.Git,
		NoDeploy:       o.NoDeploy,
		Test:           o.Test,
		Repository:     p.config.Registry.Repository(namespace, o.App),
		NodeRepository: p.config.Registry.NodeRepository(namespace, o.App),
		Dockerfile:     o.File,
		BuildArgs:      slices.Concat(p.config.BuildArgs, o.BuildArgs),
		Target:         o.Target,
		NoCache:        o.NoCache,
		Secrets:        o.Secrets,
		CPU:            o.CPU,
		Memory:         o.Memory,
		Storage:        o.Storage,
		NodeSelector:   o.NodeSelector,
		Mirrors:        p.config.ImageMirrors,
		Timeout:        o.timeout,
		Commit:         p.commit.ID,
		Dirty:          p.commit.Dirty,
	}
	if o.Dockerfile != nil {
		spec.DockerfileText = string(o.Dockerfile.Content)
	}
	return spec
}

func (o *Options) pack(ctx context.Context, tracker *track.Tracker) (*buildcontext.Archive, error) {
	tracker.Begin(event.Pack)
	archive, err := buildcontext.Pack(ctx, o.Dir, buildcontext.Options{
		Dockerfile: o.Dockerfile.Path,
		Files:      o.Files,
		Progress:   func(files int, read int64) { tracker.Transfer(event.Transfer{Files: files, Bytes: read}) },
	})
	if err != nil {
		return nil, err
	}
	tracker.End(event.Succeeded, fmt.Sprintf("Packed %s, %s compressed", display.Count(archive.Files, "file"), display.Bytes(archive.Size)))
	for _, warning := range archive.Warnings {
		tracker.Warn(warning.String())
	}
	if archive.MoreWarnings > 0 {
		tracker.Warn(fmt.Sprintf("%d more files look like secrets, or are large", archive.MoreWarnings))
	}
	return archive, nil
}

// known is the newest run of the app that built this very image, with the image
// still in the registry; nil if there is none, or if that is not to count.
func (o *Options) known(ctx context.Context, p *prepared, key string) (*pipelinerun.Outcome, error) {
	if o.Force || key == "" {
		return nil, nil
	}
	run, err := pipelinerun.Built(ctx, o.clients.Tekton, o.clients.Namespace, o.App, key)
	if err != nil || run == nil {
		return nil, err
	}
	outcome := pipelinerun.Verdict(run)
	_, err = p.registry.Manifest(ctx, p.config.Registry.Path(o.clients.Namespace, o.App), outcome.Digest)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	return &outcome, err
}

// reuse delivers an image that is there, unless it runs already.
func (o *Options) reuse(ctx context.Context, tracker *track.Tracker, p *prepared, b *begun, spec pipelinerun.Spec, known *pipelinerun.Outcome) (*begun, error) {
	b.result.Digest, b.result.Unchanged = known.Digest, true
	b.result = o.describe(b.result, spec.NodeRepository)
	if o.NoDeploy {
		tracker.Notice("Nothing has changed since this image was built (--force builds it again)")
		return b, nil
	}
	runs, err := release.UpToDate(ctx, release.Clients{Dynamic: o.clients.Dynamic, Mapper: o.clients.Mapper}, spec.Namespace, p.manifest, b.result.Image)
	if err != nil {
		return b, err
	}
	if runs {
		tracker.Notice("Nothing has changed, and the release runs already (--force builds it again)")
		return b, nil
	}
	spec = pipelinerun.Spec{
		App:            spec.App,
		Namespace:      spec.Namespace,
		Name:           spec.Name,
		Digest:         known.Digest,
		Repository:     spec.Repository,
		NodeRepository: spec.NodeRepository,
		Timeout:        spec.Timeout,
		// The run that built it may be deleted before this one.
		BuildKey: spec.BuildKey,
		Commit:   spec.Commit,
		Dirty:    spec.Dirty,
	}
	tracker.Plan(o.stages(pipelinerun.New(spec), false)...)
	tracker.Notice("Nothing has changed since this image was built; it is delivered again (--force builds it)")
	return b, o.create(ctx, tracker, p, b, spec)
}

// upload brings the archive into the registry and returns its reference.
func (o *Options) upload(ctx context.Context, tracker *track.Tracker, p *prepared, archive *buildcontext.Archive) (string, error) {
	tracker.Begin(event.Upload)
	waiting, stop := context.WithTimeout(ctx, registryPatience)
	defer stop()
	err := p.registry.Await(waiting, func(err error) {
		tracker.Wait("RegistryUnavailable", fmt.Sprintf("the registry is being restarted or cleaned up: %v", err), "see: kubectl pyflow status")
	})
	if err != nil {
		return "", err
	}
	updates := make(chan event.Transfer)
	type pushed struct {
		ref registry.SourceRef
		err error
	}
	done := make(chan pushed, 1)
	go func() {
		defer close(updates)
		// From other goroutines, one at a time; the tracker belongs to this one.
		ref, err := p.registry.PushSource(ctx, p.config.Registry.Path(o.clients.Namespace, o.App)+"/source", archive.Layer(), nil,
			func(complete, total int64) { updates <- event.Transfer{Bytes: complete, Total: total} })
		done <- pushed{ref, err}
	}()
	for update := range updates {
		tracker.Transfer(update)
	}
	result := <-done
	if result.err != nil {
		return "", result.err
	}
	said := "Uploaded the build context"
	if !result.ref.Uploaded {
		said = "Build context is in the registry already"
	}
	tracker.End(event.Succeeded, said)
	return result.ref.Reference, nil
}

// create starts the run.
func (o *Options) create(ctx context.Context, tracker *track.Tracker, p *prepared, b *begun, spec pipelinerun.Spec) error {
	var files map[string][]byte
	if p.manifest != nil {
		files = p.manifest.Files()
	}
	run, err := pipelinerun.Create(ctx, pipelinerun.Clients{Tekton: o.clients.Tekton, Kube: o.clients.Kube}, spec, files)
	if err != nil {
		return err
	}
	b.run = run
	tracker.Created(run.Name)
	return nil
}
