// Package initialize is the verb init, which starts a new service or prepares a project
// that is there.
package initialize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// ErrNotEmpty says that a directory is neither a Python project nor a place for a new
// service.
var ErrNotEmpty = errors.New("there is no Python project, and the directory is not empty")

// Flags are what the command line says.
type Flags struct {
	Template   string
	Name       string
	Entrypoint string
	Python     string
	Port       int32
	Variant    string
	Force      bool
	DryRun     option.DryRun
	Output     string
}

// NewCommand makes the verb.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Start a new Python service, or prepare a project to be built",
		Long: `Start a new service in a directory that is not there or holds no project: code,
tests, locked dependencies, a Dockerfile, and a README that says how to work with
them.

In a Python project, find out what its app, its Python, its dependencies and its port
are, say from which files that was read, and write what is missing for a build: a
Dockerfile, .dockerignore, and the table [tool.kubectl-pyflow] at the end of pyproject.toml.

A file that is there stays as it is, but for that table. With --force the Dockerfile
and others are written anew; the old ones stay beside them, with .orig after their
names. No cluster is needed.

The paths of what was written go to standard output, all else to standard error.`,
		Example: `  # A new service in the new directory shop
  kubectl pyflow init shop

  # In a single file, for another Python
  kubectl pyflow init shop --template minimal --python 3.14

  # Prepare the project in this directory; first see how
  kubectl pyflow init --dry-run
  kubectl pyflow init

  # One with several apps
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
	f := cmd.Flags()
	f.StringVar(&flags.Template, "template", "", fmt.Sprintf("What a new service is made from: %s (default: %s)", strings.Join(scaffold.Templates(), " or "), scaffold.DefaultTemplate))
	f.StringVar(&flags.Name, "name", "", "Name of the app (default: the directory's name)")
	f.StringVar(&flags.Entrypoint, "entrypoint", "", "Web application of an existing project as MODULE:ATTRIBUTE, such as shop.main:app (default: detected)")
	f.StringVar(&flags.Python, "python", "", fmt.Sprintf("Version of Python, such as 3.13 (default: what the project says, or %s)", scaffold.DefaultPython))
	f.Int32Var(&flags.Port, "port", 0, fmt.Sprintf("Port that the service listens on (default: what the project says, or %d)", scaffold.DefaultPort))
	f.StringVar(&flags.Variant, "variant", "", "What the image is made of: slim, distroless or bloated (default: slim)")
	f.BoolVar(&flags.Force, "force", false, "Write files that are there anew, and keep the old ones as NAME.orig")
	flags.DryRun.AddFlag(cmd, "Show what would be written and write nothing, with client")
	f.StringVarP(&flags.Output, "output", "o", "", "Format: json (default: the paths that were written)")
	complete := func(flag string, words ...string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("template", scaffold.Templates()...)
	complete("python", scaffold.Pythons()...)
	complete("output", "json")
	var variants []string
	for _, variant := range generate.Variants() {
		variants = append(variants, string(variant))
	}
	complete("variant", variants...)
	return cmd
}

// Options are a run of init.
type Options struct {
	Streams genericiooptions.IOStreams
	// Dir is the directory as the user named it.
	Dir string
	// New says that a service is started, from Template.
	New      bool
	Template string
	// Name is the app's; empty is what the settings say, or the directory's.
	Name string
	// Entrypoint, Python, Port and Variant are what the user said, or zero.
	Entrypoint, Python string
	Port               int
	Variant            generate.Variant
	Force              bool
	DryRun             bool
	JSON               bool
}

// version is how --python is written.
var version = regexp.MustCompile(`^3\.[0-9]{1,2}$`)

// ToOptions checks the flags, and whether there is a project in the directory.
func (f *Flags) ToOptions(dir string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{
		Streams: streams, Dir: dir, Template: cmp.Or(f.Template, scaffold.DefaultTemplate), Name: f.Name, Entrypoint: f.Entrypoint, Python: f.Python,
		Port: int(f.Port), Force: f.Force, DryRun: f.DryRun.Enabled(), JSON: f.Output == "json",
	}
	switch {
	case dir == "":
		return nil, option.Usagef("the directory's name is empty: leave it out for the current one")
	case f.Output != "" && !o.JSON:
		return nil, option.OneOf("output", f.Output, "json")
	case !slices.Contains(scaffold.Templates(), o.Template):
		return nil, option.OneOf("template", f.Template, scaffold.Templates()...)
	case f.Port < 0 || f.Port > math.MaxUint16:
		return nil, option.Usagef("--port %d is not a port", f.Port)
	case f.Python != "" && !version.MatchString(f.Python):
		return nil, option.Usagef("--python is a version such as %s, not %q", scaffold.DefaultPython, f.Python)
	}
	if f.Name != "" {
		if err := appname.Validate(f.Name); err != nil {
			return nil, option.Usagef("--name: %w", err)
		}
	}
	if f.Variant != "" {
		variant, err := generate.ParseVariant(f.Variant)
		if err != nil {
			return nil, option.Usagef("--variant: %w", err)
		}
		o.Variant = variant
	}
	var err error
	if o.New, err = isNew(dir, f.Template != ""); err != nil {
		return nil, err
	}
	if o.New && f.Entrypoint != "" {
		return nil, option.Usagef("--entrypoint is for an existing project, and %s holds none", dir)
	}
	return o, nil
}

// isNew says whether the directory is a place for a new service: it is not there, or
// holds nothing but what a new repository does. With wanted it may hold anything but a
// Python project.
func isNew(dir string, wanted bool) (bool, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		if info, serr := os.Stat(dir); serr == nil && !info.IsDir() {
			return false, fmt.Errorf("%s is not a directory", dir)
		}
		return false, fmt.Errorf("read the directory: %w", err)
	}
	switch python := detect.IsPython(dir); {
	case python && wanted:
		return false, option.Usagef("--template is for a new service, and %s holds a Python project: leave it out to prepare that, or name another directory", dir)
	case python:
		return false, nil
	case wanted:
		return true, nil
	}
	return !slices.ContainsFunc(entries, func(entry fs.DirEntry) bool { return !isRepositoryFile(entry.Name()) }), nil
}

// isRepositoryFile knows what a repository has before there is any code.
func isRepositoryFile(name string) bool {
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch stem {
	case "", "readme", "license", "copying", "notice", "changelog", "contributing", "codeowners", "security", "authors", "code_of_conduct":
		return true
	}
	return false
}

// Run carries it out. Nothing is written when there is an error that can be known
// before.
func (o *Options) Run(ctx context.Context) error {
	work, err := o.prepare()
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
	written, err := work.plan.Write()
	if perr := o.conclude(work, written); err == nil {
		err = perr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Dir, err)
	}
	return nil
}

// file is a path as the user reaches it.
func (o *Options) file(name string) string {
	return filepath.Join(o.Dir, filepath.FromSlash(name))
}
