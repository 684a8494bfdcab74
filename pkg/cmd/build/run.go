package build

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/report"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/rollout"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/source"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/term"
)

var errNotSucceeded = errors.New("the run did not succeed")

// cancelTimeout bounds the cancellation of a run after the command itself was
// interrupted.
const cancelTimeout = 10 * time.Second

// registryPatience is how long the registry may be away: as long as its front
// holds requests.
const registryPatience = 10 * time.Minute

// lateness is how much later than its own timeout a run may be seen to end.
const lateness = time.Minute

// Run builds and delivers. It returns once every replica runs the new image, or
// with the reason why not; when ctx ends while the run is under way, the run is
// canceled.
func (o *Options) Run(ctx context.Context) error {
	view := newView(o.Streams.ErrOut, o.Dockerfile)
	config, manifest, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	pushed, err := o.upload(ctx, view, config)
	if err != nil {
		return err
	}
	nodeRepository := config.Registry.NodeRepository(o.Clients.Namespace, o.App)
	outcome, err := o.build(ctx, view, pipelinerun.Spec{
		App:            o.App,
		Namespace:      o.Clients.Namespace,
		Name:           o.App + "-" + rand.String(5),
		Source:         pushed.Reference,
		ContextDigest:  pushed.Layer.String(),
		Repository:     config.Registry.Repository(o.Clients.Namespace, o.App),
		NodeRepository: nodeRepository,
		Dockerfile:     o.Dockerfile.Path,
		BuildArgs:      append(config.BuildArgs, o.BuildArgs...),
		Mirrors:        config.ImageMirrors,
		Timeout:        o.Timeout,
	}, manifest)
	if err != nil {
		return err
	}
	image := nodeRepository + "@" + outcome.Digest
	if err := o.watchRollout(ctx, view, manifest, image); err != nil {
		return err
	}
	url, err := report.AppURL(ctx, o.Clients.Kube, o.Clients.Namespace, o.App)
	if err != nil {
		return err
	}
	view.times()
	fmt.Fprintf(o.Streams.Out, "image  %s\n", image)
	if url != "" {
		fmt.Fprintf(o.Streams.Out, "url    %s\n", url)
	}
	return nil
}

// prepare finds every reason not to begin.
func (o *Options) prepare(ctx context.Context) (*manifests.Config, *release.Manifests, error) {
	config, err := platform.Config(ctx, o.Clients.Kube)
	if err != nil {
		return nil, nil, err
	}
	namespace := o.Clients.Namespace
	err = platform.CheckRights(ctx, o.Clients.Kube, append([]platform.Right{
		{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret},
		{Verb: "create", Resource: "secrets", Namespace: namespace},
		{Verb: "create", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "patch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "taskruns", Namespace: namespace},
		{Verb: "watch", Resource: "pods", Namespace: namespace},
		{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace},
		{Verb: "watch", Group: "apps", Resource: "deployments", Namespace: namespace},
	}, platform.RegistryRights(config.Registry)...))
	if err != nil {
		return nil, nil, err
	}
	manifest, err := release.Render(release.Options{
		App:        o.App,
		Namespace:  namespace,
		Directory:  o.Manifests,
		Port:       o.Port,
		Replicas:   o.Replicas,
		PullSecret: manifests.RegistrySecret,
	})
	return config, manifest, err
}

// upload packs the folder and brings it into the registry.
func (o *Options) upload(ctx context.Context, view *view, config *manifests.Config) (registry.SourceRef, error) {
	none := registry.SourceRef{}
	user, ca, err := platform.Login(ctx, o.Clients.Kube, o.Clients.Namespace, config.Registry.Host)
	if err != nil {
		return none, err
	}
	client, err := platform.Registry(o.Clients, config.Registry, user, ca)
	if err != nil {
		return none, err
	}
	defer client.Close()
	done := view.stage("pack", "Packing "+o.Dir)
	archive, err := source.Pack(ctx, o.Dir, source.Options{
		Dockerfile: o.Dockerfile.Path,
		Progress:   func(files int, read int64) { view.packing(files, read) },
	})
	if err != nil {
		done("", err)
		return none, err
	}
	defer archive.Close()
	done(fmt.Sprintf("Packed %s, %s compressed", term.Count(archive.Files, "file"), term.Bytes(archive.Size)), nil)

	done = view.stage("upload", "Uploading")
	waiting, stop := context.WithTimeout(ctx, registryPatience)
	defer stop()
	err = client.Await(waiting, func(err error) {
		view.print(fmt.Sprintf("  waiting for the registry, which is being restarted or cleaned up: %v; see: kubectl pyflow status", err))
	})
	if err != nil {
		done("", err)
		return none, err
	}
	pushed, err := client.PushSource(ctx, config.Registry.Path(o.Clients.Namespace, o.App)+"/source", archive.Layer(), nil, view.uploading)
	result := "Uploaded the build context"
	if !pushed.Uploaded {
		result = "Build context is in the registry already"
	}
	done(result, err)
	return pushed, err
}

// build starts the run and follows it to its end.
func (o *Options) build(ctx context.Context, view *view, spec pipelinerun.Spec, manifest *release.Manifests) (pipelinerun.Outcome, error) {
	none := pipelinerun.Outcome{}
	view.beginRun(spec.Name)
	clients := pipelinerun.Clients{Tekton: o.Clients.Tekton, Kube: o.Clients.Kube}
	run, err := pipelinerun.Create(ctx, clients, spec, manifest.Files())
	if err != nil {
		return none, err
	}
	// Tekton bounds the run; this bounds waiting for a server that is gone.
	following, stop := context.WithTimeoutCause(ctx, o.Timeout+lateness,
		fmt.Errorf("no end of it within %s; it may still go on in the cluster", o.Timeout+lateness))
	defer stop()
	var end follow.Event
	events, err := follow.Run(following, follow.Clients{Tekton: o.Clients.Tekton, Kube: o.Clients.Kube}, run.Namespace, run.Name)
	if err == nil {
		for event := range events {
			view.show(event)
			end = event
		}
		err = end.Err
	}
	if ctx.Err() != nil {
		return none, o.cancel(ctx, view, run.Name)
	}
	if err == nil {
		err = context.Cause(following)
	}
	if err != nil {
		return none, fmt.Errorf("follow run %s: %w", run.Name, err)
	}
	outcome := pipelinerun.Verdict(end.Run)
	if !outcome.Succeeded {
		return none, view.failure(run.Name, outcome)
	}
	return outcome, nil
}

// cancel stops the run that the interrupted command started, and returns what
// interrupted it.
func (o *Options) cancel(ctx context.Context, view *view, name string) error {
	cause := context.Cause(ctx)
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer stop()
	view.print("Canceling run " + name)
	if err := pipelinerun.Cancel(ctx, o.Clients.Tekton, o.Clients.Namespace, name); err != nil {
		view.print(fmt.Sprintf("  warning: run %s goes on: %v", name, err))
	}
	return cause
}

// watchRollout returns when every workload runs image.
func (o *Options) watchRollout(ctx context.Context, view *view, manifest *release.Manifests, image string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("not all replicas are ready after %s", o.Timeout))
	defer cancel()
	done := view.stage("rollout", "Rolling out")
	err := rollout.Watch(ctx, o.Clients.Kube, o.Clients.Namespace, manifest.Workloads, image, view.rolling)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	done(view.rolledOut(), err)
	var failure *rollout.Failure
	if errors.As(err, &failure) {
		view.steps.Log(failure.Pod, failure.Log...)
	}
	return err
}
