//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// TestExposure checks what of the platform can be reached from where, and what its
// pods could do if an attacker took them over.
func TestExposure(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	config, err := platform.Config(t.Context(), ns.Kube)
	env.Check(t, err)
	mode := config.NodeAccess.Mode
	services, err := ns.Kube.CoreV1().Services(manifests.SystemNamespace).List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	if len(services.Items) < 2 {
		t.Errorf("there are %d services", len(services.Items))
	}
	for _, service := range services.Items {
		t.Logf("service %s: %s %v", service.Name, service.Spec.Type, service.Spec.Ports)
		isDoor := service.Name == manifests.NodeAccessName && mode == manifests.NodeAccessNodePort
		if !isDoor && (service.Spec.Type != corev1.ServiceTypeClusterIP || len(service.Spec.ExternalIPs) > 0) {
			t.Errorf("service %s is open to the outside: %+v", service.Name, service.Spec)
		}
	}
	pods, err := ns.Kube.CoreV1().Pods(manifests.SystemNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=pyflow"})
	env.Check(t, err)
	parts := map[string]bool{}
	for _, pod := range pods.Items {
		parts[pod.Labels["app.kubernetes.io/name"]] = true
		confined(t, pod, mode)
	}
	if !parts[manifests.RegistryName] || !parts[manifests.StorageName] || (!parts[manifests.NodeAccessName] && mode != manifests.NodeAccessNone) {
		t.Errorf("the platform's pods are %v", parts)
	}
	if mode != manifests.NodeAccessNodePort {
		closed(t, ns)
	}
	processes(t)
}

// confined checks what a pod's specification gives it.
func confined(t *testing.T, pod corev1.Pod, mode manifests.NodeAccess) {
	t.Helper()
	name, spec := pod.Labels["app.kubernetes.io/name"], pod.Spec
	isDoor := name == manifests.NodeAccessName
	if (spec.HostNetwork && (!isDoor || mode != manifests.NodeAccessHostNetwork)) || spec.HostPID || spec.HostIPC {
		t.Errorf("pod %s is in the node's own network or among its processes", pod.Name)
	}
	if tokens := tokenMounts(pod); len(tokens) > 0 || spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		t.Errorf("pod %s has the tokens %v", pod.Name, tokens)
	}
	if isDoor && spec.PriorityClassName != "system-node-critical" {
		t.Errorf("pod %s has the priority %q", pod.Name, spec.PriorityClassName)
	}
	security := spec.SecurityContext
	if security == nil || security.RunAsNonRoot == nil || !*security.RunAsNonRoot || security.RunAsUser == nil || *security.RunAsUser == 0 || security.SeccompProfile == nil {
		t.Errorf("pod %s runs as %+v", pod.Name, security)
	}
	for _, volume := range spec.Volumes {
		if volume.HostPath != nil {
			t.Errorf("pod %s has the node's %s", pod.Name, volume.HostPath.Path)
		}
	}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, port := range container.Ports {
			if port.HostPort != 0 && (!isDoor || port.HostIP != "127.0.0.1") {
				t.Errorf("pod %s opens port %d on %q of the node", pod.Name, port.HostPort, port.HostIP)
			}
		}
		if c := container.SecurityContext; c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem ||
			c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || (c.Privileged != nil && *c.Privileged) ||
			c.Capabilities == nil || !slices.Contains(c.Capabilities.Drop, "ALL") {
			t.Errorf("container %s of pod %s is confined to %+v", container.Name, pod.Name, c)
		}
		requests, limits := container.Resources.Requests, container.Resources.Limits
		if requests.Cpu().IsZero() || requests.Memory().IsZero() || limits.Memory().IsZero() {
			t.Errorf("container %s of pod %s asks for %v and is limited to %v", container.Name, pod.Name, requests, limits)
		}
		t.Logf("pod %s, container %s: requests %v, limits %v, capabilities %+v", pod.Name, container.Name, requests, limits, container.SecurityContext.Capabilities)
	}
}

