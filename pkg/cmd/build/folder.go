package build

import (
	"fmt"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/contextflag"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/written"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
)

// show prints the Dockerfile that would be built, and for which project it was generated.
func (f *Flags) show(args []string, streams genericiooptions.IOStreams) error {
	if f.Git != "" {
		return option.Usagef("--show-dockerfile is for a folder: a repository is not on this machine")
	}
	options, err := f.toProject()
	if err != nil {
		return err
	}
	options.NoDeploy = true
	found, err := project.Resolve(directory(args), options)
	if err != nil {
		return err
	}
	for _, line := range found.Explain() {
		fmt.Fprintln(streams.ErrOut, line)
	}
	for _, warning := range found.Warnings() {
		fmt.Fprintln(streams.ErrOut, "warning: "+warning)
	}
	_, err = streams.Out.Write(found.Dockerfile.Value.Content)
	return err
}

// showManifests prints the manifests that would be deployed.
func (f *Flags) showManifests(args []string, streams genericiooptions.IOStreams) error {
	options, err := f.toProject()
	if err != nil {
		return err
	}
	o := &Options{}
	if f.Git == "" {
		err = f.readFolder(o, directory(args), options)
	} else {
		err = f.readGit(o, args, options)
	}
	if err != nil {
		return err
	}
	if err := appname.Validate(o.App); err != nil {
		return option.Usagef("%w; choose one with --name", err)
	}
	if o.Found != nil {
		for _, warning := range o.Found.Warnings() {
			fmt.Fprintln(streams.ErrOut, "warning: "+warning)
		}
	}
	namespace, _, err := f.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return err
	}
	return written.Show(streams, o.App, namespace, *o.Release, manifests.RegistrySecret)
}

// toProject parses the flags for the folder and its deployment.
func (f *Flags) toProject() (project.Options, error) {
	directory, err := contextflag.Directory(f.config, f.Context)
	if err != nil {
		return project.Options{}, err
	}
	o := project.Options{
		Name: f.Name, Dockerfile: f.Dockerfile, Context: directory, Variant: generate.Variant(f.Variant), Entrypoint: f.Entrypoint, Python: f.Python,
		Target: f.Target, BuildArgs: f.BuildArgs, Secrets: input.SecretIDs(f.Secrets), AllowSecretFiles: f.AllowSecretFiles, Test: f.Test, NoTest: f.NoTest, Manifests: f.Written.Manifests, Values: f.Written.Values, NoDeploy: f.NoDeploy && !f.renders(),
	}
	if f.NoDeploy && !f.renders() && (f.Written.Manifests != "" || !f.Written.IsZero()) {
		return o, option.Usagef("--manifests, --values and --set are about what to deploy, and --no-deploy deploys nothing")
	}
	if err := f.Deployment.Read(&o); err != nil {
		return o, err
	}
	return o, f.readResources(&o)
}

// renders reports whether the flags want manifests, whether or not they are deployed.
func (f *Flags) renders() bool { return f.Written.Show || f.Written.Output != "" }

// readResources parses what the pod of the build requests.
func (f *Flags) readResources(o *project.Options) error {
	var err error
	if o.CPU, o.Memory, o.Storage, err = f.ParseResources(); err != nil {
		return err
	}
	if o.NodeSelector, err = input.ParseNodeSelector(f.NodeSelector); err != nil {
		return option.Usagef("--node-selector %w", err)
	}
	return nil
}

// readFolder resolves the folder that is built.
func (f *Flags) readFolder(o *Options, dir string, options project.Options) error {
	for flag, value := range map[string]string{"revision": f.Revision, "path": f.Path, "git-secret": f.GitSecret} {
		if value != "" {
			return option.Usagef("--%s goes with --git", flag)
		}
	}
	found, err := project.Resolve(dir, options)
	if err != nil {
		return err
	}
	o.Found = found
	o.App, o.Dockerfile, o.Target, o.BuildArgs = found.Name.Value, found.Dockerfile.Value.Path, found.Target.Value, found.Args()
	o.Secrets, o.Needs = input.WithSettings(o.Secrets, found.SecretSources), found.Secrets
	o.Folder = &build.Folder{Dir: found.Context, Dockerfile: found.Dockerfile.Value, Files: found.Files, AllowSecrets: found.AllowSecretFiles}
	o.Resources = pipelinerun.Resources{CPU: found.CPU.Value, Memory: found.Memory.Value, Storage: found.Storage.Value}
	o.Resources.NodeSelector = project.Values(found.NodeSelector)
	if found.TestStage != "" || found.Test.IsSet() {
		o.Test = &pipelinerun.Test{Stage: found.TestStage, Command: found.Test.Value}
	}
	o.Release, o.Sources, o.Origins = input.Release(found.Deployment), found.Deployment.Sources(), build.OriginsOf(found.Deployment)
	o.Release.Directory, o.Release.Detected = written.Near(found.Manifests.Value), found.Manifests.Origin.Kind == project.Detected
	o.Release.Values = found.Values
	o.Release.Port = int32(found.Port.Value) //nolint:gosec // a port
	return nil
}
