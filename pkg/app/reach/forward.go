package reach

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

const (
	// waitReady is how long a connection waits for a pod that is ready.
	waitReady = 30 * time.Second
	// lastWords is how long the pod may answer after the client has sent everything: a
	// port-forward cannot pass on that only one direction has ended.
	lastWords = 5 * time.Second
)

// dialer makes a DialFunc for a port of a pod.
type dialer func(pod string, port int) (podforward.DialFunc, error)

// Forward passes the connections of a local port on to a ready pod of an app. If the pod is
// replaced, new connections go to another one.
type Forward struct {
	target Target
	client kubernetes.Interface
	dial   dialer
	say    func(string)

	listener net.Listener
	pods     cache.SharedIndexInformer
	signal   *watch.Signal
	group    sync.WaitGroup

	mu      sync.Mutex
	pod     string
	current podforward.DialFunc
	waiting bool
}

// Listen opens a port of the loopback interface; 0 is any that is free. say takes a sentence
// about each change of the pod. Serve must be called.
func Listen(ctx context.Context, config *rest.Config, client kubernetes.Interface, target Target, port int, say func(string)) (*Forward, error) {
	if err := access.Check(ctx, client, Permissions(target.Namespace)); err != nil {
		return nil, err
	}
	return listen(client, func(pod string, port int) (podforward.DialFunc, error) {
		return podforward.Dialer(config, client, target.Namespace, pod, port)
	}, target, port, say)
}

func listen(client kubernetes.Interface, dial dialer, target Target, port int, say func(string)) (*Forward, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen on port %d: %w", port, err)
	}
	f := &Forward{target: target, client: client, dial: dial, say: say, listener: listener, signal: watch.New()}
	f.pods = coreinformers.NewFilteredPodInformer(client, target.Namespace, 0, nil, func(options *metav1.ListOptions) {
		options.LabelSelector = target.Selector
	})
	return f, nil
}

// Permissions returns the permissions that a Forward needs.
func Permissions(namespace string) []access.Permission {
	return []access.Permission{
		{Verb: "list", Resource: "pods", Namespace: namespace},
		{Verb: "watch", Resource: "pods", Namespace: namespace},
		{Verb: "create", Resource: "pods", Subresource: "portforward", Namespace: namespace},
	}
}

// URL returns the local address of the app.
func (f *Forward) URL() string { return f.target.Scheme + "://" + f.listener.Addr().String() }

// Serve passes connections on until ctx ends. It returns why it cannot go on.
func (f *Forward) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer f.group.Wait()
	defer stop(nil)
	f.signal.Watch(ctx, &f.group, f.pods, func(err error) {
		if apierrors.IsForbidden(err) {
			stop(app.Denied(err, access.Permission{Verb: "list", Resource: "pods", Namespace: f.target.Namespace}))
		}
	})
	f.group.Go(func() {
		<-ctx.Done()
		_ = f.listener.Close()
	})
	f.group.Go(func() { f.keep(ctx) })
	for {
		local, err := f.listener.Accept()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("accept a connection: %w", err)
		}
		f.group.Go(func() { f.pass(ctx, local) })
	}
}

// keep chooses another pod as soon as the one in use is not ready any more, so that the user
// learns of it at once.
func (f *Forward) keep(ctx context.Context) {
	for ctx.Err() == nil {
		changed := f.signal.Changed()
		if f.pods.HasSynced() {
			_, _, _ = f.choose("")
		}
		watch.Wait(ctx, changed)
	}
}

// pass connects a local connection to a pod.
func (f *Forward) pass(ctx context.Context, local net.Conn) {
	defer local.Close() //nolint:errcheck // its end is all that counts
	remote, err := f.connect(ctx)
	if err != nil {
		if ctx.Err() == nil {
			f.say(display.OneLine(err.Error()))
		}
		return
	}
	defer remote.Close() //nolint:errcheck // its end is all that counts
	end := context.AfterFunc(ctx, func() { _ = remote.Close() })
	defer end()
	f.group.Go(func() {
		_, _ = io.Copy(remote, local)
		time.AfterFunc(lastWords, func() { _ = remote.Close() })
	})
	_, _ = io.Copy(local, remote)
}

// connect dials the chosen pod, or another one if that fails. It waits for a ready pod.
func (f *Forward) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, waitReady, fmt.Errorf("no pod of app %s is ready", f.target.App))
	defer cancel()
	failed := ""
	for {
		changed := f.signal.Changed()
		pod, dial, err := f.choose(failed)
		if err != nil {
			return nil, err
		}
		if dial != nil {
			connection, err := dial(ctx, "tcp", "")
			if err == nil {
				return connection, nil
			}
			if apierrors.IsForbidden(err) || pod == failed {
				return nil, err
			}
			failed = pod
			continue
		}
		if !watch.Wait(ctx, changed) {
			return nil, context.Cause(ctx)
		}
	}
}

// choose returns the pod in use, or another ready one if that is not ready or has failed; no
// dial if none is ready.
func (f *Forward) choose(failed string) (string, podforward.DialFunc, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ready []*corev1.Pod
	for _, pod := range watch.List[corev1.Pod](f.pods) {
		if app.Ready(pod) && f.target.number(pod) != 0 {
			ready = append(ready, pod)
		}
	}
	slices.SortFunc(ready, func(a, b *corev1.Pod) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	if f.pod != failed && slices.ContainsFunc(ready, func(pod *corev1.Pod) bool { return pod.Name == f.pod }) {
		return f.pod, f.current, nil
	}
	i := slices.IndexFunc(ready, func(pod *corev1.Pod) bool { return pod.Name != failed })
	if i < 0 && len(ready) > 0 {
		i = 0 // the only one gets a second chance
	}
	if i < 0 {
		if !f.waiting && f.pods.HasSynced() {
			f.waiting = true
			f.say(fmt.Sprintf("no pod of app %s is ready: connections wait", f.target.App))
		}
		return "", nil, nil
	}
	dial, err := f.dial(ready[i].Name, f.target.number(ready[i]))
	if err != nil {
		return "", nil, err
	}
	if f.pod != ready[i].Name || f.waiting {
		f.say("forwarding to pod " + ready[i].Name)
	}
	f.pod, f.current, f.waiting = ready[i].Name, dial, false
	return f.pod, dial, nil
}
