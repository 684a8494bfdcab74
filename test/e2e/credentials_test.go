//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// started is a command under way.
type started struct {
	cmd            *exec.Cmd
	stdout, stderr *output
}

// start runs the plugin beside the test.
func (s *suite) start(t *testing.T, args ...string) started {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	t.Cleanup(cancel)
	c := started{s.command(ctx, "kubectl", append([]string{"pyflow"}, args...)...), &output{}, &output{}}
	c.cmd.Stdout, c.cmd.Stderr = c.stdout, c.stderr
	check(t, c.cmd.Start())
	return c
}

// says waits until a command has printed text.
func (c started) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, "wait for "+text, func(context.Context) error {
		if !strings.Contains(c.stderr.String(), text) {
			return fmt.Errorf("it says\n%s", c.stderr)
		}
		return nil
	})
}

func (c started) ends(t *testing.T) result {
	t.Helper()
	return finish(t, c.cmd, c.cmd.Wait)
}

// held starts a build that goes on until it is let go.
func (j *journey) held(t *testing.T) (build started, letGo func()) {
	t.Helper()
	const name = "held"
	dir := project(t, name, map[string]string{
		"Dockerfile": "FROM python:3.13-slim\nRUN for i in $(seq 600); do [ -e /go ] && exit 0; sleep 1; done; exit 1\nCMD [\"python\", \"-m\", \"http.server\", \"8000\"]\n",
	})
	j.forget(t, name)
	build = j.start(t, "build", "-n", j.namespace, "--port", "8000", dir)
	eventually(t, "wait for the build to be under way", func(ctx context.Context) error {
		return j.inside(ctx, name, "/usr/bin/test", "-d", "/usr/local/lib/python3.13")
	})
	return build, func() {
		t.Helper()
		check(t, j.inside(t.Context(), name, "/usr/bin/touch", "/go"))
	}
}

// forget takes an app away with the test that delivers it.
func (j *journey) forget(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = j.kube.AppsV1().Deployments(j.namespace).Delete(ctx, name, metav1.DeleteOptions{})
		_ = j.kube.CoreV1().Services(j.namespace).Delete(ctx, name, metav1.DeleteOptions{})
	})
}

// logins are those of all namespaces that are set up, and of the platform.
func (j *journey) logins(t *testing.T) map[string]credentials.User {
	t.Helper()
	config, err := platform.Config(t.Context(), j.kube)
	check(t, err)
	logins := map[string]credentials.User{}
	for _, namespace := range append([]string{manifests.SystemNamespace}, config.Namespaces...) {
		object, err := j.kube.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && object.DeletionTimestamp != nil) {
			continue // The next setup forgets it.
		}
		check(t, err)
		secret, err := j.kube.CoreV1().Secrets(namespace).Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
		check(t, err)
		logins[namespace], err = manifests.ParseDockerConfig(secret.Data, manifests.RegistryHost)
		check(t, err)
	}
	return logins
}

// opens checks which logins the registry takes.
func (d door) opens(t *testing.T, what string, logins map[string]credentials.User, code int) {
	t.Helper()
	for namespace, user := range logins {
		got := d.do(t, user, request{method: "GET", target: "/v2/"})
		t.Logf("%s: the login of %s (%s): %d", what, namespace, user.Name, got.code)
		if got.code != code {
			t.Errorf("%s: the login of %s (%s): got %d, want %d", what, namespace, user.Name, got.code, code)
		}
	}
}

// shut waits until the registry takes none of logins any more.
func (d door) shut(t *testing.T, logins map[string]credentials.User) {
	t.Helper()
	eventually(t, "wait for the registry to forget the old passwords", func(context.Context) error {
		for namespace, user := range logins {
			if got := d.do(t, user, request{method: "GET", target: "/v2/"}); got.code != http.StatusUnauthorized {
				return fmt.Errorf("the login of %s: %d", namespace, got.code)
			}
		}
		return nil
	})
}

// pods are those of an app that run: UID to restarts.
func (s *suite) pods(t *testing.T, namespace, selector string) map[string]int32 {
	t.Helper()
	list, err := s.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	check(t, err)
	pods := map[string]int32{}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			for _, status := range pod.Status.ContainerStatuses {
				pods[string(pod.UID)] += status.RestartCount
			}
		}
	}
	if len(pods) == 0 {
		t.Fatalf("no pod runs in namespace %s with %s", namespace, selector)
	}
	return pods
}

