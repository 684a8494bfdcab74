package images

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// collectorName is the pod that collects the registry's garbage.
	collectorName = "registry-gc"
	// storageContainer is the container of the storage's pod that runs the registry.
	storageContainer = "registry"
	// configPath is the path of the configuration in that container.
	configPath = "/etc/registry/config/config.yml"

	// abandonedAfter is the age at which the pod of a finished collection counts as left by a
	// collection that died.
	abandonedAfter = 30 * time.Second
)

// StrandedError reports that the registry's storage was stopped and could not be started again.
type StrandedError struct{ Err error }

func (e *StrandedError) Error() string {
	return fmt.Sprintf("the registry's storage is stopped (statefulset %s in namespace %s): pushes and pulls wait for it: %v",
		manifests.StorageName, manifests.SystemNamespace, e.Err)
}

// Unwrap returns the cause.
func (e *StrandedError) Unwrap() error { return e.Err }

// Collected is the result of a garbage collection.
type Collected struct {
	// Blobs are the digests of the blobs that were deleted from the storage.
	Blobs []string
}

// Collector runs the registry's own garbage collection. It needs the storage for itself,
// because a push at the same time would lose its blobs. So it stops the storage's pod
// meanwhile, and the registry's front holds requests until the storage is back.
type Collector struct {
	Kube kubernetes.Interface
	// Interval is the time between two looks at the cluster.
	Interval time.Duration
	// RestartTimeout is the time that the storage may take to come back, also after an
	// interrupt.
	RestartTimeout time.Duration
	// Progress reports what the collector does; it may be nil.
	Progress func(string)
}

// CollectorPermissions returns the permissions that Collect needs.
func CollectorPermissions() []access.Permission {
	in := func(verb, group, resource, subresource string) access.Permission {
		return access.Permission{Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: manifests.SystemNamespace}
	}
	return []access.Permission{
		in("get", "apps", "statefulsets", ""), in("patch", "apps", "statefulsets", "scale"),
		in("create", "", "pods", ""), in("get", "", "pods", ""), in("delete", "", "pods", ""), in("get", "", "pods", "log"),
	}
}

// Collect deletes every blob that no manifest refers to, and returns when the storage serves
// again. It always starts the storage again, also when ctx ends; a StrandedError reports that
// this failed.
//
// The cluster, not this process, guarantees that the collection and the storage never run at
// the same time: the scheduler holds the collecting pod back while the storage's pod exists,
// and the other way round. The name of the pod makes one collection wait for another, and the
// next collection clears away what one that died left behind.
func (c *Collector) Collect(ctx context.Context) (collected Collected, err error) {
	storage, err := c.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(ctx, manifests.StorageName, metav1.GetOptions{})
	if err != nil {
		return collected, fmt.Errorf("read the registry's storage: %w", err)
	}
	pod, err := collectorPod(storage)
	if err != nil {
		return collected, err
	}
	uid, err := c.claim(ctx, pod)
	if err != nil {
		return collected, err
	}
	defer func() {
		if restoreErr := c.restore(ctx, uid); restoreErr != nil {
			err = errors.Join(err, restoreErr)
		}
	}()
	if err := c.await(ctx, uid); err != nil {
		return collected, err
	}
	return c.result(ctx, uid)
}

// Recover starts a storage that a collection stopped before it died, and returns when the
// storage serves. It waits for a collection that still runs. It does nothing if the storage is
// not stopped.
func (c *Collector) Recover(ctx context.Context) error {
	c.say("Waiting for the registry's storage")
	started := false
	return wait.PollUntilContextCancel(ctx, c.Interval, true, func(ctx context.Context) (bool, error) {
		storage, err := c.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(ctx, manifests.StorageName, metav1.GetOptions{})
		if err != nil {
			return false, fmt.Errorf("read the registry's storage: %w", err)
		}
		if storage.Spec.Replicas == nil || *storage.Spec.Replicas > 0 {
			return !started || storage.Status.ReadyReplicas > 0, nil
		}
		switch pod, err := c.pods().Get(ctx, collectorName, metav1.GetOptions{}); {
		case apierrors.IsNotFound(err):
			started = true
			return false, c.scale(ctx, 1)
		case err != nil:
			return false, fmt.Errorf("read pod %s: %w", collectorName, err)
		case finished(pod) && time.Since(ended(pod)) >= abandonedAfter:
			return false, c.remove(ctx, pod.UID)
		}
		// The pod ends by itself, even if no process waits for it any more.
		return false, nil
	})
}

