//go:build e2e

package disruptive

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
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// users returns the credentials of all prepared namespaces and of the platform.
func allUsers(t *testing.T, ns *app) map[string]credentials.User {
	t.Helper()
	config, err := platform.Config(t.Context(), ns.Kube)
	env.Check(t, err)
	users := map[string]credentials.User{}
	for _, namespace := range append([]string{manifests.SystemNamespace}, config.Namespaces...) {
		object, err := ns.Kube.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && object.DeletionTimestamp != nil) {
			continue // The next setup forgets it.
		}
		env.Check(t, err)
		secret, err := ns.Kube.CoreV1().Secrets(namespace).Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
		env.Check(t, err)
		users[namespace], err = manifests.ParseDockerConfig(secret.Data, manifests.RegistryHost)
		env.Check(t, err)
	}
	return users
}

// opens checks which credentials the registry takes.
func opens(t *testing.T, d registrytest.PodPort, what string, users map[string]credentials.User, code int) {
	t.Helper()
	for namespace, user := range users {
		got := d.Do(t, user, registrytest.Request{Method: "GET", Target: "/v2/"})
		t.Logf("%s: the credentials of %s (%s): %d", what, namespace, user.Name, got.Code)
		if got.Code != code {
			t.Errorf("%s: the credentials of %s (%s): got %d, want %d", what, namespace, user.Name, got.Code, code)
		}
	}
}

// shut waits until the registry refuses all these credentials.
func shut(t *testing.T, d registrytest.PodPort, users map[string]credentials.User) {
	t.Helper()
	env.Eventually(t, "wait for the registry to forget the old passwords", func(context.Context) error {
		for namespace, user := range users {
			request := registrytest.Request{Method: "GET", Target: "/v2/"}
			// The front may be about to read the users again, and not answer in time.
			answers := d.Send(t, request.Text(registrytest.Basic(user.Name, user.Password)))
			if len(answers) == 0 {
				return fmt.Errorf("the credentials of %s: no answer", namespace)
			}
			if got := answers[0]; got.Code != http.StatusUnauthorized {
				return fmt.Errorf("the credentials of %s: %d", namespace, got.Code)
			}
		}
		return nil
	})
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

// TestRotateCredentials replaces all passwords while a build needs the old ones:
// interrupted, to the end, and again when no build runs.
func TestRotateCredentials(t *testing.T) {
	ns := theApp(t)
	var printed bytes.Buffer
	apps, front := ns.RunningPods(t, ns.Name, pods), ns.RunningPods(t, manifests.SystemNamespace, "app.kubernetes.io/name="+manifests.RegistryName)
	_, ca := registrytest.Credentials(t, ns.Cluster, ns.Name)
	d := registrytest.Front(t, ns.Cluster, ca)
	first := allUsers(t, ns)
	build := ns.Start(t, nil, "build", "--no-deploy", env.Page(t, "held", "", env.HeldInstruction))
	ns.Held(t, "held")

	rotation := ns.Start(t, nil, "setup", "--rotate-credentials")
	rotation.Says(t, "✓ Inventory")
	env.Check(t, rotation.Cmd.Process.Signal(syscall.SIGINT))
	r := rotation.Ends(t)
	fmt.Fprintln(&printed, r)
	if r.Code != 130 || !strings.Contains(r.Stderr, "old passwords are still valid") {
		t.Errorf("the exit code should have been 130, with a word on the old passwords\n%s", r)
	}
	second := allUsers(t, ns)
	for namespace, user := range second {
		old, ok := first[namespace]
		if ok && (old.Name == user.Name || old.Password == user.Password || !strings.HasPrefix(user.Name, namespace+".")) {
			t.Errorf("the credentials of %s was %s and is %s", namespace, old.Name, user.Name)
		}
	}
	opens(t, d, "interrupted, old", first, http.StatusOK)
	opens(t, d, "interrupted, new", second, http.StatusOK)

	again := ns.Start(t, nil, "setup")
	again.Says(t, "✓ Inventory")
	opens(t, d, "set up while the build goes on, old", first, http.StatusOK)
	opens(t, d, "set up while the build goes on, new", second, http.StatusOK)
	ns.Release(t, "held")
	r = again.Ends(t)
	fmt.Fprintln(&printed, r.Succeeded(t))
	built := build.Ends(t)
	fmt.Fprintln(&printed, built)
	built.Succeeded(t)
	if kept := allUsers(t, ns); kept[ns.Name] != second[ns.Name] {
		t.Errorf("a setup that ends a rotation makes other credentials: %s and then %s", second[ns.Name].Name, kept[ns.Name].Name)
	}
	shut(t, d, first)
	opens(t, d, "set up again", second, http.StatusOK)
	ns.Pyflow(t, "setup").Succeeded(t).Says(t, "nothing changed")

	fmt.Fprintln(&printed, ns.Pyflow(t, "setup", "--rotate-credentials").Succeeded(t))
	third := allUsers(t, ns)
	opens(t, d, "after the second rotation, old", map[string]credentials.User{ns.Name: second[ns.Name]}, http.StatusUnauthorized)
	shut(t, d, second)
	opens(t, d, "after the second rotation, new", third, http.StatusOK)

	samePods(t, "app", apps, ns.RunningPods(t, ns.Name, pods))
	samePods(t, "front", front, ns.RunningPods(t, manifests.SystemNamespace, "app.kubernetes.io/name="+manifests.RegistryName))
	replaced(t, ns)
	ns.Pulls(t, ns.image)
	for _, users := range []map[string]credentials.User{first, second, third} {
		for namespace, user := range users {
			for _, secret := range []string{user.Password, base64.StdEncoding.EncodeToString([]byte(user.Name + ":" + user.Password))} {
				if strings.Contains(printed.String(), secret) {
					t.Errorf("the password of %s was printed", namespace)
				}
			}
		}
	}
}

// replaced deletes one of the app's pods and waits for another in its place.
func replaced(t *testing.T, ns *app) {
	t.Helper()
	list, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: pods})
	env.Check(t, err)
	lost := list.Items[0]
	env.Check(t, ns.Kube.CoreV1().Pods(ns.Name).Delete(t.Context(), lost.Name, metav1.DeleteOptions{}))
	env.Eventually(t, "wait for the pod to be replaced", func(ctx context.Context) error {
		if _, err := ns.Kube.CoreV1().Pods(ns.Name).Get(ctx, lost.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("pod "+lost.Name+" is still there"), err)
		}
		status, r := ns.Status(t)
		if app := env.App(t, status, ns.name); !app.Healthy || app.Ready != app.Desired {
			return fmt.Errorf("the app is not healthy\n%s", r)
		}
		return nil
	})
}

