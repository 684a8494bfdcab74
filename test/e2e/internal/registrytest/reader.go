//go:build e2e

package registrytest

import (
	"archive/tar"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// Transport returns a way to the registry's front, and the credentials of a
// namespace.
func Transport(t *testing.T, c *env.Cluster, namespace string) (*http.Transport, credentials.User) {
	t.Helper()
	user, ca, err := platform.Credentials(t.Context(), c.Kube, namespace, manifests.RegistryHost)
	env.Check(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	env.Check(t, err)
	dial, err := podforward.Dialer(config, c.Kube, manifests.SystemNamespace, manifests.RegistryPod, manifests.RegistryPort)
	env.Check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport, user
}

// Reader reads the registry by the library's own means, with the platform's
// credentials.
type Reader struct {
	Registry name.Registry
	Options  []remote.Option
}

// OpenReader returns a Reader of the platform's registry.
func OpenReader(t *testing.T, c *env.Cluster) Reader {
	t.Helper()
	transport, user := Transport(t, c, manifests.SystemNamespace)
	host, err := name.NewRegistry(manifests.RegistryHost)
	env.Check(t, err)
	return Reader{Registry: host, Options: []remote.Option{
		remote.WithContext(t.Context()), remote.WithTransport(transport),
		remote.WithAuth(&authn.Basic{Username: user.Name, Password: user.Password}),
	}}
}

// Digest names a manifest or a blob.
func (r Reader) Digest(repository, digest string) name.Digest {
	return r.Registry.Repo(repository).Digest(digest)
}

// EverythingWhole checks every manifest with a tag in the registry.
func (r Reader) EverythingWhole(t *testing.T) {
	t.Helper()
	repositories, err := remote.Catalog(t.Context(), r.Registry, r.Options...)
	env.Check(t, err)
	checked := 0
	for _, repository := range repositories {
		tags, err := remote.List(r.Registry.Repo(repository), r.Options...)
		if err != nil {
			var gone *transport.Error
			if errors.As(err, &gone) && gone.StatusCode == http.StatusNotFound {
				continue
			}
			t.Fatal(err)
		}
		for _, tag := range tags {
			descriptor, err := remote.Get(r.Registry.Repo(repository).Tag(tag), r.Options...)
			env.Check(t, err)
			checked += r.Whole(t, repository, descriptor.Digest.String())
		}
	}
	if checked < 10 {
		t.Errorf("only %d blobs were looked at", checked)
	}
}

// Whole checks that the registry has all that a manifest refers to, and returns
// how many blobs it has.
func (r Reader) Whole(t *testing.T, repository, digest string) int {
	t.Helper()
	descriptor, err := remote.Get(r.Digest(repository, digest), r.Options...)
	if err != nil {
		t.Errorf("manifest %s@%s: %v", repository, digest, err)
		return 0
	}
	var content struct {
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
		Manifests []v1.Descriptor
	}
	env.Check(t, json.Unmarshal(descriptor.Manifest, &content))
	blobs := content.Layers
	if content.Config != nil {
		blobs = append(blobs, *content.Config)
	}
	for _, blob := range blobs {
		layer, err := remote.Layer(r.Digest(repository, blob.Digest.String()), r.Options...)
		env.Check(t, err)
		// Asks the registry: a HEAD of the blob.
		if size, err := layer.Size(); err != nil || size != blob.Size {
			t.Errorf("blob %s of %s@%s has %d bytes of %d: %v", blob.Digest, repository, digest, size, blob.Size, err)
		}
	}
	count := len(blobs)
	for _, child := range content.Manifests {
		count += r.Whole(t, repository, child.Digest.String())
	}
	return count
}

// Image reads an app's image from the registry, as the namespace's own user.
func Image(t *testing.T, ns *env.NS, app, digest string) v1.Image {
	t.Helper()
	transport, user := Transport(t, ns.Cluster, ns.Name)
	reference, err := name.NewDigest(manifests.RegistryHost + "/" + ns.Name + "/" + app + "@" + digest)
	env.Check(t, err)
	image, err := remote.Image(reference, remote.WithContext(t.Context()), remote.WithTransport(transport),
		remote.WithAuth(&authn.Basic{Username: user.Name, Password: user.Password}))
	env.Check(t, err)
	return image
}

// Files reads the files of an app's image.
func Files(t *testing.T, ns *env.NS, app, digest string) map[string]string {
	t.Helper()
	layers, err := Image(t, ns, app, digest).Layers()
	env.Check(t, err)
	files := map[string]string{}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		env.Check(t, err)
		archive := tar.NewReader(content)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			env.Check(t, err)
			data, err := io.ReadAll(archive)
			env.Check(t, err)
			files[strings.Trim(header.Name, "/")] = string(data)
		}
	}
	return files
}

// LoginSecret creates what `kubectl create secret docker-registry` creates.
func LoginSecret(t *testing.T, ns *env.NS, name, host, user, password string) {
	t.Helper()
	config, err := manifests.DockerConfig(credentials.User{Name: user, Password: password}, host)
	env.Check(t, err)
	_, err = ns.Kube.CoreV1().Secrets(ns.Name).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: config},
	}, metav1.CreateOptions{})
	env.Check(t, err)
}

// Holds returns where an app's images, cached layers and sources have a text: in a
// configuration with its history, or in a file of a layer.
func (r Reader) Holds(t *testing.T, ns *env.NS, app, text string) []string {
	t.Helper()
	var places []string
	for _, repository := range []string{app, app + manifests.CacheSuffix(), app + "/source"} {
		repository = ns.Name + "/" + repository
		tags, err := remote.List(r.Registry.Repo(repository), r.Options...)
		env.Check(t, err)
		if len(tags) == 0 {
			t.Errorf("repository %s is empty", repository)
		}
		for _, tag := range tags {
			image, err := remote.Image(r.Registry.Repo(repository).Tag(tag), r.Options...)
			env.Check(t, err)
			config, err := image.RawConfigFile()
			env.Check(t, err)
			if strings.Contains(string(config), text) {
				places = append(places, "configuration of "+repository+":"+tag)
			}
			layers, err := image.Layers()
			env.Check(t, err)
			for _, layer := range layers {
				content, err := layer.Uncompressed()
				env.Check(t, err)
				data, err := io.ReadAll(content)
				env.Check(t, err)
				if strings.Contains(string(data), text) {
					places = append(places, "a layer of "+repository+":"+tag)
				}
			}
		}
	}
	return places
}
