package release_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
)

const (
	repository = "127.0.0.1:5180/team/shop"
	image      = repository + "@sha256:new"
	older      = repository + "@sha256:old"
	hash       = "0123"
)

func objectMeta(name, sequence string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: "team", Generation: 2, Labels: map[string]string{manifests.LabelApp: "shop"},
		Annotations: map[string]string{manifests.AnnotationManifests: hash, manifests.AnnotationSequence: sequence},
	}
}

func podOf(images ...string) corev1.PodSpec {
	pod := corev1.PodSpec{}
	for _, image := range images {
		pod.Containers = append(pod.Containers, corev1.Container{Name: "c", Image: image})
	}
	return pod
}

// rolledOut returns a Deployment that has rolled out.
func rolledOut(name, sequence string, images ...string) *appsv1.Deployment {
	replicas := int32(2)
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: objectMeta(name, sequence),
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: corev1.PodTemplateSpec{Spec: podOf(images...)}},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2,
		},
	}
}

func statefulSet(name, sequence string, images ...string) *appsv1.StatefulSet {
	replicas := int32(1)
	return &appsv1.StatefulSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: objectMeta(name, sequence),
		Spec:   appsv1.StatefulSetSpec{Replicas: &replicas, Template: corev1.PodTemplateSpec{Spec: podOf(images...)}},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, CurrentRevision: "r", UpdateRevision: "r"},
	}
}

func daemonSet(name, sequence string, images ...string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"}, ObjectMeta: objectMeta(name, sequence),
		Spec:   appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: podOf(images...)}},
		Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3, NumberReady: 3},
	}
}

func cronJob(name, image string) *batchv1.CronJob {
	job := &batchv1.CronJob{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: objectMeta(name, "")}
	job.Spec.JobTemplate.Spec.Template.Spec = podOf(image)
	return job
}

func service(name string) *corev1.Service {
	return &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: objectMeta(name, "")}
}

func mapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []schema.GroupVersionKind{
		corev1.SchemeGroupVersion.WithKind("Service"), batchv1.SchemeGroupVersion.WithKind("CronJob"),
		appsv1.SchemeGroupVersion.WithKind("Deployment"), appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
		appsv1.SchemeGroupVersion.WithKind("DaemonSet"), appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	return mapper
}

func object(kind schema.GroupVersionKind, name string, built bool) release.Object {
	return release.Object{GroupVersionKind: kind, Name: name, Built: built}
}

