// Package deployment has the flags of the default manifests.
package deployment

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/route"
)

// Flags are the flags of the default manifests.
type Flags struct {
	Port     int32
	Replicas int32
	Expose   string

	Autoscale     string
	Hosts         []string
	TLS           string
	IngressClass  string
	Gateway       string
	NetworkPolicy string

	User     string
	Env      []string
	EnvFrom  []string
	Requests string
	Limits   string
	Probes   []string

	// Changed reports whether a flag was given.
	Changed func(name string) bool
}

// AddFlags adds the flags to a command. Completions read the cluster of config.
func (f *Flags) AddFlags(cmd *cobra.Command, config *genericclioptions.ConfigFlags) {
	set := cmd.Flags()
	f.Changed = set.Changed
	set.Int32Var(&f.Port, "port", 0, fmt.Sprintf("Port the service listens on, without manifests of your own (default: the EXPOSE of the Dockerfile, or %d)", project.DefaultPort))
	set.Int32Var(&f.Replicas, "replicas", 1, "Number of replicas, without manifests of your own")
	set.StringVar(&f.Expose, "expose", "", "Type of the Service, without manifests of your own: NodePort, ClusterIP, LoadBalancer or None (default: NodePort)")
	set.StringVar(&f.Autoscale, "autoscale", "", "Replicas that an autoscaler chooses, without manifests of your own, as min=2,max=6,cpu=70; cpu is the mean use in percent of the request")
	set.StringArrayVar(&f.Hosts, "host", nil, "Host name of the app, for an Ingress or an HTTPRoute, without manifests of your own; repeatable")
	set.StringVar(&f.TLS, "tls", "", "Secret with the certificate of the hosts, or cluster-issuer=NAME for one that cert-manager issues, without manifests of your own")
	set.StringVar(&f.IngressClass, "ingress-class", "", "IngressClass of the hosts, without manifests of your own (default: that of the cluster)")
	set.StringVar(&f.Gateway, "gateway", "", "Gateway of the hosts, as [NAMESPACE/]NAME, for an HTTPRoute instead of an Ingress, without manifests of your own")
	set.StringVar(&f.NetworkPolicy, "network-policy", "", "Close the ports of the pods but that of the app, without manifests of your own: true, false, or the namespaces that may connect, with commas")
	set.Lookup("network-policy").NoOptDefVal = "true"
	set.StringVar(&f.User, "user", "", "User that the pods run as, as USER or USER:GROUP, in numbers or names of the image, without manifests of your own (default: the USER of the image)")
	set.StringArrayVar(&f.Env, "env", nil, "Environment variable of the app, as KEY=VALUE, without manifests of your own; repeatable")
	set.StringArrayVar(&f.EnvFrom, "env-from", nil, "Secret or ConfigMap with variables of the app, without manifests of your own: secret/NAME or configmap/NAME[,prefix=PREFIX] for all keys, VARIABLE=secret/NAME[:KEY] for one; repeatable")
	set.StringVar(&f.Requests, "requests", "", "Resource requests of a replica, without manifests of your own, such as cpu=50m,memory=128Mi")
	set.StringVar(&f.Limits, "limits", "", "Resource limits of a replica, without manifests of your own, such as memory=512Mi")
	set.StringArrayVar(&f.Probes, "probe", nil, "Health check KIND=SPEC, without manifests of your own: startup, readiness or liveness = an HTTP path, tcp or none; repeatable")
	for flag, values := range map[string][]string{
		"network-policy": {"true", "false"},
		"expose":         {string(app.ExposeNodePort), string(app.ExposeClusterIP), string(app.ExposeLoadBalancer), string(app.ExposeNone)},
		"probe":          {"startup=", "readiness=", "liveness="},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	for flag, names := range map[string]func(context.Context, route.Clients, string) []string{
		"ingress-class": func(ctx context.Context, clients route.Clients, _ string) []string {
			return route.Classes(ctx, clients)
		},
		"gateway": route.Gateways,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			clients, err := kube.New(config)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names(cmd.Context(), route.Clients{Kube: clients.Kube, Dynamic: clients.Dynamic}, clients.Namespace), cobra.ShellCompDirectiveNoFileComp
		})
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
		{"autoscale", func() error {
			if f.Autoscale != "" {
				o.Autoscale, err = app.ParseAutoscale(f.Autoscale)
			}
			return err
		}},
		{"host", func() error { o.Hosts = f.Hosts; return o.Hosts.Check() }},
		{"tls", func() error {
			if f.TLS != "" {
				o.TLS, err = app.ParseTLS(f.TLS)
			}
			return err
		}},
		{"ingress-class", func() error {
			if o.IngressClass = f.IngressClass; o.IngressClass != "" {
				err = app.CheckIngressClass(o.IngressClass)
			}
			return err
		}},
		{"gateway", func() error {
			if o.Gateway = f.Gateway; o.Gateway != "" {
				err = app.CheckGateway(o.Gateway)
			}
			return err
		}},
		{"network-policy", func() error {
			if f.NetworkPolicy != "" {
				var policy app.NetworkPolicy
				policy, err = app.ParseNetworkPolicy(f.NetworkPolicy)
				o.NetworkPolicy = &policy
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
