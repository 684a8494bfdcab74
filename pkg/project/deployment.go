package project

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/baseimage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// Deployment is what the default Deployment and Service are made of, but for the port.
type Deployment struct {
	Replicas Value[int32]
	// Autoscale is set if an autoscaler chooses the replicas.
	Autoscale Value[app.Autoscale]
	Expose    Value[app.Expose]
	// Hosts, TLS, IngressClass and Gateway are the app.Route.
	Hosts                 Value[app.Hosts]
	TLS                   Value[app.TLS]
	IngressClass, Gateway Value[string]
	// NetworkPolicy is who may connect to the app.
	NetworkPolicy Value[app.NetworkPolicy]
	// Processes are those beside the web process, and the web process if it does not run the
	// command of the image: web first, release last, the others by name.
	Processes []Value[app.Process]
	// NoWeb reports that the project has no web application and no command for one, so that
	// Processes are all.
	NoWeb bool
	// User is who the pods run as. It is not set if only the image can tell. OfImage is the
	// image's own, as far as it is known.
	User, OfImage Value[app.User]
	// Env are the variables of the app. Their values may be secret.
	Env map[string]Value[app.Variable]
	// EnvFrom are sources of more variables, a later one before an earlier one.
	EnvFrom []Value[app.EnvFrom]
	// Requests and Limits are those of each pod.
	Requests, Limits map[corev1.ResourceName]Value[resource.Quantity]
	// Startup, Readiness and Liveness are not set unless a flag or a setting sets them.
	Startup, Readiness, Liveness Value[app.Probe]
}

// Probes returns the probes without their origins.
func (d *Deployment) Probes() app.Probes {
	return app.Probes{Startup: d.Startup.Value, Readiness: d.Readiness.Value, Liveness: d.Liveness.Value}
}

// Route returns how clients reach the app by the name of a host.
func (d *Deployment) Route() app.Route {
	return app.Route{Hosts: d.Hosts.Value, TLS: d.TLS.Value, IngressClass: d.IngressClass.Value, Gateway: d.Gateway.Value}
}

// resolveReach decides how the app is reached. The Service is for the cluster alone if a host or a
// network policy makes any other superfluous. An error is that of app.CheckReach.
func (d *Deployment) resolveReach(o *Options, table *settings.Settings) error {
	d.Hosts = first(valueIf(len(o.Hosts) > 0, o.Hosts, Origin{Flag, "--host"}), setting(table, "host", table.Host))
	d.TLS = first(flag("tls", o.TLS), setting(table, "tls", table.TLS))
	d.IngressClass = flag("ingress-class", o.IngressClass)
	d.Gateway = flag("gateway", o.Gateway)
	if !d.IngressClass.IsSet() && !d.Gateway.IsSet() {
		d.IngressClass, d.Gateway = setting(table, "ingress-class", table.IngressClass), setting(table, "gateway", table.Gateway)
	}
	d.NetworkPolicy = setting(table, "network-policy", table.NetworkPolicy)
	if o.NetworkPolicy != nil {
		d.NetworkPolicy = Value[app.NetworkPolicy]{*o.NetworkPolicy, Origin{Flag, "--network-policy"}}
	}
	service := byDefault(app.ExposeNodePort)
	if d.Hosts.IsSet() || len(d.NetworkPolicy.Value.Namespaces) > 0 {
		service = byDefault(app.ExposeClusterIP)
	}
	d.Expose = first(flag("expose", o.Expose), setting(table, "expose", table.Expose), service)
	err := app.CheckReach(d.Route(), d.Expose.Value, d.NetworkPolicy.Value)
	for _, origin := range []Origin{d.Gateway.Origin, d.IngressClass.Origin, d.TLS.Origin, d.NetworkPolicy.Origin, d.Hosts.Origin, d.Expose.Origin} {
		if err != nil && origin.Kind == Flag {
			return &OptionError{err}
		}
		if err != nil && origin.Kind == Setting {
			return fmt.Errorf("%s: %w", origin, err)
		}
	}
	return err
}

// resolveReplicas decides the number of replicas, or the autoscaler that chooses it.
func (d *Deployment) resolveReplicas(o *Options, table *settings.Settings) error {
	d.Replicas = byDefault(int32(1))
	switch {
	case o.Replicas != nil && o.Autoscale != (app.Autoscale{}):
		return optionErrorf("--replicas and --autoscale exclude each other")
	case o.Replicas != nil:
		d.Replicas = Value[int32]{*o.Replicas, Origin{Flag, "--replicas"}}
		return nil
	case table.Replicas != nil && o.Autoscale == (app.Autoscale{}):
		d.Replicas = setting(table, "replicas", *table.Replicas)
	}
	d.Autoscale = first(flag("autoscale", o.Autoscale), setting(table, "autoscale", table.Autoscale))
	return nil
}