func samePods(t *testing.T, what string, before, after map[string]int32) {
	t.Helper()
	t.Logf("%s: pods and their restarts before %v, after %v", what, before, after)
	for uid, restarts := range before {
		if now, ok := after[uid]; !ok || now != restarts {
			t.Errorf("%s: pod %s is there: %t, with %d restarts and %d before", what, uid, ok, now, restarts)
		}
	}
}

const mountainsPods = "app.kubernetes.io/name=mountains,pod-template-hash"

// rotate replaces all passwords while a build needs the old ones: interrupted, to
// its end, and once more with nothing in the way.
func (j *journey) rotate(t *testing.T) {
	var printed bytes.Buffer
	apps, front := j.pods(t, j.namespace, mountainsPods), j.pods(t, manifests.SystemNamespace, "app.kubernetes.io/name="+manifests.RegistryName)
	_, ca := j.login(t, j.namespace)
	d := j.front(t, ca)
	first := j.logins(t)
	build, letGo := j.held(t)

	rotation := j.start(t, "setup", "-n", j.namespace, "--rotate-credentials")
	rotation.says(t, "✓ Inventory")
	check(t, rotation.cmd.Process.Signal(syscall.SIGINT))
	r := rotation.ends(t)
	fmt.Fprintln(&printed, r)
	if r.code != 130 || !strings.Contains(r.stderr, "old passwords are still good") {
		t.Errorf("the exit code should have been 130, with a word on the old passwords\n%s", r)
	}
	second := j.logins(t)
	for namespace, user := range second {
		old, ok := first[namespace]
		if ok && (old.Name == user.Name || old.Password == user.Password || !strings.HasPrefix(user.Name, namespace+".")) {
			t.Errorf("the login of %s was %s and is %s", namespace, old.Name, user.Name)
		}
	}
	d.opens(t, "interrupted, old", first, http.StatusOK)
	d.opens(t, "interrupted, new", second, http.StatusOK)

	again := j.start(t, "setup", "-n", j.namespace)
	again.says(t, "✓ Inventory")
	d.opens(t, "set up while the build goes on, old", first, http.StatusOK)
	d.opens(t, "set up while the build goes on, new", second, http.StatusOK)
	letGo()
	r = again.ends(t)
	fmt.Fprintln(&printed, r.succeeded(t))
	built := build.ends(t)
	fmt.Fprintln(&printed, built)
	fmt.Fprintln(&j.outputs, built)
	built.released(t)
	if kept := j.logins(t); kept[j.namespace] != second[j.namespace] {
		t.Errorf("a setup that ends a rotation makes other logins: %s and then %s", second[j.namespace].Name, kept[j.namespace].Name)
	}
	d.shut(t, first)
	d.opens(t, "set up again", second, http.StatusOK)
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t).says(t, "nothing changed")

	fmt.Fprintln(&printed, j.pyflow(t, "setup", "-n", j.namespace, "--rotate-credentials").succeeded(t))
	third := j.logins(t)
	d.opens(t, "after the second rotation, old", map[string]credentials.User{j.namespace: second[j.namespace]}, http.StatusUnauthorized)
	d.shut(t, second)
	d.opens(t, "after the second rotation, new", third, http.StatusOK)

	samePods(t, "app", apps, j.pods(t, j.namespace, mountainsPods))
	samePods(t, "front", front, j.pods(t, manifests.SystemNamespace, "app.kubernetes.io/name="+manifests.RegistryName))
	j.replaced(t)
	status, _ := j.status(t, j.namespace)
	j.pulls(t, app(t, status, "mountains").Image)
	for _, logins := range []map[string]credentials.User{first, second, third} {
		for namespace, user := range logins {
			for _, secret := range []string{user.Password, base64.StdEncoding.EncodeToString([]byte(user.Name + ":" + user.Password))} {
				if strings.Contains(printed.String(), secret) {
					t.Errorf("the password of %s was printed", namespace)
				}
			}
		}
	}
}

