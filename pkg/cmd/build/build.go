// Package build is the verb that builds a source in the cluster and deploys it.
package build

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/complete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/deployment"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/session"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/trust"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/written"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate/variant"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
)

// Flags are the flags of the command line.
type Flags struct {
	config *genericclioptions.ConfigFlags
	session.Flags

	Name                      string
	Dockerfile                string
	Context                   string
	Target                    string
	BuildArgs                 []string
	Secrets, AllowSecretFiles []string
	NoCache                   bool
	Force                     bool
	Trust                     trust.Flags

	Entrypoint     string
	Python         string
	Variant        string
	ShowDockerfile bool

	Git       string
	Revision  string
	Path      string
	GitSecret string

	Written    written.Flags
	Deployment deployment.Flags
	NoDeploy   bool
	Adopt      bool

	// Test is the test command as a shell would read it.
	Test   string
	NoTest bool
	option.Resources
	NodeSelector string
}

// NewCommand returns the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	return newCommand(&Flags{config: config, Flags: session.NewFlags()}, streams)
}

func newCommand(flags *Flags, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a container image in the cluster and deploy it",
		Long: `Build a container image in the cluster and deploy it.

pyflow uploads DIR to the registry of the cluster and starts a Tekton PipelineRun that
builds the image with ` + installed.Engine().Name() + `, pushes it, deploys it by digest and waits until every replica
is ready. With --git the cluster fetches a repository instead.

If DIR has no Dockerfile, pyflow detects the Python project and generates one:
--show-dockerfile prints it, kubectl pyflow init keeps it. The settings in
[tool.kubectl-pyflow] of pyproject.toml are the defaults of the flags.

pyflow deploys the manifests in DIR/deploy, DIR/k8s, DIR/manifests or DIR/kubernetes, or
those in the directory that --manifests names: a kustomization, a Helm chart, or plain
YAML as for kubectl apply -f. A container whose image is the name of the app runs the new image.
Without manifests it deploys a Deployment, a Service and the processes of settings or Procfile.

With --test, or if the Dockerfile has a stage test that the image does not contain, the
tests run before the image is deployed. If they fail, nothing is deployed.

If neither the source nor a setting has changed, pyflow deploys the image that exists; if
the app already runs it, pyflow does nothing.

The digest of the image and the URL of the service go to standard output, everything else
to standard error. Press Ctrl-C once to cancel the run, twice to leave it running.`,
		Example: `  # Build and deploy the current directory
  kubectl pyflow build

  # Print the generated Dockerfile without building it
  kubectl pyflow build --show-dockerfile

  # Another folder, under another name, in another namespace
  kubectl pyflow build services/api --name api -n team-a

  # Pass a build argument, and a secret for RUN --mount=type=secret,id=pip
  kubectl pyflow build --build-arg PYTHON_VERSION=3.13 --build-secret id=pip,src=pip.conf

  # Give the token of a private package index, from a variable or from a Secret of the namespace
  kubectl pyflow build --build-secret id=PIP_TOKEN,env=PIP_TOKEN
  kubectl pyflow build --build-secret id=PIP_TOKEN,secret=company-index,key=token

  # Build a branch of a repository, with the credentials in the Secret git-login
  kubectl pyflow build --git https://git.example.com/team/api.git --revision main --git-secret git-login

  # Start a build and follow it later
  kubectl pyflow build --detach
  kubectl pyflow logs --build -f

  # Test before deploying, and keep the results
  kubectl pyflow build --test "pytest -q" --junit results.xml

  # Print what would be deployed
  kubectl pyflow build --show-manifests

  # Build, and write the manifests with the image for Argo CD or Flux
  kubectl pyflow build --no-deploy --output-manifests ../environments/shop

  # Build without deploying, and keep the digest
  digest=$(kubectl pyflow build --no-deploy --quiet)`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.ShowDockerfile {
				return flags.show(args, streams)
			}
			if flags.Written.Show {
				return flags.showManifests(args, streams)
			}
			options, err := flags.ToOptions(args, streams)
			if err != nil {
				return err
			}
			return options.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.Name, "name", "", "Name of the app (default: the name of the folder or repository)")
	f.StringVarP(&flags.Dockerfile, "file", "f", "", "Dockerfile, relative to the folder (default: Dockerfile, or a generated one for a Python project without it)")
	f.StringVar(&flags.Context, "context", "", "Directory to send as the build context (default: DIR; for a generated Dockerfile the nearest directory that has all that the project needs); a name that is no directory is a context of the kubeconfig, as for kubectl")
	f.StringVar(&flags.Entrypoint, "entrypoint", "", "Web application of a generated Dockerfile, as MODULE:ATTRIBUTE (default: detected)")
	f.StringVar(&flags.Python, "python", "", "Python of a generated Dockerfile, such as 3.13 (default: the newest that the project supports)")
	f.StringVar(&flags.Variant, "variant", "", "Generate a Dockerfile of this kind, even if the folder has one: "+variant.Choice())
	f.BoolVar(&flags.ShowDockerfile, "show-dockerfile", false, "Print the Dockerfile without building it")
	f.StringVar(&flags.Target, "target", "", "Stage of the Dockerfile to build (default: the last one)")
	f.StringArrayVar(&flags.BuildArgs, "build-arg", nil, "Value of an ARG of the Dockerfile, as KEY=VALUE; repeatable")
	f.StringArrayVar(&flags.Secrets, "build-secret", nil, "Secret for RUN --mount=type=secret, such as the token of a private package index: id=ID,src=FILE or id=ID,env=VARIABLE from this machine, id=ID for the variable or the file of that name, or id=ID,secret=NAME[,key=KEY] from the namespace; repeatable")
	f.StringArrayVar(&flags.AllowSecretFiles, "allow-secret-file", nil, "File of the build context that may hold a secret, as the path or a pattern with *; any other stops the build before the upload; repeatable")
	f.BoolVar(&flags.NoCache, "no-cache", false, "Ignore the layer cache")
	flags.Trust.Add(cmd)
	f.BoolVar(&flags.Force, "force", false, "Build and deploy even if nothing has changed")
	f.StringVar(&flags.Git, "git", "", "Git repository to build instead of a folder, by https or ssh")
	f.StringVar(&flags.Revision, "revision", "", "Branch, tag or full commit of the repository (default: its default branch)")
	f.StringVar(&flags.Path, "path", "", "Folder in the repository (default: the whole repository)")
	f.StringVar(&flags.GitSecret, "git-secret", "", "Secret with the credentials for the repository: username and password (a token), or ssh-privatekey and known_hosts")
	flags.Written.Add(cmd)
	flags.Deployment.AddFlags(cmd, flags.config)
	f.BoolVar(&flags.NoDeploy, "no-deploy", false, "Build and push the image without deploying it")
	f.BoolVar(&flags.Adopt, "adopt", false, "Take over objects that are not of the app, and fields that another manager owns")
	f.StringVar(&flags.Test, "test", "", "Command that has to succeed before the image is deployed; it runs in the stage test of the Dockerfile, or in the image with a copy of the source (default: the command of the stage test)")
	f.BoolVar(&flags.NoTest, "no-test", false, "Deploy without testing")
	f.StringVar(&flags.CPU, "cpu", "", "CPU request and limit of the build, such as 2 or 500m")
	f.StringVar(&flags.Memory, "memory", "", "Memory request and limit of the build, such as 2Gi")
	f.StringVar(&flags.Storage, "storage", "", "Request and limit of the build for space on the node's disk, such as 10Gi")
	f.StringVar(&flags.NodeSelector, "node-selector", "", "Labels of the nodes that may run the build, as KEY=VALUE,…")
	flags.Add(cmd)
	_ = cmd.MarkFlagDirname("context")
	_ = cmd.RegisterFlagCompletionFunc("target", func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return complete.Stages(flags.dockerfile(args)), cobra.ShellCompDirectiveNoFileComp
	})
	_ = cmd.RegisterFlagCompletionFunc("build-arg", func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, name := range flags.dockerfile(args).Args {
			names = append(names, name+"=")
		}
		return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
	_ = cmd.RegisterFlagCompletionFunc("variant", cobra.FixedCompletions(variant.Names(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// dockerfile returns the Dockerfile that would be built, for completions; an empty one if
// there is none.
func (f *Flags) dockerfile(args []string) *dockerfile.Dockerfile {
	options, err := f.toProject()
	if err != nil {
		return &dockerfile.Dockerfile{}
	}
	options.NoDeploy, options.DropUnknownArgs = true, true
	found, err := project.Resolve(directory(args), options)
	if err != nil {
		return &dockerfile.Dockerfile{}
	}
	return found.Dockerfile.Value
}

func directory(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}

// Options are a build, checked as far as possible without a cluster.
type Options struct {
	session.Session
	build.Options

	// Found is what the folder is; nil for a repository.
	Found *project.Project
	// Output writes the manifests; nil if they are not asked for.
	Output *written.Output
}

// ToOptions checks the flags and reads the folder.
func (f *Flags) ToOptions(args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{Options: build.Options{
		App: f.Name, Target: f.Target, BuildArgs: f.BuildArgs, NoCache: f.NoCache, Force: f.Force || f.NoCache,
		Adopt: f.Adopt,
	}}
	f.Trust.Apply(&o.Options)
	var err error
	if o.Session, err = f.ToSession(streams); err != nil {
		return nil, err
	}
	o.Options.Timeout = f.Timeout
	if err := input.CheckBuildArgs(f.BuildArgs); err != nil {
		return nil, option.Usagef("--build-arg: %w", err)
	}
	options, err := f.toProject()
	if err != nil {
		return nil, err
	}
	if f.NoTest && f.Test != "" {
		return nil, option.Usagef("--test and --no-test exclude each other")
	}
	if o.Secrets, err = input.ParseSecrets(f.Secrets); err != nil {
		return nil, option.Usagef("--build-secret: %w", err)
	}
	if f.Git == "" {
		err = f.readFolder(o, directory(args), options)
	} else {
		err = f.readGit(o, args, options)
	}
	if err != nil {
		return nil, err
	}
	if f.Written.Output != "" {
		if f.Detach {
			return nil, option.Usagef("--output-manifests needs the digest of the image, which --detach does not wait for")
		}
		o.Output = &written.Output{Dir: f.Written.Output, App: o.App, Release: *o.Release}
		o.Then = o.Output.Write
	}
	if f.NoDeploy {
		o.Release = nil
	}
	if err := appname.Validate(o.App); err != nil {
		return nil, option.Usagef("%w; choose one with --name", err)
	}
	if o.Test == nil && o.JUnit != "" {
		return nil, option.Usagef("--junit: nothing is tested: name a command with --test, or give the Dockerfile a stage test")
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}

// Run builds and deploys. It returns when every replica runs the new image, or with the
// reason why not. If ctx ends while the run is running, it cancels the run.
func (o *Options) Run(ctx context.Context) error {
	return o.Session.Run(ctx, func(env *build.Environment) (*build.Prepared, error) {
		options := o.Options
		if o.Found != nil {
			options.Notices = append(options.Notices, input.Notices(ctx, o.Found)...)
		}
		if o.Output != nil {
			if err := o.Output.Prepare(env); err != nil {
				return nil, err
			}
			if options.Release == nil {
				options.Notices = append(options.Notices, o.Output.Notes()...)
			}
		}
		return build.Prepare(ctx, env, options)
	})
}
