//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// machine is the cluster from below: the program of hack/cluster, and the files of
// its nodes.
type machine struct {
	tool string
	// files is where the first node's are, and below it the others'.
	files string
}

// machine skips the test on any other cluster.
func (j *journey) machine(t *testing.T) *machine {
	t.Helper()
	tool := os.Getenv("PYFLOW_CLUSTER_TOOL")
	if tool == "" {
		t.Skip("only hack/cluster's nodes can be changed: PYFLOW_CLUSTER_TOOL is not set")
	}
	m := &machine{tool: tool}
	m.files = filepath.Dir(strings.TrimSpace(m.run(t, "kubeconfig").succeeded(t).stdout))
	return m
}

// run calls the program as a developer does, with all of the environment and beside
// its sources: it may have to build what is not there.
func (m *machine) run(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.tool, args...)
	cmd.Dir = filepath.Join("..", "..", "hack", "cluster")
	return finish(t, cmd, func() error { return cmd.Run() })
}

// proxyMode switches kube-proxy, until the test ends.
func (m *machine) proxyMode(t *testing.T, mode, before string) {
	t.Helper()
	t.Cleanup(func() { m.run(t, "proxy-mode", before).succeeded(t) })
	m.run(t, "proxy-mode", mode).succeeded(t)
}

// withoutHostPorts takes the plugin that serves host ports out of the first node's
// CNI configuration, which the container runtime watches. It counts for pods that
// start from now on, until the function that is returned is called, or the test
// ends. No pod with a host port may end meanwhile: nobody would clean up after it.
func (m *machine) withoutHostPorts(t *testing.T) (restore func()) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(m.files, "etc", "cni", "*.conflist"))
	check(t, err)
	if len(paths) != 1 {
		t.Fatalf("the CNI configuration is %q", paths)
	}
	content, err := os.ReadFile(paths[0])
	check(t, err)
	config := map[string]any{}
	check(t, json.Unmarshal(content, &config))
	plugins, _ := config["plugins"].([]any)
	others := slices.DeleteFunc(slices.Clone(plugins), func(plugin any) bool {
		fields, _ := plugin.(map[string]any)
		return fields["type"] == "portmap"
	})
	if len(others) != len(plugins)-1 {
		t.Fatalf("no plugin of %s serves host ports", paths[0])
	}
	config["plugins"] = others
	changed, err := json.Marshal(config)
	check(t, err)
	restore = sync.OnceFunc(func() { check(t, os.WriteFile(paths[0], content, 0o644)) })
	t.Cleanup(restore)
	check(t, os.WriteFile(paths[0], changed, 0o644))
	return restore
}

// proxyModeNow asks the kube-proxy of a node.
func (j *journey) proxyModeNow(t *testing.T) string {
	t.Helper()
	nodes, err := j.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	check(t, err)
	for _, address := range nodes.Items[0].Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(address.Address, "10249")+"/proxyMode", http.NoBody)
		check(t, err)
		response, err := http.DefaultClient.Do(request)
		check(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		check(t, err)
		return string(body)
	}
	t.Fatalf("node %s has no address", nodes.Items[0].Name)
	return ""
}

// afterFailure runs the plugin when the test has failed, so that the next one finds
// the platform as it should be.
func (j *journey) afterFailure(t *testing.T, args ...string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandLimit)
		defer cancel()
		cmd := j.command(ctx, "kubectl", append([]string{"pyflow"}, args...)...)
		t.Log(finish(t, cmd, func() error { return cmd.Run() }))
	})
}

// part returns one part of a report.
func part(t *testing.T, snapshot *status.Status, name string) status.Part {
	t.Helper()
	i := slices.IndexFunc(snapshot.Platform, func(part status.Part) bool { return part.Name == name })
	if i < 0 {
		t.Fatalf("the report has no %s: %+v", name, snapshot.Platform)
	}
	return snapshot.Platform[i]
}