// collectorPod returns a pod from the storage's own template, with the same volumes,
// configuration and permissions.
func collectorPod(storage *appsv1.StatefulSet) (*corev1.Pod, error) {
	spec := storage.Spec.Template.Spec.DeepCopy()
	i := slices.IndexFunc(spec.Containers, func(container corev1.Container) bool { return container.Name == storageContainer })
	if i < 0 {
		return nil, fmt.Errorf("statefulset %s has no container %s: run setup again", storage.Name, storageContainer)
	}
	container := spec.Containers[i]
	container.Args = []string{"garbage-collect", configPath}
	container.Ports, container.Lifecycle = nil, nil
	container.LivenessProbe, container.ReadinessProbe, container.StartupProbe = nil, nil, nil
	spec.Containers = []corev1.Container{container}
	spec.RestartPolicy = corev1.RestartPolicyNever
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	// The rule holds in both directions. Every node has this label with the one value that the
	// platform runs on, so the rule covers the whole cluster.
	spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			LabelSelector: storage.Spec.Selector.DeepCopy(),
			TopologyKey:   corev1.LabelOSStable,
		}},
	}
	labels := maps.Clone(storage.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	// The Service and the StatefulSet of the storage must not select this pod.
	for key := range storage.Spec.Selector.MatchLabels {
		delete(labels, key)
	}
	labels["app.kubernetes.io/name"] = collectorName
	labels[manifests.LabelManagedBy] = manifests.FieldManager
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: collectorName, Namespace: storage.Namespace, Labels: labels},
		Spec:       *spec,
	}, nil
}

// claim creates the pod as soon as there is no other, and returns its UID.
func (c *Collector) claim(ctx context.Context, pod *corev1.Pod) (types.UID, error) {
	c.say("Waiting for another collection of garbage")
	var uid types.UID
	err := wait.PollUntilContextCancel(ctx, c.Interval, true, func(ctx context.Context) (bool, error) {
		created, err := c.pods().Create(ctx, pod, metav1.CreateOptions{FieldManager: manifests.FieldManager})
		if err == nil {
			uid = created.UID
			return true, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return false, fmt.Errorf("create pod %s: %w", pod.Name, err)
		}
		return false, c.clear(ctx)
	})
	return uid, err
}

// clear lets an existing collection proceed: it stops the storage for one that waits for that,
// whoever started it, and deletes one that ended long ago.
func (c *Collector) clear(ctx context.Context) error {
	pod, err := c.pods().Get(ctx, collectorName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read pod %s: %w", collectorName, err)
	case pod.DeletionTimestamp != nil:
		return nil
	case finished(pod):
		if time.Since(ended(pod)) < abandonedAfter {
			return nil
		}
		return c.remove(ctx, pod.UID)
	case pod.Spec.NodeName == "":
		return c.scale(ctx, 0)
	}
	return nil
}

// await waits until the pod has finished, and returns an error if it failed.
func (c *Collector) await(ctx context.Context, uid types.UID) error {
	c.say("Stopping the registry's storage")
	waiting := ""
	err := wait.PollUntilContextCancel(ctx, c.Interval, true, func(ctx context.Context) (bool, error) {
		pod, err := c.ownPod(ctx, uid)
		if err != nil {
			return false, err
		}
		if pod.Spec.NodeName == "" {
			// In every round, because a setup at the same time starts the storage.
			waiting = condition(pod)
			return false, c.scale(ctx, 0)
		}
		c.say("Collecting garbage")
		for _, status := range pod.Status.ContainerStatuses {
			if status.State.Waiting != nil {
				waiting = strings.TrimSuffix(status.State.Waiting.Reason+": "+status.State.Waiting.Message, ": ")
			}
		}
		return finished(pod), nil
	})
	if wait.Interrupted(err) && waiting != "" {
		return fmt.Errorf("pod %s is not done: %s: %w", collectorName, waiting, err)
	}
	return err
}

func condition(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return condition.Message
		}
	}
	return "not scheduled yet"
}

