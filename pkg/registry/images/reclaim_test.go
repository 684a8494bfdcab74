package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// cluster simulates the scheduler, the StatefulSet controller and a node. Each look at the
// collecting pod advances it by one step.
type cluster struct {
	*fake.Clientset
	// storage reports that the pod of the storage exists.
	storage bool
	// runs counts the collections that started, uids the pods.
	runs, uids int
	// phase is how the collection ends.
	phase corev1.PodPhase
	// onRun is called when the collection starts.
	onRun func()
	// scaleUpErr is the error of a request to start the storage.
	scaleUpErr error
}

func storageSet(replicas int32) *appsv1.StatefulSet {
	selector := map[string]string{"app.kubernetes.io/name": manifests.StorageName}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.StorageName, Namespace: manifests.SystemNamespace},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/name": manifests.StorageName, "app.kubernetes.io/part-of": "pyflow"}},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{
						{
							Name: "registry", Image: "mirror/registry:3", Command: []string{"/bin/registry"}, Args: []string{"serve", configPath},
							Ports: []corev1.ContainerPort{{ContainerPort: 5000}}, ReadinessProbe: &corev1.Probe{}, LivenessProbe: &corev1.Probe{},
							VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/var/lib/registry"}},
						},
						{Name: "beside", Image: "x"},
					},
					Volumes: []corev1.Volume{{Name: "data"}},
				},
			},
		},
		Status: appsv1.StatefulSetStatus{ReadyReplicas: replicas},
	}
}

func newCluster(objects ...runtime.Object) *cluster {
	c := &cluster{Clientset: fake.NewClientset(objects...), storage: true, phase: corev1.PodSucceeded}
	c.PrependReactor("create", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		c.uids++
		pod := action.(k8stesting.CreateAction).GetObject().(*corev1.Pod)
		pod.UID, pod.CreationTimestamp = types.UID(fmt.Sprint("uid-", c.uids)), metav1.Now()
		return false, nil, nil
	})
	c.PrependReactor("patch", "statefulsets", func(action k8stesting.Action) (bool, runtime.Object, error) {
		patch := action.(k8stesting.PatchAction)
		if patch.GetSubresource() != "scale" {
			return true, nil, errors.New("only the scale is to be patched")
		}
		if c.scaleUpErr != nil && strings.Contains(string(patch.GetPatch()), "1") {
			return true, nil, c.scaleUpErr
		}
		return false, nil, nil
	})
	c.PrependReactor("get", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		c.step()
		return false, nil, nil
	})
	c.PrependReactor("get", "statefulsets", func(k8stesting.Action) (bool, runtime.Object, error) {
		c.step()
		return false, nil, nil
	})
	return c
}

// step starts one of the two pods if the other does not exist, and ends what must end.
func (c *cluster) step() {
	tracker := c.Tracker()
	sets, pods := appsv1.SchemeGroupVersion.WithResource("statefulsets"), corev1.SchemeGroupVersion.WithResource("pods")
	object, err := tracker.Get(sets, manifests.SystemNamespace, manifests.StorageName)
	if err != nil {
		panic(err)
	}
	set := object.(*appsv1.StatefulSet).DeepCopy()
	var collecting *corev1.Pod
	if object, err := tracker.Get(pods, manifests.SystemNamespace, collectorName); err == nil {
		collecting = object.(*corev1.Pod).DeepCopy()
	}
	running := collecting != nil && collecting.Spec.NodeName != "" && !finished(collecting)
	switch {
	case running:
		if c.storage {
			panic("both run at once")
		}
		collecting.Status.Phase = c.phase
		_ = tracker.Update(pods, collecting, manifests.SystemNamespace)
	case *set.Spec.Replicas == 0 && c.storage:
		c.storage = false
	case collecting != nil && collecting.Spec.NodeName == "" && !c.storage:
		collecting.Spec.NodeName = "node"
		c.runs++
		_ = tracker.Update(pods, collecting, manifests.SystemNamespace)
		if c.onRun != nil {
			c.onRun()
		}
	case *set.Spec.Replicas > 0:
		c.storage = true
	}
	set.Status.ReadyReplicas = 0
	if c.storage {
		set.Status.ReadyReplicas = *set.Spec.Replicas
	}
	_ = tracker.Update(sets, set, manifests.SystemNamespace)
}

func (c *cluster) collect(ctx context.Context, patience time.Duration) error {
	collector := &Collector{Kube: c, Interval: time.Millisecond, RestartTimeout: patience}
	_, err := collector.Collect(ctx)
	return err
}

func (c *cluster) wantServing(t *testing.T) {
	t.Helper()
	set, err := c.AppsV1().StatefulSets(manifests.SystemNamespace).Get(t.Context(), manifests.StorageName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *set.Spec.Replicas != 1 || set.Status.ReadyReplicas != 1 {
		t.Errorf("the storage has %d of %d replicas", set.Status.ReadyReplicas, *set.Spec.Replicas)
	}
	if _, err := c.CoreV1().Pods(manifests.SystemNamespace).Get(t.Context(), collectorName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the collecting pod is left: %v", err)
	}
}

func leftPod(node string, phase corev1.PodPhase, created time.Time) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: collectorName, Namespace: manifests.SystemNamespace, UID: "left", CreationTimestamp: metav1.NewTime(created)},
		Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase},
	}
}

