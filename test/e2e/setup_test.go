//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

// TestSetupAgain runs setup without flags: settings keep their values.
func TestSetupAgain(t *testing.T) {
	ns := env.KeptNamespace(t)
	before := ns.Inventory(t)
	ns.Pyflow(t, "setup").Succeeded(t).Says(t, "nothing changed")
	ns.Unchanged(t, before)
}

// TestSetupPrunes leaves an object as an older version would have: marked as a member, and
// unknown to this one. What is not marked stays.
func TestSetupPrunes(t *testing.T) {
	ns := env.KeptNamespace(t)
	configMaps := ns.Kube.CoreV1().ConfigMaps(manifests.SystemNamespace)
	parent, err := configMaps.Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	env.Check(t, err)
	member := map[string]string{"applyset.kubernetes.io/part-of": parent.Labels["applyset.kubernetes.io/id"]}
	if member["applyset.kubernetes.io/part-of"] == "" {
		t.Fatalf("configmap %s is no ApplySet parent: %v", parent.Name, parent.Labels)
	}
	for name, labels := range map[string]map[string]string{"of-an-older-version": member, "of-others": nil} {
		_, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
		env.Check(t, err)
		t.Cleanup(func() { _ = configMaps.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
	}

	ns.Pyflow(t, "setup").Succeeded(t).Says(t, "1 pruned")
	if _, err := configMaps.Get(t.Context(), "of-an-older-version", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the member is still there: %v", err)
	}
	_, err = configMaps.Get(t.Context(), "of-others", metav1.GetOptions{})
	env.Check(t, err)
}

// TestSetupDryRun compares what a dry run prints with what setup applied.
func TestSetupDryRun(t *testing.T) { env.KeptNamespace(t).DryRun(t) }

// TestBadBuildEnvironment tries what can be wrong with what builds are to get. The cluster
// stays as it was, and no value is printed.
func TestBadBuildEnvironment(t *testing.T) {
	ns := env.KeptNamespace(t)
	const secret = "not-to-be-printed"
	file := filepath.Join(t.TempDir(), "file")
	env.Check(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	key := filepath.Join(t.TempDir(), "key.pem")
	env.Check(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")}), 0o600))
	absent := filepath.Join(t.TempDir(), "absent")
	before := ns.Inventory(t)
	for name, test := range map[string]struct {
		flags []string
		words []string
	}{
		"no file":        {[]string{"--build-ca", absent}, []string{"--build-ca", absent}},
		"no certificate": {[]string{"--build-ca", file}, []string{"--build-ca", file, "no PEM certificate"}},
		"private key":    {[]string{"--build-ca", key}, []string{"--build-ca", key, "private key"}},
		"no value":       {[]string{"--build-env", secret}, []string{"--build-env", "KEY=VALUE"}},
		"no name":        {[]string{"--build-env", "a-b=" + secret}, []string{"--build-env", "name of an environment variable"}},
		"reserved":       {[]string{"--build-env", "PATH=" + secret}, []string{"--build-env", "PATH"}},
		"twice":          {[]string{"--build-env", "A=" + secret, "--build-env", "A=" + secret}, []string{"--build-env", "A is named twice"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := ns.Pyflow(t, append([]string{"setup"}, test.flags...)...).FailedWith(t, 2, test.words...)
			if strings.Contains(r.Stdout+r.Stderr, secret) {
				t.Errorf("the value is printed\n%s", r)
			}
		})
	}
	ns.Unchanged(t, before)
}

// TestRegistryHosting checks the ConfigMap that tells other tools of the registry
// (KEP-1755). Setup leaves the ConfigMap of another registry alone.
func TestRegistryHosting(t *testing.T) {
	ns := env.KeptNamespace(t)
	configMaps := ns.Kube.CoreV1().ConfigMaps(manifests.HostingNamespace)
	ours, err := configMaps.Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	env.Check(t, err)
	if ours.Labels[manifests.LabelManagedBy] != manifests.FieldManager {
		t.Skip("the cluster has another registry of its own")
	}
	want := ns.Hosting(t)
	// No field "host": there is no address from outside of the cluster.
	if len(want) != 3 || want["hostFromContainerRuntime"] != manifests.NodeHost || want["hostFromClusterNetwork"] != manifests.RegistryHost || !strings.HasPrefix(want["help"], "https://") {
		t.Errorf("other tools read %v", want)
	}
	ns.AfterFailure(t, "setup", "-n", ns.Name)
	t.Cleanup(func() {
		if t.Failed() {
			_ = configMaps.Delete(context.WithoutCancel(t.Context()), manifests.HostingName, metav1.DeleteOptions{})
		}
	})

	env.Check(t, configMaps.Delete(t.Context(), manifests.HostingName, metav1.DeleteOptions{}))
	foreign, err := configMaps.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.HostingName},
		Data:       map[string]string{"localRegistryHosting.v1": "host: \"localhost:5001\"\n"},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	ns.Pyflow(t, "setup").Succeeded(t)
	after, err := configMaps.Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	env.Check(t, err)
	if after.UID != foreign.UID || after.ResourceVersion != foreign.ResourceVersion {
		t.Errorf("the ConfigMap of another registry was changed: %+v", after)
	}

	env.Check(t, configMaps.Delete(t.Context(), manifests.HostingName, metav1.DeleteOptions{}))
	ns.Pyflow(t, "setup").Succeeded(t).Says(t, "1 created")
	again, err := configMaps.Get(t.Context(), manifests.HostingName, metav1.GetOptions{})
	env.Check(t, err)
	if again.Labels[manifests.LabelManagedBy] != manifests.FieldManager || again.Data["localRegistryHosting.v1"] != ours.Data["localRegistryHosting.v1"] {
		t.Errorf("it should be as it was: %v", errors.Join(fmt.Errorf("before %+v", ours), fmt.Errorf("now %+v", again)))
	}
}

// TestBadRegistryFlags tries what can be wrong with the flags of the registry. The
// cluster stays as it was, and no password is printed.
func TestBadRegistryFlags(t *testing.T) {
	ns := env.KeptNamespace(t)
	const password = "not-to-be-printed"
	address := ns.AddressForPods(t)
	ca, foreign := servers.NewCA(t), servers.NewCA(t)
	tomorrow := time.Now().Add(24 * time.Hour)
	listen := func(notAfter time.Time, handler http.HandlerFunc) string {
		t.Helper()
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		env.Check(t, err)
		host := listener.Addr().String()
		if !notAfter.IsZero() {
			pair, err := tls.X509KeyPair(ca.Issue(t, address, notAfter))
			env.Check(t, err)
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
		}
		servers.Serve(t, listener, handler)
		return host
	}
	var inTheClear atomic.Bool
	// A registry as far as the first questions go, for which reader may only read.
	registry := func(w http.ResponseWriter, r *http.Request) {
		user, given, _ := r.BasicAuth()
		if r.TLS == nil && given != "" {
			inTheClear.Store(true)
		}
		switch {
		case given != password:
			w.Header().Set("WWW-Authenticate", `Basic realm="company"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodPost && user == "reader":
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"reader may not push"}]}`))
		}
	}
	good, expired, plain := listen(tomorrow, registry), listen(time.Now().Add(-time.Hour), registry), listen(time.Time{}, registry)
	page := listen(tomorrow, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>welcome</html>"))
	})
	lost := listen(tomorrow, http.NotFound)
	closed, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	env.Check(t, err)
	refused := closed.Addr().String()
	env.Check(t, closed.Close())

	for name, secret := range map[string]struct{ host, user, password string }{
		"e2e-wrong": {good, "writer", "e2e-wrong-password"}, "e2e-reader": {good, "reader", password}, "e2e-elsewhere": {"ghcr.io", "writer", password},
		"e2e-expired": {expired, "writer", password}, "e2e-plain": {plain, "writer", password}, "e2e-page": {page, "writer", password},
		"e2e-lost": {lost, "writer", password}, "e2e-refused": {refused, "writer", password}, "e2e-unknown": {"registry.e2e-no-such-host.invalid", "writer", password},
	} {
		registrytest.LoginSecret(t, ns, name, secret.host, secret.user, secret.password)
		deleteSecret(t, ns, name)
	}
	_, err = ns.Kube.CoreV1().Secrets(ns.Name).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-opaque"}, StringData: map[string]string{"password": password},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	deleteSecret(t, ns, "e2e-opaque")
	caFile, foreignFile := ca.File(t), foreign.File(t)
	notPEM, keyFile := filepath.Join(t.TempDir(), "ca.der"), filepath.Join(t.TempDir(), "key.pem")
	env.Check(t, os.WriteFile(notPEM, []byte{0x30, 0x82}, 0o600))
	env.Check(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")}), 0o600))

	to := func(host, secret string, flags ...string) []string {
		return append([]string{"--registry", host + "/org", "--registry-secret", secret, "--registry-ca", caFile}, flags...)
	}
	before := ns.Inventory(t)
	type input struct {
		name  string
		flags []string
		words []string
	}
	usage := []input{
		{"no TLS, said so", to("http://"+plain, "e2e-plain"), []string{"only registries with TLS"}},
		{"no credentials named", []string{"--registry", good}, []string{"--registry-secret"}},
		{"no such CA file", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", caFile + ".absent"}, []string{"--registry-ca", ".absent"}},
		{"CA is not PEM", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", notPEM}, []string{notPEM, "no PEM certificate"}},
		{"CA is a key", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", keyFile}, []string{keyFile, "private key"}},
		{"no host", to("my-org", "e2e-wrong"), []string{"my-org", "registry's host"}},
		{"the machine itself", to("localhost:5000", "e2e-wrong"), []string{"localhost:5000", "on themselves"}},
		{"bad prefix", []string{"--registry", good + "/My-Org"}, []string{"My-Org", "no repository"}},
		{"size of a foreign volume", to(good, "e2e-wrong", "--registry-storage-size", "5Gi"), []string{"--registry-storage-size", "leave out"}},
		{"credentials for our own registry", []string{"--registry-secret", "e2e-wrong"}, []string{"--registry-secret", "--registry"}},
		{"back with credentials", []string{"--registry", "", "--registry-secret", "e2e-wrong"}, []string{"goes back"}},
		{"unknown node access", []string{"--node-access", "tunnel"}, []string{"tunnel", "auto, hostport, hostnetwork, nodeport, none"}},
		{"no size", []string{"--registry-storage-size", "much"}, []string{"much", "20Gi"}},
	}
	inputs := []input{
		{"nothing listens", to(refused, "e2e-refused"), []string{refused, "cannot be reached", "connection refused", "VPN"}},
		{"no such host", to("registry.e2e-no-such-host.invalid", "e2e-unknown"), []string{"e2e-no-such-host", "cannot be reached"}},
		{"wrong password", to(good, "e2e-wrong"), []string{good, "refused the credentials", "--registry-secret"}},
		{"no right to push", to(good, "e2e-reader"), []string{good + "/org/" + ns.Name, "denied", "permission to push"}},
		{"foreign CA", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", foreignFile}, []string{good, "not trusted", "--registry-ca"}},
		{"no CA", []string{"--registry", good, "--registry-secret", "e2e-wrong"}, []string{good, "not trusted", "unknown authority", "--registry-ca"}},
		{"expired certificate", to(expired, "e2e-expired"), []string{expired, "not trusted", "expired", "renew the certificate"}},
		{"no TLS", to(plain, "e2e-plain"), []string{plain, "does not speak TLS"}},
		{"a web page", to(page, "e2e-page"), []string{page, "not a registry", "web page"}},
		{"nothing there", to(lost, "e2e-lost"), []string{lost, "not a registry", "404 Not Found"}},
		{"no such Secret", to(good, "e2e-absent"), []string{"e2e-absent", "no such Secret in namespace " + ns.Name, "kubectl create secret docker-registry"}},
		{"Secret of another type", to(good, "e2e-opaque"), []string{"e2e-opaque", "of type Opaque", "kubernetes.io/dockerconfigjson"}},
		{"Secret for another host", to(good, "e2e-elsewhere"), []string{"e2e-elsewhere", "no credentials for " + good, "ghcr.io"}},
		{"another storage class", []string{"--registry-storage-class", "e2e-no-such-class"}, []string{"e2e-no-such-class", "cannot be changed"}},
		{"a smaller volume", []string{"--registry-storage-size", "1Mi"}, []string{"1Mi", "cannot shrink"}},
		{"volume to ephemeral", []string{"--registry-ephemeral"}, []string{"--registry-ephemeral", "would delete"}},
		{"a namespace that all would read", []string{"-n", manifests.MirrorRepository}, []string{"namespace mirror", "cannot have apps"}},
	}
	for i, test := range append(usage, inputs...) {
		code := 1
		if i < len(usage) {
			code = 2
		}
		t.Run(test.name, func(t *testing.T) {
			r := ns.Pyflow(t, append([]string{"setup"}, test.flags...)...).FailedWith(t, code, test.words...)
			if r.Stdout != "" || strings.Contains(r.Stderr, password) || strings.Contains(r.Stderr, "e2e-wrong-password") || strings.Contains(r.Stderr, "<html>") {
				t.Errorf("it says too much\n%s", r)
			}
			if count := strings.Count(r.Stderr, "\n"); count > 3 {
				t.Errorf("it takes %d lines\n%s", count, r)
			}
			i := strings.Index(r.Stderr, "error: ")
			t.Logf("%s", strings.TrimSpace(r.Stderr[max(i, 0):]))
		})
	}
	if inTheClear.Load() {
		t.Error("the password was sent without TLS")
	}
	ns.Unchanged(t, before)
}

// deleteSecret deletes a Secret when the test ends.
func deleteSecret(t *testing.T, ns *env.NS, name string) {
	t.Helper()
	t.Cleanup(func() {
		_ = ns.Kube.CoreV1().Secrets(ns.Name).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
}

// TestHostUsers asks for user namespaces on nodes whose container runtime has none: nothing changes,
// and the reason names the node. On other nodes, setup has proved them.
func TestHostUsers(t *testing.T) {
	ns := env.KeptNamespace(t)
	config, err := platform.Config(t.Context(), ns.Kube)
	env.Check(t, err)
	if config.BuildUsers.Reason == "" {
		if !config.BuildUsers.Separate {
			t.Errorf("nothing is known of user namespaces: %+v", config.BuildUsers)
		}
		return
	}
	before := ns.Inventory(t)
	ns.Pyflow(t, "setup", "--build-host-users=false").FailedWith(t, 2, "--build-host-users=false: ", config.BuildUsers.Reason, "containerd 2.0")
	ns.Unchanged(t, before)
	snapshot, _ := ns.Status(t)
	if part := env.Part(t, snapshot, "pipeline"); !strings.Contains(part.Message, config.BuildUsers.Reason) {
		t.Errorf("status says %q of builds", part.Message)
	}
}
