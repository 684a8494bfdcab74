package supportbundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kubeversion "k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// logs are those of a cluster's containers, by pod/container.
type logs map[string]string

func (l logs) Open(_ context.Context, _, pod string, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	name := pod + "/" + options.Container
	if options.Previous {
		name += "/previous"
	}
	text, ok := l[name]
	if !ok {
		return nil, apierrors.NewBadRequest("container is waiting to start")
	}
	if text == "denied" {
		return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods/log"}, pod, errors.New("no"))
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func meta(namespace, name string, labels map[string]string, owner string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Labels: labels, CreationTimestamp: metav1.NewTime(testNow),
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "editor"}},
	}
	if owner != "" {
		meta.OwnerReferences = []metav1.OwnerReference{{Name: owner, UID: types.UID("uid-" + owner)}}
	}
	return meta
}

func pod(namespace, name string, labels map[string]string, owner string, restarts int32, containers ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: meta(namespace, name, labels, owner)}
	for i, container := range containers {
		if i == 0 && len(containers) > 1 {
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: container})
			continue
		}
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: container, Env: []corev1.EnvVar{{Name: "APP_PASSWORD", Value: "in-the-clear"}}})
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: container, RestartCount: restarts})
	}
	return pod
}

// testCluster has a run of the app web in namespace demo, and objects of others.
func testCluster(t *testing.T, more ...runtime.Object) (Clients, *tektonv1.PipelineRun) {
	t.Helper()
	run := pipelinerun.New(pipelinerun.Build{
		Meta:   pipelinerun.Meta{App: "web", Namespace: "demo", Name: "web-1"},
		Engine: installed.Engine(),
		Params: engine.Params{Repository: "registry.pyflow-system.svc/demo/web", BuildArgs: []string{"GIT_TOKEN=argument-t0ken", "VERSION=3.13"}},
	})
	run.UID = "uid-web-1"
	run.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "editor"}}
	ofRun, ofApp := map[string]string{"tekton.dev/pipelineRun": "web-1"}, map[string]string{manifests.LabelApp: "web"}
	system := manifests.SystemNamespace
	objects := []runtime.Object{
		pod("demo", "web-1-build-pod", ofRun, "web-1-build", 0, "prepare", "step-build"),
		&appsv1.Deployment{ObjectMeta: meta("demo", "web", ofApp, "")},
		&appsv1.Deployment{ObjectMeta: meta("demo", "others", nil, "")},
		&appsv1.ReplicaSet{ObjectMeta: meta("demo", "web-5", nil, "web")},
		&appsv1.ReplicaSet{ObjectMeta: meta("demo", "others-5", nil, "others")},
		pod("demo", "web-5-a", nil, "web-5", 1, "web"),
		pod("demo", "others-5-a", nil, "others-5", 0, "others"),
		&corev1.Service{ObjectMeta: meta("demo", "web", ofApp, "")},
		&corev1.ResourceQuota{ObjectMeta: meta("demo", "small", nil, "")},
		&corev1.ConfigMap{ObjectMeta: meta("demo", "settings", ofApp, "")},
		pod(system, manifests.RegistryPod, nil, "", 0, "caddy"),
		pod("tekton-pipelines", "controller-1", map[string]string{"app.kubernetes.io/part-of": "tekton-pipelines"}, "", 0, "controller"),
		&corev1.Event{ObjectMeta: meta("demo", "b", nil, ""), Message: "second", LastTimestamp: metav1.NewTime(testNow)},
		&corev1.Event{ObjectMeta: meta("demo", "c", nil, ""), Message: "first, with t0p-secret", LastTimestamp: metav1.NewTime(testNow.Add(-time.Hour))},
		&corev1.Node{ObjectMeta: meta("", "one", nil, ""), Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}},
	}
	config := "version: v0.1.0\ntekton: {version: v1.15.1, namespace: tekton-pipelines}\nbuildArgs: [\"REGISTRY_PASSWORD=configured-passw0rd\", A=b]\n"
	kube := fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: manifests.ConfigName}, Data: map[string]string{manifests.ConfigKey: config}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "demo"}},
		&corev1.Secret{ObjectMeta: meta("demo", "db", nil, ""), Data: map[string][]byte{"password": []byte("t0p-secret")}},
		&corev1.Secret{ObjectMeta: meta(system, "registry-auth", nil, ""), Data: map[string][]byte{"http-secret": []byte("of-the-registry")}},
		&corev1.Secret{ObjectMeta: meta("elsewhere", "foreign", nil, ""), Data: map[string][]byte{"password": []byte("not-ours")}},
	)
	kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &kubeversion.Info{GitVersion: "v1.36.3"}
	both := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, tektonv1.AddToScheme} {
		if err := add(both); err != nil {
			t.Fatal(err)
		}
	}
	taskRun := &tektonv1.TaskRun{ObjectMeta: meta("demo", "web-1-build", ofRun, "web-1")}
	return Clients{
		Kube: kube, Tekton: tektonfake.NewSimpleClientset(run), Dynamic: dynamicfake.NewSimpleDynamicClient(both, append(append(objects, taskRun), more...)...),
		Logs: logs{
			"web-1-build-pod/step-build":     "RUN echo t0p-secret in-the-clear\nargument-t0ken of-the-registry not-ours\nconfigured-passw0rd\n",
			"web-5-a/web":                    "serving\n",
			"web-5-a/web/previous":           "crashed: https://me:unknown@db\n",
			"others-5-a/others":              "not asked for\n",
			"controller-1/controller":        "denied",
			manifests.RegistryPod + "/caddy": strings.Repeat("0123456789abcdef", 8) + "\n",
		},
	}, run
}

