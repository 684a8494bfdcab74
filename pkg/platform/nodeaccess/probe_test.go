package nodeaccess

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

const (
	namespace = "team-a"
	image     = "127.0.0.1:5180/pyflow-system/probe@sha256:b1"
	refused   = `failed to pull and unpack image "127.0.0.1:5180/x": failed to do request: Head "http://127.0.0.1:5180/v2/x": dial tcp 127.0.0.1:5180: connect: connection refused`
)

func podsResource() schema.GroupVersionResource {
	return corev1.SchemeGroupVersion.WithResource("pods")
}

// cluster is a fake API server with kubelets.
type cluster struct {
	*fake.Clientset
	t *testing.T
	// kubelets are, by node, what the kubelet does with the first, second, … pod.
	kubelets map[string][]kubelet

	mu      sync.Mutex
	pods    map[string]int // the number of created pods, by node
	working int            // kubelets that did not call done
	most    int            // the maximum of working
	created []corev1.Pod
	group   sync.WaitGroup
}

// kubelet handles one pod.
type kubelet func(c *cluster, pod *corev1.Pod)

// newCluster returns a cluster with a ready node for each kubelet.
func newCluster(t *testing.T, kubelets map[string][]kubelet, objects ...runtime.Object) *cluster {
	t.Helper()
	for name := range kubelets {
		if !strings.HasPrefix(name, "no-") {
			objects = append(objects, newNode(name, nil))
		}
	}
	c := &cluster{Clientset: fake.NewClientset(objects...), t: t, kubelets: kubelets, pods: map[string]int{}}
	c.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, _ := action.(clienttesting.CreateAction)
		pod, _ := create.GetObject().(*corev1.Pod)
		pod = pod.DeepCopy()
		c.mu.Lock()
		defer c.mu.Unlock()
		pod.UID = types.UID(fmt.Sprintf("uid-%d", len(c.created)))
		c.created = append(c.created, *pod)
		node := pod.Spec.NodeName
		c.pods[node]++
		c.working++
		c.most = max(c.most, c.working)
		kubelets := c.kubelets[node]
		kubelet := kubelets[min(c.pods[node], len(kubelets))-1]
		c.group.Go(func() {
			// The fake, unlike a server, loses changes between a list and its watch.
			time.Sleep(time.Millisecond)
			c.check(c.Tracker().Create(podsResource(), pod, namespace))
			kubelet(c, pod)
		})
		return true, pod, nil
	})
	c.PrependReactor("delete-collection", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		collection, _ := action.(clienttesting.DeleteCollectionAction)
		for _, pod := range c.list(collection.GetListRestrictions().Labels) {
			if err := c.Tracker().Delete(podsResource(), namespace, pod.Name); err != nil {
				return true, nil, err
			}
		}
		return true, nil, nil
	})
	t.Cleanup(c.group.Wait)
	return c
}

// done reports that a kubelet is about to report, so that the next one may start.
func (c *cluster) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working--
}

func (c *cluster) list(selector labels.Selector) []corev1.Pod {
	object, err := c.Tracker().List(podsResource(), corev1.SchemeGroupVersion.WithKind("Pod"), namespace)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	list, _ := object.(*corev1.PodList)
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return !selector.Matches(labels.Set(pod.Labels)) })
}

func (c *cluster) check(err error) {
	// The pod may be gone before its kubelet handles it.
	if err != nil && !apierrors.IsNotFound(err) {
		c.t.Error(err)
	}
}

// sets returns a kubelet that reports one status after the other.
func sets(statuses ...corev1.PodStatus) kubelet {
	return func(c *cluster, pod *corev1.Pod) {
		for _, status := range statuses {
			pod = pod.DeepCopy()
			pod.Status = status
			c.check(c.Tracker().Update(podsResource(), pod, namespace))
		}
	}
}

func deletes(c *cluster, pod *corev1.Pod) {
	c.check(c.Tracker().Delete(podsResource(), namespace, pod.Name))
}

