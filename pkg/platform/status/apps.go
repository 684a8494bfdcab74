package status

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// apps reports what was delivered in the scope, by namespace and name.
func (c *collector) apps(ctx context.Context) ([]App, error) {
	workloads, err := c.workloads(ctx)
	if err != nil {
		return []App{}, err
	}
	slices.SortFunc(workloads, func(a, b workload) int {
		return strings.Compare(appKey(a.meta)+"/"+a.resource+"/"+a.meta.Name, appKey(b.meta)+"/"+b.resource+"/"+b.meta.Name)
	})
	var groups [][]workload
	for _, w := range workloads {
		if last := len(groups) - 1; last >= 0 && appKey(groups[last][0].meta) == appKey(w.meta) {
			groups[last] = append(groups[last], w)
		} else {
			groups = append(groups, []workload{w})
		}
	}
	fronts, err := listFronts(ctx, c.Kube, c.scope, manifests.LabelApp)
	if err != nil {
		return []App{}, err
	}
	apps := make([]App, len(groups))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, workloads := range groups {
		group.Go(func() error {
			app, err := c.app(ctx, workloads)
			if err != nil {
				return err
			}
			app.URL, err = fronts.of(app.Namespace, app.Name).url(ctx, c.Kube, func() ([]string, error) {
				return addresses(c.nodes), nil
			})
			apps[i] = app
			return err
		})
	}
	return apps, group.Wait()
}

func appKey(meta metav1.ObjectMeta) string {
	return meta.Namespace + "/" + meta.Labels[manifests.LabelApp]
}

// workloads lists every workload of an app in the scope.
func (c *collector) workloads(ctx context.Context) ([]workload, error) {
	var workloads []workload
	right := func(resource string) access.Permission {
		return access.Permission{Verb: "list", Group: "apps", Resource: resource, Namespace: c.scope}
	}
	apps := c.Kube.AppsV1()
	err := each(ctx, right("deployments"), manifests.LabelApp,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return apps.Deployments(c.scope).List(ctx, options)
		},
		func(object *appsv1.Deployment) { workloads = append(workloads, deployment(object)) })
	if err != nil {
		return nil, err
	}
	err = each(ctx, right("statefulsets"), manifests.LabelApp,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return apps.StatefulSets(c.scope).List(ctx, options)
		},
		func(object *appsv1.StatefulSet) { workloads = append(workloads, statefulSet(object)) })
	if err != nil {
		return nil, err
	}
	err = each(ctx, right("daemonsets"), manifests.LabelApp,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return apps.DaemonSets(c.scope).List(ctx, options)
		},
		func(object *appsv1.DaemonSet) { workloads = append(workloads, daemonSet(object)) })
	return workloads, err
}

// app sums up the workloads of one app, of which there is at least one.
func (c *collector) app(ctx context.Context, workloads []workload) (App, error) {
	meta := workloads[0].meta
	app := App{Name: meta.Labels[manifests.LabelApp], Namespace: meta.Namespace, Healthy: true}
	path := c.config.Registry.Path(app.Namespace, app.Name)
	for _, w := range workloads {
		pods, err := c.podsOf(ctx, w)
		if err != nil {
			return App{}, err
		}
		healthy, message := w.health(pods)
		if app.Healthy && (!healthy || app.Message == "") {
			app.Message = message
		}
		app.Healthy = app.Healthy && healthy
		app.Desired += w.desired
		app.Ready += w.ready
		app.Workloads = append(app.Workloads, w.resource+"/"+w.meta.Name)
		if app.Image == "" {
			app.Image = w.image(path)
			_, app.Digest, _ = strings.Cut(app.Image, "@")
		}
		if changed := w.changed(); app.Updated.Before(&changed) {
			app.Updated = changed
		}
	}
	return app, nil
}

// podsOf lists the pods of a workload that is not settled. A user who may not
// list them gets none: the workload's own status remains.
func (c *collector) podsOf(ctx context.Context, w workload) ([]corev1.Pod, error) {
	if w.settled {
		return nil, nil
	}
	return listPods(ctx, c.Kube, w.meta.Namespace, metav1.FormatLabelSelector(w.selector))
}

func listPods(ctx context.Context, kube kubernetes.Interface, namespace, selector string) ([]corev1.Pod, error) {
	var pods []corev1.Pod
	err := each(ctx, access.Permission{Verb: "list", Resource: "pods", Namespace: namespace}, selector,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return kube.CoreV1().Pods(namespace).List(ctx, options)
		},
		func(object *corev1.Pod) { pods = append(pods, *object) })
	if missing, err := denied(err); missing != nil || err != nil {
		return nil, err
	}
	return pods, nil
}

// fronts are what leads to apps from outside of the cluster.
type fronts struct {
	services  []corev1.Service
	ingresses []networkingv1.Ingress
}

// listFronts lists the Services and Ingresses that selector selects. What the
// user may not list is left out.
func listFronts(ctx context.Context, kube kubernetes.Interface, namespace, selector string) (fronts, error) {
	var f fronts
	err := each(ctx, access.Permission{Verb: "list", Resource: "services", Namespace: namespace}, selector,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return kube.CoreV1().Services(namespace).List(ctx, options)
		},
		func(object *corev1.Service) { f.services = append(f.services, *object) })
	if _, err := denied(err); err != nil {
		return f, err
	}
	err = each(ctx, access.Permission{Verb: "list", Group: "networking.k8s.io", Resource: "ingresses", Namespace: namespace}, selector,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return kube.NetworkingV1().Ingresses(namespace).List(ctx, options)
		},
		func(object *networkingv1.Ingress) { f.ingresses = append(f.ingresses, *object) })
	_, err = denied(err)
	return f, err
}

// of returns those of one app.
func (f fronts) of(namespace, app string) fronts {
	other := func(meta metav1.ObjectMeta) bool {
		return meta.Namespace != namespace || meta.Labels[manifests.LabelApp] != app
	}
	return fronts{
		services:  slices.DeleteFunc(slices.Clone(f.services), func(s corev1.Service) bool { return other(s.ObjectMeta) }),
		ingresses: slices.DeleteFunc(slices.Clone(f.ingresses), func(i networkingv1.Ingress) bool { return other(i.ObjectMeta) }),
	}
}

// url finds the addresses that URL needs, if it needs any: those of nodes, or of
// just the nodes with a pod of the app when the others are not known or would
// not answer.
func (f fronts) url(ctx context.Context, kube kubernetes.Interface, nodes func() ([]string, error)) (string, error) {
	service := nodePort(f.services)
	if service == nil {
		return URL(f.services, nil, f.ingresses), nil
	}
	var hosts []string
	var err error
	if service.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		if hosts, err = nodes(); err != nil {
			return "", err
		}
	}
	if len(hosts) == 0 && len(service.Spec.Selector) > 0 {
		pods, err := listPods(ctx, kube, service.Namespace, metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: service.Spec.Selector}))
		if err != nil {
			return "", err
		}
		for _, pod := range pods {
			if pod.Status.HostIP != "" && pod.DeletionTimestamp == nil && !slices.Contains(hosts, pod.Status.HostIP) {
				hosts = append(hosts, pod.Status.HostIP)
			}
		}
		slices.Sort(hosts)
	}
	return URL(f.services, hosts, f.ingresses), nil
}
