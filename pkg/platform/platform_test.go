package platform

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/credentials"
)

func clientWith(objects ...runtime.Object) *kubefake.Clientset {
	client := kubefake.NewClientset(objects...)
	client.Discovery().(*fake.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.36.3+k3s1"}
	return client
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func registrySecret(t *testing.T, namespace string, user credentials.User) *corev1.Secret {
	t.Helper()
	config, err := manifests.DockerConfig(user, manifests.RegistryHost)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.RegistrySecret, Namespace: namespace},
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: config, manifests.CAKey: []byte("ca")},
	}
}

func TestInspectAnEmptyCluster(t *testing.T) {
	cluster, err := Inspect(t.Context(), clientWith(namespace("default")), "default")
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Config != nil || cluster.Tekton != nil || cluster.DefaultStorageClass != "" || len(cluster.Credentials.Users) != 0 {
		t.Errorf("an empty cluster is not empty: %+v", cluster)
	}
	if cluster.Version.Major() != 1 || cluster.Version.Minor() != 36 {
		t.Errorf("version is %s, want 1.36", cluster.Version)
	}
}

func TestInspectAfterSetup(t *testing.T) {
	user := credentials.User{Name: "team-a", Password: "kept"}
	cluster, err := Inspect(t.Context(), clientWith(
		namespace("default"), namespace("team-a"),
		registrySecret(t, "team-a", user),
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: manifests.SystemNamespace},
			Data:       map[string]string{manifests.ConfigKey: "namespaces: [gone, team-a]"},
		},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{
			Name: "standard", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		}},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}},
	), "default")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cluster.Config.Namespaces, []string{"team-a"}) {
		t.Errorf("namespaces are %q, want the one that still exists", cluster.Config.Namespaces)
	}
	if cluster.Credentials.Users["team-a"] != user {
		t.Errorf("users are %v, want team-a's kept", cluster.Credentials.Users)
	}
	if cluster.DefaultStorageClass != "standard" || !slices.Equal(cluster.StorageClasses, []string{"fast", "standard"}) {
		t.Errorf("storage classes are %q, default %q", cluster.StorageClasses, cluster.DefaultStorageClass)
	}
}

// TestRemovedIsNotSetUp checks that commands ignore the configuration that teardown left,
// and that setup reads it.
func TestRemovedIsNotSetUp(t *testing.T) {
	client := clientWith(namespace("default"), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: manifests.ConfigName, Namespace: manifests.SystemNamespace},
		Data:       map[string]string{manifests.ConfigKey: "removed: true\nregistry: {storageSize: 50Gi}"},
	})
	if _, err := Config(t.Context(), client); !errors.Is(err, ErrNotSetUp) {
		t.Errorf("got %v, want %v", err, ErrNotSetUp)
	}
	cluster, err := Inspect(t.Context(), client, "default")
	if err != nil || !cluster.Config.Removed || cluster.Config.Registry.StorageSize != "50Gi" {
		t.Errorf("got %+v, %v, want what teardown left", cluster.Config, err)
	}
}

// TestCheckContract checks that builds need a platform of the same contract.
func TestCheckContract(t *testing.T) {
	for contract, older := range map[int]bool{manifests.Contract - 1: true, manifests.Contract + 1: false} {
		var failure *ContractError
		err := CheckContract(&manifests.Config{Contract: contract})
		if !errors.As(err, &failure) || failure.Older() != older {
			t.Errorf("contract %d: got %v", contract, err)
		}
	}
	if err := CheckContract(&manifests.Config{Contract: manifests.Contract}); err != nil {
		t.Errorf("the same contract: %v", err)
	}
}

func TestInspectNeedsTheNamespace(t *testing.T) {
	if _, err := Inspect(t.Context(), clientWith(), "missing"); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got error %v, want one that names the namespace", err)
	}
}

func TestCredentials(t *testing.T) {
	want := credentials.User{Name: "team-a", Password: "kept"}
	client := clientWith(registrySecret(t, "team-a", want), namespace("team-b"))
	user, ca, err := Credentials(t.Context(), client, "team-a", manifests.RegistryHost)
	if err != nil || user != want || string(ca) != "ca" {
		t.Errorf("got %v, %q, %v", user, ca, err)
	}
	_, _, err = Credentials(t.Context(), client, "team-b", manifests.RegistryHost)
	var missing *NamespaceNotSetUpError
	if !errors.As(err, &missing) || missing.Namespace != "team-b" {
		t.Errorf("got error %v, want that team-b is not set up", err)
	}
	_, _, err = Credentials(t.Context(), client, "team-c", manifests.RegistryHost)
	var absent *kube.NamespaceNotFoundError
	if !errors.As(err, &absent) || absent.Namespace != "team-c" {
		t.Errorf("got error %v, want that team-c does not exist", err)
	}
}

func TestConfigWithoutSetup(t *testing.T) {
	if _, err := Config(t.Context(), clientWith()); !errors.Is(err, ErrNotSetUp) {
		t.Errorf("got error %v, want ErrNotSetUp", err)
	}
}

func TestCheckOwner(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "new"}}
	client := kubefake.NewClientset(namespace)
	for name, test := range map[string]struct {
		uids   map[string]string
		former bool
	}{
		"the same":       {map[string]string{"shop": "new"}, false},
		"another":        {map[string]string{"shop": "old"}, true},
		"no record":      {nil, false},
		"of another one": {map[string]string{"other": "old"}, false},
	} {
		var former *FormerNamespaceError
		if err := CheckOwner(t.Context(), client, &manifests.Config{NamespaceUIDs: test.uids}, "shop"); errors.As(err, &former) != test.former {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckOwner(t.Context(), client, &manifests.Config{NamespaceUIDs: map[string]string{"gone": "old"}}, "gone"); err != nil {
		t.Errorf("a namespace that cannot be read: %v", err)
	}
}
