//go:build e2e

package disruptive

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// proxyMode switches kube-proxy, until the test ends.
func proxyMode(t *testing.T, m *env.Machine, mode, before string) {
	t.Helper()
	t.Cleanup(func() { m.Run(t, "proxy-mode", before).Succeeded(t) })
	m.Run(t, "proxy-mode", mode).Succeeded(t)
}

// withoutHostPorts takes the plugin that serves host ports out of the first node's
// CNI configuration, which the container runtime watches. It counts for pods that
// start from now on, until the function that is returned is called, or the test
// ends. No pod with a host port may end meanwhile: its rules would stay.
func withoutHostPorts(t *testing.T, m *env.Machine) (restore func()) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(m.Files, "etc", "cni", "*.conflist"))
	env.Check(t, err)
	if len(paths) != 1 {
		t.Fatalf("the CNI configuration is %q", paths)
	}
	content, err := os.ReadFile(paths[0])
	env.Check(t, err)
	config := map[string]any{}
	env.Check(t, json.Unmarshal(content, &config))
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
	env.Check(t, err)
	restore = sync.OnceFunc(func() { env.Check(t, os.WriteFile(paths[0], content, 0o644)) })
	t.Cleanup(restore)
	env.Check(t, os.WriteFile(paths[0], changed, 0o644))
	return restore
}

// proxyModeNow asks the kube-proxy of a node.
func proxyModeNow(t *testing.T, ns *app) string {
	t.Helper()
	nodes, err := ns.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	for _, address := range nodes.Items[0].Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(address.Address, "10249")+"/proxyMode", http.NoBody)
		env.Check(t, err)
		response, err := http.DefaultClient.Do(request)
		env.Check(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		env.Check(t, err)
		return string(body)
	}
	t.Fatalf("node %s has no address", nodes.Items[0].Name)
	return ""
}

// access sets up with a way for the nodes; without one with the remembered.
func access(t *testing.T, ns *app, mode manifests.NodeAccess) env.Result {
	t.Helper()
	args := []string{"setup"}
	if mode != "" {
		args = append(args, "--node-access="+string(mode))
	}
	r := ns.Pyflow(t, args...)
	t.Logf("%s: exit code %d after %s\n%s", r.Line, r.Code, r.Took, r.Stderr)
	return r
}

// wantAccess proves that nodes pull the app by way of that host, and that status
// tells the mode, and still knows the release.
func wantAccess(t *testing.T, ns *app, host, message string) {
	t.Helper()
	ns.Pulls(t, host+"/"+ns.Name+"/"+ns.name+"@"+ns.digest)
	status, r := ns.Status(t)
	if access := env.Part(t, status, manifests.NodeAccessName); !access.Healthy || access.Message != message {
		t.Errorf("node access should be healthy and %q\n%s", message, r)
	}
	if app := env.App(t, status, ns.name); app.Digest != ns.digest {
		t.Errorf("the release's digest should still be %s\n%s", ns.digest, r)
	}
}

// TestNodeAccessModes goes through the ways in which nodes can reach the registry, with both
// kinds of kube-proxy. The order is such that a pod with a host port never ends
// while no plugin serves host ports.
func TestNodeAccessModes(t *testing.T) {
	ns := theApp(t)
	cluster := ns.Machine(t)
	const (
		hostPort, hostNetwork = manifests.NodeAccessHostPort, manifests.NodeAccessHostNetwork
		nodePort              = manifests.NodeAccessNodePort
	)
	before := proxyModeNow(t, ns)
	if before != "iptables" {
		proxyMode(t, cluster, "iptables", before)
	}
	ns.AfterFailure(t, "setup", "-n", ns.Name, "--node-access=auto")
	nodes, err := ns.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	node := nodes.Items[0].Name

	access(t, ns, hostPort).Succeeded(t).Says(t, "Node access hostport: 1 node pulled")
	wantAccess(t, ns, manifests.NodeHost, "hostport")

	access(t, ns, nodePort).Succeeded(t).Says(t, "Node access nodeport: 1 node pulled",
		"warning: nodes now pull from "+manifests.NodePortHost, ns.workload())
	wantAccess(t, ns, manifests.NodePortHost, "nodeport")
	if hosting := ns.Hosting(t); hosting["hostFromContainerRuntime"] != manifests.NodePortHost {
		t.Errorf("other tools read %v", hosting)
	}

	restore := withoutHostPorts(t, cluster)
	r := access(t, ns, manifests.NodeAccessAuto).Succeeded(t)
	r.Says(t, "node access hostport does not work here, trying hostnetwork", "Node access hostnetwork: 1 node pulled")
	restore()
	if strings.Contains(r.Stderr, ns.workload()) {
		t.Errorf("the app is at home again, and should not be in the warning\n%s", r)
	}
	wantAccess(t, ns, manifests.NodeHost, "hostnetwork")
	access(t, ns, "").Succeeded(t).Says(t, "nothing changed")

	access(t, ns, manifests.NodeAccessNone).Failed(t, "node access none", node+": ", manifests.RegistryHost, "no such host", "hint: ", "node access is hostnetwork again")
	wantAccess(t, ns, manifests.NodeHost, "hostnetwork")

	proxyMode(t, cluster, "nftables", "iptables")
	access(t, ns, nodePort).Failed(t, "node access nodeport", node+": ", "127.0.0.1:30518", "connection refused", "hint: ", "node access is hostnetwork again")
	if _, err := ns.Kube.CoreV1().Services(manifests.SystemNamespace).Get(t.Context(), manifests.NodeAccessName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the port that was tried should be closed again: %v", err)
	}
	wantAccess(t, ns, manifests.NodeHost, "hostnetwork")

	access(t, ns, hostNetwork).Succeeded(t).Says(t, "Node access hostnetwork: 1 node pulled")
	access(t, ns, manifests.NodeAccessAuto).Succeeded(t).Says(t, "Node access hostport: 1 node pulled")
	wantAccess(t, ns, manifests.NodeHost, "hostport")
}