// ownPod reads the pod with that UID.
func (c *Collector) ownPod(ctx context.Context, uid types.UID) (*corev1.Pod, error) {
	pod, err := c.pods().Get(ctx, collectorName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read pod %s: %w", collectorName, err)
	}
	if pod.UID != uid {
		return nil, fmt.Errorf("another user replaced pod %s", collectorName)
	}
	return pod, nil
}

var collectedBlob = regexp.MustCompile(`^blob eligible for deletion: (sha256:[0-9a-f]{64})$`)

// result reads the result from the pod.
func (c *Collector) result(ctx context.Context, uid types.UID) (Collected, error) {
	pod, err := c.ownPod(ctx, uid)
	if err != nil {
		return Collected{}, err
	}
	log, err := c.pods().GetLogs(collectorName, &corev1.PodLogOptions{Container: storageContainer}).Stream(ctx)
	if err != nil {
		return Collected{}, fmt.Errorf("read the log of pod %s: %w", collectorName, err)
	}
	defer log.Close() //nolint:errcheck // only read
	collected, last, err := readCollection(log)
	if err != nil {
		return Collected{}, fmt.Errorf("read the log of pod %s: %w", collectorName, err)
	}
	if pod.Status.Phase != corev1.PodSucceeded {
		return Collected{}, fmt.Errorf("the registry's garbage collection failed: %s", last)
	}
	return collected, nil
}

// readCollection reads the output of a collection. last is its last line.
func readCollection(log io.Reader) (collected Collected, last string, err error) {
	reader := bufio.NewReader(log)
	for {
		line, err := reader.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
		if match := collectedBlob.FindStringSubmatch(line); match != nil {
			collected.Blobs = append(collected.Blobs, match[1])
		}
		if errors.Is(err, io.EOF) {
			return collected, last, nil
		}
		if err != nil {
			return Collected{}, "", err
		}
	}
}

// restore starts the storage, and removes the pod once the storage serves, so that no other
// collection stops it in between. It removes a pod that still runs first, because the storage
// waits for it.
func (c *Collector) restore(ctx context.Context, uid types.UID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.RestartTimeout)
	defer cancel()
	c.say("Starting the registry's storage")
	if pod, err := c.ownPod(ctx, uid); err == nil && !finished(pod) {
		if err := c.remove(ctx, uid); err != nil {
			return &StrandedError{err}
		}
	}
	last := errors.New("not ready yet")
	err := wait.PollUntilContextCancel(ctx, c.Interval, true, func(ctx context.Context) (bool, error) {
		storage, err := c.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(ctx, manifests.StorageName, metav1.GetOptions{})
		if err != nil {
			last = err
			return false, nil //nolint:nilerr // tried again, and reported at the timeout
		}
		if storage.Spec.Replicas == nil || *storage.Spec.Replicas == 0 {
			last = c.scale(ctx, 1)
			return false, nil
		}
		last = fmt.Errorf("%d of %d ready", storage.Status.ReadyReplicas, *storage.Spec.Replicas)
		return storage.Status.ObservedGeneration >= storage.Generation && storage.Status.ReadyReplicas > 0, nil
	})
	if err != nil {
		return &StrandedError{fmt.Errorf("not back after %s: %w", c.RestartTimeout, last)}
	}
	if err := c.remove(ctx, uid); err != nil {
		return fmt.Errorf("the registry serves again, but pod %s is left: %w", collectorName, err)
	}
	return nil
}

func (c *Collector) remove(ctx context.Context, uid types.UID) error {
	err := c.pods().Delete(ctx, collectorName, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s: %w", collectorName, err)
	}
	return nil
}

func (c *Collector) scale(ctx context.Context, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := c.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Patch(ctx, manifests.StorageName,
		types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manifests.FieldManager}, "scale")
	if err != nil {
		return fmt.Errorf("scale statefulset %s to %d: %w", manifests.StorageName, replicas, err)
	}
	return nil
}

func (c *Collector) pods() typedcorev1.PodInterface {
	return c.Kube.CoreV1().Pods(manifests.SystemNamespace)
}

func (c *Collector) say(text string) {
	if c.Progress != nil {
		c.Progress(text)
	}
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// ended returns the time at which a finished pod ended.
func ended(pod *corev1.Pod) time.Time {
	at := pod.CreationTimestamp.Time
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Terminated != nil && status.State.Terminated.FinishedAt.After(at) {
			at = status.State.Terminated.FinishedAt.Time
		}
	}
	return at
}
