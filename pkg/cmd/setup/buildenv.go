package setup

import (
	"context"
	"os"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

// buildEnv reads what builds get beside the Dockerfile.
func (f *Flags) buildEnv(o *Options, changed func(flag string) bool) error {
	if changed("build-ca") {
		o.BuildCA = []byte{}
		if f.BuildCA != "" {
			data, err := os.ReadFile(f.BuildCA)
			if err != nil {
				return option.Usagef("--build-ca: %w", err)
			}
			if o.BuildCA, err = manifests.ParseBuildCA(data, time.Now()); err != nil {
				return option.Usagef("--build-ca %s: %w", f.BuildCA, err)
			}
		}
	}
	if changed("build-env") {
		var err error
		if o.BuildVariables, err = manifests.ParseBuildVariables(notEmpty(f.BuildEnv)); err != nil {
			return option.Usagef("--build-env: %w", err)
		}
	}
	return nil
}

// buildEnv merges the flags into what builds got so far.
func (o *Options) buildEnv(ctx context.Context, cluster *platform.Cluster) (manifests.BuildEnv, error) {
	build := cluster.BuildEnv
	if o.BuildCA != nil {
		build.CA = o.BuildCA
	}
	if o.BuildVariables != nil {
		build.Variables = o.BuildVariables
	}
	if !build.Proxied() {
		return build, nil
	}
	networks, err := platform.ServiceNetworks(ctx, o.Clients.Kube)
	if err != nil {
		return manifests.BuildEnv{}, err
	}
	build.Direct = networks
	return build, nil
}
