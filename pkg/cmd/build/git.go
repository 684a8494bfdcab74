package build

import (
	"cmp"
	"errors"
	"path"
	"path/filepath"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// readGit checks the flags of a repository.
func (f *Flags) readGit(o *Options, args []string, options project.Options) error {
	if len(args) > 0 {
		return option.Usagef("--git builds a repository, and %s is a folder: name one of them", args[0])
	}
	name, err := input.RepositoryName(f.Git, f.GitSecret != "")
	if errors.Is(err, input.ErrCredentials) {
		return option.Usagef("--git: %w: put them into a Secret and name it with --git-secret", err)
	}
	if err != nil {
		return option.Usagef("--git: %w", err)
	}
	if o.App == "" {
		o.App = appname.FromDir(name)
	}
	folder := path.Clean("/" + f.Path)[1:]
	if f.Path != "" && !filepath.IsLocal(filepath.FromSlash(f.Path)) {
		return option.Usagef("--path %s leaves the repository", f.Path)
	}
	if strings.HasPrefix(f.Revision, "-") {
		return option.Usagef("--revision %s is not a branch, tag or commit", f.Revision)
	}
	o.Dockerfile = cmp.Or(f.Dockerfile, project.Dockerfile)
	if !filepath.IsLocal(filepath.FromSlash(o.Dockerfile)) {
		return option.Usagef("--file %s leaves the folder that is built", f.Dockerfile)
	}
	for flag, value := range map[string]string{"entrypoint": f.Entrypoint, "python": f.Python, "variant": f.Variant} {
		if value != "" {
			return option.Usagef("--%s is for a folder without a Dockerfile, and a repository needs one: kubectl pyflow init makes it", flag)
		}
	}
	o.Git = &pipelinerun.Git{URL: f.Git, Revision: f.Revision, Path: folder, Secret: f.GitSecret}
	o.Resources = pipelinerun.Resources{CPU: options.CPU, Memory: options.Memory, Storage: options.Storage, NodeSelector: options.NodeSelector}
	command, err := project.Command(f.Test)
	if err != nil {
		return option.Usagef("--test: %w", err)
	}
	if len(command) > 0 {
		o.Test = &pipelinerun.Test{Command: command}
	}
	deployment, err := options.Deployment()
	if err != nil {
		return err
	}
	if f.Written.Manifests != "" {
		err = options.CheckManifests(f.Written.Manifests)
	}
	o.Release, o.Sources, o.Origins = input.Release(deployment), deployment.Sources(), build.OriginsOf(deployment)
	o.Release.Directory, o.Release.Port, o.Release.Values = f.Written.Manifests, f.Deployment.Port, []source.Values{f.Written.Values}
	return err
}
