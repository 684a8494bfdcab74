//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/bcrypt"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

const (
	externalUser   = "company"
	externalPrefix = "org/pyflow"
	externalSecret = "ext"
)

// external is a registry of a company: TLS by a CA that neither this machine nor
// a node trusts, and a login.
type external struct {
	registryReader
	// host is IP:port, which this machine, pods and nodes reach.
	host string
	// ca is the file with the CA's certificate.
	ca       string
	password string
}

// privateCA signs certificates for addresses.
type privateCA struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newPrivateCA(t *testing.T) *privateCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e registry root"}, SubjectKeyId: []byte("e2e registry root"),
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	return &privateCA{key: key, certificate: template, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue returns certificate and key, PEM.
func (ca *privateCA) issue(t *testing.T, address string, notAfter time.Time) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: ca.certificate.NotBefore, NotAfter: notAfter,
		IPAddresses: []net.IP{net.ParseIP(address)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.certificate, private.Public(), ca.key)
	check(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// file writes the CA's certificate, as it is handed out.
func (ca *privateCA) file(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	check(t, os.WriteFile(file, ca.pem, 0o600))
	return file
}

// loginSecret makes what kubectl create secret docker-registry makes.
func (s *suite) loginSecret(t *testing.T, namespace, name, host, user, password string) {
	t.Helper()
	config, err := manifests.DockerConfig(credentials.User{Name: user, Password: password}, host)
	check(t, err)
	_, err = s.kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: config},
	}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		_ = s.kube.CoreV1().Secrets(namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
}

// newExternal runs CNCF Distribution in a namespace of its own, behind a NodePort
// of the first node.
func (j *journey) newExternal(t *testing.T) *external {
	t.Helper()
	e := &external{password: "secret-" + rand.Text()}
	namespace := j.suite.namespace(t)
	nodes, err := j.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	check(t, err)
	i := slices.IndexFunc(nodes.Items[0].Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeInternalIP })
	address := nodes.Items[0].Status.Addresses[i].Address
	ca := newPrivateCA(t)
	e.ca = ca.file(t)
	certificate, key := ca.issue(t, address, time.Now().Add(24*time.Hour))
	hash, err := bcrypt.GenerateFromPassword([]byte(e.password), bcrypt.MinCost)
	check(t, err)

	labels := map[string]string{"app": "registry"}
	_, err = j.kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "registry"},
		Data: map[string][]byte{
			"tls.crt": certificate, "tls.key": key,
			"htpasswd": fmt.Appendf(nil, "%s:%s\n", externalUser, hash),
			"config.yml": []byte(`version: 0.1
storage: {filesystem: {rootdirectory: /data}}
auth: {htpasswd: {realm: company, path: /etc/company/htpasswd}}
http:
  addr: :5000
  tls: {certificate: /etc/company/tls.crt, key: /etc/company/tls.key}
`),
		},
	}, metav1.CreateOptions{})
	check(t, err)
	// The same program as in our own, by the same mirrors.
	storage, err := j.kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(t.Context(), manifests.StorageName, metav1.GetOptions{})
	check(t, err)
	_, err = j.kube.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "registry"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{
						Name: "registry", Image: storage.Spec.Template.Spec.Containers[0].Image,
						Command: []string{"/bin/registry", "serve", "/etc/company/config.yml"},
						Env:     []corev1.EnvVar{{Name: "OTEL_TRACES_EXPORTER", Value: "none"}},
						ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
							TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(5000)},
						}},
						VolumeMounts: []corev1.VolumeMount{{Name: "company", MountPath: "/etc/company"}, {Name: "data", MountPath: "/data"}},
					}},
					Volumes: []corev1.Volume{
						{Name: "company", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "registry"}}},
						{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					},
				},
			},
		},
	}, metav1.CreateOptions{})
	check(t, err)
	service, err := j.kube.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "registry"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Selector: labels, Ports: []corev1.ServicePort{{Port: 5000}}},
	}, metav1.CreateOptions{})
	check(t, err)
	e.host = net.JoinHostPort(address, strconv.Itoa(int(service.Spec.Ports[0].NodePort)))
	j.loginSecret(t, j.namespace, externalSecret, e.host, externalUser, e.password)

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	e.registry, err = name.NewRegistry(e.host)
	check(t, err)
	e.options = []remote.Option{
		remote.WithContext(t.Context()), remote.WithTransport(transport),
		remote.WithAuth(&authn.Basic{Username: externalUser, Password: e.password}),
	}
	eventually(t, "wait for the company's registry", func(ctx context.Context) error {
		_, err := remote.Catalog(ctx, e.registry, e.options...)
		return err
	})
	return e
}