// access sets up with a way for the nodes; without one with the remembered.
func (j *journey) access(t *testing.T, mode manifests.NodeAccess) result {
	t.Helper()
	args := []string{"setup", "-n", j.namespace}
	if mode != "" {
		args = append(args, "--node-access="+string(mode))
	}
	r := j.pyflow(t, args...)
	t.Logf("%s: exit code %d after %s\n%s", r.line, r.code, r.took, r.stderr)
	return r
}

// wantAccess proves that nodes pull the app by way of that host, and that status
// tells the mode, and still knows the release.
func (j *journey) wantAccess(t *testing.T, host, message string) {
	t.Helper()
	j.pulls(t, host+"/"+j.namespace+"/mountains@"+j.digest)
	status, r := j.status(t, j.namespace)
	if access := part(t, status, manifests.NodeAccessName); !access.Healthy || access.Message != message {
		t.Errorf("node access should be healthy and %q\n%s", message, r)
	}
	if app := app(t, status, "mountains"); app.Digest != j.digest {
		t.Errorf("the release's digest should still be %s\n%s", j.digest, r)
	}
}

// modes goes through the ways in which nodes can reach the registry, with both
// kinds of kube-proxy. The order is such that a pod with a host port never ends
// while nobody serves host ports.
func (j *journey) modes(t *testing.T) {
	cluster := j.machine(t)
	const (
		hostPort, hostNetwork = manifests.NodeAccessHostPort, manifests.NodeAccessHostNetwork
		nodePort              = manifests.NodeAccessNodePort
	)
	before := j.proxyModeNow(t)
	if before != "iptables" {
		cluster.proxyMode(t, "iptables", before)
	}
	j.afterFailure(t, "setup", "-n", j.namespace, "--node-access=auto")
	nodes, err := j.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	check(t, err)
	node := nodes.Items[0].Name

	j.access(t, hostPort).succeeded(t).says(t, "Node access hostport: 1 node pulled")
	j.wantAccess(t, manifests.NodeHost, "hostport")

	j.access(t, nodePort).succeeded(t).says(t, "Node access nodeport: 1 node pulled",
		"warning: nodes pull from "+manifests.NodePortHost+" now", "deployment.apps/mountains in namespace "+j.namespace)
	j.wantAccess(t, manifests.NodePortHost, "nodeport")
	if hosting := j.hostingOf(t); hosting["hostFromContainerRuntime"] != manifests.NodePortHost {
		t.Errorf("other tools are told %v", hosting)
	}

	restore := cluster.withoutHostPorts(t)
	r := j.access(t, manifests.NodeAccessAuto).succeeded(t)
	r.says(t, "node access hostport does not work here, trying hostnetwork", "Node access hostnetwork: 1 node pulled")
	restore()
	if strings.Contains(r.stderr, "deployment.apps/mountains in namespace "+j.namespace) {
		t.Errorf("the app is at home again, and should not be in the warning\n%s", r)
	}
	j.wantAccess(t, manifests.NodeHost, "hostnetwork")
	j.access(t, "").succeeded(t).says(t, "nothing changed")

	j.access(t, manifests.NodeAccessNone).failed(t, "node access none", node+": ", manifests.RegistryHost, "no such host", "hint: ", "node access is hostnetwork again")
	j.wantAccess(t, manifests.NodeHost, "hostnetwork")

	cluster.proxyMode(t, "nftables", "iptables")
	j.access(t, nodePort).failed(t, "node access nodeport", node+": ", "127.0.0.1:30518", "connection refused", "hint: ", "node access is hostnetwork again")
	if _, err := j.kube.CoreV1().Services(manifests.SystemNamespace).Get(t.Context(), manifests.NodeAccessName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the port that was tried should be closed again: %v", err)
	}
	j.wantAccess(t, manifests.NodeHost, "hostnetwork")

	j.access(t, hostNetwork).succeeded(t).says(t, "Node access hostnetwork: 1 node pulled")
	j.access(t, manifests.NodeAccessAuto).succeeded(t).says(t, "Node access hostport: 1 node pulled")
	j.wantAccess(t, manifests.NodeHost, "hostport")
}

