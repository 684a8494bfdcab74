// Package compare is the verb that measures the images of different Dockerfiles.
package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/compare"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Name        string
	Variants    []string
	Dockerfiles []string
	Entrypoint  string
	Python      string
	Port        int
	BuildArgs   []string
	Secrets     []string
	Change      string
	Chart       string
	Keep        bool
	Output      option.Output

	Timeout, WaitTimeout, StartTimeout time.Duration
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Timeout: 30 * time.Minute, WaitTimeout: 5 * time.Minute, StartTimeout: time.Minute}
	cmd := &cobra.Command{
		Use:   "compare [DIR]",
		Short: "Measure the images that different Dockerfiles make of a service",
		Long: `Build a service in several ways, one after the other, and measure each image: its
size, how long it takes to build with nothing cached and after a change of code, how
long it takes to start, and what it is made of.

Without --variant and --file these are the ways that build knows to make a
Dockerfile: bloated, as it is often done; slim; and distroless, where the project
allows it. Nothing is deployed, and no image, run or cached layer of the app is
touched: what is made is deleted at the end, also after Ctrl-C.`,
		Example: `  # All that can be made of the service in this directory
  kubectl pyflow compare

  # Your own Dockerfile and a leaner one, with a picture
  kubectl pyflow compare -f Dockerfile -f Dockerfile.lean --chart images.svg

  # Your own beside the one that build would make
  kubectl pyflow compare -f Dockerfile --variant slim

  # The seconds to the first answer, for a script
  kubectl pyflow compare -o json | jq '.variants[] | {name, startSeconds}'`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.ToOptions(args, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.Name, "name", "", "Name of the app (default: the folder's name)")
	f.StringArrayVar(&flags.Variants, "variant", nil, "Way to make a Dockerfile: "+variant.Choice()+"; repeatable (default: all)")
	f.StringArrayVarP(&flags.Dockerfiles, "file", "f", nil, "Dockerfile of your own, relative to the folder; repeatable")
	f.StringVar(&flags.Entrypoint, "entrypoint", "", "Web application of a generated Dockerfile, as MODULE:ATTRIBUTE (default: detected)")
	f.StringVar(&flags.Python, "python", "", "Version of Python, such as 3.13, of Dockerfiles that are made (default: what the project asks for)")
	f.IntVar(&flags.Port, "port", 0, "Port the service listens on (default: the project's, or the Dockerfile's EXPOSE)")
	f.StringArrayVar(&flags.BuildArgs, "build-arg", nil, "Value of an ARG of the Dockerfiles, as KEY=VALUE; repeatable")
	f.StringArrayVar(&flags.Secrets, "build-secret", nil, "Secret for RUN --mount=type=secret, as of build; repeatable")
	f.StringVar(&flags.Change, "change", "", "File, relative to the folder, that the change of code is made to, in a copy (default: the app's module)")
	f.StringVar(&flags.Chart, "chart", "", "File to draw sizes and times in, as SVG")
	f.BoolVar(&flags.Keep, "keep", false, "Keep the images and the runs")
	flags.Output.AddObjectFlags(cmd, "a table and bars")
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long each build may take")
	f.DurationVar(&flags.WaitTimeout, "wait-timeout", flags.WaitTimeout, "How long a pod may wait to start, when waiting could still help; 0 for as long as --timeout")
	f.DurationVar(&flags.StartTimeout, "start-timeout", flags.StartTimeout, "How long a service may take from its start to its first answer")
	_ = cmd.RegisterFlagCompletionFunc("variant", cobra.FixedCompletions(variant.Names(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("chart", "svg")
	return cmd
}

// Options are a comparison, checked as far as that goes without a cluster.
type Options struct {
	Clients    *kube.Clients
	Streams    genericiooptions.IOStreams
	Dir, App   string
	Candidates []compare.Candidate
	// Notes say what cannot be made of the project.
	Notes []string
	// Changed is the file of Dir that the change of code is made to.
	Changed string
	// Chart is the file of the picture; may be empty.
	Chart string
	Keep  bool

	Timeout, WaitTimeout, StartTimeout time.Duration
	Print                              func(*compare.Comparison, io.Writer) error
}

// ToOptions checks the flags and reads the folder.
func (f *Flags) ToOptions(args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{
		Streams: streams, Chart: f.Chart, Keep: f.Keep,
		Timeout: f.Timeout, WaitTimeout: f.WaitTimeout, StartTimeout: f.StartTimeout,
	}
	switch {
	case f.Timeout <= 0:
		return nil, option.Usagef("--timeout %s is not positive", f.Timeout)
	case f.WaitTimeout < 0:
		return nil, option.Usagef("--wait-timeout %s is negative; 0 waits as long as --timeout", f.WaitTimeout)
	case f.StartTimeout < time.Second:
		return nil, option.Usagef("--start-timeout %s is less than a second", f.StartTimeout)
	case f.Port < 0 || f.Port > 65535:
		return nil, option.Usagef("--port %d is not a port", f.Port)
	}
	if o.WaitTimeout == 0 {
		o.WaitTimeout = o.Timeout
	}
	if err := f.printing(o); err != nil {
		return nil, err
	}
	if err := input.CheckBuildArgs(f.BuildArgs); err != nil {
		return nil, option.Usagef("--build-arg: %w", err)
	}
	if f.Chart != "" {
		if info, err := os.Stat(filepath.Dir(f.Chart)); err != nil || !info.IsDir() {
			return nil, option.Usagef("--chart %s: there is no directory %s", f.Chart, filepath.Dir(f.Chart))
		}
		if info, err := os.Stat(f.Chart); err == nil && info.IsDir() {
			return nil, option.Usagef("--chart %s is a directory: name a file in it", f.Chart)
		}
	}
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	if err := f.candidates(o, dir); err != nil {
		return nil, err
	}
	if err := appname.Validate(o.App); err != nil {
		return nil, option.Usagef("%w; choose one with --name", err)
	}
	if _, err := compare.ReadSource(o.Dir, o.Changed); err != nil {
		return nil, err
	}
	var err error
	o.Clients, err = kube.New(f.config)
	return o, err
}

func (f *Flags) printing(o *Options) error {
	printer, err := f.Output.ToPrinter()
	if err != nil {
		return err
	}
	o.Print = func(comparison *compare.Comparison, out io.Writer) error {
		return printTable(comparison, width(out), unicodeLocale(os.Getenv), out)
	}
	if printer != nil {
		o.Print = func(comparison *compare.Comparison, out io.Writer) error { return printer.PrintObj(comparison, out) }
	}
	return nil
}

// candidates reads the Dockerfiles of the user's own, then makes the variants.
func (f *Flags) candidates(o *Options, dir string) error {
	variants := f.Variants
	if len(variants) == 0 && len(f.Dockerfiles) == 0 {
		for _, variant := range generate.Variants() {
			variants = append(variants, string(variant))
		}
	}
	module := f.Change
	secrets, err := input.ParseSecrets(f.Secrets)
	if err != nil {
		return option.Usagef("--build-secret: %w", err)
	}
	add := func(name string, options project.Options) error {
		options.Name, options.Port, options.BuildArgs, options.Secrets = f.Name, f.Port, f.BuildArgs, input.SecretIDs(f.Secrets)
		options.NoTest, options.NoDeploy, options.DropUnknownArgs = true, true, true
		found, err := project.Resolve(dir, options)
		if err != nil {
			return err
		}
		o.Dir, o.App = found.Dir, found.Name.Value
		candidate := compare.Candidate{
			Name: name, Dockerfile: found.Dockerfile.Value, Context: found.Context, Within: project.Within(found), Files: found.Files, Target: found.Target.Value, BuildArgs: found.Args(),
			Port: found.Port.Value, Env: found.Settings.Env,
			AllowSecrets: found.AllowSecretFiles, Needs: found.Secrets, Secrets: input.WithSettings(secrets, found.SecretSources),
		}
		if found.Detected != nil && found.Detected.App != nil {
			module = cmp.Or(module, found.Detected.App.File)
		}
		o.Candidates = append(o.Candidates, candidate)
		return nil
	}
	for _, file := range f.Dockerfiles {
		if err := add(file, project.Options{Dockerfile: file}); err != nil {
			return err
		}
	}
	for _, name := range variants {
		variant, err := generate.ParseVariant(name)
		if err != nil {
			return option.Usagef("--variant: %w", err)
		}
		err = add(name, project.Options{Variant: variant, Entrypoint: f.Entrypoint, Python: f.Python})
		if errors.Is(err, generate.ErrUnsupported) {
			o.Notes = append(o.Notes, fmt.Sprintf("%s is left out: %v", name, err))
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(o.Candidates) == 0 {
		return errors.New(strings.Join(o.Notes, "; "))
	}
	for _, arg := range f.BuildArgs {
		if !slices.ContainsFunc(o.Candidates, func(c compare.Candidate) bool { return slices.Contains(c.BuildArgs, arg) }) {
			key, _, _ := strings.Cut(arg, "=")
			return option.Usagef("--build-arg: none of the Dockerfiles has an ARG %s", key)
		}
	}
	if err := compare.Slugs(o.Candidates); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if module == "" {
		found, err := detect.Read(o.Dir, detect.Options{App: f.Entrypoint})
		if err != nil || found.App == nil {
			return errors.New("no file is found to make a change of code to: name one with --change FILE")
		}
		module = found.App.File
	}
	o.Changed = filepath.ToSlash(filepath.Clean(module))
	return nil
}

// permissions returns what a comparison needs.
func permissions(namespace string) []access.Permission {
	return []access.Permission{
		{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret},
		{Verb: "get", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "create", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "patch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "delete", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "pipelineruns", Namespace: namespace},
		{Verb: "watch", Group: "tekton.dev", Resource: "taskruns", Namespace: namespace},
		{Verb: "create", Resource: "pods", Namespace: namespace},
		{Verb: "delete", Resource: "pods", Namespace: namespace},
		{Verb: "watch", Resource: "pods", Namespace: namespace},
		{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace},
	}
}

// Run measures and prints. Variants that fail have what was measured of them in the
// table, and are the error at the end.
func (o *Options) Run(ctx context.Context) error {
	namespace := o.Clients.Namespace
	env, err := build.Connect(ctx, o.Clients, permissions(namespace))
	if err != nil {
		return err
	}
	defer env.Close()
	steps := display.NewSteps(o.Streams.ErrOut)
	wait := func(text string) { steps.Print("waiting: " + text) }
	if err := env.Registry.Await(ctx, func(err error) {
		wait(fmt.Sprintf("the registry is restarting or being cleaned up: %v; see: kubectl pyflow status", err))
	}); err != nil {
		return err
	}
	bench := &compare.Bench{
		Tekton: o.Clients.Tekton, Kube: o.Clients.Kube, Registry: env.Registry, Config: env.Config, Env: env,
		Namespace: namespace, App: o.App, Dir: o.Dir, Changed: o.Changed, ID: rand.String(5),
		Timeout: o.Timeout, WaitTimeout: o.WaitTimeout, Limit: o.StartTimeout,
		Tell: steps.Start, Wait: wait,
	}
	for _, note := range o.Notes {
		steps.Print("note: " + note)
	}
	comparison, failures := compare.All(ctx, bench, o.Candidates)
	comparison.Notes = append(comparison.Notes, o.Notes...)
	cleaned := o.clean(ctx, bench, steps)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), cleaned)
	}
	if err := o.Print(comparison, o.Streams.Out); err != nil {
		return fmt.Errorf("print the comparison: %w", err)
	}
	if o.Chart != "" {
		if err := os.WriteFile(o.Chart, compare.SVG(comparison), 0o644); err != nil { //nolint:gosec // a picture for everyone
			return fmt.Errorf("write the chart: %w", err)
		}
		steps.Print("Chart written to " + o.Chart)
	}
	return errors.Join(failures, cleaned)
}

// clean deletes what was made, or says where it is.
func (o *Options) clean(ctx context.Context, bench *compare.Bench, steps *display.Steps) error {
	if o.Keep {
		runs, repositories := bench.Left()
		steps.Print("Kept: the runs " + strings.Join(runs, ", ") + " and the repositories " + strings.Join(repositories, ", "))
		return nil
	}
	done := steps.Start("Deleting what was made")
	err := bench.Clean(ctx)
	done("Everything that was made is deleted", err)
	if err != nil {
		return fmt.Errorf("not all that was made is deleted: %w", err)
	}
	return nil
}