// closed checks that the node-access proxy is on no address but their loopback.
func closed(t *testing.T, ns *env.NS) {
	t.Helper()
	nodes, err := ns.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	_, port, err := net.SplitHostPort(manifests.NodeHost)
	env.Check(t, err)
	for _, node := range nodes.Items {
		for _, address := range node.Status.Addresses {
			if address.Type != corev1.NodeInternalIP && address.Type != corev1.NodeExternalIP {
				continue
			}
			// A firewall in between drops without a word.
			dialer := net.Dialer{Timeout: 5 * time.Second}
			connection, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(address.Address, port))
			t.Logf("node %s, %s port %s: %v", node.Name, address.Address, port, err)
			if err == nil {
				_ = connection.Close()
				t.Errorf("node %s takes connections on %s port %s", node.Name, address.Address, port)
			}
		}
	}
}

// processes checks what the running processes of the platform may do, where the
// nodes' processes can be seen: they run in namespaces of this machine.
func processes(t *testing.T) {
	t.Helper()
	directories, err := filepath.Glob("/proc/[0-9]*")
	env.Check(t, err)
	// To listen on a port below 1024, which is an attribute of Caddy's file.
	const bindService = 1 << 10
	seen := map[string]bool{}
	for _, directory := range directories {
		text, err := os.ReadFile(filepath.Join(directory, "cmdline"))
		if err != nil {
			continue // It has ended.
		}
		line := strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
		isCaddy, isStorage := strings.HasPrefix(line, "caddy run "), strings.HasPrefix(line, "/bin/registry serve /etc/registry/")
		if !isCaddy && !isStorage {
			continue
		}
		state, err := processState(directory)
		if err != nil {
			continue
		}
		seen[line] = true
		t.Logf("%s: user %s, capabilities %s of %s, no new privileges %s, seccomp %s", line, state["Uid"], state["CapEff"], state["CapBnd"], state["NoNewPrivs"], state["Seccomp"])
		for _, set := range []string{"CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"} {
			capabilities, err := strconv.ParseUint(state[set], 16, 64)
			env.Check(t, err)
			if isCaddy {
				capabilities &^= bindService
			}
			if capabilities != 0 {
				t.Errorf("%s: %s is %s", line, set, state[set])
			}
		}
		if strings.Fields(state["Uid"])[1] == "0" || state["NoNewPrivs"] != "1" || state["Seccomp"] != "2" {
			t.Errorf("%s: %v", line, state)
		}
	}
	switch {
	case len(seen) == 0:
		t.Log("the nodes' processes cannot be seen from here")
	case len(seen) < 3:
		t.Errorf("the processes of front, storage and node-access proxy are %v", seen)
	}
}

func processState(directory string) (map[string]string, error) {
	file, err := os.Open(filepath.Join(directory, "status"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	state := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		state[name] = strings.TrimSpace(value)
	}
	return state, lines.Err()
}

// developerOf creates an account of the cluster that may do in the namespace
// what an admin gives developers, and nothing more, and returns a kubeconfig.
func developerOf(t *testing.T, ns *env.NS) string {
	t.Helper()
	const name = "developer"
	_, err := ns.Kube.CoreV1().ServiceAccounts(ns.Name).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	env.Check(t, err)
	_, err = ns.Kube.RbacV1().RoleBindings(ns.Name).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "pyflow-developer"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: ns.Name}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = ns.Kube.RbacV1().RoleBindings(ns.Name).Delete(ctx, name, metav1.DeleteOptions{})
		_ = ns.Kube.CoreV1().ServiceAccounts(ns.Name).Delete(ctx, name, metav1.DeleteOptions{})
	})
	token, err := ns.Kube.CoreV1().ServiceAccounts(ns.Name).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	env.Check(t, err)
	config, err := clientcmd.LoadFromFile(ns.Kubeconfig)
	env.Check(t, err)
	for user := range config.AuthInfos {
		config.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	env.Check(t, clientcmd.WriteToFile(*config, file))
	return file
}

