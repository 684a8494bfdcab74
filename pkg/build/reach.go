package build

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/route"
)

// Origins are the places that decide how the app is reached, such as pyproject.toml:7.
type Origins struct{ Host, Class string }

// OriginsOf returns the places of a deployment; none if it has no host.
func OriginsOf(d *project.Deployment) Origins {
	if d == nil || !d.Hosts.IsSet() {
		return Origins{}
	}
	places := Origins{Host: d.Hosts.Origin.String()}
	for _, origin := range []project.Origin{d.IngressClass.Origin, d.Gateway.Origin} {
		if origin.Kind != "" {
			places.Class = origin.String()
		}
	}
	return places
}

// metricsVersion is where an autoscaler reads the use of CPU.
const metricsVersion = "metrics.k8s.io/v1beta1"

// decideReach completes how the app is reached and scaled by what the cluster has, before the
// manifests are rendered. Errors are those of route.Decide, with their place.
func decideReach(ctx context.Context, p *Prepared, wanted *release.Options) error {
	clients, namespace := p.env.Clients, p.env.Clients.Namespace
	decided, err := route.Decide(ctx, route.Clients{Kube: clients.Kube, Dynamic: clients.Dynamic}, namespace, wanted.App, wanted.Route)
	if err != nil {
		place := p.options.Origins.Host
		if p.options.Origins.Class != "" && (errors.As(err, new(*route.ChoiceError)) || errors.As(err, new(*route.ClosedError))) {
			place = p.options.Origins.Class
		}
		if place == "" {
			return err
		}
		return fmt.Errorf("%s: %w", place, err)
	}
	if wanted.Route = decided; wanted.Autoscale.Max > 0 && !hasMetrics(clients.Kube.Discovery()) {
		p.options.Notices = append(p.options.Notices, event.Event{
			Reason: event.Warning, Message: fmt.Sprintf("the cluster has no metrics API, so HorizontalPodAutoscaler %s cannot read the use of CPU: the replicas stay as they are until metrics-server or another one is installed", wanted.App),
		})
	}
	return nil
}

// hasMetrics reports whether the cluster has the metrics API, or may have it.
func hasMetrics(client discovery.DiscoveryInterface) bool {
	_, err := client.ServerResourcesForGroupVersion(metricsVersion)
	return !apierrors.IsNotFound(err)
}
