package status

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	tektonfake "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const testDigest = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"

// deny answers every request for a resource with 403.
func deny(fake *clienttesting.Fake, resource string) {
	if resource == "" {
		return
	}
	fake.PrependReactor("*", resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no"))
	})
}

func testNode(name, address string, ready bool) *corev1.Node {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelOSStable: "linux"}},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: address}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}},
		},
	}
}

func testDeployment(namespace, name string, labels map[string]string, image string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels, CreationTimestamp: metav1.NewTime(testNow.Add(-time.Hour))},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}},
		},
		Status: appsv1.DeploymentStatus{Replicas: replicas, ReadyReplicas: replicas, UpdatedReplicas: replicas, AvailableReplicas: replicas},
	}
}

func testStatefulSet(name, image string, replicas int32) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: manifests.SystemNamespace, CreationTimestamp: metav1.NewTime(testNow.Add(-time.Hour))},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}},
		},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: replicas, ReadyReplicas: replicas, UpdatedReplicas: replicas},
	}
}

func tektonDeployment(namespace, component string) *appsv1.Deployment {
	return testDeployment(namespace, "tekton-"+component, map[string]string{
		"app.kubernetes.io/part-of": "tekton-pipelines", componentLabel: component, versionLabel: "v1.15.1",
	}, component+":v1.15.1", 1)
}

// testCluster is a healthy cluster, set up for the namespace demo, with the app mountains in it
// and one more app elsewhere.
func testCluster(t *testing.T) (kube, tekton []runtime.Object) {
	t.Helper()
	config := `
version: v0.1.0
tekton: {version: v1.15.1, namespace: tekton-pipelines}
registry: {host: registry.pyflow-system.svc, nodeHost: "127.0.0.1:5180"}
nodeAccess: {mode: hostport, auto: true, proven: true}
namespaces: [demo, gone, other]
`
	request := credentials.Request{FrontHost: manifests.RegistryHost, StorageHost: manifests.StorageHost, Now: testNow}
	secrets, err := credentials.Ensure(credentials.Credentials{}, request)
	if err != nil {
		t.Fatal(err)
	}
	// A pod that was replaced, whose end does not matter.
	request.Now = testNow.Add(-20 * 365 * 24 * time.Hour)
	former, err := credentials.Ensure(credentials.Credentials{}, request)
	if err != nil {
		t.Fatal(err)
	}
	ca := string(secrets.CACertificate) + string(former.CACertificate)
	system := manifests.SystemNamespace
	app := map[string]string{manifests.LabelApp: "mountains"}
	accessLabels := map[string]string{"app": "node-access"}
	mountains := service("mountains", corev1.ServiceTypeNodePort, corev1.ServicePort{Name: "http", Port: 80, NodePort: 30080})
	mountains.Labels = app
	kube = []runtime.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: system}, Data: map[string]string{manifests.ConfigKey: config}},
		testNode("one", "10.0.0.1", true),
		tektonDeployment("tekton-pipelines", "controller"), tektonDeployment("tekton-pipelines", "webhook"),
		tektonDeployment("tekton-pipelines", "events"), tektonDeployment("tekton-pipelines-resolvers", "resolvers"),
		testStatefulSet(manifests.RegistryName, "docker.io/library/caddy:2", 1),
		testStatefulSet(manifests.StorageName, "docker.io/library/registry:3", 1),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: manifests.CAName, Namespace: system}, Data: map[string]string{manifests.CAKey: ca}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: manifests.TLSName, Namespace: system}, Data: map[string][]byte{"tls.crt": secrets.Front.Certificate}},
		&appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Name: manifests.NodeAccessName, Namespace: system},
			Spec: appsv1.DaemonSetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: accessLabels},
				Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "docker.io/library/caddy:2"}}}},
			},
			Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 1, NumberReady: 1, UpdatedNumberScheduled: 1, NumberAvailable: 1},
		},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "node-access-1", Namespace: system, Labels: accessLabels},
			Spec:       corev1.PodSpec{NodeName: "one"},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		},
		testDeployment("demo", "mountains", app, "127.0.0.1:5180/demo/mountains@"+testDigest, 3),
		&mountains,
		testDeployment("elsewhere", "rivers", map[string]string{manifests.LabelApp: "rivers"}, "127.0.0.1:5180/elsewhere/rivers@"+testDigest, 1),
		testDeployment("demo", "not-ours", nil, "nginx:1", 1),
	}
	for _, namespace := range []string{"demo", "other", "elsewhere"} {
		kube = append(kube, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{platform.EnforceLabel: platform.BaselineLevel}}})
	}
	for _, namespace := range []string{"demo", "other"} {
		kube = append(kube,
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: manifests.BuildServiceAccount, Namespace: namespace}},
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: manifests.DeployServiceAccount, Namespace: namespace}},
			&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: manifests.DeployRole, Namespace: namespace}},
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: manifests.RegistrySecret, Namespace: namespace}},
		)
	}
	ref := func(name string) *tektonv1.TaskRef {
		return &tektonv1.TaskRef{ResolverRef: tektonv1.ResolverRef{Resolver: "cluster", Params: tektonv1.Params{
			{Name: "kind", Value: *tektonv1.NewStructuredValues("task")}, {Name: "name", Value: *tektonv1.NewStructuredValues(name)},
		}}}
	}
	tekton = []runtime.Object{
		&tektonv1.Pipeline{
			ObjectMeta: metav1.ObjectMeta{Name: manifests.PipelineName, Namespace: system},
			Spec: tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{
				{Name: "build", TaskRef: ref("pyflow-build")}, {Name: "deploy", TaskRef: ref("pyflow-deploy")},
			}},
		},
		&tektonv1.Pipeline{
			ObjectMeta: metav1.ObjectMeta{Name: manifests.TestedPipelineName, Namespace: system},
			Spec: tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{
				{Name: "build", TaskRef: ref("pyflow-build")}, {Name: "test", TaskRef: ref("pyflow-test")},
			}},
		},
		&tektonv1.Task{ObjectMeta: metav1.ObjectMeta{Name: "pyflow-test", Namespace: system}},
		&tektonv1.Task{ObjectMeta: metav1.ObjectMeta{Name: "pyflow-build", Namespace: system}},
		&tektonv1.Task{ObjectMeta: metav1.ObjectMeta{Name: "pyflow-deploy", Namespace: system}},
	}
	for i, reason := range []string{"Running", "PipelineRunTimeout", "Cancelled", "Succeeded"} {
		tekton = append(tekton, testRun("mountains-"+string(rune('a'+i)), time.Duration(i)*time.Minute, reason))
	}
	return kube, tekton
}

