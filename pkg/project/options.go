package project

import (
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// Options are the values of flags, which override everything else. A zero value is a flag
// that was not given. Each comment names the flag, which is also its origin.
type Options struct {
	// Name is --name.
	Name string
	// Dockerfile is --file: a path relative to the folder, or absolute. It may be outside of
	// the build context.
	Dockerfile string
	// Context is --context, the directory that is the build context instead of the folder.
	Context string
	// Variant is --variant. It generates a Dockerfile even if the folder has one.
	Variant generate.Variant
	// Entrypoint is --entrypoint, module:attribute. It is for a generated Dockerfile.
	Entrypoint string
	// Python is --python, major.minor. It is for a generated Dockerfile.
	Python string
	// Port is --port.
	Port int
	// Target is --target.
	Target string
	// BuildArgs are --build-arg, each KEY=VALUE; of two values for a key the later wins.
	BuildArgs []string
	// Secrets are the IDs of --build-secret.
	Secrets []string
	// AllowSecretFiles are --allow-secret-file, files of the build context whose content may be a
	// secret.
	AllowSecretFiles []string
	// Test is --test, a command line.
	Test string

	// CPU, Memory and Storage are --cpu, --memory and --storage of the build.
	CPU, Memory, Storage resource.Quantity
	// NodeSelector is --node-selector of the build.
	NodeSelector map[string]string

	// Manifests is --manifests, a directory of manifests.
	Manifests string
	// Values are --values and --set, for a chart.
	Values source.Values
	// Replicas is --replicas; nil if the flag was not given.
	Replicas *int32
	// Autoscale is --autoscale.
	Autoscale app.Autoscale
	// Hosts are --host, TLS is --tls, IngressClass --ingress-class and Gateway --gateway.
	Hosts                 app.Hosts
	TLS                   app.TLS
	IngressClass, Gateway string
	// NetworkPolicy is --network-policy; nil if the flag was not given.
	NetworkPolicy *app.NetworkPolicy
	// Expose is --expose.
	Expose app.Expose
	// User is --user.
	User app.User
	// Env is --env, and the variables of --env-from. EnvFrom are the sources of --env-from.
	Env     map[string]app.Variable
	EnvFrom []app.EnvFrom
	// Requests and Limits are --requests and --limits.
	Requests, Limits corev1.ResourceList
	// Probes are --probe.
	Probes app.Probes

	// NoTest leaves tests out: no test stage is generated, and Test is ignored.
	NoTest bool
	// NoDeploy leaves manifests and the default Deployment out: neither is looked for or
	// checked.
	NoDeploy bool
	// NoDockerfile leaves the Dockerfile out, and what depends on it: the Python project is
	// detected whether or not the folder has a Dockerfile.
	NoDockerfile bool
	// DropUnknownArgs drops build arguments that the Dockerfile does not declare. Without it
	// they are an error.
	DropUnknownArgs bool
}

// OptionError reports an option that is wrong in itself or does not apply to the folder.
// To correct it the user changes the command line.
type OptionError struct{ Err error }

// Error returns the cause, which names the flag.
func (e *OptionError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }

func optionErrorf(format string, args ...any) error {
	return &OptionError{fmt.Errorf(format, args...)}
}

// Check refuses values that no folder can have. The error is an *OptionError.
func (o *Options) Check() error {
	if o.Port < 0 || o.Port > math.MaxUint16 {
		return optionErrorf("--port %d is not a port", o.Port)
	}
	if o.Variant != "" {
		if _, err := generate.ParseVariant(string(o.Variant)); err != nil {
			return optionErrorf("--variant: %w", err)
		}
		if o.Dockerfile != "" {
			return optionErrorf("--variant generates a Dockerfile and --file names one: use one of them")
		}
	}
	for _, pattern := range o.AllowSecretFiles {
		if err := buildcontext.CheckAllowed(pattern); err != nil {
			return optionErrorf("--allow-secret-file %w", err)
		}
	}
	if o.Replicas != nil && *o.Replicas < 0 {
		return optionErrorf("--replicas %d is negative", *o.Replicas)
	}
	return nil
}

// CheckManifests refuses flags of the default Deployment together with manifests of the
// user's own, where they have no effect.
func (o *Options) CheckManifests(directory string) error {
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"port", o.Port != 0},
		{"replicas", o.Replicas != nil},
		{"autoscale", o.Autoscale != app.Autoscale{}},
		{"expose", o.Expose != ""},
		{"host", len(o.Hosts) > 0},
		{"tls", o.TLS != app.TLS{}},
		{"ingress-class", o.IngressClass != ""},
		{"gateway", o.Gateway != ""},
		{"network-policy", o.NetworkPolicy != nil},
		{"user", o.User != app.User{}},
		{"env", len(o.Env) > 0},
		{"env-from", len(o.EnvFrom) > 0},
		{"requests", len(o.Requests) > 0},
		{"limits", len(o.Limits) > 0},
		{"probe", o.Probes != app.Probes{}},
	} {
		if flag.given {
			return optionErrorf("--%s has no effect on manifests of your own: set it in %s", flag.name, directory)
		}
	}
	return nil
}

// Deployment returns the default Deployment of what has no settings, such as a git
// repository: the flags over the defaults.
func (o *Options) Deployment() (*Deployment, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Context != "" {
		return nil, optionErrorf("--context is for a folder: of a repository, --path names the folder that is built")
	}
	return newDeployment(o, &settings.Settings{})
}
