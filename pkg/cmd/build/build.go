// Package build is the verb that takes a folder to running replicas.
package build

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// Flags are what the command line says.
type Flags struct {
	config *genericclioptions.ConfigFlags

	Name       string
	Dockerfile string
	BuildArgs  []string
	Manifests  string
	Port       int32
	Replicas   int32
	Timeout    time.Duration
}

// NewCommand makes the verb.
func NewCommand(config *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{config: config, Dockerfile: "Dockerfile", Replicas: 1, Timeout: 30 * time.Minute}
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a folder's image in the cluster and deliver it",
		Long: `Pack a folder, upload it to the cluster's registry, build its Dockerfile there,
push the image and deliver it by digest, and watch until every replica is ready.

What is delivered is the kustomization in the folder's deploy or k8s directory, or
in the one that --manifests names: in it, a container whose image is the app's
name runs the image that was built. Without such a directory it is a Deployment
and a NodePort Service.

The image's digest and the service's URL go to standard output, all else to
standard error. Once the run has started it goes on in the cluster whatever
happens to this command; interrupting the command cancels it.`,
		Example: `  # Build and deliver the current directory
  kubectl pyflow build

  # Another folder, under another name, in another namespace
  kubectl pyflow build services/api --name api -n team-a

  # Pass a build argument to the Dockerfile
  kubectl pyflow build --build-arg PYTHON_VERSION=3.13`,
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
	f.StringVarP(&flags.Dockerfile, "file", "f", flags.Dockerfile, "Dockerfile, relative to the folder")
	f.StringArrayVar(&flags.BuildArgs, "build-arg", nil, "Value of an ARG of the Dockerfile, as KEY=VALUE; repeatable")
	f.StringVar(&flags.Manifests, "manifests", "", "Kustomize directory to deliver (default: deploy or k8s in the folder, when one is there)")
	f.Int32Var(&flags.Port, "port", 0, fmt.Sprintf("Port the service listens on, when there is no kustomize directory (default: the Dockerfile's EXPOSE, or %d)", release.DefaultPort))
	f.Int32Var(&flags.Replicas, "replicas", flags.Replicas, "Number of replicas, when there is no kustomize directory")
	f.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long build and delivery may take, and after them the rollout")
	_ = cmd.MarkFlagDirname("manifests")
	return cmd
}

// Options are a build, checked as far as that goes without a cluster.
type Options struct {
	Clients *kube.Clients
	Streams genericiooptions.IOStreams

	// Dir is the folder, App the app's name.
	Dir, App   string
	Dockerfile *project.Dockerfile
	BuildArgs  []string
	// Manifests is the kustomize directory; empty delivers the default objects
	// with Port and Replicas.
	Manifests string
	Port      int32
	Replicas  int32
	Timeout   time.Duration
}

// ToOptions checks the flags and reads the folder.
func (f *Flags) ToOptions(args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{
		Streams: streams, Dir: ".", App: f.Name, BuildArgs: f.BuildArgs,
		Manifests: f.Manifests, Port: f.Port, Replicas: f.Replicas, Timeout: f.Timeout,
	}
	if len(args) > 0 {
		o.Dir = args[0]
	}
	info, err := os.Stat(o.Dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", o.Dir)
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if o.App == "" {
		o.App = project.AppName(o.Dir)
	}
	if err := project.ValidateName(o.App); err != nil {
		return nil, fmt.Errorf("%w; choose one with --name", err)
	}
	if o.Dockerfile, err = project.ReadDockerfile(o.Dir, f.Dockerfile); err != nil {
		return nil, err
	}
	if err := manifests.CheckBuildArgs(o.BuildArgs); err != nil {
		return nil, err
	}
	switch {
	case f.Timeout <= 0:
		return nil, fmt.Errorf("--timeout %s is not positive", f.Timeout)
	case f.Replicas < 0:
		return nil, fmt.Errorf("--replicas %d is negative", f.Replicas)
	case f.Port < 0 || f.Port > math.MaxUint16:
		return nil, fmt.Errorf("--port %d is not a port", f.Port)
	}
	if o.Manifests == "" {
		if o.Manifests, err = project.FindManifests(o.Dir); err != nil {
			return nil, err
		}
	}
	if o.Manifests != "" && f.Port != 0 {
		return nil, errors.New("--port goes without a kustomize directory: set the port in " + o.Manifests)
	}
	if o.Port == 0 && len(o.Dockerfile.Expose) > 0 {
		o.Port = int32(o.Dockerfile.Expose[0]) //nolint:gosec // a port of a Dockerfile, read as 16 bits
	}
	o.Clients, err = kube.New(f.config)
	return o, err
}
