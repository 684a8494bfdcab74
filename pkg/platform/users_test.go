package platform

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

func TestImageUsers(t *testing.T) {
	registry := manifests.RegistryConfig{NodeHost: "127.0.0.1:5180", Prefix: "org"}
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	template := func(images ...string) corev1.PodTemplateSpec {
		template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Image: images[0]}}}}
		for _, image := range images[1:] {
			template.Spec.Containers = append(template.Spec.Containers, corev1.Container{Image: image})
		}
		return template
	}
	const ours = "127.0.0.1:5180/org/team-a/shop@sha256:0"
	client := clientWith(
		&appsv1.Deployment{ObjectMeta: meta("team-a", "web"), Spec: appsv1.DeploymentSpec{Template: template("busybox", "busybox", ours)}},
		&appsv1.Deployment{ObjectMeta: meta("team-a", "public"), Spec: appsv1.DeploymentSpec{Template: template("busybox", "busybox")}},
		&appsv1.Deployment{ObjectMeta: meta("team-a", "other-prefix"), Spec: appsv1.DeploymentSpec{Template: template("127.0.0.1:5180/team-a/shop", "busybox")}},
		&appsv1.Deployment{ObjectMeta: meta("team-c", "elsewhere"), Spec: appsv1.DeploymentSpec{Template: template(ours)}},
		&appsv1.StatefulSet{ObjectMeta: meta("team-a", "queue"), Spec: appsv1.StatefulSetSpec{Template: template(ours)}},
		&appsv1.DaemonSet{ObjectMeta: meta("team-a", "agent"), Spec: appsv1.DaemonSetSpec{Template: template("busybox", ours)}},
		&batchv1.CronJob{ObjectMeta: meta("team-b", "nightly"), Spec: batchv1.CronJobSpec{
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template("127.0.0.1:5180/org/team-b/shop:1")}},
		}},
	)
	controller := true
	owned := meta("team-a", "web-1")
	owned.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", Controller: &controller}}
	done := metav1.Now()
	going := meta("team-a", "going")
	going.DeletionTimestamp = &done
	for _, object := range []runtime.Object{
		&corev1.Pod{ObjectMeta: owned, Spec: template("busybox", ours).Spec},
		&corev1.Pod{ObjectMeta: going, Spec: template("busybox", ours).Spec},
		&corev1.Pod{ObjectMeta: meta("team-a", "alone"), Spec: template("busybox", ours).Spec},
		&batchv1.Job{ObjectMeta: meta("team-a", "done"), Spec: batchv1.JobSpec{Template: template(ours)}, Status: batchv1.JobStatus{CompletionTime: &done}},
		&batchv1.Job{ObjectMeta: meta("team-a", "open"), Spec: batchv1.JobSpec{Template: template(ours)}},
	} {
		if err := client.Tracker().Add(object); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ImageUsers(t.Context(), client, registry.NodeRepository("team-b", ""), registry.NodeRepository("team-a", ""))
	want := []string{
		"deployment.apps/web in namespace team-a", "deployment.apps/elsewhere in namespace team-c",
		"statefulset.apps/queue in namespace team-a", "daemonset.apps/agent in namespace team-a",
		"cronjob.batch/nightly in namespace team-b", "job.batch/open in namespace team-a", "pod/alone in namespace team-a",
	}
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