// TestDeveloper does all that developers do with the permissions that the docs give them, and
// then what they may not.
func TestDeveloper(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	kubeconfig := developerOf(t, ns)
	as := func(args ...string) env.Result {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), env.CommandLimit)
		defer cancel()
		cmd := ns.Command(ctx, "kubectl", args...)
		cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
		r := env.Finish(t, cmd, cmd.Run)
		t.Logf("as developer: %s: exit code %d: %s", registrytest.Shorten(r.Line), r.Code, registrytest.Shorten(strings.TrimSpace(r.Stderr)))
		return r
	}
	dir := env.Page(t, "small", "by a developer", "")
	built := as("pyflow", "build", "-n", ns.Name, "--port", "8000", dir)
	digest, url := built.Released(t)
	env.Serves(t, url, "by a developer")
	status := as("pyflow", "status", "-n", ns.Name).Succeeded(t)
	for _, word := range []string{"small", "Succeeded", digest[:19], url} {
		if !strings.Contains(status.Stdout, word) {
			t.Errorf("status should have %q\n%s", word, status)
		}
	}
	run := ns.Runs(t)[0].Name
	if log := as("logs", "-n", ns.Name, "-l", "tekton.dev/pipelineRun="+run+",tekton.dev/pipelineTask="+manifests.BuildTask, "--all-containers").Succeeded(t); log.Stdout == "" {
		t.Errorf("the run's pod should have a log\n%s", log)
	}
	as("get", "secret", manifests.RegistrySecret, "-n", ns.Name).Succeeded(t)
	// The Dockerfile of a repository is confirmed on the pod that has fetched it.
	g := newGitServer(t, ns, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n"}, map[string]string{"text": "x"})
	trust := ns.Secret(t, "trust", map[string]string{"ca.crt": string(g.ca)})
	git := []string{"pyflow", "build", "-n", ns.Name, "--git", g.https + "public.git", "--git-secret", trust, "--name", gitApp, "--no-deploy"}
	as(git...).Failed(t, "a run uses Secrets that its user may read", "kubectl create role")
	kubectl(t, ns, "create", "role", "git", "--verb=get", "--resource=secrets", "--resource-name="+trust).Succeeded(t)
	kubectl(t, ns, "create", "rolebinding", "git", "--role=git", "--serviceaccount="+ns.Name+":developer").Succeeded(t)
	as(git...).Succeeded(t)

	_, err := ns.Kube.CoreV1().Secrets(ns.Name).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "of-an-app"}}, metav1.CreateOptions{})
	env.Check(t, err)
	t.Cleanup(func() {
		_ = ns.Kube.CoreV1().Secrets(ns.Name).Delete(context.WithoutCancel(t.Context()), "of-an-app", metav1.DeleteOptions{})
	})
	neighbor := env.Namespace(t)
	before := ns.Inventory(t)
	system := manifests.SystemNamespace
	for _, args := range [][]string{
		{"get", "secrets", "-n", system},
		{"get", "secret", manifests.RegistrySecret, "-n", system},
		{"get", "secret", manifests.CAName, "-n", system},
		{"get", "secret", manifests.TLSName, "-n", system},
		{"get", "secret", manifests.StorageTLSName, "-n", system},
		{"get", "secret", manifests.AuthName, "-n", system},
		{"get", "pods", "-n", system},
		{"get", "configmap", manifests.RegistryName, "-n", system},
		{"exec", manifests.RegistryPod, "-n", system, "--", "true"},
		{"delete", "pod", manifests.RegistryPod, "-n", system},
		{"get", "secrets", "-n", ns.Name},
		{"get", "secret", "of-an-app", "-n", ns.Name},
		{"get", "secret", manifests.RegistrySecret, "-n", neighbor.Name},
		{"get", "pods", "-n", neighbor.Name},
		{"get", "pipelineruns.tekton.dev", "-n", neighbor.Name},
	} {
		if r := as(args...); r.Code != 1 || !strings.Contains(r.Stderr, "orbidden") {
			t.Errorf("it should have been forbidden\n%s", r)
		}
	}
	for _, question := range []struct{ verb, resource, subresource, namespace string }{
		{"get", "secrets", "", system},
		{"list", "secrets", "", system},
		{"watch", "secrets", "", system},
		{"create", "pods", "", system},
		{"create", "pods", "exec", system},
		{"update", "configmaps", "", system},
		{"patch", "statefulsets.apps", "", system},
		{"create", "pods", "portforward", system},
		{"create", "pods/" + manifests.StorageName + "-0", "portforward", system},
		{"get", "pods/" + manifests.StorageName + "-0", "portforward", system},
		{"create", "pods/" + manifests.RegistryPod, "exec", system},
		{"get", "pods/" + manifests.RegistryPod, "log", system},
		{"list", "secrets", "", ns.Name},
		{"update", "pods", "", ns.Name},
		{"create", "rolebindings.rbac.authorization.k8s.io", "", ns.Name},
		{"create", "serviceaccounts", "token", ns.Name},
		{"impersonate", "serviceaccounts", "", ns.Name},
		{"get", "secrets", "", neighbor.Name},
		{"create", "pipelineruns.tekton.dev", "", neighbor.Name},
	} {
		if r := as("auth", "can-i", question.verb, question.resource, "--subresource="+question.subresource, "-n", question.namespace); r.Code != 1 || !strings.HasPrefix(r.Stdout, "no") {
			t.Errorf("may %s %s %s in %s\n%s", question.verb, question.resource, question.subresource, question.namespace, r)
		}
	}
	as("auth", "can-i", "create", "pods/"+manifests.RegistryPod, "--subresource=portforward", "-n", system).Succeeded(t)
	list := as("auth", "can-i", "--list", "-n", system).Succeeded(t)
	for line := range strings.Lines(list.Stdout) {
		if strings.HasPrefix(line, "secrets") || strings.HasPrefix(line, "*") {
			t.Errorf("in namespace %s: %s", system, line)
		}
	}
	developerForwards(t, ns, kubeconfig)

	as("pyflow", "build", "-n", neighbor.Name, env.Root("examples", "mountains")).Failed(t, "missing permissions", "get secrets "+manifests.RegistrySecret+" in namespace "+neighbor.Name)
	if runs := neighbor.Runs(t); len(runs) > 0 {
		t.Errorf("%d runs were created in namespace %s", len(runs), neighbor.Name)
	}
	for _, args := range [][]string{{}, {"--rotate-credentials"}} {
		as(append([]string{"pyflow", "setup", "-n", ns.Name}, args...)...).Failed(t)
	}
	ns.Unchanged(t, before)
}