// externalRegistry moves to a company's registry and back. There everything is as
// with our own, and of our own nothing runs; what it stores is there when it comes
// back.
func (j *journey) externalRegistry(t *testing.T) {
	e := j.newExternal(t)
	returned := false
	t.Cleanup(func() {
		if returned {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), settleLimit)
		defer cancel()
		if out, err := j.command(ctx, "kubectl", "pyflow", "setup", "-n", j.namespace, "--registry", "").CombinedOutput(); err != nil {
			t.Errorf("go back to the registry in the cluster: %v\n%s", err, out)
		}
	})
	moved := j.pyflow(t, "setup", "-n", j.namespace, "--registry", e.host+"/"+externalPrefix, "--registry-secret", externalSecret, "--registry-ca", e.ca).succeeded(t)
	moved.says(t, "warning: the images of these stay in "+manifests.RegistryHost, "deployment.apps/mountains in namespace "+j.namespace,
		"persistentvolumeclaim/"+manifests.StorageName, "is not in use any more and stays", "Node access "+string(manifests.NodeAccessHostPort))
	fmt.Fprintln(&j.outputs, moved)
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t).says(t, "nothing changed")
	j.onlyVolume(t)

	const dockerfile = "FROM python:3.13-slim\nRUN mkdir /app\nCOPY index.html /app/\nWORKDIR /app\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n"
	dir := project(t, "moved", map[string]string{"Dockerfile": dockerfile, "index.html": "at the company"})
	first, url := j.pyflowBuild(t, dir, "--port", "8000", "--replicas", "1").released(t)
	serves(t, url, "at the company")
	check(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("still there"), 0o600))
	again := j.pyflowBuild(t, dir, "--port", "8000", "--replicas", "1")
	second, _ := again.released(t)
	again.says(t, "Dockerfile:2: RUN mkdir /app (cached)")
	serves(t, url, "still there")

	repository := externalPrefix + "/" + j.namespace + "/moved"
	for _, digest := range []string{first, second} {
		if blobs := e.whole(t, repository, digest); blobs < 2 {
			t.Errorf("%s@%s has %d blobs", repository, digest, blobs)
		}
	}
	repositories, err := remote.Catalog(t.Context(), e.registry, e.options...)
	check(t, err)
	for _, repository := range []string{repository, repository + "/source", repository + "/cache"} {
		if !slices.Contains(repositories, repository) {
			t.Errorf("the company's registry has no %s but %q", repository, repositories)
		}
	}
	if i := slices.IndexFunc(repositories, func(r string) bool { return !strings.HasPrefix(r, externalPrefix+"/") }); i >= 0 {
		t.Errorf("%s is outside of %s", repositories[i], externalPrefix)
	}
	snapshot, r := j.status(t, j.namespace)
	app := app(t, snapshot, "moved")
	// Other apps may be in trouble.
	healthy := app.Healthy && !slices.ContainsFunc(snapshot.Platform, func(part status.Part) bool { return !part.Healthy })
	if !healthy || app.Digest != second || !strings.HasPrefix(app.Image, manifests.NodeHost+"/"+repository+"@") || !strings.Contains(r.stdout, "external: "+e.host) {
		t.Errorf("want a healthy app from the registry %s\n%s", e.host, r)
	}
	t.Logf("image %s served from %s", second, e.host)
	j.nowhere(t, e.password, base64.StdEncoding.EncodeToString([]byte(externalUser+":"+e.password)))

	back := j.pyflow(t, "setup", "-n", j.namespace, "--registry", "").succeeded(t)
	returned = true
	back.says(t, "warning: the images of these stay in "+e.host+"/"+externalPrefix, "deployment.apps/moved in namespace "+j.namespace)
	if blobs := j.registry(t).whole(t, j.namespace+"/mountains", j.digest); blobs < 2 {
		t.Errorf("of the image from before %d blobs are there", blobs)
	}
	j.pulls(t, manifests.NodeHost+"/"+j.namespace+"/mountains@"+j.digest)
	check(t, j.kube.AppsV1().Deployments(j.namespace).Delete(t.Context(), "moved", metav1.DeleteOptions{}))
	check(t, j.kube.CoreV1().Services(j.namespace).Delete(t.Context(), "moved", metav1.DeleteOptions{}))
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t).says(t, "nothing changed")
}

