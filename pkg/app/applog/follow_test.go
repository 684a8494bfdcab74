package applog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const (
	maxReplicas  = 20
	maxLineBytes = 16 << 10
)

// kubelet plays the containers of pods and their logs. A log has lines with their times; a
// stream follows it until the container ends or the test cuts it.
type kubelet struct {
	t    *testing.T
	kube *fake.Clientset

	mu     sync.Mutex
	logs   map[string][]string
	opened []string
	cuts   []io.Closer
	denied bool
	grown  chan struct{}
}

func newKubelet(t *testing.T, workloads ...string) *kubelet {
	t.Helper()
	k := &kubelet{t: t, kube: fake.NewClientset(), logs: map[string][]string{}, grown: make(chan struct{})}
	for _, name := range workloads {
		_, err := k.kube.AppsV1().Deployments("demo").Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo"},
			Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"run": name}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// run starts instance n of a container, of a new pod if n is 0.
func (k *kubelet) run(workload, pod string, n int, containers ...string) {
	k.t.Helper()
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod, Namespace: "demo", UID: types.UID("uid-" + pod), Labels: map[string]string{"run": workload},
		CreationTimestamp: metav1.Now(),
	}}
	if len(containers) == 0 {
		containers = []string{"app"}
	}
	for _, container := range containers {
		object.Spec.Containers = append(object.Spec.Containers, corev1.Container{Name: container})
		status := corev1.ContainerStatus{
			Name: container, ContainerID: fmt.Sprintf("containerd://%s-%d", pod, n), RestartCount: int32(n),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}
		if n > 0 {
			status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}
		}
		object.Status.ContainerStatuses = append(object.Status.ContainerStatuses, status)
	}
	pods := k.kube.CoreV1().Pods("demo")
	var err error
	if n == 0 {
		_, err = pods.Create(k.t.Context(), object, metav1.CreateOptions{})
	} else {
		_, err = pods.Update(k.t.Context(), object, metav1.UpdateOptions{})
	}
	if err != nil {
		k.t.Fatal(err)
	}
	synctest.Wait()
}

func (k *kubelet) remove(pod string) {
	k.t.Helper()
	if err := k.kube.CoreV1().Pods("demo").Delete(k.t.Context(), pod, metav1.DeleteOptions{}); err != nil {
		k.t.Fatal(err)
	}
	k.cut()
	synctest.Wait()
}

// write writes a line to the log of an instance, as POD-N.
func (k *kubelet) write(instance, text string) {
	k.mu.Lock()
	k.logs[instance] = append(k.logs[instance], time.Now().UTC().Format(time.RFC3339Nano)+" "+text+"\n")
	close(k.grown)
	k.grown = make(chan struct{})
	k.mu.Unlock()
	time.Sleep(time.Millisecond) // no two lines have one time
	synctest.Wait()
}

// cut breaks all connections.
func (k *kubelet) cut() {
	k.mu.Lock()
	cuts := k.cuts
	k.cuts = nil
	k.mu.Unlock()
	for _, one := range cuts {
		_ = one.Close()
	}
	synctest.Wait()
}

// Open opens the log of the newest instance of a pod, or of the one before it, from a whole
// second on.
func (k *kubelet) Open(ctx context.Context, _, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	if k.denied {
		return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods/log"}, pod, errors.New("no"))
	}
	object, err := k.kube.CoreV1().Pods("demo").Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	n := object.Status.ContainerStatuses[0].RestartCount
	if options.Previous {
		n--
	}
	instance := fmt.Sprintf("%s-%d", pod, n)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened = append(k.opened, fmt.Sprint(instance, " ", options.SinceTime != nil, " ", options.TailLines != nil))
	reader, writer := io.Pipe()
	if options.Follow {
		k.cuts = append(k.cuts, writer)
	}
	go func() {
		for sent := 0; ; {
			k.mu.Lock()
			lines, grown := k.logs[instance][sent:], k.grown
			k.mu.Unlock()
			sent += len(lines)
			for _, line := range lines {
				stamp, _, _ := strings.Cut(line, " ")
				at, _ := time.Parse(time.RFC3339Nano, stamp)
				if options.SinceTime != nil && at.Before(options.SinceTime.Time) {
					continue
				}
				if _, err := io.Copy(writer, bytes.NewReader([]byte(line))); err != nil {
					return
				}
			}
			if !options.Follow {
				_ = writer.Close()
				return
			}
			select {
			case <-grown:
			case <-ctx.Done():
				_ = writer.Close()
				return
			}
		}
	}()
	return reader, nil
}

