package nodeaccess

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	// probeName is the name label of the pods of all probes, and the start of their
	// names. probeLabel is the label with the ID of the probe.
	probeName      = "node-access-probe"
	probeContainer = "probe"
	nameLabel      = "app.kubernetes.io/name"
	probeLabel     = "pyflow.dev/probe"

	// maxParallel is the number of nodes that pull at the same time.
	maxParallel = 100
	// retryAfter is the time between a failed pull and the second, final one. A new
	// pod makes the second pull, because the kubelet backs off for each pod, at first
	// for 10 to 30 seconds.
	retryAfter = 5 * time.Second
	// patience is how long a node may stay not ready.
	patience = 10 * time.Second
	// attempts is the number of pods that are created for a node: the first, one
	// after a failed pull, and one each time when something deletes the pod.
	attempts = 4
	// maxCreatePause is the longest pause between attempts to create a pod while the
	// API server has a transient failure.
	maxCreatePause = 4 * time.Second
	// cleanup bounds the requests after the end of a wait: the deletion of the pods, and
	// the Events of one.
	cleanup = 30 * time.Second
	// margin is how much longer a pod may live than the probe waits for its node. It
	// ends by its deadline if nothing deletes it.
	margin = time.Minute
)

// Options are the nodes of a probe, and the image that they pull.
type Options struct {
	// Namespace is where the pods run. It may enforce the restricted Pod Security
	// Standard.
	Namespace string
	// Image is the reference by which nodes pull the ProbeImage, with its digest.
	Image string
	// PullSecret is the name of a Secret in Namespace; empty for none.
	PullSecret string
	// Nodes are names of Linux nodes.
	Nodes []string
	// Timeout is how long each node may take. The wait for a node ends earlier if its
	// kubelet reports two failed pulls, 5 seconds apart.
	Timeout time.Duration
}

// Probe makes every node pull the image, at most 100 at the same time, and returns
// one result per node, sorted by name. It creates a pod on each node, without the
// scheduler, so cordoned and tainted nodes pull as well. The image contains no
// program, so nothing runs.
//
// Probe first deletes the pods of interrupted probes, and always deletes its own pods
// before it returns. If two probes run at the same time, one may delete the pods of
// the other, which creates them again.
//
// Probe calls progress, which may be nil, with the number of finished nodes and of all
// nodes, from one goroutine at a time. A node that does not pull is a result. Probe
// returns an error, and no results, if it cannot create or watch pods, or if ctx ends.
func Probe(ctx context.Context, client kubernetes.Interface, opts Options, progress func(done, all int)) ([]Result, error) {
	nodes := slices.Compact(slices.Sorted(slices.Values(opts.Nodes)))
	if len(nodes) == 0 {
		return nil, nil
	}
	p := &prober{client: client, opts: opts, id: rand.String(8)}
	return p.probe(ctx, nodes, progress)
}

// prober is one probe.
type prober struct {
	client  kubernetes.Interface
	opts    Options
	id      string
	watches *watches
}

func (p *prober) probe(ctx context.Context, nodes []string, progress func(done, all int)) ([]Result, error) {
	if err := p.delete(ctx, labels.Set{nameLabel: probeName, manifests.LabelManagedBy: manifests.FieldManager}); err != nil {
		return nil, fmt.Errorf("delete pods of an earlier probe: %w", err)
	}
	// The next probe deletes pods that stay behind, and they end by their deadline.
	defer func() { _ = p.delete(context.WithoutCancel(ctx), labels.Set{probeLabel: p.id}) }()

	// All goroutines end before the pods are deleted.
	var group sync.WaitGroup
	defer group.Wait()
	probing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.watches = newWatches(p.client, p.opts.Namespace, labels.Set{probeLabel: p.id}.String())
	p.watches.start(probing, &group)
	if err := p.sync(probing); err != nil {
		return nil, err
	}

	var mu sync.Mutex
	done := 0
	results := make([]Result, len(nodes))
	slots := make(chan struct{}, maxParallel)
	var probes sync.WaitGroup
	for i, node := range nodes {
		select {
		case slots <- struct{}{}:
		case <-probing.Done():
		}
		if probing.Err() != nil {
			break
		}
		probes.Go(func() {
			defer func() { <-slots }()
			result, err := p.node(probing, i, node)
			if err != nil {
				stop(err)
				return
			}
			results[i] = result
			mu.Lock()
			defer mu.Unlock()
			done++
			if progress != nil {
				progress(done, len(nodes))
			}
		})
	}
	probes.Wait()
	if cause := context.Cause(probing); cause != nil {
		return nil, cause
	}
	return results, nil
}