func TestUpToDate(t *testing.T) {
	shop := object(appsv1.SchemeGroupVersion.WithKind("Deployment"), "shop", true)
	cache := object(appsv1.SchemeGroupVersion.WithKind("StatefulSet"), "cache", false)
	agent := object(appsv1.SchemeGroupVersion.WithKind("DaemonSet"), "agent", true)
	nightly := object(batchv1.SchemeGroupVersion.WithKind("CronJob"), "nightly", true)
	front := object(corev1.SchemeGroupVersion.WithKind("Service"), "shop", false)
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "shop", nil)
	broken := errors.New("broken")

	changed := func(change func(*appsv1.Deployment)) *appsv1.Deployment {
		object := rolledOut("shop", "", image)
		change(object)
		return object
	}
	for name, test := range map[string]struct {
		wanted  []release.Object
		there   []runtime.Object
		refusal error // to whoever asks for a Service
		want    bool
		err     error
	}{
		"all of it": {
			wanted: []release.Object{front, shop, cache, agent, nightly},
			there: []runtime.Object{
				service("shop"), rolledOut("shop", "", image), statefulSet("cache", "", "redis"), daemonSet("agent", "", "sidecar", image), cronJob("nightly", image),
			},
			want: true,
		},
		"in an init container": {
			wanted: []release.Object{shop}, want: true,
			there: []runtime.Object{changed(func(d *appsv1.Deployment) {
				d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers = d.Spec.Template.Spec.Containers, podOf("web").Containers
			})},
		},
		"not there":                             {wanted: []release.Object{shop, front}, there: []runtime.Object{rolledOut("shop", "", image)}},
		"another image":                         {wanted: []release.Object{shop}, there: []runtime.Object{rolledOut("shop", "", older)}},
		"another image of a cron job":           {wanted: []release.Object{nightly}, there: []runtime.Object{cronJob("nightly", older)}},
		"another image of a daemon set":         {wanted: []release.Object{agent}, there: []runtime.Object{daemonSet("agent", "", older)}},
		"the image by another registry":         {wanted: []release.Object{shop}, there: []runtime.Object{rolledOut("shop", "", "elsewhere/"+image)}},
		"an image that is not ours":             {wanted: []release.Object{cache}, there: []runtime.Object{statefulSet("cache", "", "redis:8")}, want: true},
		"a kind that the cluster does not have": {wanted: []release.Object{object(schema.GroupVersionKind{Group: "x.io", Version: "v1", Kind: "X"}, "x", false)}},
		"other manifests": {
			wanted: []release.Object{shop},
			there:  []runtime.Object{changed(func(d *appsv1.Deployment) { d.Annotations[manifests.AnnotationManifests] = "4567" })},
		},
		"deployed by another tool": {
			wanted: []release.Object{shop}, there: []runtime.Object{changed(func(d *appsv1.Deployment) { d.Annotations = nil })},
		},
		"being deleted": {
			wanted: []release.Object{shop},
			there: []runtime.Object{changed(func(d *appsv1.Deployment) {
				d.DeletionTimestamp, d.Finalizers = &metav1.Time{}, []string{"example.com/wait"}
				*d.DeletionTimestamp = metav1.Unix(1, 0)
			})},
		},
		"not rolled out": {
			wanted: []release.Object{shop}, there: []runtime.Object{changed(func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 })},
		},
		"not observed": {
			wanted: []release.Object{shop}, there: []runtime.Object{changed(func(d *appsv1.Deployment) { d.Generation = 3 })},
		},
		"a stateful set that is not rolled out": {
			wanted: []release.Object{cache},
			there: []runtime.Object{func() runtime.Object {
				set := statefulSet("cache", "", "redis")
				set.Status.ReadyReplicas = 0
				return set
			}()},
		},
		"a daemon set that is not rolled out": {
			wanted: []release.Object{agent},
			there: []runtime.Object{func() runtime.Object {
				set := daemonSet("agent", "", image)
				set.Status.NumberAvailable = 2
				return set
			}()},
		},
		"one that may not be read":             {wanted: []release.Object{front, shop}, there: []runtime.Object{rolledOut("shop", "", image)}, refusal: denied, want: true},
		"one that may not be read, one is old": {wanted: []release.Object{front, shop}, there: []runtime.Object{rolledOut("shop", "", older)}, refusal: denied},
		"a server that does not answer":        {wanted: []release.Object{front, shop}, there: []runtime.Object{rolledOut("shop", "", image)}, refusal: broken, err: broken},
	} {
		t.Run(name, func(t *testing.T) {
			client := dynamicfake.NewSimpleDynamicClient(scheme.Scheme, test.there...)
			client.PrependReactor("get", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
				return test.refusal != nil, nil, test.refusal
			})
			got, err := release.UpToDate(t.Context(), release.Clients{Dynamic: client, Mapper: mapper()}, "team", &release.Manifests{Objects: test.wanted, Hash: hash}, image)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %t, %v, want %t, %v", got, err, test.want, test.err)
			}
			if err != nil && !strings.Contains(err.Error(), "get Service shop") {
				t.Errorf("error is %q, want it to name the object", err)
			}
		})
	}
}