// TestNodeJoinsAndLeaves lets a second node come, fail and go.
func TestNodeJoinsAndLeaves(t *testing.T) {
	ns := theApp(t)
	cluster := ns.Machine(t)
	known, err := ns.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	if len(known.Items) != 1 {
		t.Fatalf("there are %d nodes already", len(known.Items))
	}
	first := known.Items[0].Name
	storage := storageNode(t, ns)
	image := manifests.NodeHost + "/" + ns.Name + "/" + ns.name + "@" + ns.digest

	ns.AfterFailure(t, "setup", "-n", ns.Name, "--node-access=auto")
	t.Cleanup(func() { cluster.Run(t, "leave").Succeeded(t) })
	cluster.Run(t, "join").Succeeded(t)
	joined, err := ns.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	joined.Items = slices.DeleteFunc(joined.Items, func(node corev1.Node) bool { return node.Name == first })
	if len(joined.Items) != 1 {
		t.Fatalf("%d nodes have joined", len(joined.Items))
	}
	second := joined.Items[0].Name
	// No setup runs for a node that joins.
	wantNodes(t, ns, 2)
	ns.PullsOn(t, second, image)

	access(t, ns, manifests.NodeAccessAuto).Succeeded(t).Says(t, "Node access hostport: 2 nodes pulled")
	if now := storageNode(t, ns); now != storage {
		t.Errorf("the registry's volume has moved from %s to %s", storage, now)
	}

	// A node whose runtime looks elsewhere for the registry.
	hosts := filepath.Join(cluster.Files, second, "etc", "certs.d", manifests.NodeHost)
	env.Check(t, os.MkdirAll(hosts, 0o755))
	const elsewhere = "server = \"http://127.0.0.1:1\"\n[host.\"http://127.0.0.1:1\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
	env.Check(t, os.WriteFile(filepath.Join(hosts, "hosts.toml"), []byte(elsewhere), 0o644))
	r := access(t, ns, manifests.NodeAccessHostPort).Failed(t, "1 of 2 nodes did not pull", second+": ", "connection refused", "hint: ", "is not proven")
	if strings.Contains(r.Stderr, " "+first+": ") {
		t.Errorf("node %s has pulled, and should not be named\n%s", first, r)
	}
	status, r := ns.Status(t)
	if access := env.Part(t, status, manifests.NodeAccessName); access.Message != "hostport, not proven: run setup" {
		t.Errorf("status should tell that node access is not proven\n%s", r)
	}

	cluster.Run(t, "leave").Succeeded(t)
	wantNodes(t, ns, 1)
	access(t, ns, manifests.NodeAccessAuto).Succeeded(t).Says(t, "Node access hostport: 1 node pulled")
	wantAccess(t, ns, manifests.NodeHost, "hostport")
}

// wantNodes waits until status counts that many nodes, all well.
func wantNodes(t *testing.T, ns *app, count int32) {
	t.Helper()
	env.Eventually(t, fmt.Sprintf("wait until status counts %d nodes", count), func(context.Context) error {
		status, r := ns.Status(t)
		for _, name := range []string{"kubernetes", manifests.NodeAccessName} {
			if part := env.Part(t, status, name); !part.Healthy || part.Ready != count || part.Desired != count {
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
func storageNode(t *testing.T, ns *app) string {
	t.Helper()
	pod, err := ns.Kube.CoreV1().Pods(manifests.SystemNamespace).Get(t.Context(), manifests.StorageName+"-0", metav1.GetOptions{})
	env.Check(t, err)
	return pod.Spec.NodeName
}