// onlyVolume checks that of our own registry nothing is left but the volume.
func (j *journey) onlyVolume(t *testing.T) {
	t.Helper()
	for _, name := range []string{manifests.RegistryName, manifests.StorageName} {
		if _, err := j.kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("statefulset %s is still there: %v", name, err)
		}
		if _, err := j.kube.CoreV1().Services(manifests.SystemNamespace).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("service %s is still there: %v", name, err)
		}
		eventually(t, "wait for the end of pod "+name+"-0", func(ctx context.Context) error {
			_, err := j.kube.CoreV1().Pods(manifests.SystemNamespace).Get(ctx, name+"-0", metav1.GetOptions{})
			if err == nil {
				return fmt.Errorf("pod %s-0 is still there", name)
			}
			if !apierrors.IsNotFound(err) {
				return err
			}
			return nil
		})
	}
	for _, name := range []string{manifests.AuthName, manifests.TLSName, manifests.StorageTLSName, manifests.CAName} {
		if _, err := j.kube.CoreV1().Secrets(manifests.SystemNamespace).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("secret %s is still there: %v", name, err)
		}
	}
	_, err := j.kube.CoreV1().PersistentVolumeClaims(manifests.SystemNamespace).Get(t.Context(), manifests.StorageName, metav1.GetOptions{})
	check(t, err)
}

// nowhere looks for secrets where they must not be: what was printed, and in the
// namespace and the platform's own the runs, pods, events, configuration and logs.
func (j *journey) nowhere(t *testing.T, needles ...string) {
	t.Helper()
	clean := func(place string, text []byte) {
		t.Helper()
		for _, needle := range needles {
			if strings.Contains(string(text), needle) {
				t.Errorf("%s: the password is there", place)
			}
		}
	}
	objects := func(place string, list any, err error) {
		t.Helper()
		check(t, err)
		data, err := json.Marshal(list)
		check(t, err)
		clean(place, data)
	}
	clean("what was printed", []byte(j.outputs.String()))
	logs := 0
	for _, namespace := range []string{j.namespace, manifests.SystemNamespace} {
		runs, err := j.tekton.TektonV1().PipelineRuns(namespace).List(t.Context(), metav1.ListOptions{})
		objects("pipelineruns of "+namespace, runs, err)
		tasks, err := j.tekton.TektonV1().TaskRuns(namespace).List(t.Context(), metav1.ListOptions{})
		objects("taskruns of "+namespace, tasks, err)
		events, err := j.kube.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		objects("events of "+namespace, events, err)
		configMaps, err := j.kube.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
		objects("configmaps of "+namespace, configMaps, err)
		pods, err := j.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		objects("pods of "+namespace, pods, err)
		for _, pod := range pods.Items {
			for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
				log, err := j.kube.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name}).DoRaw(t.Context())
				if err != nil {
					continue // It never ran.
				}
				logs += len(log)
				clean("log of "+pod.Name+"/"+container.Name, log)
			}
		}
	}
	if logs == 0 {
		t.Fatal("no pod has a log")
	}
}