func TestCollect(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	for name, test := range map[string]struct {
		objects []runtime.Object
		storage bool
		change  func(*cluster)
		runs    int
		err     string
	}{
		"all is well": {objects: []runtime.Object{storageSet(1)}, storage: true, runs: 1},
		"one died before it began": {
			objects: []runtime.Object{storageSet(1), leftPod("", corev1.PodPending, old)}, storage: true,
			runs: 2,
		},
		"one died in the middle": {
			objects: []runtime.Object{storageSet(0), leftPod("node", corev1.PodRunning, old)},
			runs:    1,
		},
		"one died after it": {
			objects: []runtime.Object{storageSet(0), leftPod("node", corev1.PodSucceeded, old)},
			runs:    1,
		},
		"the storage was left stopped": {objects: []runtime.Object{storageSet(0)}, runs: 1},
		"the registry fails": {
			objects: []runtime.Object{storageSet(1)}, storage: true, change: func(c *cluster) { c.phase = corev1.PodFailed },
			runs: 1, err: "garbage collection failed: fake logs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(test.objects...)
			c.storage = test.storage
			if test.change != nil {
				test.change(c)
			}
			err := c.collect(t.Context(), time.Minute)
			if got := fmt.Sprint(err); (test.err == "") != (err == nil) || !strings.Contains(got, test.err) {
				t.Errorf("error is %v, want %q", err, test.err)
			}
			c.wantServing(t)
			if c.runs != test.runs {
				t.Errorf("%d collections ran, want %d", c.runs, test.runs)
			}
		})
	}
}

func TestRecover(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	for name, objects := range map[string][]runtime.Object{
		"nothing to do":         {storageSet(1)},
		"stopped":               {storageSet(0)},
		"stopped, with the pod": {storageSet(0), leftPod("node", corev1.PodSucceeded, old)},
		"still collecting":      {storageSet(0), leftPod("node", corev1.PodRunning, old)},
		"about to collect":      {storageSet(0), leftPod("", corev1.PodPending, old)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(objects...)
			c.storage = name == "nothing to do"
			if err := (&Collector{Kube: c, Interval: time.Millisecond}).Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.wantServing(t)
		})
	}
}

func TestCollectIsInterrupted(t *testing.T) {
	for name, set := range map[string]func(c *cluster, cancel func()){
		"while it runs": func(c *cluster, cancel func()) {
			c.phase = corev1.PodRunning
			c.onRun = cancel
		},
		"while it waits": func(c *cluster, cancel func()) {
			c.PrependReactor("patch", "statefulsets", func(k8stesting.Action) (bool, runtime.Object, error) {
				cancel()
				return false, nil, nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(storageSet(1))
			ctx, cancel := context.WithCancel(t.Context())
			set(c, cancel)
			if err := c.collect(ctx, time.Minute); !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			}
			c.wantServing(t)
		})
	}
}

func TestCollectCannotStartTheStorage(t *testing.T) {
	c := newCluster(storageSet(1))
	c.scaleUpErr = errors.New("no longer allowed")
	err := c.collect(t.Context(), 100*time.Millisecond)
	var stranded *StrandedError
	if !errors.As(err, &stranded) || !strings.Contains(err.Error(), "no longer allowed") || !strings.Contains(err.Error(), "is stopped") {
		t.Errorf("error is %v", err)
	}
}

func TestCollectorPod(t *testing.T) {
	set := storageSet(1)
	pod, err := collectorPod(set)
	if err != nil {
		t.Fatal(err)
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	if selector.Matches(labels.Set(pod.Labels)) {
		t.Errorf("the storage's Service selects the pod: %v", pod.Labels)
	}
	spec := pod.Spec
	if len(spec.Containers) != 1 || spec.RestartPolicy != corev1.RestartPolicyNever || len(spec.Volumes) != 1 {
		t.Fatalf("pod is %+v", spec)
	}
	container := spec.Containers[0]
	if container.Image != "mirror/registry:3" || !slices.Equal(container.Args, []string{"garbage-collect", configPath}) || !slices.Equal(container.Command, []string{"/bin/registry"}) ||
		container.ReadinessProbe != nil || container.LivenessProbe != nil || container.Ports != nil || len(container.VolumeMounts) != 1 {
		t.Errorf("container is %+v", container)
	}
	term := spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if len(term) != 1 || term[0].TopologyKey != "kubernetes.io/os" || term[0].LabelSelector.MatchLabels["app.kubernetes.io/name"] != manifests.StorageName {
		t.Errorf("affinity is %+v", term)
	}
	if len(set.Spec.Template.Spec.Containers) != 2 || set.Spec.Template.Labels["app.kubernetes.io/name"] != manifests.StorageName {
		t.Error("the StatefulSet was changed")
	}
	set.Spec.Template.Spec.Containers[0].Name = "else"
	if _, err := collectorPod(set); err == nil {
		t.Error("no error without the registry's container")
	}
}

func TestReadCollection(t *testing.T) {
	log := "team-a/shop\nteam-a/shop: marking manifest " + sha("a") + " \nteam-a/shop: marking blob " + sha("b") + "\n\n" +
		"2 blobs marked, 2 blobs and 0 manifests eligible for deletion\n" +
		"blob eligible for deletion: " + sha("c") + "\ntime=\"x\" level=info msg=\"Deleting blob: /docker/registry/v2/blobs/sha256/ab\"\n" +
		"blob eligible for deletion: " + sha("d") + "\nteam-a/shop: layer link eligible for deletion: " + sha("c")
	collected, last, err := readCollection(strings.NewReader(log))
	if err != nil || !slices.Equal(collected.Blobs, []string{sha("c"), sha("d")}) || !strings.HasPrefix(last, "team-a/shop: layer link") {
		t.Errorf("collected %q, last %q, error %v", collected.Blobs, last, err)
	}
	pruned := NewPruned(nil)
	pruned.Freed([]*Repository{repository(Images, "team-a/shop", stored("c", 0, nil, "x"))}, collected)
	if !pruned.Reclaimed || pruned.FreedBytes != 10 || pruned.FreedUnknown != 1 {
		t.Errorf("pruned %+v", pruned)
	}
}
