//go:build e2e

package disruptive

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/servers"
)

const (
	externalUser   = "company"
	externalPrefix = "org/pyflow"
	externalSecret = "ext"
)

// external is a registry of a company: TLS by a CA that neither this machine nor
// a node trusts, and a password.
type external struct {
	registrytest.Reader
	// host is IP:port, which this machine, pods and nodes reach.
	host string
	// ca is the file with the CA's certificate.
	ca       string
	password string
}

// newExternal runs CNCF Distribution in a namespace of its own, behind a NodePort
// of the first node.
func newExternal(t *testing.T, ns *app) *external {
	t.Helper()
	e := &external{password: "secret-" + rand.Text()}
	namespace := ns.EmptyNamespace(t)
	nodes, err := ns.Kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	env.Check(t, err)
	i := slices.IndexFunc(nodes.Items[0].Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeInternalIP })
	address := nodes.Items[0].Status.Addresses[i].Address
	ca := servers.NewCA(t)
	e.ca = ca.File(t)
	certificate, key := ca.Issue(t, address, time.Now().Add(24*time.Hour))
	hash, err := bcrypt.GenerateFromPassword([]byte(e.password), bcrypt.MinCost)
	env.Check(t, err)

	labels := map[string]string{"app": "registry"}
	_, err = ns.Kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
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
	env.Check(t, err)
	// The same program as in our own, by the same mirrors.
	storage, err := ns.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(t.Context(), manifests.StorageName, metav1.GetOptions{})
	env.Check(t, err)
	_, err = ns.Kube.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
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
	env.Check(t, err)
	service, err := ns.Kube.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "registry"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Selector: labels, Ports: []corev1.ServicePort{{Port: 5000}}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	e.host = net.JoinHostPort(address, strconv.Itoa(int(service.Spec.Ports[0].NodePort)))
	registrytest.LoginSecret(t, ns.NS, externalSecret, e.host, externalUser, e.password)

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	e.Registry, err = name.NewRegistry(e.host)
	env.Check(t, err)
	e.Options = []remote.Option{
		remote.WithContext(t.Context()), remote.WithTransport(transport),
		remote.WithAuth(&authn.Basic{Username: externalUser, Password: e.password}),
	}
	env.Eventually(t, "wait for the company's registry", func(ctx context.Context) error {
		_, err := remote.Catalog(ctx, e.Registry, e.Options...)
		return err
	})
	return e
}