// testRun is a run that was created some time ago and took half a minute.
func testRun(name string, ago time.Duration, reason string) *tektonv1.PipelineRun {
	created := metav1.NewTime(testNow.Add(-ago - time.Minute))
	finished := metav1.NewTime(created.Add(30 * time.Second))
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "demo", CreationTimestamp: created, Labels: map[string]string{manifests.LabelApp: "mountains"},
	}}
	run.Status.StartTime = &created
	condition := apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionFalse, Reason: reason, Message: "it\nsays"}
	switch reason {
	case "Running":
		condition.Status = corev1.ConditionUnknown
	case "Succeeded":
		condition.Status = corev1.ConditionTrue
		run.Status.Results = []tektonv1.PipelineRunResult{{Name: "IMAGE_DIGEST", Value: *tektonv1.NewStructuredValues(testDigest)}}
	case "Cancelled":
		run.Spec.Status = tektonv1.PipelineRunSpecStatusCancelled
	}
	if reason != "Running" {
		run.Status.CompletionTime = &finished
	}
	run.Status.SetCondition(&condition)
	return run
}

// TestAbandoned wants a run that nobody will start to say so, once whoever creates it has had time.
func TestAbandoned(t *testing.T) {
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{
		Name: "mountains-7", CreationTimestamp: metav1.NewTime(testNow), Annotations: map[string]string{"pyflow.dev/creation": "x"},
	}}
	run.Spec.Status = tektonv1.PipelineRunSpecStatusPending
	for after, want := range map[time.Duration]string{time.Second: "", time.Hour: "Abandoned"} {
		if got := NewRun(run, testNow.Add(after)); got.State != RunPending || got.Reason != want || (got.Message == "") != (want == "") {
			t.Errorf("after %s it is %+v", after, got)
		}
	}
}

func testClients(t *testing.T, change func(kube *fake.Clientset, tekton *tektonfake.Clientset)) Clients {
	t.Helper()
	kubeObjects, tektonObjects := testCluster(t)
	kube, tekton := fake.NewClientset(kubeObjects...), tektonfake.NewSimpleClientset(tektonObjects...)
	kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.36.3"}
	if change != nil {
		change(kube, tekton)
	}
	return Clients{Kube: kube, Tekton: tekton}
}

func options() Options { return Options{Namespace: "demo", Runs: 5, Now: testNow} }

