package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	uses := func(object *metav1.ObjectMeta, kind string, pod corev1.PodSpec) {
		if metav1.GetControllerOf(object) == nil && slices.ContainsFunc(slices.Concat(pod.InitContainers, pod.Containers), func(container corev1.Container) bool {
			return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(container.Image, prefix) })
		}) {
			users = append(users, kind+"/"+object.Name+" in namespace "+object.Namespace)
		}
	}
	everywhere := metav1.NamespaceAll
	deployments, err := client.AppsV1().Deployments(everywhere).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	for i := range deployments.Items {
		uses(&deployments.Items[i].ObjectMeta, "deployment.apps", deployments.Items[i].Spec.Template.Spec)
	}
	statefulSets, err := client.AppsV1().StatefulSets(everywhere).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list stateful sets: %w", err)
	}
	for i := range statefulSets.Items {
		uses(&statefulSets.Items[i].ObjectMeta, "statefulset.apps", statefulSets.Items[i].Spec.Template.Spec)
	}
	daemonSets, err := client.AppsV1().DaemonSets(everywhere).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list daemon sets: %w", err)
	}
	for i := range daemonSets.Items {
		uses(&daemonSets.Items[i].ObjectMeta, "daemonset.apps", daemonSets.Items[i].Spec.Template.Spec)
	}
	cronJobs, err := client.BatchV1().CronJobs(everywhere).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list cron jobs: %w", err)
	}
	for i := range cronJobs.Items {
		uses(&cronJobs.Items[i].ObjectMeta, "cronjob.batch", cronJobs.Items[i].Spec.JobTemplate.Spec.Template.Spec)
	}
	jobs, err := client.BatchV1().Jobs(everywhere).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	for i := range jobs.Items {
		if jobs.Items[i].Status.CompletionTime == nil {
			uses(&jobs.Items[i].ObjectMeta, "job.batch", jobs.Items[i].Spec.Template.Spec)
		}
	}
	pods, err := client.CoreV1().Pods(everywhere).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		phase := pods.Items[i].Status.Phase
		if phase == corev1.PodSucceeded || phase == corev1.PodFailed || pods.Items[i].DeletionTimestamp != nil {
			continue
		}
		uses(&pods.Items[i].ObjectMeta, "pod", pods.Items[i].Spec)
	}
	return users, nil
}