// TestRenewCertificates puts in certificates that are about to end or that another CA
// signed, and then a CA that is about to end. Setup replaces them.
func TestRenewCertificates(t *testing.T) {
	ns := theApp(t)
	ca := pair(t, ns, manifests.CAName, "tls.crt", "tls.key")
	soon := time.Now().Add(10 * 24 * time.Hour)
	stranger, err := credentials.Ensure(credentials.Credentials{}, credentials.Request{FrontHost: manifests.RegistryHost, StorageHost: manifests.StorageHost, Now: time.Now()})
	env.Check(t, err)
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: manifests.RegistryHost}, DNSNames: []string{manifests.RegistryHost},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: soon,
	}
	certificate, key := signed(t, server, nil, &ca)
	replace(t, ns, manifests.TLSName, map[string][]byte{"tls.crt": certificate, "tls.key": key})
	replace(t, ns, manifests.StorageTLSName, map[string][]byte{"tls.crt": stranger.Storage.Certificate, "tls.key": stranger.Storage.Key})

	warned, r := ns.Status(t)
	part := env.Part(t, warned, manifests.RegistryName)
	date := soon.UTC().Format(time.DateOnly)
	t.Logf("status of a certificate with 10 days left: %v, %q", part.CertificateExpires, part.Message)
	if part.CertificateExpires == nil || part.CertificateExpires.UTC().Format(time.DateOnly) != date || !strings.Contains(part.Message, "certificate expires on "+date) {
		t.Errorf("status should warn of %s\n%s", date, r)
	}
	ns.Pyflow(t, "setup").Succeeded(t)
	for _, secret := range []string{manifests.TLSName, manifests.StorageTLSName} {
		lasts(t, ns, secret, ca.Leaf)
	}
	works(t, ns)

	// The same CA as far as everyone is concerned who trusts it, but for its end.
	template := *ca.Leaf
	template.NotAfter = time.Now().Add(100 * 24 * time.Hour)
	signer, ok := ca.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the CA's key is a %T", ca.PrivateKey)
	}
	ending, _ := signed(t, &template, signer, &tls.Certificate{Leaf: &template, PrivateKey: signer})
	replace(t, ns, manifests.CAName, map[string][]byte{"tls.crt": ending})
	configMaps := ns.Kube.CoreV1().ConfigMaps(manifests.SystemNamespace)
	trusted, err := configMaps.Get(t.Context(), manifests.CAName, metav1.GetOptions{})
	env.Check(t, err)
	trusted.Data[manifests.CAKey] = string(ending)
	_, err = configMaps.Update(t.Context(), trusted, metav1.UpdateOptions{})
	env.Check(t, err)

	ns.Pyflow(t, "setup").Succeeded(t)
	renewed := pair(t, ns, manifests.CAName, "tls.crt", "tls.key")
	t.Logf("the CA ended %s, and the one that replaced it ends %s", template.NotAfter.Format(time.DateOnly), renewed.Leaf.NotAfter.Format(time.DateOnly))
	if renewed.Leaf.Equal(ca.Leaf) || time.Until(renewed.Leaf.NotAfter) < 400*24*time.Hour {
		t.Errorf("the CA ends %s", renewed.Leaf.NotAfter)
	}
	for _, secret := range []string{manifests.TLSName, manifests.StorageTLSName} {
		lasts(t, ns, secret, renewed.Leaf)
	}
	_, bundle := registrytest.Credentials(t, ns.Cluster, ns.Name)
	trusted, err = configMaps.Get(t.Context(), manifests.CAName, metav1.GetOptions{})
	env.Check(t, err)
	if !bytes.HasSuffix(bundle, ending) || bytes.Equal(bundle, ending) || trusted.Data[manifests.CAKey] != string(bundle) {
		t.Error("the old CA should still be trusted, after the new one")
	}
	works(t, ns)
	ns.Pyflow(t, "setup").Succeeded(t).Says(t, "nothing changed")
}

