package build

import (
	"context"
	"errors"
	"fmt"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// registryTimeout is how long the registry may be unavailable: as long as its front holds
// requests.
const registryTimeout = 10 * time.Minute

// Start packs and uploads the source and creates the run. If the image exists it creates
// a run that deploys it, or none if the app runs it already: Object is nil then. If Start
// fails, or ctx ends, there is no run.
func Start(ctx context.Context, p *Prepared, recorder *track.Recorder) (*Run, error) {
	if p.again != nil {
		return p.repeat(ctx, recorder)
	}
	if p.delivery != nil {
		return startDelivery(ctx, p, recorder)
	}
	spec := p.spec()
	spec.Resources.Limits = defaultLimits(ctx, p.env.Clients.Kube, p.env.Clients.Namespace)
	recorder.Plan(p.phases(pipelinerun.Parse(pipelinerun.New(spec)), true)...)
	for _, notice := range p.options.Notices {
		notice.Type = event.Notice
		recorder.Emit(notice)
	}
	var archive *buildcontext.Archive
	if p.options.Folder != nil {
		var err error
		if archive, err = p.pack(ctx, recorder); err != nil {
			return nil, err
		}
		defer archive.Close() //nolint:errcheck // a temporary file that is deleted already
		spec.Folder.ContextDigest = archive.Digest.String()
	}
	spec.BuildKey = p.key(spec)
	digest, err := p.built(ctx, spec.BuildKey)
	if err != nil {
		return nil, err
	}
	if digest != "" {
		return p.reuse(ctx, recorder, spec.Meta, digest)
	}
	if err := checkQuota(ctx, p.env, recorder); err != nil {
		return nil, err
	}
	if archive != nil {
		if spec.Folder.Artifact, err = p.upload(ctx, recorder, archive); err != nil {
			return nil, err
		}
	}
	return p.create(ctx, recorder, spec, p.run(p.result()))
}

// result is what is known of the result from the start.
func (p *Prepared) result() event.Result {
	return event.Result{Commit: p.commit.ID, Dirty: p.commit.Dirty}
}

// key returns the key of the image; empty for a scratch build, which is always built.
func (p *Prepared) key(spec pipelinerun.Build) string {
	if p.options.Scratch != nil {
		return ""
	}
	return pipelinerun.BuildKey(spec, installed.Version()+" "+p.env.secret)
}

func (p *Prepared) pack(ctx context.Context, recorder *track.Recorder) (*buildcontext.Archive, error) {
	folder := p.options.Folder
	recorder.Begin(event.Pack)
	archive, err := buildcontext.Pack(ctx, folder.Dir, buildcontext.Options{
		Dockerfile:   folder.Dockerfile.Path,
		Files:        folder.Files,
		Modes:        folder.Modes,
		AllowSecrets: folder.AllowSecrets,
		Progress:     func(files int, read int64) { recorder.Transfer(event.Transfer{Files: files, Bytes: read}) },
	})
	if err != nil {
		return nil, err
	}
	recorder.End(event.Succeeded, fmt.Sprintf("Packed %s (%s)", display.Count(archive.Files, "file"), display.Bytes(archive.Size)))
	for _, notice := range archive.Notices {
		recorder.Notice(notice)
	}
	for _, warning := range archive.Warnings {
		recorder.Warn(warning.String())
	}
	if archive.MoreWarnings > 0 {
		recorder.Warn(fmt.Sprintf("%d more files look like secrets, are large or were left out", archive.MoreWarnings))
	}
	return archive, nil
}

// built returns the digest of the image with a key if the registry has it, unless the
// build is forced.
func (p *Prepared) built(ctx context.Context, key string) (string, error) {
	if p.options.Force || key == "" {
		return "", nil
	}
	run, err := pipelinerun.Built(ctx, p.env.Clients.Tekton, p.env.Clients.Namespace, p.options.App, key)
	if err != nil || run == nil {
		return "", err
	}
	digest := pipelinerun.Verdict(run).Digest
	_, err = p.env.Registry.Manifest(ctx, p.env.path(p.options.App), digest)
	if errors.Is(err, registry.ErrNotFound) {
		return "", nil
	}
	return digest, err
}

// reuse deploys an image that exists, unless the app runs it already.
func (p *Prepared) reuse(ctx context.Context, recorder *track.Recorder, meta pipelinerun.Meta, digest string) (*Run, error) {
	result := p.result()
	result.Digest, result.Unchanged, result.Image = digest, true, meta.NodeRepository+"@"+digest
	run := p.run(result)
	if p.manifests == nil {
		recorder.Notice("Nothing has changed since this image was built (--force builds it again)")
		return run, nil
	}
	clients := release.Clients{Dynamic: p.env.Clients.Dynamic, Mapper: p.env.Clients.Mapper}
	current, err := release.UpToDate(ctx, clients, meta.Namespace, p.manifests, result.Image)
	if err != nil {
		return nil, err
	}
	if current {
		recorder.Notice("Nothing has changed, and the release is already running (--force builds it again)")
		return run, nil
	}
	// The run that built the image may be deleted before this one, which keeps its key.
	spec := pipelinerun.Deploy{Meta: meta, Repository: p.env.Config.Registry.Repository(meta.Namespace, meta.App), Digest: digest}
	recorder.Plan(p.phases(pipelinerun.Parse(pipelinerun.New(spec)), false)...)
	recorder.Notice("Nothing has changed since this image was built; deploying it again (--force builds it)")
	return p.create(ctx, recorder, spec, run)
}

// upload pushes the archive to the registry and returns its reference.
func (p *Prepared) upload(ctx context.Context, recorder *track.Recorder, archive *buildcontext.Archive) (string, error) {
	recorder.Begin(event.Upload)
	waiting, stop := context.WithTimeout(ctx, registryTimeout)
	defer stop()
	err := p.env.Registry.Await(waiting, func(err error) {
		recorder.Wait("RegistryUnavailable", fmt.Sprintf("the registry is restarting or being cleaned up: %v", err), "see: kubectl pyflow status")
	})
	if err != nil {
		return "", err
	}
	path := p.env.path(p.options.App)
	if p.options.Scratch != nil {
		path += "/" + p.options.Scratch.Repository
	}
	updates := make(chan event.Transfer)
	type pushed struct {
		ref registry.SourceRef
		err error
	}
	done := make(chan pushed, 1)
	go func() {
		defer close(updates)
		// The progress comes from other goroutines, the recorder belongs to this one.
		ref, err := p.env.Registry.PushSource(ctx, path+"/source", archive.Layer(), nil,
			func(complete, total int64) { updates <- event.Transfer{Bytes: complete, Total: total} })
		done <- pushed{ref, err}
	}()
	for update := range updates {
		recorder.Transfer(update)
	}
	result := <-done
	if result.err != nil {
		return "", result.err
	}
	phrase := "Uploaded"
	if !result.ref.Uploaded {
		phrase = "Already uploaded"
	}
	recorder.End(event.Succeeded, phrase)
	return result.ref.Reference, nil
}

// usual returns how long the last runs took that did what this one does; zero if that is not
// known, which is no reason to fail.
func (p *Prepared) usual(ctx context.Context, run *tektonv1.PipelineRun) time.Duration {
	usual, err := pipelinerun.Usual(ctx, p.env.Clients.Tekton, run)
	if err != nil {
		return 0
	}
	return usual
}

// create creates the run of spec.
func (p *Prepared) create(ctx context.Context, recorder *track.Recorder, spec pipelinerun.Spec, run *Run) (*Run, error) {
	var err error
	if p.options.Scratch != nil {
		run.Object, err = pipelinerun.CreateScratch(ctx, p.env.runs(), spec)
	} else {
		var files map[string][]byte
		if p.manifests != nil {
			files = p.manifests.Files()
		}
		run.Object, err = p.env.numbered(ctx, p.options.App, func(number int) (*tektonv1.PipelineRun, error) {
			return pipelinerun.Create(ctx, p.env.runs(), pipelinerun.Numbered(spec, number), files)
		})
	}
	if err != nil {
		return nil, err
	}
	recorder.Created(run.Object.Name, p.usual(ctx, run.Object))
	return run, nil
}