// replaced deletes one of the app's pods and waits for another in its place.
func (j *journey) replaced(t *testing.T) {
	t.Helper()
	list, err := j.kube.CoreV1().Pods(j.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: mountainsPods})
	check(t, err)
	lost := list.Items[0]
	check(t, j.kube.CoreV1().Pods(j.namespace).Delete(t.Context(), lost.Name, metav1.DeleteOptions{}))
	eventually(t, "wait for the pod to be replaced", func(ctx context.Context) error {
		if _, err := j.kube.CoreV1().Pods(j.namespace).Get(ctx, lost.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("pod "+lost.Name+" is still there"), err)
		}
		status, r := j.status(t, j.namespace)
		if app := app(t, status, "mountains"); !app.Healthy || app.Ready != app.Desired {
			return fmt.Errorf("the app is not healthy\n%s", r)
		}
		return nil
	})
}

// renew leaves certificates that are about to end, or that another CA has signed,
// and then a CA that is. The step after it builds, which takes all of them.
func (j *journey) renew(t *testing.T) {
	ca := j.pair(t, manifests.CAName, "tls.crt", "tls.key")
	soon := time.Now().Add(10 * 24 * time.Hour)
	stranger, err := credentials.Ensure(credentials.Credentials{}, credentials.Request{FrontHost: manifests.RegistryHost, StorageHost: manifests.StorageHost, Now: time.Now()})
	check(t, err)
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: manifests.RegistryHost}, DNSNames: []string{manifests.RegistryHost},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: soon,
	}
	certificate, key := signed(t, server, nil, &ca)
	j.replace(t, manifests.TLSName, map[string][]byte{"tls.crt": certificate, "tls.key": key})
	j.replace(t, manifests.StorageTLSName, map[string][]byte{"tls.crt": stranger.Storage.Certificate, "tls.key": stranger.Storage.Key})

	warned, r := j.status(t, j.namespace)
	part := warned.Platform[slices.IndexFunc(warned.Platform, func(part status.Part) bool { return part.Name == manifests.RegistryName })]
	date := soon.UTC().Format(time.DateOnly)
	t.Logf("status of a certificate with 10 days left: %v, %q", part.CertificateExpires, part.Message)
	if part.CertificateExpires == nil || part.CertificateExpires.UTC().Format(time.DateOnly) != date || !strings.Contains(part.Message, "certificate expires on "+date) {
		t.Errorf("status should warn of %s\n%s", date, r)
	}
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t)
	for _, secret := range []string{manifests.TLSName, manifests.StorageTLSName} {
		j.lasts(t, secret, ca.Leaf)
	}
	j.works(t)

	// The same CA as far as everyone is concerned who trusts it, but for its end.
	template := *ca.Leaf
	template.NotAfter = time.Now().Add(100 * 24 * time.Hour)
	signer, ok := ca.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the CA's key is a %T", ca.PrivateKey)
	}
	ending, _ := signed(t, &template, signer, &tls.Certificate{Leaf: &template, PrivateKey: signer})
	j.replace(t, manifests.CAName, map[string][]byte{"tls.crt": ending})
	configMaps := j.kube.CoreV1().ConfigMaps(manifests.SystemNamespace)
	trusted, err := configMaps.Get(t.Context(), manifests.CAName, metav1.GetOptions{})
	check(t, err)
	trusted.Data[manifests.CAKey] = string(ending)
	_, err = configMaps.Update(t.Context(), trusted, metav1.UpdateOptions{})
	check(t, err)

	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t)
	renewed := j.pair(t, manifests.CAName, "tls.crt", "tls.key")
	t.Logf("the CA ended %s, and the one that replaced it ends %s", template.NotAfter.Format(time.DateOnly), renewed.Leaf.NotAfter.Format(time.DateOnly))
	if renewed.Leaf.Equal(ca.Leaf) || time.Until(renewed.Leaf.NotAfter) < 400*24*time.Hour {
		t.Errorf("the CA ends %s", renewed.Leaf.NotAfter)
	}
	for _, secret := range []string{manifests.TLSName, manifests.StorageTLSName} {
		j.lasts(t, secret, renewed.Leaf)
	}
	_, bundle := j.login(t, j.namespace)
	trusted, err = configMaps.Get(t.Context(), manifests.CAName, metav1.GetOptions{})
	check(t, err)
	if !bytes.HasSuffix(bundle, ending) || bytes.Equal(bundle, ending) || trusted.Data[manifests.CAKey] != string(bundle) {
		t.Error("the old CA should still be trusted, after the new one")
	}
	j.works(t)
	j.pyflow(t, "setup", "-n", j.namespace).succeeded(t).says(t, "nothing changed")
}

