//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestBuildNetwork connects from a RUN to everything that a hostile build would look for. Which
// of it a build reaches is up to the cluster's network: one that ignores NetworkPolicies passes
// if the policy says the right thing of each address.
func TestBuildNetwork(t *testing.T) {
	t.Parallel()
	ns, other := env.Namespace(t), env.Namespace(t)
	other.Build(t, env.Page(t, "shop", "hello", "")).Released(t)
	outside := listen(t, ns, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "outside") })
	policy, err := ns.Kube.NetworkingV1().NetworkPolicies(ns.Name).Get(t.Context(), manifests.BuildNetworkName, metav1.GetOptions{})
	env.Check(t, err)

	list := func(namespace, selector string) []corev1.Pod {
		pods, err := ns.Kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		env.Check(t, err)
		if len(pods.Items) == 0 {
			t.Fatalf("no pod is %s in namespace %s", selector, namespace)
		}
		return pods.Items
	}
	node := ns.NodeAddress(t)
	closed := map[string]string{
		"the API server by its Service": "10.96.0.1 443",
		"the API server by its address": node + " 6443",
		"the kubelet":                   node + " 10250",
		"the storage of the registry":   "registry-storage.pyflow-system.svc 443",
		"metrics of Tekton":             list("tekton-pipelines", "app.kubernetes.io/name=controller")[0].Status.PodIP + " 9090",
		"an app of another namespace":   list(other.Name, manifests.LabelApp+"=shop,!tekton.dev/pipelineRun")[0].Status.PodIP + " 8000",
		"the metadata of a cloud":       "169.254.169.254 80",
	}
	probe := func(name, address string) string {
		return "RUN " + patient(address, name) + "\n"
	}
	// A name server is reached by a question, which the names below ask.
	open := map[string]string{
		"the registry": "registry.pyflow-system.svc 443",
		"outside":      address(outside),
	}
	more := ""
	for _, addresses := range []map[string]string{closed, open} {
		for name, address := range addresses {
			more += probe(name, address)
		}
	}
	ns.Build(t, env.Page(t, "spy", "hello", more), "--no-deploy", "--no-cache").Succeeded(t)
	log := ns.Pyflow(t, "logs", "--build", "spy").Succeeded(t).Stdout
	results := regexp.MustCompile(`(?m)^\[build\] (reached|refused): .*$`).FindAllString(log, -1)
	t.Log(strings.Join(results, "\n"))
	for name := range open {
		if !slices.Contains(results, "[build] reached: "+name) {
			t.Errorf("a build does not reach %s", name)
		}
	}
	if !enforced(t, outside) {
		t.Logf("the network of the cluster does not enforce NetworkPolicies; the egress of builds would be %+v", policy.Spec.Egress)
		return
	}
	for name := range closed {
		if !slices.Contains(results, "[build] refused: "+name) {
			t.Errorf("a build reaches %s", name)
		}
	}
}

// enforced reports whether the network of the cluster enforces NetworkPolicies: whether a pod that
// may connect to nothing does not reach that URL.
func enforced(t *testing.T, url string) bool {
	t.Helper()
	ns := env.Namespace(t)
	_, err := ns.Kube.NetworkingV1().NetworkPolicies(ns.Name).Create(t.Context(), &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "nothing"}, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	_, log := ns.RunPod(t, corev1.PodSpec{Containers: []corev1.Container{{
		Name: "app", Image: "docker.io/library/" + env.SmallBase,
		Command: []string{"sh", "-c", patient(address(url), url)},
	}}})
	return strings.TrimSpace(log) == "refused: "+url
}

// patient returns a command that prints "reached: " or "refused: " and the name. It tries for some
// seconds: the network may take a moment until it knows a new pod.
func patient(address, name string) string {
	return "r=reached; for i in 1 2 3 4 5; do echo | nc -w 2 " + address + " >/dev/null 2>&1 || { r=refused; break; }; sleep 1; done; echo \"$r: " + name + "\""
}

// address returns the host and the port of a URL as nc takes them.
func address(url string) string {
	return strings.Replace(strings.TrimPrefix(url, "http://"), ":", " ", 1)
}
