package status

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// apps reports the deployed apps in the scope, by namespace and name.
func (c *collector) apps(ctx context.Context) ([]App, error) {
	workloads, err := c.workloads(ctx)
	if err != nil {
		return []App{}, err
	}
	workloads = slices.DeleteFunc(workloads, func(w workload.Workload) bool {
		return (c.App != "" && w.Meta.Labels[manifests.LabelApp] != c.App) || (c.Selector != nil && !c.Selector.Matches(labels.Set(w.Meta.Labels)))
	})
	slices.SortFunc(workloads, func(a, b workload.Workload) int {
		return cmp.Or(strings.Compare(appKey(a), appKey(b)), strings.Compare(resource(a), resource(b)))
	})
	var groups [][]workload.Workload
	for _, w := range workloads {
		if last := len(groups) - 1; last >= 0 && appKey(groups[last][0]) == appKey(w) {
			groups[last] = append(groups[last], w)
		} else {
			groups = append(groups, []workload.Workload{w})
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

func appKey(w workload.Workload) string {
	return w.Meta.Namespace + "/" + w.Meta.Labels[manifests.LabelApp]
}

// resource returns a workload as <resource>.<group>/<name>.
func resource(w workload.Workload) string {
	return strings.ToLower(w.Kind) + "." + appsv1.GroupName + "/" + w.Meta.Name
}

// workloads lists the workloads of all apps in the scope.
func (c *collector) workloads(ctx context.Context) ([]workload.Workload, error) {
	var workloads []workload.Workload
	for _, kind := range workload.Kinds() {
		permission := access.Permission{Verb: "list", Group: appsv1.GroupName, Resource: workload.Resource(kind), Namespace: c.scope}
		err := each(ctx, permission, manifests.LabelApp,
			func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return workload.List(ctx, c.Kube, kind, c.scope, options)
			},
			func(object runtime.Object) {
				if w, err := workload.Of(object); err == nil {
					workloads = append(workloads, w)
				}
			})
		if err != nil {
			return nil, err
		}
	}
	return workloads, nil
}

// app sums up the workloads of one app, of which there is at least one.
func (c *collector) app(ctx context.Context, workloads []workload.Workload) (App, error) {
	meta := workloads[0].Meta
	sum := App{Name: meta.Labels[manifests.LabelApp], Namespace: meta.Namespace, Healthy: true}
	path := c.config.Registry.Path(sum.Namespace, sum.Name)
	parts := app.App{Workloads: workloads}.Parts()
	for i, w := range workloads {
		v, err := c.judge(ctx, w)
		if err != nil {
			return App{}, err
		}
		sum.Parts = append(sum.Parts, AppPart{
			Name: parts[i], Kind: w.Kind, Workload: w.Meta.Name, Desired: w.State.Desired, Ready: ready(w),
			Healthy: v.healthy, Message: v.message, Reason: v.problem.Reason, Remedy: v.problem.Remedy,
		})
		if sum.Healthy && (!v.healthy || sum.Message == "") {
			sum.Message, sum.Reason, sum.Remedy = v.message, v.problem.Reason, v.problem.Remedy
		}
		sum.Healthy = sum.Healthy && v.healthy
		sum.Desired += w.State.Desired
		sum.Ready += ready(w)
		sum.Workloads = append(sum.Workloads, resource(w))
		if sum.Image == "" {
			sum.Image = image(w, path)
			_, sum.Digest, _ = strings.Cut(sum.Image, "@")
		}
		if number, err := strconv.Atoi(w.Meta.Annotations[manifests.AnnotationRelease]); err == nil {
			sum.Release = max(sum.Release, number)
		}
		if changed := changed(w.Meta); sum.Updated.Before(&changed) {
			sum.Updated = changed
		}
	}
	return sum, nil
}

func listPods(ctx context.Context, kube kubernetes.Interface, namespace, selector string) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	err := each(ctx, access.Permission{Verb: "list", Resource: "pods", Namespace: namespace}, selector,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return kube.CoreV1().Pods(namespace).List(ctx, options)
		},
		func(object *corev1.Pod) { pods = append(pods, object) })
	if missing, err := denied(err); missing != nil || err != nil {
		return nil, err
	}
	return pods, nil
}

// fronts are the Services and Ingresses through which apps are reachable.
type fronts struct {
	services  []corev1.Service
	ingresses []networkingv1.Ingress
}

// listFronts lists the Services and Ingresses that selector selects, as far as the user may
// list them.
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

// of returns the fronts of one app.
func (f fronts) of(namespace, app string) fronts {
	other := func(meta metav1.ObjectMeta) bool {
		return meta.Namespace != namespace || meta.Labels[manifests.LabelApp] != app
	}
	return fronts{
		services:  slices.DeleteFunc(slices.Clone(f.services), func(s corev1.Service) bool { return other(s.ObjectMeta) }),
		ingresses: slices.DeleteFunc(slices.Clone(f.ingresses), func(i networkingv1.Ingress) bool { return other(i.ObjectMeta) }),
	}
}

// url returns the URL of an app. For a NodePort it needs addresses of nodes: of all of them,
// or only of those with a pod of the app if the others are not known or do not answer.
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