// events returns a kubelet that reports Events only.
func events(list ...corev1.Event) kubelet {
	return func(c *cluster, pod *corev1.Pod) {
		for i, event := range list {
			event.Name, event.Namespace = fmt.Sprintf("%s.%d", pod.Name, i), namespace
			event.InvolvedObject.UID = pod.UID
			c.check(c.Tracker().Add(&event))
		}
	}
}

func both(kubelets ...kubelet) kubelet {
	return func(c *cluster, pod *corev1.Pod) {
		for _, kubelet := range kubelets {
			kubelet(c, pod)
		}
	}
}

func waiting(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: probeContainer, Image: image,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}}
}

// started is the status that a kubelet with containerd reports after it pulled the image.
func started() corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
		Name: probeContainer, Image: image, ImageID: image, ContainerID: "containerd://a3ed",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "StartError", ExitCode: 128, ContainerID: "containerd://a3ed",
			Message: `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/pyflow-node-access-probe": permission denied: unknown`,
		}},
	}}}
}

func failed(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: message}
}

func newNode(name string, change func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/os": "linux"}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	if change != nil {
		change(node)
	}
	return node
}

func unreadyNode(node *corev1.Node) {
	node.Status.Conditions[0].Status = corev1.ConditionUnknown
	node.Status.Conditions[0].Message = "Kubelet stopped posting node status."
}

func options(nodes ...string) Options {
	return Options{Namespace: namespace, Image: image, PullSecret: "pyflow-registry", Nodes: nodes, Timeout: time.Minute}
}