func write(t *testing.T, clients Clients, options Options) (map[string]string, []string, []byte, Summary) {
	t.Helper()
	var out bytes.Buffer
	summary, err := Write(t.Context(), clients, options, &out)
	if err != nil {
		t.Fatal(err)
	}
	packed := bytes.Clone(out.Bytes())
	compressed, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	files, order := map[string]string{}, []string{}
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, order, packed, summary
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(header.Name, options.Root+"/")
		if !ok || !header.ModTime.Equal(testNow) {
			t.Errorf("file %s of %s", header.Name, header.ModTime)
		}
		files[name], order = string(content), append(order, name)
	}
}

func TestWrite(t *testing.T) {
	clients, run := testCluster(t)
	options := Options{Namespace: "demo", Run: run, App: "web", Root: "web-1", Now: testNow}
	files, order, packed, summary := write(t, clients, options)
	want := []string{
		"app/deployments/web.yaml", "app/pods/web-5-a.yaml", "app/replicasets/web-5.yaml", "app/services/web.yaml",
		"namespace/events.yaml", "namespace/resourcequotas/small.yaml", "nodes.yaml", "platform/config.yaml", "platform/pods/registry-0.yaml",
		"run/pipelinerun.yaml", "run/pods/web-1-build-pod.yaml", "run/taskruns/web-1-build.yaml", "secrets.yaml", "status.yaml",
		"tekton/pods/controller-1.yaml", "versions.yaml",
		"run/logs/web-1-build-pod/step-build.log", "app/logs/web-5-a/web.log", "app/logs/web-5-a/web.previous.log", "platform/logs/registry-0/caddy.log",
		"README.txt",
	}
	if !slices.Equal(order, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(order, "\n"), strings.Join(want, "\n"))
	}
	for name, text := range files {
		for _, secret := range []string{"t0p-secret", "in-the-clear", "argument-t0ken", "of-the-registry", "configured-passw0rd", "unknown@", "managedFields"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %s:\n%s", name, secret, text)
			}
		}
	}
	for name, words := range map[string][]string{
		"run/logs/web-1-build-pod/step-build.log": {"RUN echo [redacted] [redacted]\n[redacted] [redacted] not-ours\n[redacted]\n"},
		"app/logs/web-5-a/web.previous.log":       {"crashed: https://[redacted]@db\n"},
		"run/pipelinerun.yaml":                    {"kind: PipelineRun\n", "--build-arg=GIT_TOKEN=[redacted]", "--build-arg=VERSION=3.13", "name: web-1\n"},
		"platform/config.yaml":                    {"REGISTRY_PASSWORD=[redacted]", "A=b"},
		"namespace/events.yaml":                   {"message: first, with [redacted]", "message: second"},
		"secrets.yaml":                            {"secret: db", "password: 10", "secret: registry-auth"},
		"nodes.yaml":                              {"name: one", "type: Ready"},
		"status.yaml":                             {"kind: Status", "name: web-1"},
		"versions.yaml":                           {"kubernetes: v1.36.3", "tekton: v1.15.1"},
		"README.txt":                              {"run web-1 of app web in namespace demo", "tekton/logs/controller-1/controller.log: you do not have permission", "\n  app/deployments/web.yaml\n"},
	} {
		for _, word := range words {
			if !strings.Contains(files[name], word) {
				t.Errorf("%s should have %q:\n%s", name, word, files[name])
			}
		}
	}
	if strings.Index(files["namespace/events.yaml"], "first") > strings.Index(files["namespace/events.yaml"], "second") {
		t.Error("events are not in order")
	}
	if summary.Files != len(want) || len(summary.Missing) != 1 || len(summary.Unredacted) > 0 {
		t.Errorf("summary %+v", summary)
	}
	clients, run = testCluster(t)
	options.Run = run
	if _, _, again, _ := write(t, clients, options); !bytes.Equal(packed, again) {
		t.Error("the same cluster gives other bytes")
	}
}