// sync waits until the watches have read the pods and nodes.
func (p *prober) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.opts.Timeout, errTimeout)
	defer cancel()
	for {
		changed := p.watches.changed()
		if err := p.watches.denied(); err != nil {
			return err
		}
		if p.watches.synced() {
			return nil
		}
		if !watch.WaitFor(ctx, changed, p.opts.Timeout) {
			return cmp.Or(p.interrupted(ctx), p.watches.lost(), fmt.Errorf("pods and nodes cannot be listed within %s", p.opts.Timeout))
		}
	}
}

// node makes one node pull. It returns an error only if all nodes would fail alike.
func (p *prober) node(ctx context.Context, index int, node string) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.opts.Timeout, errTimeout)
	defer cancel()
	failed := false
	for attempt := 1; ; attempt++ {
		name := fmt.Sprintf("%s-%s-%d-%d", probeName, p.id, index, attempt)
		if err := p.create(ctx, name, node); err != nil {
			if errors.Is(context.Cause(ctx), errTimeout) {
				return Result{Node: node, Reason: ReasonTimeout, Message: err.Error()}, nil
			}
			return Result{}, err
		}
		result, next, err := p.wait(ctx, name, node)
		if err != nil || next == over || attempt == attempts {
			return result, err
		}
		if next == retry {
			if failed || !watch.WaitFor(ctx, nil, retryAfter) {
				return result, p.interrupted(ctx)
			}
			failed = true
			// The kubelet would retry for this pod. Probe deletes what is left at its end.
			_ = p.client.CoreV1().Pods(p.opts.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
		}
	}
}

// interrupted returns why ctx ended, or nil if the time of the node is up.
func (p *prober) interrupted(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, errTimeout) {
		return cause
	}
	return nil
}

// errTimeout ends the wait for one node.
var errTimeout = errors.New("timeout")

// create creates a pod on a node. It retries for a few seconds while the API server has
// a transient failure.
func (p *prober) create(ctx context.Context, name, node string) error {
	pod := p.pod(name, node)
	for wait := time.Second; ; wait *= 2 {
		_, err := p.client.CoreV1().Pods(p.opts.Namespace).Create(ctx, pod, metav1.CreateOptions{FieldManager: manifests.FieldManager})
		if err == nil || apierrors.IsAlreadyExists(err) { // created, but the response was lost
			return nil
		}
		if wait > maxCreatePause || !transient(err) || !watch.WaitFor(ctx, nil, wait) {
			return fmt.Errorf("create pod for node %s in namespace %s: %w", node, p.opts.Namespace, err)
		}
	}
}

// transient reports whether the request may succeed soon.
func transient(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code == 0 || code == 429 || code >= 500
}

// next is what follows the result of one pod.
type next int

const (
	over next = iota
	// retry after a pause: the pull failed.
	retry
	// replace the pod, which something deleted.
	replace
)

// wait waits for the result of a pod on a node.
func (p *prober) wait(ctx context.Context, name, node string) (Result, next, error) {
	var awaySince time.Time
	for {
		changed := p.watches.changed()
		if err := p.watches.denied(); err != nil {
			return Result{}, over, err
		}
		pod, gone := p.watches.pod(name)
		away := p.watches.node(node)
		if pod != nil {
			pulled, t := judge(pod)
			switch {
			case pulled:
				return Result{Node: node, Pulled: true, Tried: true}, over, nil
			case t.again:
				return p.failure(ctx, node, pod, t), retry, nil
			case t.reason != "":
				return p.failure(ctx, node, pod, t), over, nil
			}
		}
		now := time.Now()
		again := now.Add(p.opts.Timeout)
		if away.reason == "" {
			awaySince = time.Time{}
		} else {
			if awaySince.IsZero() {
				awaySince = now
			}
			again = awaySince.Add(patience)
			if !away.again || !again.After(now) {
				return Result{Node: node, Reason: away.reason, Message: away.message}, over, nil
			}
		}
		if gone {
			return Result{Node: node, Reason: ReasonDeleted, Message: "the pod was deleted before the node pulled the image"}, replace, nil
		}
		if !watch.WaitFor(ctx, changed, again.Sub(now)) {
			if err := p.interrupted(ctx); err != nil {
				return Result{}, over, err
			}
			return p.failure(ctx, node, pod, obstacle{}), over, nil
		}
	}
}