func TestProbe(t *testing.T) {
	creating := waiting("ContainerCreating", "")
	pulled := Result{Pulled: true, Tried: true}
	nodes := corev1.SchemeGroupVersion.WithResource("nodes")
	tests := map[string]struct {
		kubelets []kubelet
		pods     int
		took     time.Duration
		want     Result
	}{
		"pulled":               {kubelets: []kubelet{sets(creating, started())}, pods: 1, want: pulled},
		"pulled with the next": {kubelets: []kubelet{sets(creating, waiting("ErrImagePull", refused)), sets(started())}, pods: 2, want: pulled},
		"pull fails": {
			kubelets: []kubelet{sets(creating, waiting("ErrImagePull", refused))}, pods: 2, took: 5 * time.Second,
			want: Result{Tried: true, Reason: "ErrImagePull", Message: refused},
		},
		"backs off, with the cause": {
			kubelets: []kubelet{sets(waiting("ImagePullBackOff", `Back-off pulling image "x": ErrImagePull: `+refused))}, pods: 2,
			want: Result{Tried: true, Reason: "ImagePullBackOff", Message: `Back-off pulling image "x": ErrImagePull: ` + refused},
		},
		"backs off, the cause is in an event": {
			kubelets: []kubelet{both(events(
				corev1.Event{Type: corev1.EventTypeNormal, Reason: "Pulling", Message: "Pulling image"},
				corev1.Event{Type: corev1.EventTypeWarning, Reason: "Failed", Message: `Failed to pull image "x": ` + refused},
				corev1.Event{Type: corev1.EventTypeWarning, Reason: "Failed", Message: "Error: ErrImagePull"},
			), sets(waiting("ImagePullBackOff", `Back-off pulling image "x"`)))}, pods: 2,
			want: Result{Tried: true, Reason: "ImagePullBackOff", Message: `Failed to pull image "x": ` + refused},
		},
		"an invalid name is final": {
			kubelets: []kubelet{sets(waiting("InvalidImageName", "invalid reference format"))}, pods: 1,
			want: Result{Tried: true, Reason: "InvalidImageName", Message: "invalid reference format"},
		},
		"the kubelet refuses the pod": {
			kubelets: []kubelet{sets(failed("OutOfpods", "Node didn't have enough resource: pods"))}, pods: 1,
			want: Result{Reason: "OutOfpods", Message: "Node didn't have enough resource: pods"},
		},
		"deleted by others": {kubelets: []kubelet{both(sets(creating), deletes), sets(started())}, pods: 2, want: pulled},
		"deleted every time": {
			kubelets: []kubelet{deletes}, pods: attempts,
			want: Result{Reason: ReasonDeleted, Message: "the pod was deleted before the node pulled the image"},
		},
		"the node is not ready": {
			kubelets: []kubelet{func(c *cluster, _ *corev1.Pod) {
				c.check(c.Tracker().Update(nodes, newNode("node", unreadyNode), ""))
			}}, pods: 1, took: 10 * time.Second,
			want: Result{Reason: ReasonNodeNotReady, Message: "the node is not ready: Kubelet stopped posting node status."},
		},
		"the node is not ready for a moment": {
			kubelets: []kubelet{func(c *cluster, pod *corev1.Pod) {
				c.check(c.Tracker().Update(nodes, newNode("node", unreadyNode), ""))
				time.Sleep(9 * time.Second)
				c.check(c.Tracker().Update(nodes, newNode("node", nil), ""))
				time.Sleep(9 * time.Second)
				sets(started())(c, pod)
			}}, pods: 1, took: 18 * time.Second, want: pulled,
		},
		"the node leaves the cluster": {
			kubelets: []kubelet{func(c *cluster, _ *corev1.Pod) { c.check(c.Tracker().Delete(nodes, "", "node")) }}, pods: 1,
			want: Result{Reason: ReasonNodeGone, Message: "the node no longer exists"},
		},
		"the kubelet does nothing": {
			kubelets: []kubelet{sets()}, pods: 1, took: time.Minute,
			want: Result{Reason: ReasonTimeout, Message: "the kubelet did not accept the pod within 1m0s"},
		},
		"the sandbox fails": {
			kubelets: []kubelet{both(sets(creating), events(corev1.Event{
				Type: corev1.EventTypeWarning, Reason: "FailedCreatePodSandBox", Message: "plugin type=\"bridge\" failed",
			}))}, pods: 1,
			want: Result{Reason: "FailedCreatePodSandBox", Message: "plugin type=\"bridge\" failed"},
		},
		"the pull hangs": {
			kubelets: []kubelet{both(sets(creating), events(corev1.Event{Type: corev1.EventTypeNormal, Reason: "Pulling"}))},
			pods:     1,
			want:     Result{Tried: true, Reason: ReasonTimeout, Message: "still pulling the image after 1m0s"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, map[string][]kubelet{"node": test.kubelets})
				began := time.Now()
				results, err := Probe(t.Context(), c, options("node"), nil)
				must(t, err)
				if took := time.Since(began).Truncate(time.Second); test.took != 0 && took != test.took {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				test.want.Node = "node"
				if diff := cmp.Diff(test.want, results[0]); diff != "" {
					t.Errorf("result (-want +got):\n%s", diff)
				}
				if created := len(c.created); test.pods != 0 && created != test.pods {
					t.Errorf("%d pods were created, want %d", created, test.pods)
				}
				if left := c.list(labels.Everything()); len(left) != 0 {
					t.Errorf("%d pods are left", len(left))
				}
			})
		})
	}
}

func TestProbeManyNodes(t *testing.T) { synctest.Test(t, testManyNodes) }

func testManyNodes(t *testing.T) {
	const all = 3 * maxParallel
	kubelets := map[string][]kubelet{}
	var nodes []string
	for i := range all {
		name := fmt.Sprintf("node-%04d", (i*7)%all)
		nodes = append(nodes, name, name)
		kubelets[name] = []kubelet{func(c *cluster, pod *corev1.Pod) {
			time.Sleep(time.Second)
			c.done()
			sets(started())(c, pod)
		}}
	}
	c := newCluster(t, kubelets)
	var progress []int
	results, err := Probe(t.Context(), c, options(nodes...), func(done, of int) {
		if of != all {
			t.Errorf("progress reports %d nodes", of)
		}
		progress = append(progress, done)
	})
	must(t, err)
	if len(results) != all || !slices.IsSortedFunc(results, func(a, b Result) int { return strings.Compare(a.Node, b.Node) }) {
		t.Errorf("got %d results, want one per node, sorted by name", len(results))
	}
	must(t, Check(manifests.NodeAccessHostPort, results))
	if len(progress) != all || !slices.IsSorted(progress) || progress[all-1] != all {
		t.Errorf("progress was %d", progress)
	}
	if len(c.created) != all || c.most != maxParallel {
		t.Errorf("%d pods were created, %d at the same time", len(c.created), c.most)
	}
	if left := c.list(labels.Everything()); len(left) != 0 {
		t.Errorf("%d pods are left", len(left))
	}
	// The number of API requests is bounded, too: Probe watches and does not poll.
	if actions := len(c.Actions()); actions > all+20 {
		t.Errorf("%d requests for %d nodes", actions, all)
	}
}

