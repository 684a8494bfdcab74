package images

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

// externalRegistry starts a registry, and returns the configuration for it and the
// credentials Secret of a namespace.
func externalRegistry(t *testing.T, repositories ...string) (*manifests.Config, func(namespace string) *corev1.Secret) {
	t.Helper()
	server := httptest.NewTLSServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	for _, repository := range repositories {
		image, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		reference, err := name.ParseReference(host + "/" + repository + ":v1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(reference, image, remote.WithTransport(server.Client().Transport)); err != nil {
			t.Fatal(err)
		}
	}
	login, err := manifests.DockerConfig(credentials.User{Name: "user", Password: "secret"}, host)
	if err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := &manifests.Config{Registry: manifests.RegistryConfig{External: true, Host: host, NodeHost: host, Prefix: "prod"}}
	return config, func(namespace string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: manifests.RegistrySecret, Namespace: namespace},
			Data:       map[string][]byte{corev1.DockerConfigJsonKey: login, manifests.CAKey: ca},
		}
	}
}

// paths returns the paths of repositories that have manifests.
func paths(repositories []*Repository) []string {
	var paths []string
	for _, repository := range repositories {
		if len(repository.Manifests) > 0 {
			paths = append(paths, repository.Path)
		}
	}
	return paths
}

func TestFetchExternal(t *testing.T) {
	config, secret := externalRegistry(t, "prod/team-a/shop", "prod/team-a/shop/cache", "prod/team-a/till", "prod/team-b/web", "prod/team-c/gone", "theirs/team-a/shop")
	config.Namespaces = []string{"team-a", "team-b"}
	deployment := func(namespace, app string) string {
		return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: " + app + ", namespace: " + namespace + ", labels: {" + manifests.LabelApp + ": " + app + "}}}"
	}
	clients := &kube.Clients{
		Kube:    fake.NewClientset(secret("team-a"), secret("team-b")),
		Dynamic: fakeCluster(t, deployment("team-a", "shop"), deployment("team-a", "till"), deployment("team-b", "web")),
	}
	for name, test := range map[string]struct {
		scope Scope
		want  []string
	}{
		"a namespace":             {Scope{Namespace: "team-a"}, []string{"prod/team-a/shop", "prod/team-a/till"}},
		"an app":                  {Scope{Namespace: "team-a", App: "till"}, []string{"prod/team-a/till"}},
		"an app without workload": {Scope{Namespace: "team-b", App: "shop"}, nil},
		"all kinds":               {Scope{Namespace: "team-a", App: "shop", AllKinds: true}, []string{"prod/team-a/shop", "prod/team-a/shop/cache"}},
		"all namespaces":          {Scope{}, []string{"prod/team-a/shop", "prod/team-a/till", "prod/team-b/web"}},
	} {
		t.Run(name, func(t *testing.T) {
			repositories, err := Fetch(t.Context(), clients, config, test.scope, nil)
			if got := paths(repositories); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// Fetch reports what the user lacks for the registry in the cluster.
func TestFetchWithoutAccess(t *testing.T) {
	config := &manifests.Config{Registry: manifests.RegistryConfig{Host: manifests.RegistryHost}}
	client := fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: manifests.SystemNamespace}},
	)
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		return true, action.(k8stesting.CreateAction).GetObject(), nil
	})
	clients := &kube.Clients{Kube: client}
	var missing *access.MissingError
	if _, err := Fetch(t.Context(), clients, config, Scope{}, nil); !errors.As(err, &missing) {
		t.Errorf("all namespaces: got %v, want a MissingError", err)
	}
	var notSetUp *platform.NamespaceNotSetUpError
	if _, err := Fetch(t.Context(), clients, config, Scope{Namespace: "team-a"}, nil); !errors.As(err, &notSetUp) || notSetUp.Namespace != "team-a" {
		t.Errorf("a namespace: got %v, want a NamespaceNotSetUpError for it", err)
	}
	var absent *kube.NamespaceNotFoundError
	if _, err := Fetch(t.Context(), clients, config, Scope{Namespace: "team-x"}, nil); !errors.As(err, &absent) {
		t.Errorf("a namespace that does not exist: got %v, want a NamespaceNotFoundError", err)
	}
}

func TestScope(t *testing.T) {
	repositories := Catalog([]string{"team-a/shop", "team-a/shop/cache", "team-a/till", "team-b/shop", manifests.MirrorRepository + "/python"})
	for name, test := range map[string]struct {
		scope Scope
		want  []string
	}{
		"everything":  {Scope{AllKinds: true}, []string{"team-a/shop", "team-a/shop/cache", "team-a/till", "team-b/shop"}},
		"images only": {Scope{}, []string{"team-a/shop", "team-a/till", "team-b/shop"}},
		"namespace":   {Scope{Namespace: "team-a"}, []string{"team-a/shop", "team-a/till"}},
		"app":         {Scope{App: "shop"}, []string{"team-a/shop", "team-b/shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, repository := range repositories {
				if test.scope.contains(repository) {
					got = append(got, repository.Path)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestReadList(t *testing.T) {
	config, secret := externalRegistry(t, "prod/team-a/shop")
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	clients := &kube.Clients{
		Kube: fake.NewClientset(secret("team-a"), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: manifests.SystemNamespace}, Data: map[string]string{manifests.ConfigKey: string(text)},
		}),
		Dynamic: fakeCluster(t),
	}
	if list, err := ReadList(t.Context(), clients, Scope{Namespace: "team-a", App: "shop"}, nil); err != nil || len(list.Items) != 1 || len(list.Stored) != 0 {
		t.Errorf("got %+v, %v, want one image", list, err)
	}
	if list, err := ReadList(t.Context(), clients, Scope{Namespace: "team-a", App: "shop", AllKinds: true}, nil); err != nil || len(list.Stored) != 1 {
		t.Errorf("got %+v, %v, want what the namespace stores", list, err)
	}
	_, err = ReadList(t.Context(), clients, Scope{Namespace: "team-a", App: "till"}, nil)
	if !errors.Is(err, ErrNoImages) || err.Error() != `app "till" has no images in namespace team-a` {
		t.Errorf("got %v, want ErrNoImages", err)
	}
}