// registryInput tries what can be wrong with the flags of the registry. The
// cluster stays as it was, and no password is printed.
func (j *journey) registryInput(t *testing.T) {
	const password = "not-to-be-printed"
	address := j.addressForPods(t)
	ca, foreign := newPrivateCA(t), newPrivateCA(t)
	tomorrow := time.Now().Add(24 * time.Hour)
	listen := func(notAfter time.Time, handler http.HandlerFunc) string {
		t.Helper()
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		check(t, err)
		host := listener.Addr().String()
		if !notAfter.IsZero() {
			pair, err := tls.X509KeyPair(ca.issue(t, address, notAfter))
			check(t, err)
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
		}
		serve(t, listener, handler)
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
	check(t, err)
	refused := closed.Addr().String()
	check(t, closed.Close())

	for name, login := range map[string]struct{ host, user, password string }{
		"e2e-wrong": {good, "writer", "e2e-wrong-password"}, "e2e-reader": {good, "reader", password}, "e2e-elsewhere": {"ghcr.io", "writer", password},
		"e2e-expired": {expired, "writer", password}, "e2e-plain": {plain, "writer", password}, "e2e-page": {page, "writer", password},
		"e2e-lost": {lost, "writer", password}, "e2e-refused": {refused, "writer", password}, "e2e-unknown": {"registry.e2e-no-such-host.invalid", "writer", password},
	} {
		j.loginSecret(t, j.namespace, name, login.host, login.user, login.password)
	}
	_, err = j.kube.CoreV1().Secrets(j.namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-opaque"}, StringData: map[string]string{"password": password},
	}, metav1.CreateOptions{})
	check(t, err)
	t.Cleanup(func() {
		_ = j.kube.CoreV1().Secrets(j.namespace).Delete(context.WithoutCancel(t.Context()), "e2e-opaque", metav1.DeleteOptions{})
	})
	caFile, foreignFile := ca.file(t), foreign.file(t)
	notPEM, keyFile := filepath.Join(t.TempDir(), "ca.der"), filepath.Join(t.TempDir(), "key.pem")
	check(t, os.WriteFile(notPEM, []byte{0x30, 0x82}, 0o600))
	check(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")}), 0o600))

	to := func(host, secret string, flags ...string) []string {
		return append([]string{"--registry", host + "/org", "--registry-secret", secret, "--registry-ca", caFile}, flags...)
	}
	before := j.inventory(t)
	for _, test := range []struct {
		name  string
		flags []string
		words []string
	}{
		{"nothing listens", to(refused, "e2e-refused"), []string{refused, "can not be reached", "connection refused", "VPN"}},
		{"no such host", to("registry.e2e-no-such-host.invalid", "e2e-unknown"), []string{"e2e-no-such-host", "can not be reached"}},
		{"wrong password", to(good, "e2e-wrong"), []string{good, "refused the credentials", "--registry-secret"}},
		{"no right to push", to(good, "e2e-reader"), []string{good + "/org/" + j.namespace, "denied", "right to push"}},
		{"foreign CA", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", foreignFile}, []string{good, "not trusted", "--registry-ca"}},
		{"no CA", []string{"--registry", good, "--registry-secret", "e2e-wrong"}, []string{good, "not trusted", "unknown authority", "--registry-ca"}},
		{"expired certificate", to(expired, "e2e-expired"), []string{expired, "not trusted", "expired", "renewed"}},
		{"no TLS", to(plain, "e2e-plain"), []string{plain, "does not speak TLS"}},
		{"no TLS, said so", to("http://"+plain, "e2e-plain"), []string{"only registries with TLS"}},
		{"a web page", to(page, "e2e-page"), []string{page, "not a registry", "web page"}},
		{"nothing there", to(lost, "e2e-lost"), []string{lost, "not a registry", "404 Not Found"}},
		{"no login named", []string{"--registry", good}, []string{"--registry-secret"}},
		{"no such Secret", to(good, "e2e-absent"), []string{"e2e-absent", "no such Secret in namespace " + j.namespace, "kubectl create secret docker-registry"}},
		{"Secret of another type", to(good, "e2e-opaque"), []string{"e2e-opaque", "of type Opaque", "kubernetes.io/dockerconfigjson"}},
		{"Secret for another host", to(good, "e2e-elsewhere"), []string{"e2e-elsewhere", "no login for " + good, "ghcr.io"}},
		{"no such CA file", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", caFile + ".absent"}, []string{"--registry-ca", ".absent"}},
		{"CA is not PEM", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", notPEM}, []string{notPEM, "no PEM certificate"}},
		{"CA is a key", []string{"--registry", good, "--registry-secret", "e2e-wrong", "--registry-ca", keyFile}, []string{keyFile, "private key"}},
		{"no host", to("my-org", "e2e-wrong"), []string{"my-org", "registry's host"}},
		{"the machine itself", to("localhost:5000", "e2e-wrong"), []string{"localhost:5000", "on themselves"}},
		{"bad prefix", []string{"--registry", good + "/My-Org"}, []string{"My-Org", "no repository"}},
		{"size of a foreign volume", to(good, "e2e-wrong", "--registry-storage-size", "5Gi"), []string{"--registry-storage-size", "leave out"}},
		{"login for our own", []string{"--registry-secret", "e2e-wrong"}, []string{"--registry-secret", "--registry"}},
		{"back with a login", []string{"--registry", "", "--registry-secret", "e2e-wrong"}, []string{"goes back"}},
		{"unknown node access", []string{"--node-access", "tunnel"}, []string{"tunnel", "auto, hostport, hostnetwork, nodeport, none"}},
		{"another storage class", []string{"--registry-storage-class", "e2e-no-such-class"}, []string{"e2e-no-such-class", "can not be changed"}},
		{"no size", []string{"--registry-storage-size", "much"}, []string{"much", "20Gi"}},
		{"a smaller volume", []string{"--registry-storage-size", "1Mi"}, []string{"1Mi", "can not shrink"}},
		{"no volume any more", []string{"--registry-ephemeral"}, []string{"--registry-ephemeral", "would delete"}},
		{"a namespace that all would read", []string{"-n", manifests.MirrorRepository}, []string{"namespace mirror", "can not have apps"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := j.pyflow(t, append([]string{"setup", "-n", j.namespace}, test.flags...)...).failed(t, test.words...)
			if r.stdout != "" || strings.Contains(r.stderr, password) || strings.Contains(r.stderr, "e2e-wrong-password") || strings.Contains(r.stderr, "<html>") {
				t.Errorf("it says too much\n%s", r)
			}
			if count := strings.Count(r.stderr, "\n"); count > 3 {
				t.Errorf("it takes %d lines\n%s", count, r)
			}
			i := strings.Index(r.stderr, "error: ")
			t.Logf("%s", strings.TrimSpace(r.stderr[max(i, 0):]))
		})
	}
	if inTheClear.Load() {
		t.Error("the password was sent without TLS")
	}
	if changes := changes(before, j.inventory(t)); len(changes) > 0 {
		t.Errorf("the cluster has changed:\n%s", strings.Join(changes, "\n"))
	}
}

// noStorageClass is what setup says where nobody would make the registry a volume.
// It comes before the first setup, for later ones have their volume.
func (j *journey) noStorageClass(t *testing.T) {
	if j.before == nil {
		t.Skip("the cluster is set up already")
	}
	const annotation = "storageclass.kubernetes.io/is-default-class"
	classes := j.kube.StorageV1().StorageClasses()
	j.pyflow(t, append([]string{"setup", "-n", j.namespace, "--registry-storage-class", "e2e-no-such-class"}, j.setupFlags...)...).
		failed(t, "e2e-no-such-class", "does not exist")
	list, err := classes.List(t.Context(), metav1.ListOptions{})
	check(t, err)
	var names []string
	for i := range list.Items {
		class := &list.Items[i]
		names = append(names, class.Name)
		if class.Annotations[annotation] != "true" {
			continue
		}
		set := func(ctx context.Context, value string) error {
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, annotation, value)
			_, err := classes.Patch(ctx, class.Name, "application/merge-patch+json", patch, metav1.PatchOptions{})
			return err
		}
		check(t, set(t.Context(), "false"))
		t.Cleanup(func() {
			if err := set(context.WithoutCancel(t.Context()), "true"); err != nil {
				t.Errorf("make %s the default class again: %v", class.Name, err)
			}
		})
	}
	j.pyflow(t, append([]string{"setup", "-n", j.namespace}, j.setupFlags...)...).
		failed(t, append(names, "no default storage class", "--registry-storage-class", "--registry-ephemeral")...)
	if _, err := j.kube.CoreV1().Namespaces().Get(t.Context(), manifests.SystemNamespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("namespace %s was made: %v", manifests.SystemNamespace, err)
	}
}