func partNames(status *Status) string {
	var names []string
	for _, part := range status.Platform {
		names = append(names, part.Name)
	}
	return strings.Join(names, " ")
}

func TestCollectHealthy(t *testing.T) {
	status, err := Collect(t.Context(), testClients(t, nil), options())
	if err != nil {
		t.Fatal(err)
	}
	if status.Kind != "Status" || status.APIVersion != "pyflow.dev/v1" || !status.Healthy || len(status.Warnings) != 0 {
		t.Errorf("got %+v", status)
	}
	const parts = "kubernetes tekton-controller tekton-webhook tekton-events tekton-resolvers registry registry-storage node-access pipeline namespace"
	if got := partNames(status); got != parts {
		t.Errorf("parts: got %s, want %s", got, parts)
	}
	counts := map[string]int32{"pipeline": 5, "namespace": 4}
	messages := map[string]string{"node-access": "hostport"}
	versions := map[string]string{"kubernetes": "v1.36.3", "registry": "2", "registry-storage": "3", "node-access": "2", "pipeline": "v0.1.0", "namespace": ""}
	for _, part := range status.Platform {
		count, version := int32(1), "v1.15.1"
		if c, ok := counts[part.Name]; ok {
			count = c
		}
		if v, ok := versions[part.Name]; ok {
			version = v
		}
		if !part.Healthy || part.Unknown || part.Message != messages[part.Name] || part.Desired != count || part.Ready != count || part.Version != version {
			t.Errorf("part %+v", part)
		}
		if (part.CertificateExpires != nil) != (part.Name == "registry") {
			t.Errorf("certificate of %s: %v", part.Name, part.CertificateExpires)
		}
	}
	started := metav1.NewTime(testNow.Add(-time.Minute))
	if want := (Run{Name: "mountains-a", Namespace: "demo", App: "mountains", State: RunRunning, Reason: "Running", Message: "it says", Started: started, DurationSeconds: 60}); status.Runs[0] != want {
		t.Errorf("first run: got %+v", status.Runs[0])
	}
	states := map[RunState]string{}
	for _, run := range status.Runs[1:] {
		states[run.State] = run.Name
		if run.DurationSeconds != 30 || run.Finished == nil || (run.Digest == testDigest) != (run.State == RunSucceeded) {
			t.Errorf("run %+v", run)
		}
	}
	if want := (map[RunState]string{RunFailed: "mountains-b", RunCanceled: "mountains-c", RunSucceeded: "mountains-d"}); !reflect.DeepEqual(states, want) {
		t.Errorf("runs: got %v", states)
	}
	want := []App{{
		Name: "mountains", Namespace: "demo", Desired: 3, Ready: 3, Digest: testDigest,
		Image: "127.0.0.1:5180/demo/mountains@" + testDigest, URL: "http://10.0.0.1:30080",
		Workloads: []string{"deployment.apps/mountains"}, Updated: metav1.NewTime(testNow.Add(-time.Hour)), Healthy: true,
		Parts: []AppPart{{Name: "mountains", Kind: "Deployment", Workload: "mountains", Desired: 3, Ready: 3, Healthy: true}},
	}}
	if !reflect.DeepEqual(status.Apps, want) {
		t.Errorf("apps: got %+v", status.Apps)
	}
}

func TestCollectScope(t *testing.T) {
	o := options()
	o.AllNamespaces, o.Runs = true, 2
	status, err := Collect(t.Context(), testClients(t, nil), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Apps) != 2 || status.Apps[0].Name != "mountains" || status.Apps[1].Namespace != "elsewhere" {
		t.Errorf("apps: %+v", status.Apps)
	}
	if len(status.Runs) != 2 || status.Runs[0].Name != "mountains-a" || status.Runs[1].Name != "mountains-b" {
		t.Errorf("runs: %+v", status.Runs)
	}
	if strings.Count(partNames(status), "namespace") != 2 {
		t.Errorf("parts: %s", partNames(status))
	}
	o.Runs = 0
	if status, err = Collect(t.Context(), testClients(t, nil), o); err != nil || len(status.Runs) != 0 {
		t.Errorf("no runs were asked for: %v %v", status.Runs, err)
	}
}

