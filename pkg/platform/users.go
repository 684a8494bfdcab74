package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ImageUsers lists the workloads of all namespaces that use an image whose reference
// starts with one of the prefixes, by kind: "deployment.apps/mountains in namespace
// demo". It leaves out objects that have a controller, Jobs that are complete, and
// pods that have ended or are being deleted.
func ImageUsers(ctx context.Context, client kubernetes.Interface, prefixes ...string) ([]string, error) {
	var users []string
	for _, kind := range runningKinds(client) {
		found, err := kind.list(ctx)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.plural, err)
		}
		for _, one := range found {
			if metav1.GetControllerOf(one.object) == nil && one.uses(prefixes) {
				users = append(users, kind.name+"/"+one.object.Name+" in namespace "+one.object.Namespace)
			}
		}
	}
	return users, nil
}

// running is an object that runs pods, or is one.
type running struct {
	object *metav1.ObjectMeta
	pod    corev1.PodSpec
	// ended reports that its pods run no more.
	ended bool
}

// uses reports whether a container has an image that starts with one of the prefixes.
func (r running) uses(prefixes []string) bool {
	return !r.ended && slices.ContainsFunc(slices.Concat(r.pod.InitContainers, r.pod.Containers), func(container corev1.Container) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(container.Image, prefix) })
	})
}

// runningKind lists the objects of one kind in all namespaces.
type runningKind struct {
	plural, name string
	list         func(context.Context) ([]running, error)
}

// runningKinds returns the kinds of objects that run pods.
func runningKinds(client kubernetes.Interface) []runningKind {
	apps, batch, everywhere := client.AppsV1(), client.BatchV1(), metav1.NamespaceAll
	return []runningKind{
		{"deployments", "deployment.apps", listed(apps.Deployments(everywhere).List, func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items }, func(d *appsv1.Deployment) running {
			return running{&d.ObjectMeta, d.Spec.Template.Spec, false}
		})},
		{"stateful sets", "statefulset.apps", listed(apps.StatefulSets(everywhere).List, func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items }, func(s *appsv1.StatefulSet) running {
			return running{&s.ObjectMeta, s.Spec.Template.Spec, false}
		})},
		{"daemon sets", "daemonset.apps", listed(apps.DaemonSets(everywhere).List, func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items }, func(s *appsv1.DaemonSet) running {
			return running{&s.ObjectMeta, s.Spec.Template.Spec, false}
		})},
		{"cron jobs", "cronjob.batch", listed(batch.CronJobs(everywhere).List, func(l *batchv1.CronJobList) []batchv1.CronJob { return l.Items }, func(j *batchv1.CronJob) running {
			return running{&j.ObjectMeta, j.Spec.JobTemplate.Spec.Template.Spec, false}
		})},
		{"jobs", "job.batch", listed(batch.Jobs(everywhere).List, func(l *batchv1.JobList) []batchv1.Job { return l.Items }, func(j *batchv1.Job) running {
			return running{&j.ObjectMeta, j.Spec.Template.Spec, j.Status.CompletionTime != nil}
		})},
		{"pods", "pod", listed(client.CoreV1().Pods(everywhere).List, func(l *corev1.PodList) []corev1.Pod { return l.Items }, func(p *corev1.Pod) running {
			ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil
			return running{&p.ObjectMeta, p.Spec, ended}
		})},
	}
}

// listed returns a function that lists the objects of one kind, each read by read.
func listed[L, T any](list func(context.Context, metav1.ListOptions) (*L, error), items func(*L) []T, read func(*T) running) func(context.Context) ([]running, error) {
	return func(ctx context.Context) ([]running, error) {
		found, err := list(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		objects := items(found)
		all := make([]running, len(objects))
		for i := range objects {
			all[i] = read(&objects[i])
		}
		return all, nil
	}
}
