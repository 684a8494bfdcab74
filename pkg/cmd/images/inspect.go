package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// inspectFlags are what the command line says.
type inspectFlags struct {
	config *genericclioptions.ConfigFlags

	Top      int
	Platform string
	Output   option.Output
	Timeout  time.Duration
	Wait     time.Duration
}

func newInspectCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &inspectFlags{config: config, Top: 10, Timeout: 10 * time.Minute, Wait: 2 * time.Minute}
	cmd := &cobra.Command{
		Use:   "inspect APP|APP:TAG|DIGEST",
		Short: "Show what an image is made of",
		Long: `Show what an image is made of: its layers, each with the instruction of the
Dockerfile that made it, compressed and on disk; the packages in it, of Python and
of Debian, and their share; the largest files; and what is wasted: files that a
later layer replaces or deletes, caches, lists of apt, tests of packages, and byte
code that is never read.

The image stays in the cluster: a pod there lists its files, and the list travels.
APP alone is the app's newest image; a tag is the name of the run that built it.`,
		Example: `  # The newest image of an app
  kubectl pyflow images inspect mountains

  # One of a run, with more of its packages and files
  kubectl pyflow images inspect mountains:mountains-x7k2p --top 30

  # What is wasted in all, in bytes
  kubectl pyflow images inspect mountains -o json | jq '[.waste[].bytes] | add'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeApps(config),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.toOptions(streams, args[0])
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.IntVar(&flags.Top, "top", flags.Top, "How many packages and files to show, the largest ones; 0 for all")
	f.StringVar(&flags.Platform, "platform", "", "Platform of an image for several platforms, as OS/ARCHITECTURE")
	flags.Output.AddObjectFlags(cmd, "tables", option.Wide)
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long listing the files may take")
	f.DurationVar(&flags.Wait, "wait-timeout", flags.Wait, "How long the pod may wait to start, when waiting could still help; 0 for as long as --timeout")
	return cmd
}

// inspectOptions are a checked inspection.
type inspectOptions struct {
	Clients       *kube.Clients
	Streams       genericiooptions.IOStreams
	Name          images.Name
	Platform      string
	Top           int
	Timeout, Wait time.Duration
	Print         func(*inspect.Analysis, io.Writer) error
}

func (f *inspectFlags) toOptions(streams genericiooptions.IOStreams, image string) (*inspectOptions, error) {
	o := &inspectOptions{Streams: streams, Platform: f.Platform, Top: f.Top, Timeout: f.Timeout, Wait: f.Wait}
	var err error
	if o.Name, err = images.ParseName(image); err != nil {
		return nil, option.Usage(err)
	}
	switch {
	case f.Top < 0:
		return nil, option.Usagef("--top %d is negative", f.Top)
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	case f.Wait < 0:
		return nil, option.Usagef("--wait-timeout %s is negative", f.Wait)
	case f.Platform != "" && strings.Count(f.Platform, "/") != 1:
		return nil, option.Usagef("--platform %s is not of the form OS/ARCHITECTURE, such as linux/amd64", f.Platform)
	}
	printer, err := f.Output.ToPrinter()
	switch {
	case err != nil:
		return nil, err
	case printer != nil:
		o.Print = func(analysis *inspect.Analysis, out io.Writer) error { return printer.PrintObj(analysis, out) }
	default:
		o.Print = func(analysis *inspect.Analysis, out io.Writer) error {
			return printAnalysis(analysis, f.Top, f.Output.Format == option.Wide, out)
		}
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run lists the image's files in the cluster and prints what they come to.
func (o *inspectOptions) Run(ctx context.Context) error {
	config, err := platform.Config(ctx, o.Clients.Kube)
	if err != nil {
		return err
	}
	namespace := o.Clients.Namespace
	if err := access.Check(ctx, o.Clients.Kube, append(inspectPermissions(namespace), platform.RegistryPermissions(config.Registry)...)); err != nil {
		return err
	}
	// The pod reads the namespace's own login.
	client, err := open(ctx, o.Clients, config, namespace)
	if err != nil {
		return err
	}
	defer client.Close()
	steps := display.NewSteps(o.Streams.ErrOut)
	finder := &finder{clients: o.Clients, config: config, app: o.Name.App, waiting: func(err error) {
		steps.Print(fmt.Sprintf("waiting for the registry, which is being restarted or cleaned up: %v; see: kubectl pyflow status", err))
	}}
	defer finder.close()
	found, manifest, err := o.find(ctx, finder)
	if err != nil {
		return err
	}
	image := inspect.Image{Repository: config.Registry.Repository(namespace, found.App)}
	if image.Manifest, image.Config, err = inspect.Read(ctx, client, found.Path, manifest.Digest, o.Platform); err != nil {
		return err
	}
	if image.Dockerfile, image.Target, err = o.dockerfile(ctx, found.App, manifest.Digest); err != nil {
		return err
	}
	target := inspect.Target{
		Namespace: namespace, Repository: image.Repository, Digest: image.Manifest.Digest,
		Timeout: o.Timeout, WaitTimeout: o.Wait,
	}
	for _, layer := range image.Manifest.Layers {
		target.Layers = append(target.Layers, layer.Digest)
	}
	done := steps.Start("Listing the files of " + found.App + " in the cluster")
	listing, err := inspect.List(ctx, inspect.Clients{Tekton: o.Clients.Tekton, Kube: o.Clients.Kube}, target, func(text string, waiting bool) {
		if waiting {
			steps.Print("waiting: " + text)
			return
		}
		steps.Update(text)
	})
	var analysis *inspect.Analysis
	if err == nil {
		analysis, err = inspect.Analyze(image, listing, o.Top)
	}
	done("Files of "+found.App+" listed in the cluster", err)
	if err != nil {
		return err
	}
	if err := o.Print(analysis, o.Streams.Out); err != nil {
		return fmt.Errorf("print what the image is made of: %w", err)
	}
	return nil
}

// inspectPermissions are what listing an image's files takes.
func inspectPermissions(namespace string) []access.Permission {
	return []access.Permission{
		{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret},
		{Verb: "create", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "delete", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "list", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "taskruns", Namespace: namespace},
		{Verb: "watch", Resource: "pods", Namespace: namespace},
		{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace},
	}
}

// find finds the image in the registry.
func (o *inspectOptions) find(ctx context.Context, finder *finder) (*images.Repository, *images.Manifest, error) {
	namespace := o.Clients.Namespace
	if err := finder.namespace(ctx, namespace); err != nil {
		return nil, nil, err
	}
	if err := finder.read(ctx, false); err != nil {
		return nil, nil, err
	}
	repository, manifest, err := images.Find(finder.repositories(), namespace, o.Name)
	var unknown *images.UnknownError
	if errors.As(err, &unknown) && len(unknown.Tags) == 0 {
		// Only for its advice, which it can do without.
		unknown.Apps, _ = images.Apps(ctx, o.Clients.Dynamic, namespace)
	}
	return repository, manifest, err
}

// dockerfile is that of the newest run on record which pushed the image; nil if
// there is none, or it kept none.
func (o *inspectOptions) dockerfile(ctx context.Context, app, digest string) (*dockerfile.Dockerfile, string, error) {
	newest, err := pipelinerun.Newest(ctx, o.Clients.Tekton, o.Clients.Namespace, app, func(run *tektonv1.PipelineRun) bool {
		return run.Annotations[manifests.AnnotationDockerfile] != "" && pipelinerun.Verdict(run).Digest == digest
	})
	if newest == nil || err != nil {
		return nil, "", err
	}
	// One that was built parses; an annotation that somebody has changed need not.
	info := pipelinerun.Parse(newest)
	parsed, err := dockerfile.Parse(info.Dockerfile, []byte(info.DockerfileText))
	if err != nil {
		return nil, "", nil //nolint:nilerr // see above
	}
	return parsed, info.Target, nil
}