// developerForwards tries all doors of the platform but the front's.
func developerForwards(t *testing.T, ns *env.NS, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	env.Check(t, err)
	client, err := kubernetes.NewForConfig(config)
	env.Check(t, err)
	pods, err := ns.Kube.CoreV1().Pods(manifests.SystemNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=pyflow"})
	env.Check(t, err)
	for _, pod := range pods.Items {
		for _, port := range []int{manifests.RegistryPort, 2019, 8080} {
			dial, err := podforward.Dialer(config, client, manifests.SystemNamespace, pod.Name, port)
			env.Check(t, err)
			reached := errors.New("it answers")
			connection, err := dial(t.Context(), "", "")
			if err == nil {
				// The first byte shows whether something listens.
				env.Check(t, connection.SetDeadline(time.Now().Add(env.SettleLimit)))
				_, err = connection.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
				if err == nil {
					_, err = connection.Read(make([]byte, 1))
				}
				if err == nil {
					err = reached
				}
				_ = connection.Close()
			}
			t.Logf("as developer: port-forward to %s port %d: %v", pod.Name, port, err)
			front := pod.Name == manifests.RegistryPod && port == manifests.RegistryPort
			switch {
			case front != errors.Is(err, reached):
				t.Errorf("port-forward to %s port %d: %v", pod.Name, port, err)
			case pod.Name != manifests.RegistryPod && !strings.Contains(err.Error(), "orbidden"):
				t.Errorf("port-forward to %s should have been forbidden: %v", pod.Name, err)
			}
		}
	}
}
