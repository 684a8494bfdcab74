package release

import (
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// processes returns the objects of the processes beside the web process: a Deployment, a Job
// or a CronJob for each.
func processes(options *Options) ([]object, error) {
	var objects []object
	for i := range options.Processes {
		process := &options.Processes[i]
		if process.Kind() == app.Web {
			continue
		}
		pod, err := processPod(options, process)
		if err != nil {
			return nil, err
		}
		meta := metav1.ObjectMeta{Name: process.Object(options.App), Labels: map[string]string{manifests.LabelProcess: process.Name}}
		switch process.Kind() {
		case app.Release:
			objects = append(objects, &batchv1.Job{
				TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: meta,
				Spec: jobSpec(process, pod),
			})
		case app.Cron:
			objects = append(objects, cronJob(process, meta, pod))
		default:
			objects = append(objects, worker(process, meta, pod))
		}
	}
	return objects, nil
}

// processPod returns the pod of a process beside the web process. It is that of the app,
// without what serves requests: port, probes and the time in which it still gets some.
func processPod(options *Options, process *app.Process) (corev1.PodTemplateSpec, error) {
	deployment := &appsv1.Deployment{}
	if err := template("deployment.yaml", deployment); err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	pod := deployment.Spec.Template
	pod.Labels = processSelector(options, process)
	setUser(pod.Spec.SecurityContext, options.User)
	container := &pod.Spec.Containers[0]
	container.Image, container.Command = options.App, process.Command
	container.Ports, container.Env, container.Lifecycle = nil, nil, nil
	container.StartupProbe, container.ReadinessProbe, container.LivenessProbe = nil, nil, nil
	own := *options
	own.Env = map[string]app.Variable{}
	maps.Copy(own.Env, options.Env)
	maps.Copy(own.Env, process.Env)
	if err := addEnv(container, &own); err != nil {
		return pod, err
	}
	requests, limits := process.Resources(options.Requests, options.Limits)
	return pod, addResources(container, requests, limits)
}

// processSelector returns the labels of the pods of a process beside the web process. The
// selector of the app does not select them: they serve no requests.
func processSelector(options *Options, process *app.Process) map[string]string {
	return map[string]string{
		manifests.LabelApp: options.App, nameLabel: process.Object(options.App), manifests.LabelProcess: process.Name,
	}
}

// workerSeconds is how long a worker has to run to count as available: nothing else tells a
// worker that works from one that ends with an error when it starts.
const workerSeconds = 10

func worker(process *app.Process, meta metav1.ObjectMeta, pod corev1.PodTemplateSpec) *appsv1.Deployment {
	replicas, deadline := process.Replicas, int32(300)
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, ProgressDeadlineSeconds: &deadline, MinReadySeconds: workerSeconds,
			Selector: &metav1.LabelSelector{MatchLabels: pod.Labels}, Template: pod,
		},
	}
}

func cronJob(process *app.Process, meta metav1.ObjectMeta, pod corev1.PodTemplateSpec) *batchv1.CronJob {
	job := &batchv1.CronJob{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: meta,
		Spec: batchv1.CronJobSpec{
			Schedule: process.Schedule, ConcurrencyPolicy: batchv1.ForbidConcurrent,
			JobTemplate: batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: jobSpec(process, pod)},
		},
	}
	if process.TimeZone != "" {
		job.Spec.TimeZone = &process.TimeZone
	}
	if process.Concurrency != "" {
		job.Spec.ConcurrencyPolicy = batchv1.ConcurrencyPolicy(process.Concurrency)
	}
	return job
}

// jobSpec returns what runs a process once. A process that fails is not repeated: it may have
// done a part of its work.
func jobSpec(process *app.Process, pod corev1.PodTemplateSpec) batchv1.JobSpec {
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	retries, timeout := int32(0), process.Timeout
	if timeout == 0 && process.Kind() == app.Release {
		timeout = app.DefaultReleaseTimeout
	}
	spec := batchv1.JobSpec{BackoffLimit: &retries, Template: pod}
	if timeout > 0 {
		seconds := int64(timeout / time.Second)
		spec.ActiveDeadlineSeconds = &seconds
	}
	return spec
}