func TestCurrent(t *testing.T) {
	const first, second = "2026-03-01T12:00:00Z shop-a", "2026-03-01T12:00:00Z shop-b"
	workload := func(kind, name string, built bool) release.Workload {
		return release.Workload{Kind: kind, Name: name, Built: built}
	}
	foreign := rolledOut("foreign", second, image)
	foreign.Labels = map[string]string{manifests.LabelApp: "other"}
	elsewhere := rolledOut("elsewhere", second, image)
	elsewhere.Namespace = "other"
	initial := rolledOut("shop", first, "web")
	initial.Spec.Template.Spec.InitContainers = podOf(image).Containers
	for name, test := range map[string]struct {
		there  []runtime.Object
		denied string
		want   release.Deployed
	}{
		"nothing": {there: []runtime.Object{foreign, elsewhere}},
		"one release": {
			there: []runtime.Object{rolledOut("shop", first, "sidecar", image), statefulSet("cache", first, "redis"), daemonSet("agent", first, "agent")},
			want: release.Deployed{Sequence: first, Digest: "sha256:new", Workloads: []release.Workload{
				workload("Deployment", "shop", true), workload("StatefulSet", "cache", false), workload("DaemonSet", "agent", false),
			}},
		},
		"an init container": {
			there: []runtime.Object{initial},
			want:  release.Deployed{Sequence: first, Digest: "sha256:new", Workloads: []release.Workload{workload("Deployment", "shop", true)}},
		},
		"one that an earlier release left, listed first": {
			there: []runtime.Object{rolledOut("a", first, older), rolledOut("b", second, image)},
			want:  release.Deployed{Sequence: second, Digest: "sha256:new", Workloads: []release.Workload{workload("Deployment", "b", true)}},
		},
		"one that an earlier release left, listed last": {
			there: []runtime.Object{rolledOut("a", second, image), rolledOut("b", first, older)},
			want:  release.Deployed{Sequence: second, Digest: "sha256:new", Workloads: []release.Workload{workload("Deployment", "a", true)}},
		},
		"the last release runs no image of ours": {
			there: []runtime.Object{rolledOut("a", first, older), rolledOut("b", second, "nginx")},
			want:  release.Deployed{Sequence: second, Workloads: []release.Workload{workload("Deployment", "b", false)}},
		},
		"without a sequence": {
			there: []runtime.Object{rolledOut("a", "", image)},
			want:  release.Deployed{Digest: "sha256:new", Workloads: []release.Workload{workload("Deployment", "a", true)}},
		},
		"another repository with the same start": {
			there: []runtime.Object{rolledOut("a", first, repository+"-2@sha256:new", repository+":tag")},
			want:  release.Deployed{Sequence: first, Workloads: []release.Workload{workload("Deployment", "a", false)}},
		},
		"deployments may not be read": {
			there: []runtime.Object{rolledOut("shop", second, image), statefulSet("cache", first, older)}, denied: "deployments",
			want: release.Deployed{Sequence: first, Digest: "sha256:old", Workloads: []release.Workload{workload("StatefulSet", "cache", true)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := kubefake.NewClientset(test.there...)
			if test.denied != "" {
				client.PrependReactor("list", test.denied, func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: test.denied}, "", nil)
				})
			}
			got, err := release.Current(t.Context(), client, "team", "shop", repository)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestCurrentFails(t *testing.T) {
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets"} {
		client := kubefake.NewClientset()
		broken := errors.New("broken")
		client.PrependReactor("list", resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, broken })
		if _, err := release.Current(t.Context(), client, "team", "shop", repository); !errors.Is(err, broken) || !strings.Contains(err.Error(), "list "+resource) {
			t.Errorf("%s: error is %v", resource, err)
		}
	}
}

func TestRun(t *testing.T) {
	for sequence, want := range map[string]string{"2026-03-01T12:00:00Z shop-a": "shop-a", "": "", "2026-03-01T12:00:00Z": ""} {
		if got := release.RunOf(sequence); got != want {
			t.Errorf("release.RunOf(%q) is %q, want %q", sequence, got, want)
		}
	}
}
