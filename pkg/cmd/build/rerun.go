package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// ErrSourceGone says that a run can not be repeated: the registry has its source no
// longer.
var ErrSourceGone = errors.New("its source is no longer in the registry")

// rerunFlags are what the command line of rerun says.
type rerunFlags struct {
	config *genericclioptions.ConfigFlags
	watchFlags
}

// NewRerunCommand makes the verb rerun.
func NewRerunCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &rerunFlags{config: config}
	cmd := &cobra.Command{
		Use:   "rerun [APP|RUN]",
		Short: "Do again what a run did",
		Long: `Do again what a run did: build the same source, of a repository the same commit,
with the same settings, and deliver the same manifests. Nothing of it is read from
this machine. Without a name it is the newest run of the namespace, with an app's
name that app's newest.

The new run is the app's newest, so what it delivers takes the place of what runs. To
try a build that failed for a reason outside of its source is what it is for; the
deletion of the run that it repeats takes the manifests away from it.`,
		Example: `  # Try the last build again
  kubectl pyflow rerun

  # Do again what a certain run did
  kubectl pyflow rerun mountains-x7k2p`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true, Runs: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.toOptions(args, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	flags.add(cmd.Flags())
	completeView(cmd)
	return cmd
}

// RerunOptions are a repetition.
type RerunOptions struct {
	session

	// Name is a run's, an app's or empty.
	Name string
}

func (f *rerunFlags) toOptions(args []string, streams genericiooptions.IOStreams) (*RerunOptions, error) {
	o := &RerunOptions{}
	if len(args) > 0 {
		o.Name = args[0]
	}
	var err error
	if o.session, err = f.toSession(streams); err != nil {
		return nil, err
	}
	o.clients, err = kube.New(f.config)
	return o, err
}

// Run repeats the run, and returns as a build does.
func (o *RerunOptions) Run(ctx context.Context) error {
	old, err := pipelinerun.Find(ctx, o.clients.Tekton, o.clients.Namespace, o.Name)
	if err != nil {
		return err
	}
	app := old.Labels[manifests.LabelApp]
	run, err := pipelinerun.Rerun(old, app+"-"+rand.String(5))
	if err != nil {
		return err
	}
	if o.junit != "" && !pipelinerun.Tests(run) {
		return fmt.Errorf("--junit: run %s tests nothing", old.Name)
	}
	config, err := platform.Config(ctx, o.clients.Kube)
	if err != nil {
		return err
	}
	if err := access.Check(ctx, o.clients.Kube, append(o.rights(), platform.RegistryPermissions(config.Registry)...)); err != nil {
		return err
	}
	client, _, err := o.connect(ctx, config)
	if err != nil {
		return err
	}
	b := &begun{
		app: app, config: config, registry: client, delivers: pipelinerun.Delivers(run),
		result: event.Result{Commit: pipelinerun.Commit(old), Dirty: old.Annotations[manifests.AnnotationDirty] == "true"},
	}
	if err := o.check(ctx, b, old); err != nil {
		client.Close()
		return err
	}
	return o.show(ctx, app, func(tracker *track.Tracker) (*begun, error) {
		tracker.Plan(stagesOf(run)...)
		if text := run.Annotations[manifests.AnnotationDockerfile]; text != "" {
			if parsed, err := dockerfile.Parse(pipelinerun.DockerfilePath(run), []byte(text)); err == nil {
				tracker.Dockerfile(parsed)
			}
		}
		var err error
		b.run, err = pipelinerun.Start(ctx, pipelinerun.Clients{Tekton: o.clients.Tekton, Kube: o.clients.Kube}, run)
		if err != nil {
			return b, err
		}
		tracker.Created(b.run.Name)
		return b, nil
	})
}

// check finds out what the cluster runs, and that the source is there.
func (o *RerunOptions) check(ctx context.Context, b *begun, old *tektonv1.PipelineRun) error {
	path := b.config.Registry.Path(o.clients.Namespace, b.app)
	reference, what := old.Annotations[manifests.AnnotationSource], path+"/source"
	if pipelinerun.Pipeline(old) == manifests.DeliverPipelineName {
		reference, what = "@"+pipelinerun.Verdict(old).Digest, path
	}
	if _, digest, ok := strings.Cut(reference, "@"); ok {
		_, err := b.registry.Manifest(ctx, what, digest)
		if errors.Is(err, registry.ErrNotFound) {
			return fmt.Errorf("run %s: %w", old.Name, ErrSourceGone)
		}
		if err != nil {
			return err
		}
	}
	var err error
	b.before, err = release.Current(ctx, o.clients.Kube, o.clients.Namespace, b.app, b.config.Registry.NodeRepository(o.clients.Namespace, b.app))
	return err
}

// stagesOf are the stages of a run.
func stagesOf(run *tektonv1.PipelineRun) []event.Phase {
	stages := []event.Phase{event.Queue}
	if pipelinerun.Pipeline(run) != manifests.DeliverPipelineName {
		stages = append(stages, event.Fetch, event.Build, event.Push)
	}
	if pipelinerun.Tests(run) {
		stages = append(stages, event.Test)
	}
	if pipelinerun.Delivers(run) {
		stages = append(stages, event.Deploy, event.Rollout)
	}
	return stages
}