// failure returns the result of a pod that did not pull. It reads the Events of the pod
// if the pod itself has no cause.
func (p *prober) failure(ctx context.Context, node string, pod *corev1.Pod, t obstacle) Result {
	result := Result{Node: node, Tried: t.tried, Reason: t.reason, Message: t.message}
	if pod == nil || !t.silent() {
		return p.complete(result, pod)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	warning, pulling := p.events(asking, pod)
	result.Tried = result.Tried || pulling
	switch {
	case warning.Message != "":
		result.Message = warning.Message
		if result.Reason == "" {
			result.Reason = warning.Reason
		}
	case pulling && result.Reason == "":
		result.Reason, result.Message = ReasonTimeout, fmt.Sprintf("still pulling the image after %s", p.opts.Timeout)
	}
	return p.complete(result, pod)
}

// complete gives a result without a reason the reason Timeout, and a message.
func (p *prober) complete(result Result, pod *corev1.Pod) Result {
	if result.Reason != "" {
		return result
	}
	result.Reason = ReasonTimeout
	switch {
	case pod == nil:
		result.Message = "the pod did not appear"
		if lost := p.watches.lost(); lost != nil {
			result.Message += ": " + lost.Error()
		}
	case len(pod.Status.ContainerStatuses) == 0 && pod.Status.StartTime == nil:
		result.Message = fmt.Sprintf("the kubelet did not accept the pod within %s", p.opts.Timeout)
	default:
		result.Message = fmt.Sprintf("the pod did not start within %s", p.opts.Timeout)
	}
	return result
}

// events returns the latest warning about a pod that contains a cause, and whether the
// kubelet started to pull.
func (p *prober) events(ctx context.Context, pod *corev1.Pod) (warning corev1.Event, pulling bool) {
	events, err := p.client.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(),
	})
	if err != nil {
		return corev1.Event{}, false // Events only explain.
	}
	var latest time.Time
	for _, event := range events.Items {
		if event.InvolvedObject.UID != pod.UID {
			continue
		}
		pulling = pulling || event.Reason == "Pulling"
		at := event.LastTimestamp.Time
		if at.IsZero() {
			at = event.EventTime.Time
		}
		if event.Type != corev1.EventTypeWarning || strings.HasPrefix(event.Message, "Error: ") || at.Before(latest) {
			continue
		}
		latest, warning = at, event
		warning.Message = strings.TrimSpace(event.Message)
	}
	return warning, pulling
}

// delete deletes pods, all in one request.
func (p *prober) delete(ctx context.Context, selector labels.Set) error {
	ctx, cancel := context.WithTimeout(ctx, cleanup)
	defer cancel()
	return p.client.CoreV1().Pods(p.opts.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: selector.String()})
}

// pod returns a pod that conforms to the restricted Pod Security Standard.
func (p *prober) pod(name, node string) *corev1.Pod {
	const user = 65532
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: p.opts.Namespace,
			Labels: map[string]string{
				nameLabel:                   probeName,
				"app.kubernetes.io/part-of": "pyflow",
				manifests.LabelManagedBy:    manifests.FieldManager,
				probeLabel:                  p.id,
			},
		},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         new(int64((p.opts.Timeout + margin).Seconds())),
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				RunAsUser:      new(int64(user)),
				RunAsGroup:     new(int64(user)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:            probeContainer,
				Image:           p.opts.Image,
				ImagePullPolicy: corev1.PullAlways,
				// Kubelets that are short of memory refuse pods without requests.
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU:    resource.MustParse("1m"),
					corev1.ResourceMemory: resource.MustParse("1Mi"),
				}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					ReadOnlyRootFilesystem:   new(true),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	if p.opts.PullSecret != "" {
		pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: p.opts.PullSecret}}
	}
	return pod
}
