// Package kaniko is the build engine Kaniko: its arguments, its log and its failures.
package kaniko

import (
	"slices"
	"strings"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// secretDir is where the Task mounts its workspace secrets.
	secretDir = "/kaniko/build-secrets/" //nolint:gosec // the name of a directory
	// retries bounds how often Kaniko repeats a pull or a push that the network broke.
	retries = "3"
	// cacheTTL is Kaniko's default for --cache-ttl.
	cacheTTL     = 14 * 24 * time.Hour
	buildArgFlag = "--build-arg="
	// certificateFlag names the certificate that the registry knows a build by.
	certificateFlag = "--registry-client-cert="
	// pushDir is where the Task mounts its workspace push.
	pushDir = "/kaniko/push/"
	// testDir is where the Task pyflow-build-tested mounts a volume for test results.
	testDir = "/kaniko/tests"
)

// Engine is Kaniko.
type Engine struct{}

var _ engine.Engine = Engine{}

// Name returns Kaniko.
func (Engine) Name() string { return "Kaniko" }

// Capabilities returns the same for every version that setup has installed so far.
func (Engine) Capabilities(string) engine.Capabilities {
	return engine.Capabilities{CacheTTL: cacheTTL, Author: "kaniko", Root: true, TestDir: testDir}
}

// Args returns the flags of /kaniko/executor that depend on the build.
func (Engine) Args(params engine.Params) []string {
	args := cacheArgs(params)
	args = append(args,
		// Compares size, time, mode and owner: hashing the content of every file is
		// most of what a snapshot costs.
		"--snapshot-mode=redo",
		"--image-download-retry="+retries,
		"--push-retry="+retries,
		"--log-format=text",
		// Nothing is mounted there: what an image has below it is its own.
		"--ignore-var-run=false",
	)
	args = append(args, mirrorArgs(params)...)
	for _, arg := range params.BuildArgs {
		args = append(args, buildArgFlag+arg)
	}
	if params.Target != "" {
		args = append(args, "--target="+params.Target)
	}
	if params.Tested != "" {
		// Kaniko pushes the first of several targets.
		args = append(args, "--target="+params.Tested)
	}
	for _, id := range params.SecretIDs {
		args = append(args, "--secret=id="+id+",src="+secretDir+id)
	}
	return append(args, params.Extra...)
}

// Authenticate returns args with the certificate in the workspace push.
func (Engine) Authenticate(args []string, host string) []string {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, certificateFlag) })
	if host == "" {
		return args
	}
	return append(args, certificateFlag+host+"="+pushDir+"tls.crt,"+pushDir+"tls.key")
}

// Change returns args with a change.
func (Engine) Change(args []string, change engine.Change) (changed, buildArgs []string) {
	for _, arg := range args {
		flag, _, _ := strings.Cut(arg, "=")
		switch value, isBuildArg := strings.CutPrefix(arg, buildArgFlag); {
		case change.NoCache && slices.Contains([]string{"--cache", "--cache-repo", "--cache-copy-layers", "--no-push-cache"}, flag):
		case isBuildArg && replaced(value, change.BuildArgs):
		default:
			changed = append(changed, arg)
		}
	}
	if change.NoCache {
		changed = append(cacheArgs(engine.Params{NoCache: true}), changed...)
	}
	for i, arg := range change.BuildArgs {
		if !replaced(arg, change.BuildArgs[i+1:]) {
			changed = append(changed, buildArgFlag+arg)
		}
	}
	for _, arg := range changed {
		if value, ok := strings.CutPrefix(arg, buildArgFlag); ok {
			buildArgs = append(buildArgs, value)
		}
	}
	return changed, buildArgs
}

// replaced reports whether later build arguments have the key of one.
func replaced(arg string, later []string) bool {
	key, _, _ := strings.Cut(arg, "=")
	return slices.ContainsFunc(later, func(other string) bool { return strings.HasPrefix(other, key+"=") })
}

// cacheArgs returns the flags of the layer cache. Kaniko has one switch for reading and
// writing it.
func cacheArgs(params engine.Params) []string {
	if params.NoCache {
		return []string{"--cache=false"}
	}
	args := []string{
		"--cache=true",
		"--cache-repo=" + params.Repository + manifests.CacheSuffix(),
		// Without it a multi-stage build repeats its first stage every time.
		"--cache-copy-layers",
	}
	if params.Untrusted {
		args = append(args, "--no-push-cache")
	}
	return args
}

// mirrorArgs returns the flags of mirrors. Kaniko redirects whole registries only: a
// mirror of a part of a registry counts if it keeps the path of that part.
func mirrorArgs(params engine.Params) []string {
	var args []string
	insecure := map[string]bool{}
	for _, mirror := range params.Mirrors {
		registry, location, ok := mirror.Registry()
		if !ok {
			continue
		}
		if registry == "docker.io" {
			// The name that Kaniko uses for Docker Hub.
			registry = "index.docker.io"
		}
		args = append(args, "--registry-map="+registry+"="+location)
		if mirror.Insecure && !insecure[mirror.Host] {
			insecure[mirror.Host] = true
			args = append(args, "--insecure-registry="+mirror.Host)
		}
	}
	return args
}