func TestProbeNoNodes(t *testing.T) {
	c := newCluster(t, nil)
	results, err := Probe(t.Context(), c, options(), nil)
	if err != nil || len(results) != 0 || len(c.Actions()) != 0 {
		t.Errorf("results are %v, error %v, after %d requests", results, err, len(c.Actions()))
	}
}

func TestProbeDeletesLeftovers(t *testing.T) { synctest.Test(t, testLeftovers) }

func testLeftovers(t *testing.T) {
	leftover := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "old", Labels: map[string]string{
		"app.kubernetes.io/name": "node-access-probe", "app.kubernetes.io/managed-by": "kubectl-pyflow",
	}}}
	other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "other", Labels: map[string]string{"app.kubernetes.io/managed-by": "kubectl-pyflow"}}}
	c := newCluster(t, map[string][]kubelet{"node": {func(c *cluster, pod *corev1.Pod) {
		if left := c.list(labels.Everything()); len(left) != 2 {
			t.Errorf("%d pods exist, want that of the probe and another", len(left))
		}
		sets(started())(c, pod)
	}}}, leftover, other)
	_, err := Probe(t.Context(), c, options("node"), nil)
	must(t, err)
	if left := c.list(labels.Everything()); len(left) != 1 || left[0].Name != "other" {
		t.Errorf("the remaining pods are %v", left)
	}
}

func TestProbeCanceled(t *testing.T) { synctest.Test(t, testCanceled) }

func testCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newCluster(t, map[string][]kubelet{"a": {func(*cluster, *corev1.Pod) {
		time.Sleep(time.Second)
		cancel()
	}}, "b": {sets()}})
	results, err := Probe(ctx, c, options("a", "b"), nil)
	if !errors.Is(err, context.Canceled) || results != nil {
		t.Errorf("error is %v, results %v", err, results)
	}
	if left := c.list(labels.Everything()); len(left) != 0 {
		t.Errorf("%d pods are left", len(left))
	}
}

func TestProbeErrors(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New(`violates PodSecurity "restricted"`))
	unavailable := apierrors.NewServiceUnavailable("etcd is slow")
	tests := map[string]struct {
		verb, resource string
		err            error
		times          int
		says           string
	}{
		"pods are refused":            {"create", "pods", forbidden, 99, `in namespace team-a: pods is forbidden: violates PodSecurity "restricted"`},
		"pods cannot be created":      {"create", "pods", unavailable, 99, "etcd is slow"},
		"a transient failure":         {"create", "pods", unavailable, 2, ""},
		"a lost response":             {"create", "pods", apierrors.NewAlreadyExists(schema.GroupResource{}, "x"), 0, ""},
		"pods cannot be watched":      {"list", "pods", forbidden, 99, "watch pods: "},
		"nodes cannot be watched":     {"list", "nodes", forbidden, 99, "watch nodes: "},
		"leftovers cannot be deleted": {"delete-collection", "pods", forbidden, 99, "delete pods of an earlier probe: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, map[string][]kubelet{"node": {sets(started())}})
				var mu sync.Mutex
				count := 0
				c.PrependReactor(test.verb, test.resource, func(clienttesting.Action) (bool, runtime.Object, error) {
					mu.Lock()
					defer mu.Unlock()
					count++
					return count <= test.times, nil, test.err
				})
				results, err := Probe(t.Context(), c, options("node"), nil)
				if test.says == "" {
					must(t, err)
					if !results[0].Pulled {
						t.Errorf("result is %+v", results[0])
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error is %v, want %q", err, test.says)
				}
				if left := c.list(labels.Everything()); len(left) != 0 && test.verb != "delete-collection" {
					t.Errorf("%d pods are left", len(left))
				}
			})
		})
	}
}