// follow follows an app with workloads; the function returns its log.
func (k *kubelet) follow(workloads ...string) (*Follower, func() []string) {
	return k.followWith(Options{Tail: 1000, MaxLine: maxLineBytes, MaxReplicas: maxReplicas}, workloads...)
}

func (k *kubelet) followWith(options Options, workloads ...string) (*Follower, func() []string) {
	var mu sync.Mutex
	var log []Line
	f := NewFollower(k.kube, k, "demo", options, func(lines []Line) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, lines...)
	})
	ctx, stop := context.WithCancel(k.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Follow(ctx, func() ([]string, <-chan struct{}) { return workloads, nil })
	}()
	k.t.Cleanup(func() { stop(); <-done })
	return f, func() []string {
		k.t.Helper()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var texts []string
		mu.Lock()
		defer mu.Unlock()
		for _, line := range log {
			texts = append(texts, line.Source+": "+line.Text)
		}
		return texts
	}
}

// TestAppLog wants each line of every replica once, over a cut connection, a rollout and a
// restart.
func TestAppLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet(t, "web")
		k.run("web", "web-7d9-aaaaa", 0)
		k.run("web", "web-7d9-bbbbb", 0)
		// What is written before the page is opened is in the order of its time.
		k.write("web-7d9-aaaaa-0", "one")
		k.write("web-7d9-bbbbb-0", "two")
		k.write("web-7d9-aaaaa-0", "three")
		f, log := k.follow("deployment.apps/web")
		want := []string{"aaaaa: one", "bbbbb: two", "aaaaa: three"}
		check := func(what string, more ...string) {
			t.Helper()
			want = append(want, more...)
			if got := log(); !slices.Equal(got, want) {
				t.Fatalf("%s:\ngot  %q\nwant %q", what, got, want)
			}
		}
		check("the past")
		k.write("web-7d9-bbbbb-0", "four")
		check("live", "bbbbb: four")

		k.cut()
		k.write("web-7d9-aaaaa-0", "five")
		k.write("web-7d9-aaaaa-0", "five")
		check("after a cut", "aaaaa: five", "aaaaa: five")

		// A rollout: a new pod starts with its first line, an old one ends with its last.
		k.write("web-5f4-ccccc-0", "six")
		k.run("web", "web-5f4-ccccc", 0)
		check("a new replica", "ccccc: six")
		k.write("web-7d9-aaaaa-0", "seven")
		check("an old replica", "aaaaa: seven")
		k.remove("web-7d9-aaaaa")
		check("without the old replica")
		if got := len(f.Replicas().Pods); got != 2 {
			t.Errorf("there are %d replicas", got)
		}

		// A restart: the rest of the instance before it is not lost.
		k.write("web-7d9-bbbbb-0", "eight")
		k.mu.Lock()
		k.logs["web-7d9-bbbbb-0"] = append(k.logs["web-7d9-bbbbb-0"], time.Now().UTC().Format(time.RFC3339Nano)+" nine\n")
		k.mu.Unlock()
		time.Sleep(time.Millisecond)
		k.run("web", "web-7d9-bbbbb", 1)
		k.cut()
		k.write("web-7d9-bbbbb-1", "ten")
		check("after a restart", "bbbbb: eight", "bbbbb: nine", "bbbbb: The container has started again: it ended with exit code 3 (Error)", "bbbbb: ten")
	})
}

func TestAppLogSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet(t, "web", "worker")
		k.run("web", "web-aaaaa", 0)
		k.run("worker", "worker-0", 0, "app", "proxy")
		k.write("web-aaaaa-0", "one")
		k.write("worker-0-0", "two")
		_, log := k.follow("deployment.apps/web", "deployment.apps/worker", "deployment.apps/gone", "service/web")
		got := log()
		slices.Sort(got)
		if want := []string{"web-aaaaa: one", "worker-0/app: two", "worker-0/proxy: two"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestAppLogLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet(t, "web")
		for i := range maxReplicas + 3 {
			k.run("web", fmt.Sprintf("web-%02d", i), 0)
		}
		k.write("web-00-0", strings.Repeat("é", maxLineBytes))
		f, log := k.follow("deployment.apps/web")
		if got := log(); len(got) != 1 || len(got[0]) > maxLineBytes+100 || !strings.HasSuffix(got[0], " bytes more)") {
			t.Errorf("got %d lines", len(got))
		}
		if replicas := f.Replicas(); replicas.Unread != 3 || len(replicas.Pods) != maxReplicas+3 || len(k.opened) != maxReplicas {
			t.Errorf("%d are left out of %d, %d are read", replicas.Unread, len(replicas.Pods), len(k.opened))
		}
		if !slices.Contains(k.opened, "web-00-0 false true") {
			t.Errorf("opened: %q", k.opened)
		}
	})
}

