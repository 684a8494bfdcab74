// Package gather is the verb that packs what explains a run into one file.
package gather

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/find"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/supportbundle"
)

// ErrExists says that the file to write is there already.
var ErrExists = errors.New("it exists already")

// stdout is the file name that stands for standard output.
const stdout = "-"

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	File  string
	Force bool
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config}
	cmd := &cobra.Command{
		Use:   "gather [APP|RUN]",
		Short: "Collect a support bundle for a run",
		Long: `Collect a support bundle for a run: the run with its TaskRuns, pods and logs, its app,
Events, and the state of the platform and the nodes.

Without a name it is about the newest run of the namespace, with the name of an app
about its newest run. In a namespace without runs it is about the namespace and the
platform.

Values of Secrets are replaced wherever they occur. What you are not allowed to read
is left out and named in the bundle's README.txt.

The name of the bundle goes to standard output, or with --file - the bundle itself.`,
		Example: `  # The newest run of the namespace, into RUN.tar.gz
  kubectl pyflow gather

  # The newest run of an app, into a file of that name
  kubectl pyflow gather mountains --file mountains.tar.gz

  # See what is in it
  kubectl pyflow gather mountains --file - | tar tzf -`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: complete.New(config, complete.Options{Apps: true, Runs: true}),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(streams, args)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.File, "file", "f", "", "File to write; - is standard output (default: RUN.tar.gz in the current directory)")
	f.BoolVar(&flags.Force, "force", false, "Replace a file that exists")
	_ = cmd.MarkFlagFilename("file", "tar.gz", "tgz")
	return cmd
}

// Options are a run of gather.
type Options struct {
	Clients   supportbundle.Clients
	Streams   genericiooptions.IOStreams
	Namespace string
	// Target is a run or an app; empty is the newest run.
	Target string
	// File is the path to write, or "-"; empty is named after the run.
	File  string
	Force bool
	Now   func() time.Time
}

// ToOptions checks the flags.
func (f *Flags) ToOptions(streams genericiooptions.IOStreams, args []string) (*Options, error) {
	clients, err := kube.New(f.config)
	if err != nil {
		return nil, err
	}
	return &Options{
		Clients: supportbundle.Clients{Kube: clients.Kube, Tekton: clients.Tekton, Dynamic: clients.Dynamic},
		Streams: streams, Namespace: clients.Namespace, Target: strings.Join(args, ""), File: f.File, Force: f.Force, Now: time.Now,
	}, nil
}

// Run writes the archive. A file appears when it is complete, or not at all.
func (o *Options) Run(ctx context.Context) error {
	options, err := o.find(ctx)
	if err != nil {
		return err
	}
	file := o.File
	if file == "" {
		file = options.Root + ".tar.gz"
	}
	if file == stdout {
		return o.write(ctx, options, o.Streams.Out)
	}
	if _, err := os.Lstat(file); err == nil && !o.Force {
		return fmt.Errorf("write %s: %w", file, ErrExists)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial, err := os.CreateTemp(filepath.Dir(file), ".gather-")
	if err != nil {
		return err
	}
	// Of no effect once it has its name.
	defer os.Remove(partial.Name()) //nolint:errcheck // what stays behind is a temporary file
	err = o.write(ctx, options, partial)
	if err = errors.Join(err, partial.Close()); err != nil {
		return err
	}
	if err := os.Rename(partial.Name(), file); err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.Streams.Out, file)
	return err
}

func (o *Options) write(ctx context.Context, options supportbundle.Options, out io.Writer) error {
	steps := display.NewSteps(o.Streams.ErrOut)
	about := "namespace " + o.Namespace
	if options.Run != nil {
		about = "run " + options.Run.Name
	} else if options.App != "" {
		about = "app " + options.App
	}
	done := steps.Start("Collecting what explains " + about)
	options.Progress = func(what string) { steps.Update("Gathering: " + what) }
	summary, err := supportbundle.Write(ctx, o.Clients, options, out)
	if err != nil {
		err = fmt.Errorf("gather: %w", err)
	}
	done(fmt.Sprintf("Collected what explains %s: %s", about, display.Count(summary.Files, "file")), err)
	if err == nil && len(summary.Missing) > 0 {
		steps.Print("not everything could be read: the archive's README.txt says what and why")
	}
	if err == nil && len(summary.Unredacted) > 0 {
		steps.Print("warning: values of Secrets that you have no right to read are not hidden in it, should a log have them (namespaces " + strings.Join(summary.Unredacted, ", ") + ")")
	}
	return err
}

// find decides what the archive is about.
func (o *Options) find(ctx context.Context) (supportbundle.Options, error) {
	options := supportbundle.Options{Namespace: o.Namespace, Now: o.Now()}
	run, err := pipelinerun.Find(ctx, o.Clients.Tekton, o.Namespace, o.Target)
	var missing *pipelinerun.NotFoundError
	switch {
	case err == nil:
		options.Run, options.App, options.Root = run, run.Labels[manifests.LabelApp], run.Name
	case errors.As(err, &missing) && o.Target == "":
		// Where nothing has run, there is all the more to explain.
		if err := kube.CheckNamespace(ctx, o.Clients.Kube, o.Namespace); err != nil {
			return options, err
		}
		options.Root = o.Namespace
	case errors.As(err, &missing):
		apps, appsErr := images.Apps(ctx, o.Clients.Dynamic, o.Namespace)
		if appsErr != nil || !slices.Contains(apps, o.Target) {
			return options, find.Why(ctx, o.Clients.Kube, o.Namespace, err)
		}
		options.App, options.Root = o.Target, o.Target
	default:
		return options, err
	}
	return options, nil
}