// pullsOn lets one node pull an image that it does not have.
func (j *journey) pullsOn(t *testing.T, node, image string) {
	t.Helper()
	pods := j.kube.CoreV1().Pods(j.namespace)
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pulls-"},
		Spec: corev1.PodSpec{
			RestartPolicy:    corev1.RestartPolicyNever,
			NodeSelector:     map[string]string{corev1.LabelHostname: node},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: manifests.RegistrySecret}},
			Containers: []corev1.Container{{
				Name: "app", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"python", "-c", "print(1)"},
			}},
		},
	}, metav1.CreateOptions{})
	check(t, err)
	eventually(t, "wait for a pod of "+image+" on node "+node, func(ctx context.Context) error {
		current, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && current.Status.Phase != corev1.PodSucceeded {
			err = fmt.Errorf("pod %s is %s: %+v", pod.Name, current.Status.Phase, current.Status.ContainerStatuses)
		}
		return err
	})
	eventually(t, "wait for the event of the pull", func(ctx context.Context) error {
		pulled, err := j.pulledFor(ctx, pod)
		if err == nil && !pulled[image] {
			err = fmt.Errorf("node %s had image %s already", node, image)
		}
		return err
	})
}

// pulledFor returns the images that a node has fetched for a pod.
func (j *journey) pulledFor(ctx context.Context, pod *corev1.Pod) (map[string]bool, error) {
	events, err := j.kube.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(),
	})
	if err != nil {
		return nil, err
	}
	pulled := map[string]bool{}
	for _, event := range events.Items {
		if rest, ok := strings.CutPrefix(event.Message, `Successfully pulled image "`); ok {
			image, _, _ := strings.Cut(rest, `"`)
			pulled[image] = true
		}
	}
	return pulled, nil
}

// join lets a second node come, fail and go.
func (j *journey) join(t *testing.T) {
	cluster := j.machine(t)
	known, err := j.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	check(t, err)
	if len(known.Items) != 1 {
		t.Fatalf("there are %d nodes already", len(known.Items))
	}
	first := known.Items[0].Name
	storage := j.storageNode(t)
	image := manifests.NodeHost + "/" + j.namespace + "/mountains@" + j.digest

	j.afterFailure(t, "setup", "-n", j.namespace, "--node-access=auto")
	t.Cleanup(func() { cluster.run(t, "leave").succeeded(t) })
	cluster.run(t, "join").succeeded(t)
	joined, err := j.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	check(t, err)
	joined.Items = slices.DeleteFunc(joined.Items, func(node corev1.Node) bool { return node.Name == first })
	if len(joined.Items) != 1 {
		t.Fatalf("%d nodes have joined", len(joined.Items))
	}
	second := joined.Items[0].Name
	// Nobody runs setup for a node that joins.
	j.wantNodes(t, 2)
	j.pullsOn(t, second, image)

	j.access(t, manifests.NodeAccessAuto).succeeded(t).says(t, "Node access hostport: 2 nodes pulled")
	if now := j.storageNode(t); now != storage {
		t.Errorf("the registry's volume has moved from %s to %s", storage, now)
	}

	// A node whose runtime looks elsewhere for the registry.
	hosts := filepath.Join(cluster.files, second, "etc", "certs.d", manifests.NodeHost)
	check(t, os.MkdirAll(hosts, 0o755))
	const elsewhere = "server = \"http://127.0.0.1:1\"\n[host.\"http://127.0.0.1:1\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
	check(t, os.WriteFile(filepath.Join(hosts, "hosts.toml"), []byte(elsewhere), 0o644))
	r := j.access(t, manifests.NodeAccessHostPort).failed(t, "1 of 2 nodes did not pull", second+": ", "connection refused", "hint: ", "which was not proven")
	if strings.Contains(r.stderr, " "+first+": ") {
		t.Errorf("node %s has pulled, and should not be named\n%s", first, r)
	}
	status, r := j.status(t, j.namespace)
	if access := part(t, status, manifests.NodeAccessName); access.Message != "hostport, not proven: run setup" {
		t.Errorf("status should tell that node access is not proven\n%s", r)
	}

	cluster.run(t, "leave").succeeded(t)
	j.wantNodes(t, 1)
	j.access(t, manifests.NodeAccessAuto).succeeded(t).says(t, "Node access hostport: 1 node pulled")
	j.wantAccess(t, manifests.NodeHost, "hostport")
}

