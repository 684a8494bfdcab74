package input

import (
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

// Release returns what is deployed without manifests of the user's own, but for the port; zero
// options for nil.
func Release(d *project.Deployment) *release.Options {
	if d == nil {
		return &release.Options{}
	}
	return &release.Options{
		Replicas: d.Replicas.Value, Expose: d.Expose.Value, Env: project.Values(d.Env), EnvFrom: project.Plain(d.EnvFrom), Probes: d.Probes(),
		Requests: project.Values(d.Requests), Limits: project.Values(d.Limits), User: d.User.Value, UserOfImage: !d.User.IsSet(),
		Processes: project.Plain(d.Processes), NoWeb: d.NoWeb,
		Autoscale: d.Autoscale.Value, Route: d.Route(), NetworkPolicy: d.NetworkPolicy.Value,
	}
}
