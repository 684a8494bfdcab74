package build

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// show prints the Dockerfile that would be built, and says what it was made for.
func (f *Flags) show(args []string, streams genericiooptions.IOStreams) error {
	if f.Git != "" {
		return option.Usagef("--show-dockerfile is for a folder: a repository is not on this machine")
	}
	if err := f.checkDockerfile(); err != nil {
		return err
	}
	found, err := project.Read(directory(args), f.wanted())
	if err != nil {
		return err
	}
	for _, line := range found.Story() {
		fmt.Fprintln(streams.ErrOut, line)
	}
	_, err = streams.Out.Write(found.Dockerfile.Content)
	return err
}

// wanted is what the command line says about the folder.
func (f *Flags) wanted() project.Options {
	return project.Options{
		Name: f.Name, Dockerfile: f.Dockerfile, Generate: f.Variant != "",
		App: f.App, Python: f.Python, Variant: generate.Variant(f.Variant), Port: int(f.Port),
		Test: f.Test, NoTest: f.NoTest,
	}
}

// checkDockerfile checks what is about the Dockerfile.
func (f *Flags) checkDockerfile() error {
	if f.Variant != "" && f.Dockerfile != "" {
		return option.Usagef("--variant makes a Dockerfile, and --file names one: choose one of them")
	}
	if f.Variant != "" {
		if _, err := generate.ParseVariant(f.Variant); err != nil {
			return option.Usagef("--variant: %w", err)
		}
	}
	if f.Port < 0 || f.Port > math.MaxUint16 {
		return option.Usagef("--port %d is not a port", f.Port)
	}
	return nil
}

// readFolder checks what is built of a folder, and takes over its settings.
func (f *Flags) readFolder(o *Options, dir string) error {
	for flag, value := range map[string]string{"revision": f.Revision, "path": f.Path, "git-secret": f.GitSecret} {
		if value != "" {
			return option.Usagef("--%s goes with --git", flag)
		}
	}
	found, err := project.Read(dir, f.wanted())
	if err != nil {
		return err
	}
	if found.Detected == nil && (f.App != "" || f.Python != "") {
		return option.Usagef("--app and --python are for a folder without a Dockerfile, and %s has one: pass --variant to have another one made", dir)
	}
	o.Dir, o.App, o.Files, o.Dockerfile, o.File = found.Dir, found.Name, found.Files, found.Dockerfile, found.Dockerfile.Path
	o.Found = found
	settings := found.Settings.Build
	o.Target = cmp.Or(f.Target, settings.Target)
	o.CPU, o.Memory, o.Storage, o.NodeSelector = settings.CPU, settings.Memory, settings.Storage, settings.NodeSelector
	o.BuildArgs = nil
	for _, name := range slices.Sorted(maps.Keys(settings.Args)) {
		if !slices.ContainsFunc(f.BuildArgs, func(arg string) bool { return strings.HasPrefix(arg, name+"=") }) {
			o.BuildArgs = append(o.BuildArgs, name+"="+settings.Args[name])
		}
	}
	o.BuildArgs = append(o.BuildArgs, f.BuildArgs...)
	if err := o.Dockerfile.CheckBuildArgs(o.BuildArgs); err != nil {
		return option.Usagef("--build-arg: %w", err)
	}
	o.Dockerfile = o.Dockerfile.WithBuildArgs(o.BuildArgs)
	stage, err := o.Dockerfile.Target(o.Target)
	if err != nil {
		return option.Usagef("--target: %w", err)
	}
	if o.NoDeploy {
		return nil
	}
	if o.Release.Directory == "" {
		if o.Release.Directory, err = project.FindManifests(o.Dir); err != nil {
			return err
		}
	}
	if o.Release.Directory != "" {
		if err := found.Settings.CheckManifests(o.Release.Directory); err != nil {
			return err
		}
		return f.checkManifests(o.Release.Directory)
	}
	f.settle(o, found)
	if o.Release.Port == 0 && len(stage.Expose) > 0 {
		o.Release.Port = int32(stage.Expose[0]) //nolint:gosec // a port of a Dockerfile, read as 16 bits
	}
	return app.CheckResources(o.Release.Requests, o.Release.Limits)
}

// readRelease reads what the command line says about the default objects.
func (f *Flags) readRelease(o *Options) error {
	if err := f.checkDockerfile(); err != nil {
		return err
	}
	if f.Replicas < 0 {
		return option.Usagef("--replicas %d is negative", f.Replicas)
	}
	if o.NoDeploy && f.Manifests != "" {
		return option.Usagef("--manifests says what to deliver, and --no-deploy delivers nothing")
	}
	r := release.Options{Directory: f.Manifests, Port: f.Port, Replicas: f.Replicas}
	var err error
	if f.Expose != "" {
		if r.Expose, err = app.ParseExpose(f.Expose); err != nil {
			return option.Usagef("--expose: %w", err)
		}
	}
	if r.Env, err = app.ParseEnv(f.Env); err != nil {
		return option.Usagef("--env: %w", err)
	}
	if r.Requests, err = app.ParseResources(f.Requests); err != nil {
		return option.Usagef("--requests: %w", err)
	}
	if r.Limits, err = app.ParseResources(f.Limits); err != nil {
		return option.Usagef("--limits: %w", err)
	}
	if r.Probes, err = app.ParseProbes(f.Probes); err != nil {
		return option.Usagef("--probe: %w", err)
	}
	o.Release = r
	if r.Directory != "" {
		return f.checkManifests(r.Directory)
	}
	return app.CheckResources(r.Requests, r.Limits)
}

// checkManifests refuses what is for the default objects only.
func (f *Flags) checkManifests(directory string) error {
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"port", f.Port != 0},
		{"replicas", f.changed("replicas")},
		{"expose", f.Expose != ""},
		{"env", len(f.Env) > 0},
		{"requests", f.Requests != ""},
		{"limits", f.Limits != ""},
		{"probe", len(f.Probes) > 0},
	} {
		if flag.given {
			return option.Usagef("--%s goes without a kustomize directory: set it in %s", flag.name, directory)
		}
	}
	return nil
}

// settle takes over the settings that the command line says nothing about.
func (f *Flags) settle(o *Options, found *project.Project) {
	settings, r := found.Settings, &o.Release
	r.Port = int32(found.Port) //nolint:gosec // checked to be a port
	if settings.Replicas != nil && !f.changed("replicas") {
		r.Replicas = *settings.Replicas
	}
	r.Expose = cmp.Or(r.Expose, settings.Expose)
	r.Probes = r.Probes.Or(settings.Probes)
	r.Env = over(r.Env, settings.Env)
	r.Requests, r.Limits = over(r.Requests, settings.Resources.Requests), over(r.Limits, settings.Resources.Limits)
}

// over returns what is in upper, and what of lower is not in it.
func over[M ~map[K]V, K comparable, V any](upper, lower M) M {
	if len(upper)+len(lower) == 0 {
		return nil
	}
	both := M{}
	maps.Copy(both, lower)
	maps.Copy(both, upper)
	return both
}