// wantNodes waits until status counts that many nodes, all well.
func (j *journey) wantNodes(t *testing.T, count int32) {
	t.Helper()
	eventually(t, fmt.Sprintf("wait until status counts %d nodes", count), func(context.Context) error {
		status, r := j.status(t, j.namespace)
		for _, name := range []string{"kubernetes", manifests.NodeAccessName} {
			if part := part(t, status, name); !part.Healthy || part.Ready != count || part.Desired != count {
				return fmt.Errorf("%s is not\n%s", name, r)
			}
		}
		if !status.Healthy {
			return fmt.Errorf("not all is well\n%s", r)
		}
		return nil
	})
}

// storageNode is where the registry's images are.
func (j *journey) storageNode(t *testing.T) string {
	t.Helper()
	pod, err := j.kube.CoreV1().Pods(manifests.SystemNamespace).Get(t.Context(), manifests.StorageName+"-0", metav1.GetOptions{})
	check(t, err)
	return pod.Spec.NodeName
}

// hostingOf reads what other tools are told of the cluster's registry.
func (j *journey) hostingOf(t *testing.T) map[string]string {
	t.Helper()
	object, err := j.kube.CoreV1().ConfigMaps(manifests.HostingNamespace).Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	check(t, err)
	hosting := map[string]string{}
	check(t, yaml.UnmarshalStrict([]byte(object.Data["localRegistryHosting.v1"]), &hosting))
	return hosting
}

// hosting holds what other tools are told of the registry to KEP-1755, and to
// leaving somebody else's alone.
func (j *journey) hosting(t *testing.T) {
	configMaps := j.kube.CoreV1().ConfigMaps(manifests.HostingNamespace)
	ours, err := configMaps.Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	check(t, err)
	if ours.Labels[manifests.LabelManagedBy] != manifests.FieldManager {
		t.Skip("the cluster has another registry of its own")
	}
	want := j.hostingOf(t)
	// No field "host": there is no address from outside of the cluster.
	if len(want) != 3 || want["hostFromContainerRuntime"] != manifests.NodeHost || want["hostFromClusterNetwork"] != manifests.RegistryHost || !strings.HasPrefix(want["help"], "https://") {
		t.Errorf("other tools are told %v", want)
	}
	j.afterFailure(t, "setup", "-n", j.namespace)
	t.Cleanup(func() {
		if t.Failed() {
			_ = configMaps.Delete(context.WithoutCancel(t.Context()), manifests.HostingName, metav1.DeleteOptions{})
		}
	})

	check(t, configMaps.Delete(t.Context(), manifests.HostingName, metav1.DeleteOptions{}))
	foreign, err := configMaps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.HostingName},
		Data:       map[string]string{"localRegistryHosting.v1": "host: \"localhost:5001\"\n"},
	}, metav1.CreateOptions{})
	check(t, err)
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t)
	after, err := configMaps.Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	check(t, err)
	if after.UID != foreign.UID || after.ResourceVersion != foreign.ResourceVersion {
		t.Errorf("somebody else's was changed: %+v", after)
	}

	check(t, configMaps.Delete(t.Context(), manifests.HostingName, metav1.DeleteOptions{}))
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t).says(t, "1 created")
	again, err := configMaps.Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	check(t, err)
	if again.Labels[manifests.LabelManagedBy] != manifests.FieldManager || again.Data["localRegistryHosting.v1"] != ours.Data["localRegistryHosting.v1"] {
		t.Errorf("it should be as it was: %v", errors.Join(fmt.Errorf("before %+v", ours), fmt.Errorf("now %+v", again)))
	}
}
