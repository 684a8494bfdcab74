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
	// storageContainer is the container of the storage's pod that has the registry.
	storageContainer = "registry"
	// configPath is where that container finds its configuration.
	configPath = "/etc/registry/config/config.yml"

	// abandonedAfter is how long a collection that has ended may lie about before
	// it counts as left by one that died.
	abandonedAfter = 30 * time.Second
)

// StrandedError says that the registry's storage was stopped and could not be
// started again.
type StrandedError struct{ Err error }

func (e *StrandedError) Error() string {
	return fmt.Sprintf("the registry's storage is stopped (statefulset %s in namespace %s): pushes and pulls wait for it: %v",
		manifests.StorageName, manifests.SystemNamespace, e.Err)
}

// Unwrap is why it could not be started.
func (e *StrandedError) Unwrap() error { return e.Err }

// Collected is what a garbage collection did.
type Collected struct {
	// Blobs are the digests of what was deleted from the storage.
	Blobs []string
}

// Collector runs the registry's own garbage collection. It needs the storage for
// itself: a push beside it would lose its blobs. The storage's pod is stopped
// meanwhile, and the registry's front holds requests until it is back.
type Collector struct {
	Kube kubernetes.Interface
	// Interval is between two looks at the cluster.
	Interval time.Duration
	// Patience is how long the storage may take to come back, also after an
	// interrupt.
	Patience time.Duration
	// Progress is told what is being done; may be nil.
	Progress func(string)
}

// CollectorPermissions are the rights that Collect needs.
func CollectorPermissions() []access.Permission {
	in := func(verb, group, resource, subresource string) access.Permission {
		return access.Permission{Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: manifests.SystemNamespace}
	}
	return []access.Permission{
		in("get", "apps", "statefulsets", ""), in("patch", "apps", "statefulsets", "scale"),
		in("create", "", "pods", ""), in("get", "", "pods", ""), in("delete", "", "pods", ""), in("get", "", "pods", "log"),
	}
}

// Collect deletes every blob that no manifest refers to, and returns when the
// storage serves again. Whatever happens, an end of ctx included, it starts the
// storage again; a StrandedError says that this did not work.
//
// That the two never run at once does not depend on this process: the scheduler
// holds the collecting pod back while the storage's is there, and the other way
// round. The pod's name makes one collection wait for another, and what a
// collection that died has left is cleared away by the next.
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

// Recover starts a storage that a collection has left stopped because it died,
// and returns when it serves. It waits for a collection that is still going on.
// Where the storage is not stopped it does nothing.
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
		// It ends by itself, also when nobody waits for it any more.
		return false, nil
	})
}

// collectorPod makes the pod of the storage's own template: the same volumes,
// configuration and rights.
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
	// Holds in both directions, and every node has this label with the one value
	// that the platform runs on: so the rule is for the whole cluster.
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
	// No longer what the storage's Service and StatefulSet select.
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

// clear moves the collection that is there on: one that waits for the storage to
// stop gets that, whoever began it, and one that has ended long ago goes.
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

// await returns when the pod has done its work, or failed at it.
func (c *Collector) await(ctx context.Context, uid types.UID) error {
	c.say("Stopping the registry's storage")
	waiting := ""
	err := wait.PollUntilContextCancel(ctx, c.Interval, true, func(ctx context.Context) (bool, error) {
		pod, err := c.mine(ctx, uid)
		if err != nil {
			return false, err
		}
		if pod.Spec.NodeName == "" {
			// Again and again: a setup beside this one starts the storage.
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

// mine reads the pod of that UID.
func (c *Collector) mine(ctx context.Context, uid types.UID) (*corev1.Pod, error) {
	pod, err := c.pods().Get(ctx, collectorName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read pod %s: %w", collectorName, err)
	}
	if pod.UID != uid {
		return nil, fmt.Errorf("pod %s was replaced by somebody else's", collectorName)
	}
	return pod, nil
}

var collectedBlob = regexp.MustCompile(`^blob eligible for deletion: (sha256:[0-9a-f]{64})$`)

// result reads what the pod has done.
func (c *Collector) result(ctx context.Context, uid types.UID) (Collected, error) {
	pod, err := c.mine(ctx, uid)
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

// readCollection reads what a collection prints; last is its last line.
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

// restore starts the storage, and removes the pod when that serves, so that
// nobody else stops it in between. The pod goes first when it is still running:
// the storage has to wait for it.
func (c *Collector) restore(ctx context.Context, uid types.UID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Patience)
	defer cancel()
	c.say("Starting the registry's storage")
	if pod, err := c.mine(ctx, uid); err == nil && !finished(pod) {
		if err := c.remove(ctx, uid); err != nil {
			return &StrandedError{err}
		}
	}
	last := errors.New("it is not ready yet")
	err := wait.PollUntilContextCancel(ctx, c.Interval, true, func(ctx context.Context) (bool, error) {
		storage, err := c.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(ctx, manifests.StorageName, metav1.GetOptions{})
		if err != nil {
			last = err
			return false, nil //nolint:nilerr // tried again, and reported when that has no end
		}
		if storage.Spec.Replicas == nil || *storage.Spec.Replicas == 0 {
			last = c.scale(ctx, 1)
			return false, nil
		}
		last = fmt.Errorf("%d of %d ready", storage.Status.ReadyReplicas, *storage.Spec.Replicas)
		return storage.Status.ObservedGeneration >= storage.Generation && storage.Status.ReadyReplicas > 0, nil
	})
	if err != nil {
		return &StrandedError{fmt.Errorf("not back after %s: %w", c.Patience, last)}
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

// ended is when a finished pod did.
func ended(pod *corev1.Pod) time.Time {
	at := pod.CreationTimestamp.Time
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Terminated != nil && status.State.Terminated.FinishedAt.After(at) {
			at = status.State.Terminated.FinishedAt.Time
		}
	}
	return at
}