// TestExternalRegistry moves to a company's registry and back. There everything is as
// with our own, and of our own nothing runs; what it stores is there when it comes
// back.
func TestExternalRegistry(t *testing.T) {
	ns := theApp(t)
	e := newExternal(t, ns)
	returned := false
	t.Cleanup(func() {
		if returned {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), env.SettleLimit)
		defer cancel()
		if out, err := ns.Command(ctx, "kubectl", "pyflow", "setup", "-n", ns.Name, "--registry", "").CombinedOutput(); err != nil {
			t.Errorf("go back to the registry in the cluster: %v\n%s", err, out)
		}
	})
	moved := ns.Pyflow(t, "setup", "--registry", e.host+"/"+externalPrefix, "--registry-secret", externalSecret, "--registry-ca", e.ca).Succeeded(t)
	moved.Says(t, "warning: the images of these workloads stay in "+manifests.RegistryHost, ns.workload(),
		"persistentvolumeclaim/"+manifests.StorageName, "is no longer in use and stays", "Node access "+string(manifests.NodeAccessHostPort))
	ns.Pyflow(t, "setup").Succeeded(t).Says(t, "nothing changed")
	onlyVolume(t, ns)

	const dockerfile = "FROM " + env.SmallBase + "\nRUN mkdir /app\nCOPY index.html /app/\nWORKDIR /app\n" + env.SmallServer
	dir := env.Project(t, "moved", map[string]string{"Dockerfile": dockerfile, "index.html": "at the company"})
	first, url := ns.Build(t, dir, "--port", "8000", "--replicas", "1").Released(t)
	env.Serves(t, url, "at the company")
	env.Check(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("still there"), 0o600))
	again := ns.Build(t, dir, "--port", "8000", "--replicas", "1")
	second, _ := again.Released(t)
	again.Says(t, "Dockerfile:2: RUN mkdir /app (cached)")
	env.Serves(t, url, "still there")

	repository := externalPrefix + "/" + ns.Name + "/moved"
	for _, digest := range []string{first, second} {
		if blobs := e.Whole(t, repository, digest); blobs < 2 {
			t.Errorf("%s@%s has %d blobs", repository, digest, blobs)
		}
	}
	repositories, err := remote.Catalog(t.Context(), e.Registry, e.Options...)
	env.Check(t, err)
	for _, repository := range []string{repository, repository + "/source", repository + manifests.CacheSuffix()} {
		if !slices.Contains(repositories, repository) {
			t.Errorf("the company's registry has no %s but %q", repository, repositories)
		}
	}
	if i := slices.IndexFunc(repositories, func(r string) bool { return !strings.HasPrefix(r, externalPrefix+"/") }); i >= 0 {
		t.Errorf("%s is outside of %s", repositories[i], externalPrefix)
	}
	snapshot, r := ns.Status(t)
	app := env.App(t, snapshot, "moved")
	// Other apps may be unhealthy.
	healthy := app.Healthy && !slices.ContainsFunc(snapshot.Platform, func(part status.Part) bool { return !part.Healthy })
	if !healthy || app.Digest != second || !strings.HasPrefix(app.Image, manifests.NodeHost+"/"+repository+"@") || !strings.Contains(r.Stdout, "external: "+e.host) {
		t.Errorf("want a healthy app from the registry %s\n%s", e.host, r)
	}
	t.Logf("image %s served from %s", second, e.host)
	ns.Leaks(t, e.password, base64.StdEncoding.EncodeToString([]byte(externalUser+":"+e.password)))

	back := ns.Pyflow(t, "setup", "--registry", "").Succeeded(t)
	returned = true
	back.Says(t, "warning: the images of these workloads stay in "+e.host+"/"+externalPrefix, "deployment.apps/moved in namespace "+ns.Name)
	if blobs := registrytest.OpenReader(t, ns.Cluster).Whole(t, ns.Name+"/"+ns.name, ns.digest); blobs < 2 {
		t.Errorf("of the image from before %d blobs are there", blobs)
	}
	ns.Pulls(t, manifests.NodeHost+"/"+ns.Name+"/"+ns.name+"@"+ns.digest)
	env.Check(t, ns.Kube.AppsV1().Deployments(ns.Name).Delete(t.Context(), "moved", metav1.DeleteOptions{}))
	env.Check(t, ns.Kube.CoreV1().Services(ns.Name).Delete(t.Context(), "moved", metav1.DeleteOptions{}))
	ns.Pyflow(t, "setup").Succeeded(t).Says(t, "nothing changed")
}

// onlyVolume checks that only the volume is left of our own registry.
func onlyVolume(t *testing.T, ns *app) {
	t.Helper()
	for _, name := range []string{manifests.RegistryName, manifests.StorageName} {
		if _, err := ns.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("statefulset %s is still there: %v", name, err)
		}
		if _, err := ns.Kube.CoreV1().Services(manifests.SystemNamespace).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("service %s is still there: %v", name, err)
		}
		env.Eventually(t, "wait for the end of pod "+name+"-0", func(ctx context.Context) error {
			_, err := ns.Kube.CoreV1().Pods(manifests.SystemNamespace).Get(ctx, name+"-0", metav1.GetOptions{})
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
		if _, err := ns.Kube.CoreV1().Secrets(manifests.SystemNamespace).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("secret %s is still there: %v", name, err)
		}
	}
	_, err := ns.Kube.CoreV1().PersistentVolumeClaims(manifests.SystemNamespace).Get(t.Context(), manifests.StorageName, metav1.GetOptions{})
	env.Check(t, err)
}