func TestWriteWithoutRun(t *testing.T) {
	clients, _ := testCluster(t)
	files, order, _, _ := write(t, clients, Options{Namespace: "demo", Root: "demo", Now: testNow})
	for _, name := range order {
		if strings.HasPrefix(name, "run/") || strings.HasPrefix(name, "app/") {
			t.Errorf("there is %s", name)
		}
	}
	if files["namespace/events.yaml"] == "" || !strings.Contains(files["README.txt"], "about namespace demo, 2026") {
		t.Errorf("there are %v", order)
	}
}

// A user with few permissions gets what they allow, and README.txt names the rest.
func TestWriteWithFewPermissions(t *testing.T) {
	clients, run := testCluster(t)
	forbidden := func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetVerb() == "list" || action.GetNamespace() == manifests.SystemNamespace {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: action.GetResource().Resource}, "", errors.New("no"))
		}
		return false, nil, nil
	}
	own := &corev1.Secret{ObjectMeta: meta("demo", manifests.RegistrySecret, nil, ""), Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"password": []byte("own-passw0rd")}}
	kube := clients.Kube.(*fake.Clientset)
	if err := kube.Tracker().Add(own); err != nil {
		t.Fatal(err)
	}
	kube.PrependReactor("*", "*", forbidden)
	clients.Dynamic.(*dynamicfake.FakeDynamicClient).PrependReactor("*", "*", forbidden)
	run.Annotations["note"] = "own-passw0rd"
	files, _, _, summary := write(t, clients, Options{Namespace: "demo", Run: run, App: "web", Root: "web-1", Now: testNow})
	if !strings.Contains(files["run/pipelinerun.yaml"], "note: '[redacted]'") {
		t.Errorf("the only readable Secret is not redacted:\n%s", files["run/pipelinerun.yaml"])
	}
	for _, word := range []string{"configuration of the platform: you do not have permission", "secrets in namespace demo (logs", "pods in namespace demo: you do not have permission", "nodes: you do not have permission"} {
		if !strings.Contains(files["README.txt"], word) {
			t.Errorf("README.txt should have %q:\n%s", word, files["README.txt"])
		}
	}
	if !slices.Equal(summary.Unredacted, []string{"demo", manifests.SystemNamespace}) {
		t.Errorf("unredacted namespaces are %v", summary.Unredacted)
	}
	if len(summary.Missing) < 15 {
		t.Errorf("%d things are missing", len(summary.Missing))
	}
}

func TestWriteBoundsLists(t *testing.T) {
	var more []runtime.Object
	for i := range 2*maxEvents + 5 {
		at := metav1.NewTime(testNow.Add(time.Duration(i) * time.Second))
		more = append(more, &corev1.Event{ObjectMeta: meta("demo", fmt.Sprintf("e-%05d", i), nil, ""), Message: fmt.Sprintf("event %05d.", i), LastTimestamp: at})
	}
	for i := range maxObjects + 1 {
		more = append(more, &corev1.ServiceAccount{ObjectMeta: meta("demo", fmt.Sprintf("account-%03d", i), nil, "")})
	}
	clients, _ := testCluster(t, more...)
	files, _, _, _ := write(t, clients, Options{Namespace: "demo", Root: "demo", Now: testNow})
	events := files["namespace/events.yaml"]
	first, last := fmt.Sprintf("event %05d.", maxEvents+5), fmt.Sprintf("event %05d.", 2*maxEvents+4)
	if n := strings.Count(events, "message:"); n != maxEvents || !strings.Contains(events, first) || !strings.Contains(events, last) {
		t.Errorf("%d events are kept", n)
	}
	if !strings.Contains(files["README.txt"], "serviceaccounts in namespace demo: 1 more than the 200 that are kept") {
		t.Errorf("README.txt:\n%s", files["README.txt"])
	}
}

// brokenPipe accepts nothing.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteEnds(t *testing.T) {
	clients, run := testCluster(t)
	options := Options{Namespace: "demo", Run: run, App: "web", Root: "web-1", Now: testNow}
	if _, err := Write(t.Context(), clients, options, brokenPipe{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a broken pipe: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Write(ctx, clients, options, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
