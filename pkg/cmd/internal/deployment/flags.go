// Package deployment has the flags of the default manifests.
package deployment

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// Flags are the flags of the default manifests.
type Flags struct {
	Port     int32
	Replicas int32
	Expose   string
	User     string
	Env      []string
	EnvFrom  []string
	Requests string
	Limits   string
	Probes   []string

	// Changed reports whether a flag was given.
	Changed func(name string) bool
}

// AddFlags adds the flags to a command.
func (f *Flags) AddFlags(cmd *cobra.Command) {
	set := cmd.Flags()
	f.Changed = set.Changed
	set.Int32Var(&f.Port, "port", 0, fmt.Sprintf("Port the service listens on, without manifests of your own (default: the EXPOSE of the Dockerfile, or %d)", project.DefaultPort))
	set.Int32Var(&f.Replicas, "replicas", 1, "Number of replicas, without manifests of your own")
	set.StringVar(&f.Expose, "expose", "", "Type of the Service, without manifests of your own: NodePort, ClusterIP, LoadBalancer or None (default: NodePort)")
	set.StringVar(&f.User, "user", "", "User that the pods run as, as USER or USER:GROUP, in numbers or names of the image, without manifests of your own (default: the USER of the image)")
	set.StringArrayVar(&f.Env, "env", nil, "Environment variable of the app, as KEY=VALUE, without manifests of your own; repeatable")
	set.StringArrayVar(&f.EnvFrom, "env-from", nil, "Secret or ConfigMap with variables of the app, without manifests of your own: secret/NAME or configmap/NAME[,prefix=PREFIX] for all keys, VARIABLE=secret/NAME[:KEY] for one; repeatable")
	set.StringVar(&f.Requests, "requests", "", "Resource requests of a replica, without manifests of your own, such as cpu=50m,memory=128Mi")
	set.StringVar(&f.Limits, "limits", "", "Resource limits of a replica, without manifests of your own, such as memory=512Mi")
	set.StringArrayVar(&f.Probes, "probe", nil, "Health check KIND=SPEC, without manifests of your own: startup, readiness or liveness = an HTTP path, tcp or none; repeatable")
	for flag, values := range map[string][]string{
		"expose": {string(app.ExposeNodePort), string(app.ExposeClusterIP), string(app.ExposeLoadBalancer), string(app.ExposeNone)},
		"probe":  {"startup=", "readiness=", "liveness="},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// Read parses the flags. Its errors are usage errors that name the flag.
func (f *Flags) Read(o *project.Options) error {
	o.Port = int(f.Port)
	if f.Changed != nil && f.Changed("replicas") {
		o.Replicas = &f.Replicas
	}
	var err error
	for _, flag := range []struct {
		name  string
		parse func() error
	}{
		{"expose", func() error {
			if f.Expose != "" {
				o.Expose, err = app.ParseExpose(f.Expose)
			}
			return err
		}},
		{"user", func() error {
			if f.User != "" {
				o.User, err = app.ParseUser(f.User)
			}
			return err
		}},
		{"env", func() error { o.Env, err = parseEnv(f.Env); return err }},
		{"env-from", func() error { o.EnvFrom, err = parseEnvFrom(f.EnvFrom, o.Env); return err }},
		{"requests", func() error { o.Requests, err = app.ParseResources(f.Requests); return err }},
		{"limits", func() error { o.Limits, err = app.ParseResources(f.Limits); return err }},
		{"probe", func() error { o.Probes, err = app.ParseProbes(f.Probes); return err }},
	} {
		if err := flag.parse(); err != nil {
			return option.Usagef("--%s: %w", flag.name, err)
		}
	}
	return nil
}

// parseEnv parses variables with literal values.
func parseEnv(texts []string) (map[string]app.Variable, error) {
	values, err := app.ParseEnv(texts)
	return app.Texts(values), err
}

// parseEnvFrom parses sources of variables, and adds those of one variable to env.
func parseEnvFrom(texts []string, env map[string]app.Variable) ([]app.EnvFrom, error) {
	variables, sources, err := app.ParseEnvFrom(texts)
	for name, variable := range variables {
		if _, twice := env[name]; twice {
			return nil, fmt.Errorf("--env sets %s, too: give one of them", name)
		}
		env[name] = variable
	}
	return sources, err
}