// The log of one replica has nothing of the others, and what is not asked for is not left out.
func TestAppLogOfOnePod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet(t, "web")
		for i := range maxReplicas + 3 {
			k.run("web", fmt.Sprintf("web-%02d", i), 0)
			k.write(fmt.Sprintf("web-%02d-0", i), fmt.Sprint("of ", i))
		}
		f, log := k.followWith(Options{Tail: 1000, MaxReplicas: maxReplicas, Pod: "web-22"}, "deployment.apps/web")
		if got := log(); !slices.Equal(got, []string{"22: of 22"}) {
			t.Errorf("got %q", got)
		}
		if replicas := f.Replicas(); replicas.Unread != 0 || len(replicas.Pods) != maxReplicas+3 || len(k.opened) != 1 {
			t.Errorf("%d are left out of %d, opened %q", replicas.Unread, len(replicas.Pods), k.opened)
		}
	})
}

func TestAppLogDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet(t, "web")
		k.denied = true
		k.run("web", "web-aaaaa", 0)
		f, log := k.follow("deployment.apps/web")
		got := log()
		if err := f.Replicas().LogErr; err == nil || !strings.Contains(err.Error(), "get pods/log in namespace demo") || len(got) != 0 || len(f.Replicas().Pods) != 1 {
			t.Errorf("log %q, %+v", got, f.Replicas())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet(t, "web")
		k.kube.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
		})
		f, log := k.follow("deployment.apps/web")
		log()
		if replicas := f.Replicas(); replicas.Err == nil || !strings.Contains(replicas.Err.Error(), "list pods in namespace demo") || replicas.Ready {
			t.Errorf("got %+v", replicas)
		}
	})
}

// TestFollowOptions wants the past that the options ask for, and all that comes after it.
func TestFollowOptions(t *testing.T) {
	for name, test := range map[string]struct {
		options func(second time.Time) Options
		want    []string
	}{
		"all":   {func(time.Time) Options { return Options{Tail: -1} }, []string{"aaaaa: one", "aaaaa: two", "aaaaa: three"}},
		"since": {func(second time.Time) Options { return Options{Tail: -1, Since: second} }, []string{"aaaaa: two", "aaaaa: three"}},
		"none":  {func(time.Time) Options { return Options{} }, []string{"aaaaa: three"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKubelet(t, "web")
				k.run("web", "web-7d9-aaaaa", 0)
				k.write("web-7d9-aaaaa-0", "one")
				second := time.Now()
				k.write("web-7d9-aaaaa-0", "two")
				time.Sleep(2 * time.Second)
				options := test.options(second)
				options.MaxReplicas = 1
				_, log := k.followWith(options, "deployment.apps/web")
				synctest.Wait()
				k.write("web-7d9-aaaaa-0", "three")
				if got := log(); !slices.Equal(got, test.want) {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
}

// TestRead wants what is written so far in the order of its time, and of the instances before
// with previous.
func TestRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubelet(t, "web")
		k.run("web", "web-7d9-aaaaa", 0)
		k.run("web", "web-7d9-bbbbb", 0)
		k.write("web-7d9-aaaaa-0", "one")
		k.write("web-7d9-bbbbb-0", "two")
		k.write("web-7d9-aaaaa-0", "three")
		read := func(previous bool, limit int) (texts []string, err error) {
			pods, err := k.kube.CoreV1().Pods("demo").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var replicas []Replica
			for i := range pods.Items {
				replicas = append(replicas, Replica{Workload: "web", Pod: &pods.Items[i]})
			}
			err = Read(t.Context(), k, replicas, Options{Tail: -1}, previous, func(line Line) error {
				texts = append(texts, line.Source+": "+line.Text)
				if len(texts) == limit {
					return io.ErrClosedPipe
				}
				return nil
			})
			return texts, err
		}
		want := []string{"aaaaa: one", "bbbbb: two", "aaaaa: three"}
		if got, err := read(false, -1); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := read(false, 1); !errors.Is(err, io.ErrClosedPipe) || len(got) != 1 {
			t.Errorf("a reader that has gone: got %q, %v", got, err)
		}
		if got, err := read(true, -1); err != nil || len(got) != 0 {
			t.Errorf("the instances before, of which there are none: %q, %v", got, err)
		}
		k.run("web", "web-7d9-bbbbb", 1)
		if got, err := read(true, -1); err != nil || !slices.Equal(got, []string{"bbbbb: two"}) {
			t.Errorf("the instance before: %q, %v", got, err)
		}
		k.denied = true
		if _, err := read(false, -1); err == nil || err.Error() != "missing permissions: get pods/log in namespace demo" {
			t.Errorf("without the permission: %v", err)
		}
	})
}