func TestCollectEmptyListsAreNotNull(t *testing.T) {
	status, err := Collect(t.Context(), testClients(t, nil), Options{Namespace: "other", Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"runs":[]`, `"apps":[]`, `"healthy":true`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in %s", want, data)
		}
	}
}

func TestCollectUnhealthy(t *testing.T) {
	system := manifests.SystemNamespace
	for name, test := range map[string]struct {
		change  func(t *testing.T, kube *fake.Clientset, tekton *tektonfake.Clientset)
		part    string
		message string
	}{
		"a component of Tekton is gone": {func(t *testing.T, kube *fake.Clientset, _ *tektonfake.Clientset) {
			t.Helper()
			must(t, kube.AppsV1().Deployments("tekton-pipelines").Delete(t.Context(), "tekton-webhook", metav1.DeleteOptions{}))
		}, "tekton-webhook", "not found"},
		"the registry is gone": {func(t *testing.T, kube *fake.Clientset, _ *tektonfake.Clientset) {
			t.Helper()
			must(t, kube.AppsV1().StatefulSets(system).Delete(t.Context(), "registry-storage", metav1.DeleteOptions{}))
		}, "registry-storage", "not found"},
		"the registry is scaled to zero": {func(t *testing.T, kube *fake.Clientset, _ *tektonfake.Clientset) {
			t.Helper()
			_, err := kube.AppsV1().StatefulSets(system).Update(t.Context(), testStatefulSet("registry", "caddy:2", 0), metav1.UpdateOptions{})
			must(t, err)
		}, "registry", "scaled to zero"},
		"the registry's pod has no volume": {func(t *testing.T, kube *fake.Clientset, _ *tektonfake.Clientset) {
			t.Helper()
			broken := testStatefulSet("registry-storage", "registry:3", 1)
			broken.Status = appsv1.StatefulSetStatus{ObservedGeneration: 1}
			_, err := kube.AppsV1().StatefulSets(system).Update(t.Context(), broken, metav1.UpdateOptions{})
			must(t, err)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "registry-storage-0", Namespace: system, Labels: map[string]string{"app": "registry-storage"}}}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "pod has unbound immediate PersistentVolumeClaims"}}
			must(t, kube.Tracker().Add(pod))
		}, "registry-storage", "pod registry-storage-0: Unschedulable: pod has unbound immediate PersistentVolumeClaims"},
		"a node without access": {func(t *testing.T, kube *fake.Clientset, _ *tektonfake.Clientset) {
			t.Helper()
			must(t, kube.Tracker().Add(testNode("two", "10.0.0.2", true)))
		}, "node-access", "no ready pod on two"},
		"a task is gone": {func(t *testing.T, _ *fake.Clientset, tekton *tektonfake.Clientset) {
			t.Helper()
			must(t, tekton.TektonV1().Tasks(system).Delete(t.Context(), "pyflow-deploy", metav1.DeleteOptions{}))
		}, "pipeline", "not found: task pyflow-deploy"},
		"the pipeline is gone": {func(t *testing.T, _ *fake.Clientset, tekton *tektonfake.Clientset) {
			t.Helper()
			must(t, tekton.TektonV1().Pipelines(system).Delete(t.Context(), "pyflow", metav1.DeleteOptions{}))
		}, "pipeline", "not found: pipeline pyflow"},
		"the namespace's secret is gone": {func(t *testing.T, kube *fake.Clientset, _ *tektonfake.Clientset) {
			t.Helper()
			must(t, kube.CoreV1().Secrets("demo").Delete(t.Context(), "pyflow-registry", metav1.DeleteOptions{}))
		}, "namespace", "not found: secret pyflow-registry"},
	} {
		t.Run(name, func(t *testing.T) {
			clients := testClients(t, func(kube *fake.Clientset, tekton *tektonfake.Clientset) { test.change(t, kube, tekton) })
			status, err := Collect(t.Context(), clients, options())
			if err != nil {
				t.Fatal(err)
			}
			if status.Healthy {
				t.Error("the snapshot reports that all is healthy")
			}
			for _, part := range status.Platform {
				if part.Healthy == (part.Name == test.part) || (part.Name == test.part && part.Message != test.message) {
					t.Errorf("part %+v", part)
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A node that is down needs no access and is not a problem.
func TestCollectWithANodeDown(t *testing.T) {
	clients := testClients(t, func(kube *fake.Clientset, _ *tektonfake.Clientset) {
		must(t, kube.Tracker().Add(testNode("two", "10.0.0.2", false)))
	})
	status, err := Collect(t.Context(), clients, options())
	if err != nil || !status.Healthy {
		t.Fatalf("got %+v, %v", status, err)
	}
	if part := status.Platform[0]; part.Desired != 2 || part.Ready != 1 || part.Message != "not ready: two" {
		t.Errorf("kubernetes: %+v", part)
	}
}

func TestCollectNamespaceWithoutSetup(t *testing.T) {
	status, err := Collect(t.Context(), testClients(t, nil), Options{Namespace: "elsewhere", Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	part := status.Platform[len(status.Platform)-1]
	if status.Healthy || part.Healthy || part.Message != "pyflow is not set up in namespace elsewhere" {
		t.Errorf("got %+v", part)
	}
}

// TestCollectNamespaceWithoutLevel warns about a namespace that enforces no Pod Security Standard, if
// the user may read it.
func TestCollectNamespaceWithoutLevel(t *testing.T) {
	for _, mayRead := range []bool{true, false} {
		clients := testClients(t, nil)
		namespaces := clients.Kube.CoreV1().Namespaces()
		namespace, err := namespaces.Get(t.Context(), "demo", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		namespace.Labels = nil
		if _, err := namespaces.Update(t.Context(), namespace, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if !mayRead {
			clients.Kube.(*fake.Clientset).PrependReactor("get", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(corev1.Resource("namespaces"), "demo", errors.New("no"))
			})
		}
		status, err := Collect(t.Context(), clients, options())
		if err != nil {
			t.Fatal(err)
		}
		part := status.Platform[len(status.Platform)-1]
		if part.Name != "namespace" || !part.Healthy || strings.Contains(part.Message, "Pod Security") != mayRead {
			t.Errorf("may read the namespace: %t; part %+v", mayRead, part)
		}
	}
}

func TestCollectNamespaceThatDoesNotExist(t *testing.T) {
	var missing *kube.NamespaceNotFoundError
	if status, err := Collect(t.Context(), testClients(t, nil), Options{Namespace: "typo", Now: testNow}); !errors.As(err, &missing) || missing.Namespace != "typo" {
		t.Errorf("got %+v, %v, want a NamespaceNotFoundError", status, err)
	}
	if status, err := Collect(t.Context(), testClients(t, nil), Options{Namespace: "typo", AllNamespaces: true, Now: testNow}); err != nil {
		t.Errorf("all namespaces: got %+v, %v", status, err)
	}
}

func TestCollectWithoutPermissions(t *testing.T) {
	for _, test := range []struct {
		kube, tekton string
		unknown      string
		message      string
		warning      string
	}{
		{kube: "nodes"},
		{kube: "daemonsets", unknown: "node-access", message: "missing permissions: get daemonsets.apps in namespace pyflow-system", warning: "missing permissions: list daemonsets.apps in namespace demo"},
		{kube: "statefulsets", unknown: "registry", message: "missing permissions: get statefulsets.apps in namespace pyflow-system", warning: "missing permissions: list statefulsets.apps in namespace demo"},
		{kube: "deployments", unknown: "tekton", message: "missing permissions: ", warning: "missing permissions: list deployments.apps in namespace demo"},
		{kube: "rolebindings", unknown: "namespace", message: "missing permissions: get rolebindings.rbac.authorization.k8s.io in namespace demo"},
		{kube: "services"},
		{kube: "ingresses"},
		{kube: "namespaces"},
		{tekton: "pipelines", unknown: "pipeline", message: "missing permissions: get pipelines.tekton.dev in namespace pyflow-system"},
		{tekton: "tasks", unknown: "pipeline", message: "missing permissions: get tasks.tekton.dev in namespace pyflow-system"},
		{tekton: "pipelineruns", warning: "missing permissions: list pipelineruns.tekton.dev in namespace demo"},
	} {
		t.Run(test.kube+test.tekton, func(t *testing.T) {
			clients := testClients(t, func(kube *fake.Clientset, tekton *tektonfake.Clientset) {
				deny(&kube.Fake, test.kube)
				deny(&tekton.Fake, test.tekton)
			})
			status, err := Collect(t.Context(), clients, options())
			if err != nil {
				t.Fatal(err)
			}
			var unknown []string
			for _, part := range status.Platform {
				if part.Unknown {
					unknown = append(unknown, part.Name)
					if part.Healthy || !strings.HasPrefix(part.Message, test.message) {
						t.Errorf("part %+v", part)
					}
				}
			}
			if got := strings.Join(unknown, " "); got != test.unknown || !status.Healthy {
				t.Errorf("unknown: got %q, want %q; healthy %t", got, test.unknown, status.Healthy)
			}
			if got := strings.Join(status.Warnings, "\n"); got != test.warning {
				t.Errorf("warnings: got %q, want %q", got, test.warning)
			}
			if status.Apps == nil || status.Runs == nil {
				t.Error("lists must not be nil")
			}
		})
	}
}

func TestCollectErrors(t *testing.T) {
	without := func(resource string, answer error) Clients {
		return testClients(t, func(kube *fake.Clientset, _ *tektonfake.Clientset) {
			kube.PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, answer })
		})
	}
	config := schema.GroupResource{Resource: "configmaps"}
	_, err := Collect(t.Context(), without("configmaps", apierrors.NewNotFound(config, "pyflow")), options())
	if !errors.Is(err, platform.ErrNotSetUp) {
		t.Errorf("without setup: %v", err)
	}
	_, err = Collect(t.Context(), without("configmaps", apierrors.NewForbidden(config, "pyflow", errors.New("no"))), options())
	if !apierrors.IsForbidden(err) || !strings.HasPrefix(err.Error(), "read the platform's configuration: ") {
		t.Errorf("without permission to read the configuration: %v", err)
	}
	for _, resource := range []string{"nodes", "deployments", "services", "rolebindings"} {
		_, err = Collect(t.Context(), without(resource, apierrors.NewUnauthorized("expired")), options())
		if !apierrors.IsUnauthorized(err) || !strings.Contains(err.Error(), resource) {
			t.Errorf("%s: an error that is not about permissions is returned, with the request: %v", resource, err)
		}
	}
}

// An app may have several workloads; the worst one decides.
func TestCollectAppOfTwoWorkloads(t *testing.T) {
	labels := map[string]string{manifests.LabelApp: "mountains"}
	clients := testClients(t, func(kube *fake.Clientset, _ *tektonfake.Clientset) {
		worker := testDeployment("demo", "worker", labels, "redis:8", 2)
		worker.Status.ReadyReplicas, worker.Status.AvailableReplicas = 0, 0
		must(t, kube.Tracker().Add(worker))
	})
	status, err := Collect(t.Context(), clients, options())
	if err != nil {
		t.Fatal(err)
	}
	app := status.Apps[0]
	if len(status.Apps) != 1 || status.Healthy || app.Healthy || app.Desired != 5 || app.Ready != 3 || app.Digest != testDigest ||
		app.Message != "0 of 2 ready" || len(app.Workloads) != 2 {
		t.Errorf("got %+v", status.Apps)
	}
}

func TestCertificate(t *testing.T) {
	for name, test := range map[string]struct {
		left    time.Duration
		healthy bool
		message string
	}{
		"long":    {90 * 24 * time.Hour, true, ""},
		"soon":    {9 * 24 * time.Hour, true, "certificate expires on 2026-03-10"},
		"expired": {-24 * time.Hour, false, "certificate expired on 2026-02-28"},
	} {
		part := Part{Healthy: true}
		withCertificate(&part, testNow.Add(test.left), testNow)
		if part.Healthy != test.healthy || part.Message != test.message || part.CertificateExpires == nil {
			t.Errorf("%s: got %+v", name, part)
		}
	}
}

func TestDeepCopyObject(t *testing.T) {
	status, err := Collect(t.Context(), testClients(t, nil), options())
	if err != nil {
		t.Fatal(err)
	}
	deep := status.DeepCopyObject().(*Status)
	if !reflect.DeepEqual(deep, status) {
		t.Fatal("the copy differs")
	}
	deep.Platform[0].Name, deep.Apps[0].Workloads[0], deep.Runs[1].Finished.Time = "x", "x", time.Time{}
	if status.Platform[0].Name == "x" || status.Apps[0].Workloads[0] == "x" || status.Runs[1].Finished.IsZero() {
		t.Error("the copy shares memory")
	}
}

func TestWithMode(t *testing.T) {
	for _, test := range []struct {
		message string
		access  manifests.NodeAccessConfig
		want    string
	}{
		{"", manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostNetwork, Proven: true}, "hostnetwork"},
		{"", manifests.NodeAccessConfig{Proven: true}, "hostport"},
		{"", manifests.NodeAccessConfig{Mode: manifests.NodeAccessNodePort}, "nodeport, not proven: run setup"},
		{"no ready pod on two", manifests.NodeAccessConfig{Mode: manifests.NodeAccessHostPort}, "no ready pod on two"},
	} {
		if got := withMode(Part{Message: test.message}, test.access).Message; got != test.want {
			t.Errorf("%q with %+v: got %q, want %q", test.message, test.access, got, test.want)
		}
	}
}