func TestJudge(t *testing.T) {
	unknown := corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: ephemeral-storage.", ContainerStatuses: []corev1.ContainerStatus{{
		Name:  probeContainer,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "ContainerStatusUnknown", ExitCode: 137}},
	}}}
	sidecar := waiting("ErrImagePull", "toomanyrequests")
	sidecar.ContainerStatuses[0].Name = "istio-proxy"
	docker := corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
		Name: probeContainer, ImageID: "docker-pullable://127.0.0.1:5180/x@sha256:b1", ContainerID: "docker://1",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "ContainerCannotRun", ExitCode: 126}},
	}}}
	running := corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
		Name: probeContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}}
	tests := map[string]struct {
		status corev1.PodStatus
		pulled bool
		want   obstacle
	}{
		"nothing yet":                 {status: corev1.PodStatus{Phase: corev1.PodPending}},
		"creating":                    {status: waiting("ContainerCreating", "")},
		"containerd, terminated":      {status: started(), pulled: true},
		"containerd, start":           {status: waiting("RunContainerError", "exec: permission denied"), pulled: true},
		"CRI-O, creation":             {status: waiting("CreateContainerError", "container create failed: executable file not found"), pulled: true},
		"cri-dockerd":                 {status: docker, pulled: true},
		"configuration":               {status: waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"), pulled: true},
		"the image runs":              {status: running, pulled: true},
		"pull error":                  {status: waiting("ErrImagePull", refused), want: obstacle{reason: "ErrImagePull", message: refused, tried: true, again: true}},
		"CRI-O, registry unavailable": {status: waiting("RegistryUnavailable", "pinging"), want: obstacle{reason: "RegistryUnavailable", message: "pinging", tried: true, again: true}},
		"never pulled":                {status: waiting("ErrImageNeverPull", "policy"), want: obstacle{reason: "ErrImageNeverPull", message: "policy", tried: true}},
		"another container":           {status: sidecar},
		"refused":                     {status: failed("NodeAffinity", "Predicate NodeAffinity failed"), want: obstacle{reason: "NodeAffinity", message: "Predicate NodeAffinity failed"}},
		"refused without a word":      {status: failed("", ""), want: obstacle{reason: "Failed"}},
		"evicted before it pulled":    {status: unknown, want: obstacle{reason: "Evicted", message: "The node was low on resource: ephemeral-storage."}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pulled, got := judge(&corev1.Pod{Status: test.status})
			if pulled != test.pulled || got != test.want {
				t.Errorf("got %t, %+v; want %t, %+v", pulled, got, test.pulled, test.want)
			}
		})
	}
}

func TestPod(t *testing.T) {
	p := &prober{opts: options("node")}
	pod := p.pod("x", "node")
	if pod.Spec.NodeName != "node" || pod.Spec.Containers[0].ImagePullPolicy != corev1.PullAlways || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("pod is %+v", pod.Spec)
	}
	if *pod.Spec.ActiveDeadlineSeconds != 120 {
		t.Errorf("deadline is %d s", *pod.Spec.ActiveDeadlineSeconds)
	}
	if got := pod.Spec.ImagePullSecrets; len(got) != 1 || got[0].Name != "pyflow-registry" {
		t.Errorf("pull secrets are %v", got)
	}
	p.opts.PullSecret = ""
	if got := p.pod("x", "node").Spec.ImagePullSecrets; got != nil {
		t.Errorf("pull secrets are %v", got)
	}
}
