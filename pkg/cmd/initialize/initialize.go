// Package initialize is the verb init: it starts a new service or prepares an existing
// project to be built.
package initialize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// Flags are the values of the command line.
type Flags struct {
	Template   string
	Name       string
	Entrypoint string
	Python     string
	Port       int32
	Variant    string
	Force      bool
	Manifests  bool
	DryRun     option.DryRun
	Output     string
}

// NewCommand returns the verb.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Create a new FastAPI service; skip this if you already have a project",
		Long: `Create a new FastAPI service in DIR: code, tests, locked dependencies, a Dockerfile and
a README.

In an existing Python project, init detects the application, the Python version, the
dependencies and the port, prints where each comes from, and writes what is missing: a
Dockerfile, .dockerignore, and the table [tool.kubectl-pyflow] at the end of
pyproject.toml. This is optional: build needs none of these files.

With --manifests, init also writes the Deployment, the Service and what else a build
deploys into the directory deploy, and builds deploy that from then on.

init never overwrites a file. With --force it replaces the Dockerfile and others, and
keeps the old ones as NAME.orig. It needs no cluster.

The paths of written files go to standard output, everything else to standard error.`,
		Example: `  # Create a new service in the directory shop
  kubectl pyflow init shop

  # Create a service in a single file, for Python 3.14
  kubectl pyflow init shop --template minimal --python 3.14

  # Show what init would add to the project in this directory, then add it
  kubectl pyflow init --dry-run
  kubectl pyflow init

  # Own the manifests that builds deploy
  kubectl pyflow init --manifests

  # Name the application of a project that has several
  kubectl pyflow init services/api --entrypoint api.main:app`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			options, err := flags.ToOptions(dir, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (f *Flags) addTo(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.Template, "template", "", fmt.Sprintf("Template of a new service: %s (default: %s)", strings.Join(scaffold.Templates(), " or "), scaffold.DefaultTemplate))
	set.StringVar(&f.Name, "name", "", "Name of the app (default: the directory's name)")
	set.StringVar(&f.Entrypoint, "entrypoint", "", "Web application of an existing project as MODULE:ATTRIBUTE, such as shop.main:app (default: detected)")
	set.StringVar(&f.Python, "python", "", fmt.Sprintf("Python version, such as 3.13 (default: detected, or %s)", scaffold.DefaultPython))
	set.Int32Var(&f.Port, "port", 0, fmt.Sprintf("Port that the app listens on (default: detected, or %d)", project.DefaultPort))
	set.StringVar(&f.Variant, "variant", "", "Kind of image: "+variant.Choice()+" (default: slim)")
	set.BoolVar(&f.Force, "force", false, "Replace existing files and keep the old ones as NAME.orig")
	set.BoolVar(&f.Manifests, "manifests", false, "Write the manifests that a build deploys into deploy, from where they are yours to change")
	f.DryRun.AddFlag(cmd, "Show what would be written and write nothing, with client")
	set.StringVarP(&f.Output, "output", "o", "", "Output format: json (default: the paths of written files)")
	var variants []string
	for _, variant := range generate.Variants() {
		variants = append(variants, string(variant))
	}
	for flag, words := range map[string][]string{
		"template": scaffold.Templates(), "python": scaffold.Pythons(), "output": {"json"}, "variant": variants,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// Options are a run of init.
type Options struct {
	Streams genericiooptions.IOStreams
	scaffold.Request

	DryRun bool
	JSON   bool
}

// version is the form of --python.
var version = regexp.MustCompile(`^3\.[0-9]{1,2}$`)

// ToOptions checks the flags, and whether the directory holds a project.
func (f *Flags) ToOptions(dir string, streams genericiooptions.IOStreams) (*Options, error) {
	template := cmp.Or(f.Template, scaffold.DefaultTemplate)
	o := &Options{
		Streams: streams, DryRun: f.DryRun.Enabled(), JSON: f.Output == "json",
		Request: scaffold.Request{
			Dir: dir, Name: f.Name, Entrypoint: f.Entrypoint, Python: f.Python, Port: int(f.Port), Variant: generate.Variant(f.Variant), Force: f.Force,
		},
	}
	switch {
	case dir == "":
		return nil, option.Usagef("the directory's name is empty: leave it out for the current directory")
	case f.Output != "" && !o.JSON:
		return nil, option.OneOf("output", f.Output, "json")
	case !slices.Contains(scaffold.Templates(), template):
		return nil, option.OneOf("template", f.Template, scaffold.Templates()...)
	case f.Python != "" && !version.MatchString(f.Python):
		return nil, option.Usagef("--python is a version such as %s, not %q", scaffold.DefaultPython, f.Python)
	}
	checked := project.Options{Port: o.Port, Variant: o.Variant}
	if err := checked.Check(); err != nil {
		return nil, err
	}
	if f.Name != "" {
		if err := appname.Validate(f.Name); err != nil {
			return nil, option.Usagef("--name: %w", err)
		}
	}
	isNew, err := scaffold.IsNew(dir, f.Template != "")
	if err != nil {
		return nil, err
	}
	if f.Manifests {
		if isNew {
			return nil, option.Usagef("--manifests is for an existing project, and %s holds none: run init without it first", dir)
		}
		o.Manifests = generated
	}
	if isNew {
		if f.Entrypoint != "" {
			return nil, option.Usagef("--entrypoint is for an existing project, and %s holds none", dir)
		}
		o.Template = template
	}
	return o, nil
}

// generated returns the manifests that a build of the project deploys.
func generated(p *project.Project) (map[string][]byte, error) {
	options := *input.Release(p.Deployment)
	options.App, options.Port = p.Name.Value, int32(p.Port.Value) //nolint:gosec // a port
	return release.Generated(options)
}

// Run prepares the directory. It writes nothing if it can foresee an error.
func (o *Options) Run(ctx context.Context) error {
	work, err := scaffold.Prepare(o.Request)
	if errors.As(err, new(*appname.Error)) || errors.As(err, new(*scaffold.PackageError)) {
		err = fmt.Errorf("%w; choose one with --name", err)
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	o.introduce(work)
	if o.DryRun {
		return o.show(work)
	}
	written, err := work.Plan.Write()
	if perr := o.conclude(work, written); err == nil {
		err = perr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Dir, err)
	}
	return nil
}

// file returns a path as the user reaches it.
func (o *Options) file(name string) string {
	return filepath.Join(o.Dir, filepath.FromSlash(name))
}
