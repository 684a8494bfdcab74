package reach

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

func TestMark(t *testing.T) {
	requests := 0
	up := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		http.Redirect(w, &http.Request{}, "http://127.0.0.1:1/", http.StatusFound)
	}))
	defer up.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	apps := []status.App{
		{Name: "up", Namespace: "demo", Desired: 1, URL: up.URL},
		{Name: "silent", Namespace: "demo", Desired: 1, URL: "http://" + silent.Addr().String()},
		{Name: "refused", Namespace: "demo", Desired: 1, URL: "http://127.0.0.1:1"},
		{Name: "internal", Namespace: "demo", Desired: 1},
		{Name: "stopped", Namespace: "demo"},
	}
	prober := NewProber(Short)
	start := time.Now()
	prober.Mark(t.Context(), apps)
	if took := time.Since(start); took > 3*Short {
		t.Errorf("it took %s", took)
	}
	var got []string
	for _, one := range apps {
		got = append(got, one.Reach)
	}
	want := []string{"", Command("demo", "silent"), Command("demo", "refused"), Command("demo", "internal"), ""}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q", got)
	}
	prober.Mark(t.Context(), apps[:1])
	if requests != 1 {
		t.Errorf("an answer should count for a while: %d requests", requests)
	}
}

func TestFindTarget(t *testing.T) {
	labeled := metav1.ObjectMeta{Name: "shop", Namespace: "demo", Labels: map[string]string{manifests.LabelApp: "shop"}}
	service := func(port corev1.ServicePort) *corev1.Service {
		return &corev1.Service{ObjectMeta: labeled, Spec: corev1.ServiceSpec{Selector: map[string]string{"run": "shop"}, Ports: []corev1.ServicePort{port}}}
	}
	deployment := &appsv1.Deployment{ObjectMeta: labeled}
	deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"of": "deployment"}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {ContainerPort: 9000}}}}
	bare := deployment.DeepCopy()
	bare.Spec.Template.Spec.Containers = nil
	for name, test := range map[string]struct {
		objects  []runtime.Object
		argument string
		want     string
	}{
		"target port":          {[]runtime.Object{deployment, service(corev1.ServicePort{Port: 80, TargetPort: intstr.FromInt32(8000)})}, "shop", "http run=shop 8000"},
		"named":                {[]runtime.Object{deployment, service(corev1.ServicePort{Port: 443, TargetPort: intstr.FromString("web")})}, "shop", "https run=shop web"},
		"port of the Service":  {[]runtime.Object{deployment, service(corev1.ServicePort{Port: 80})}, "shop", "http run=shop 80"},
		"without a Service":    {[]runtime.Object{deployment}, "shop", "http of=deployment 9000"},
		"one of the workloads": {[]runtime.Object{deployment, service(corev1.ServicePort{Port: 80})}, "shop/shop", "http of=deployment 9000"},
		"without any port":     {[]runtime.Object{bare}, "shop", "app shop has no Service with a port, and no container of it has one"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(test.objects...)
			found, err := app.Find(t.Context(), client, "demo", test.argument)
			if err != nil {
				t.Fatal(err)
			}
			target, err := FindTarget(t.Context(), client, found)
			got := fmt.Sprint(target.Scheme, " ", target.Selector, " ", target.Port.String())
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// cluster plays the pods of an app: each echoes a line with its name.
type cluster struct {
	t    *testing.T
	kube *fake.Clientset

	mu     sync.Mutex
	broken map[string]bool
	said   []string
}

func (c *cluster) pod(name string, ready corev1.ConditionStatus) {
	c.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "demo", Labels: map[string]string{"run": "shop"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8000}}}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
	if _, err := c.kube.CoreV1().Pods("demo").Create(c.t.Context(), pod, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) remove(name string) {
	c.t.Helper()
	if err := c.kube.CoreV1().Pods("demo").Delete(c.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) dialer(pod string, port int) (podforward.DialFunc, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.broken[pod] {
			return nil, errors.New("the node does not answer")
		}
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			line, err := bufio.NewReader(far).ReadString('\n')
			if err == nil {
				_, _ = fmt.Fprintf(far, "%s:%d %s", pod, port, line)
			}
		}()
		return near, nil
	}, nil
}

func (c *cluster) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, text)
}

// TestForward wants connections to go to a ready pod, to another one if that is replaced or does
// not answer, and to wait while none is ready.
func TestForward(t *testing.T) {
	c := &cluster{t: t, kube: fake.NewClientset(), broken: map[string]bool{}}
	c.pod("shop-a", corev1.ConditionTrue)
	c.pod("shop-unready", corev1.ConditionFalse)
	f, err := listen(c.kube, c.dialer, Target{Namespace: "demo", App: "shop", Selector: "run=shop", Port: intstr.FromString("web"), Scheme: "http"}, 0, c.say)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx) }()
	ask := func() string {
		t.Helper()
		connection, err := net.Dial("tcp", strings.TrimPrefix(f.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := fmt.Fprintln(connection, "hello"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(connection).ReadString('\n')
		if err != nil {
			t.Fatalf("no answer: %v, %q", err, c.said)
		}
		return strings.TrimSpace(line)
	}
	if got := ask(); got != "shop-a:8000 hello" {
		t.Errorf("got %q", got)
	}
	c.remove("shop-a")
	time.AfterFunc(200*time.Millisecond, func() { c.pod("shop-b", corev1.ConditionTrue) })
	if got := ask(); got != "shop-b:8000 hello" {
		t.Errorf("after the pod was replaced: %q", got)
	}
	c.mu.Lock()
	c.broken["shop-b"] = true
	c.mu.Unlock()
	c.pod("shop-c", corev1.ConditionTrue)
	if got := ask(); got != "shop-c:8000 hello" {
		t.Errorf("after the pod does not answer: %q", got)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	want := "forwarding to pod shop-a, no pod of app shop is ready: connections wait, forwarding to pod shop-b, forwarding to pod shop-c"
	if got := strings.Join(c.said, ", "); got != want {
		t.Errorf("it said %q", got)
	}
}