// works proves that the registry takes the namespace's login and that nodes pull.
func (j *journey) works(t *testing.T) {
	t.Helper()
	user, ca := j.login(t, j.namespace)
	j.front(t, ca).wants(t, "login", user, http.StatusOK, request{method: "GET", target: "/v2/"})
	status, r := j.status(t, j.namespace)
	if !status.Healthy {
		t.Errorf("the platform should be healthy\n%s", r)
	}
	j.pulls(t, app(t, status, "mountains").Image)
}

// pair reads a certificate and its key from a Secret of the platform.
func (j *journey) pair(t *testing.T, secret, certificate, key string) tls.Certificate {
	t.Helper()
	stored, err := j.kube.CoreV1().Secrets(manifests.SystemNamespace).Get(t.Context(), secret, metav1.GetOptions{})
	check(t, err)
	pair, err := tls.X509KeyPair(stored.Data[certificate], stored.Data[key])
	check(t, err)
	return pair
}

// lasts checks that a certificate is of the CA and good for long.
func (j *journey) lasts(t *testing.T, secret string, ca *x509.Certificate) {
	t.Helper()
	leaf := j.pair(t, secret, "tls.crt", "tls.key").Leaf
	t.Logf("certificate of %s ends %s", secret, leaf.NotAfter.Format(time.DateOnly))
	if err := leaf.CheckSignatureFrom(ca); err != nil || time.Until(leaf.NotAfter) < 400*24*time.Hour {
		t.Errorf("the certificate of %s ends %s: %v", secret, leaf.NotAfter, err)
	}
}

// replace changes some of what a Secret of the platform holds.
func (j *journey) replace(t *testing.T, name string, data map[string][]byte) {
	t.Helper()
	secrets := j.kube.CoreV1().Secrets(manifests.SystemNamespace)
	secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
	check(t, err)
	for key, value := range data {
		secret.Data[key] = value
	}
	_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
	check(t, err)
}

// signed issues template for key, a new one when it is nil, as PEM.
func signed(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey, ca *tls.Certificate) (certificate, private []byte) {
	t.Helper()
	var err error
	if key == nil {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(t, err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	check(t, err)
	encoded, err := x509.MarshalECPrivateKey(key)
	check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
}

// moves takes the registry's pods away while a node pulls, and then the node's
// door.
func (j *journey) moves(t *testing.T) {
	status, _ := j.status(t, j.namespace)
	image := app(t, status, "mountains").Image
	apps := j.pods(t, j.namespace, mountainsPods)
	system := j.kube.CoreV1().Pods(manifests.SystemNamespace)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var answered, failed atomic.Int64
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for ctx.Err() == nil {
			if _, err := get(context.WithoutCancel(ctx), j.url); err != nil {
				failed.Add(1)
				t.Logf("GET %s: %v", j.url, err)
			}
			answered.Add(1)
		}
	}()

	for _, pod := range []string{manifests.StorageName + "-0", manifests.RegistryPod} {
		check(t, system.Delete(t.Context(), pod, metav1.DeleteOptions{}))
	}
	j.pulls(t, image)
	eventually(t, "wait for the platform to be healthy", func(context.Context) error {
		status, r := j.status(t, j.namespace)
		if !status.Healthy {
			return fmt.Errorf("it is not\n%s", r)
		}
		return nil
	})

	doors := metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + manifests.NodeAccessName}
	before, err := system.List(t.Context(), doors)
	check(t, err)
	check(t, system.DeleteCollection(t.Context(), metav1.DeleteOptions{}, doors))
	eventually(t, "wait for the nodes' doors to be replaced", func(ctx context.Context) error {
		for _, pod := range before.Items {
			if _, err := system.Get(ctx, pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return errors.Join(errors.New("pod "+pod.Name+" is still there"), err)
			}
		}
		status, r := j.status(t, j.namespace)
		if !status.Healthy {
			return fmt.Errorf("the platform is not healthy\n%s", r)
		}
		return nil
	})
	j.pulls(t, image)
	stop()
	<-asked
	t.Logf("the app was asked %d times meanwhile, and did not answer %d times", answered.Load(), failed.Load())
	if failed.Load() > 0 || answered.Load() == 0 {
		t.Errorf("the app did not answer %d of %d requests", failed.Load(), answered.Load())
	}
	samePods(t, "app", apps, j.pods(t, j.namespace, mountainsPods))
}