// newDeployment merges flags and settings. An error is that of app.CheckResources or of
// app.CheckReach.
func newDeployment(o *Options, table *settings.Settings) (*Deployment, error) {
	d := &Deployment{
		Env:      merge("env", o.Env, table, "env", table.Env),
		Requests: merge("requests", o.Requests, table, "resources.requests", table.Resources.Requests),
		EnvFrom:  envFrom(o, table),
		Limits:   merge("limits", o.Limits, table, "resources.limits", table.Resources.Limits),

		Startup:   first(flag("probe", o.Probes.Startup), setting(table, "probes.startup", table.Probes.Startup)),
		Readiness: first(flag("probe", o.Probes.Readiness), setting(table, "probes.readiness", table.Probes.Readiness)),
		Liveness:  first(flag("probe", o.Probes.Liveness), setting(table, "probes.liveness", table.Probes.Liveness)),
	}
	if set := table.Where("user"); set != "" {
		// Read checked it.
		user, _ := app.ParseUser(table.User)
		d.User = setting(table, "user", user)
	}
	d.User = first(flag("user", o.User), d.User)
	if err := d.resolveReplicas(o, table); err != nil {
		return nil, err
	}
	if err := d.resolveReach(o, table); err != nil {
		return nil, err
	}
	return d, app.CheckResources(Values(d.Requests), Values(d.Limits))
}

// envFrom returns the sources of the settings, and after them those of the flag.
func envFrom(o *Options, table *settings.Settings) []Value[app.EnvFrom] {
	var all []Value[app.EnvFrom]
	for i, from := range table.EnvFrom {
		all = append(all, Value[app.EnvFrom]{from, Origin{Setting, table.WhereIn("env-from", strconv.Itoa(i))}})
	}
	for _, from := range o.EnvFrom {
		all = append(all, Value[app.EnvFrom]{from, Origin{Flag, "--env-from"}})
	}
	return all
}

// Sources returns where each Secret and ConfigMap, or key of it, is named that the deployment
// needs, such as "pyproject.toml:9: DATABASE_URL".
func (d *Deployment) Sources() map[app.Source]string {
	sources := map[app.Source]string{}
	if d == nil {
		return sources
	}
	for _, process := range d.Processes {
		for _, name := range slices.Sorted(maps.Keys(process.Value.Env)) {
			if from := process.Value.Env[name].From; from.Kind != "" {
				sources[from] = process.Origin.String() + ": " + process.Value.Name + "." + name
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Env)) {
		if value := d.Env[name]; value.Value.From.Kind != "" && sources[value.Value.From] == "" {
			origin := value.Origin.String()
			if value.Origin.Kind == Flag {
				origin = "--env-from"
			}
			sources[value.Value.From] = origin + ": " + name
		}
	}
	for _, process := range d.Processes {
		for _, name := range slices.Sorted(maps.Keys(process.Value.Env)) {
			if from := process.Value.Env[name].From; from.Kind != "" && sources[from] == "" {
				sources[from] = fmt.Sprintf("%s: %s of process %s", process.Origin, name, process.Value.Name)
			}
		}
	}
	for _, from := range d.EnvFrom {
		if sources[from.Value.Source] == "" {
			sources[from.Value.Source] = from.Origin.String()
		}
	}
	if d.TLS.Value.ClusterIssuer == "" && d.TLS.Value.Secret != "" {
		for _, key := range []string{"tls.crt", "tls.key"} {
			sources[app.Source{Kind: app.SourceSecret, Name: d.TLS.Value.Secret, Key: key}] = d.TLS.Origin.String() + ": tls"
		}
	}
	return sources
}

// UserLine returns a line about a user that a flag or a setting decides; nothing for any other.
func (d *Deployment) UserLine() string {
	if d == nil || d.User.Origin.Kind != Flag && d.User.Origin.Kind != Setting {
		return ""
	}
	line := fmt.Sprintf("The pods run as %s (%s)", d.User.Value, d.User.Origin)
	if of := d.OfImage; of.Origin.Kind == Detected && of.Value != d.User.Value {
		return line + fmt.Sprintf(", not as the image's %s (%s): files that it wrote for that user may not be readable", of.Value, of.Origin)
	}
	return line
}

// user decides who the pods run as: the last USER of what is built. It is not set if only the
// image can tell. An image that runs as root gets the default user, and a warning.
func user(parsed *dockerfile.Dockerfile, stage *dockerfile.Stage) (decided Value[app.User], warning string) {
	if parsed == nil {
		return decided, ""
	}
	found, known := stage.RunAs()
	base := stage.Lineage()[0]
	switch {
	case known && !found.IsRoot():
		where := fmt.Sprintf("%s:%d USER", parsed.Path, found.Line)
		return Value[app.User]{app.User{ID: found.User, Group: found.Group}, Origin{Detected, where}}, ""
	case known, stage.User.Step == nil && base.Known && baseimage.Parse(base.Base).RunsAsRoot():
		warning = fmt.Sprintf("the image runs as root, so the pods run as %s: add a USER to %s", app.DefaultUser(), parsed.Path)
		return byDefault(app.DefaultUser()), warning
	}
	return decided, ""
}