// works checks that the registry accepts the namespace's credentials and that nodes can pull.
func works(t *testing.T, ns *app) {
	t.Helper()
	user, ca := registrytest.Credentials(t, ns.Cluster, ns.Name)
	registrytest.Front(t, ns.Cluster, ca).Wants(t, "credentials", user, http.StatusOK, registrytest.Request{Method: "GET", Target: "/v2/"})
	status, r := ns.Status(t)
	if !status.Healthy {
		t.Errorf("the platform should be healthy\n%s", r)
	}
	ns.Pulls(t, ns.image)
}

// pair reads a certificate and its key from a Secret of the platform.
func pair(t *testing.T, ns *app, secret, certificate, key string) tls.Certificate {
	t.Helper()
	stored, err := ns.Kube.CoreV1().Secrets(manifests.SystemNamespace).Get(t.Context(), secret, metav1.GetOptions{})
	env.Check(t, err)
	pair, err := tls.X509KeyPair(stored.Data[certificate], stored.Data[key])
	env.Check(t, err)
	return pair
}

// lasts checks that a certificate is of the CA and good for long.
func lasts(t *testing.T, ns *app, secret string, ca *x509.Certificate) {
	t.Helper()
	leaf := pair(t, ns, secret, "tls.crt", "tls.key").Leaf
	t.Logf("certificate of %s ends %s", secret, leaf.NotAfter.Format(time.DateOnly))
	if err := leaf.CheckSignatureFrom(ca); err != nil || time.Until(leaf.NotAfter) < 400*24*time.Hour {
		t.Errorf("the certificate of %s ends %s: %v", secret, leaf.NotAfter, err)
	}
}

// replace changes some of what a Secret of the platform holds.
func replace(t *testing.T, ns *app, name string, data map[string][]byte) {
	t.Helper()
	secrets := ns.Kube.CoreV1().Secrets(manifests.SystemNamespace)
	secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
	env.Check(t, err)
	for key, value := range data {
		secret.Data[key] = value
	}
	_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
	env.Check(t, err)
}

// signed issues template for key, a new one when it is nil, as PEM.
func signed(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey, ca *tls.Certificate) (certificate, private []byte) {
	t.Helper()
	var err error
	if key == nil {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		env.Check(t, err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	env.Check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	env.Check(t, err)
	encoded, err := x509.MarshalECPrivateKey(key)
	env.Check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})
}
