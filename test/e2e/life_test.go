//go:build e2e

package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestFormerNamespace deletes a namespace with an app, makes one of the same name, and looks there
// for what the former one has left: by the names of its images, by their digests, by the digests of
// their layers, and with its password.
func TestFormerNamespace(t *testing.T) {
	kept := env.KeptNamespace(t)
	forgotten(t, kept)
	name := kept.EmptyNamespace(t)
	ns := &env.NS{Cluster: kept.Cluster, Name: name}
	ns.Pyflow(t, "setup").Succeeded(t)
	ns.Build(t, env.Page(t, "app", "former", "")).Released(t)

	config, err := platform.Config(t.Context(), ns.Kube)
	env.Check(t, err)
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig = &ns.Kubeconfig
	clients, err := kube.New(flags)
	env.Check(t, err)
	open := func() (*registry.Client, error) {
		user, ca, err := platform.Credentials(t.Context(), ns.Kube, name, config.Registry.Host)
		env.Check(t, err)
		return platform.Registry(clients, config.Registry, user, ca)
	}
	old, err := open()
	env.Check(t, err)
	defer old.Close()
	app := config.Registry.Path(name, "app")
	paths := []string{app, app + "/source", app + manifests.CacheSuffix()}
	before := map[string][]*registry.Manifest{}
	for _, path := range paths {
		tags, err := old.Tags(t.Context(), path)
		env.Check(t, err)
		for _, tag := range tags {
			manifest, err := old.Manifest(t.Context(), path, tag)
			env.Check(t, err)
			before[path] = append(before[path], manifest)
		}
		if len(before[path]) == 0 {
			t.Errorf("the registry has nothing in %s", path)
		}
	}

	secrets := ns.Kube.CoreV1().Secrets(name)
	former, err := secrets.Get(t.Context(), manifests.RegistrySecret, metav1.GetOptions{})
	env.Check(t, err)
	recreate(t, ns)
	// As a backup of the former namespace does.
	former.ObjectMeta = metav1.ObjectMeta{Name: former.Name, Labels: former.Labels}
	_, err = secrets.Create(t.Context(), former, metav1.CreateOptions{})
	env.Check(t, err)
	ns.Build(t, env.Page(t, "app", "restored", "")).Failed(t, "namespace "+name+" was deleted and made again", "hint: an admin runs kubectl pyflow setup --namespace "+name)
	r := ns.Pyflow(t, "setup").Succeeded(t)
	r.Says(t, app+": ", "manifests of a former namespace deleted")
	if err := old.Ping(t.Context()); !errors.Is(err, registry.ErrUnauthorized) {
		t.Errorf("the password of the former namespace still opens the registry: %v", err)
	}
	now, err := open()
	env.Check(t, err)
	defer now.Close()
	for path, found := range before {
		if tags, err := now.Tags(t.Context(), path); len(tags) > 0 {
			t.Errorf("%s has the tags %q: %v", path, tags, err)
		}
		for _, manifest := range found {
			if _, err := now.Manifest(t.Context(), path, manifest.Digest); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("%s: the manifest is read by its digest: %v", path, err)
			}
			if manifest.Config.Digest == "" {
				continue
			}
			if content, err := now.Config(t.Context(), path, manifest.Config); err == nil {
				t.Errorf("%s: the configuration is read by its digest: %.100s", path, content)
			}
		}
	}
	// The new owner starts from nothing, and a setup after that deletes nothing.
	ns.Build(t, env.Page(t, "app", "new", "")).Released(t)
	if again := ns.Pyflow(t, "setup").Succeeded(t); strings.Contains(again.Stderr, "former") {
		t.Errorf("setup deletes again\n%s", again)
	}
	if tags, err := now.Tags(t.Context(), app); err != nil || len(tags) == 0 {
		t.Errorf("the images of the new owner are gone: %q, %v", tags, err)
	}
}

// forgotten runs setup when the namespaces that the test prepares from here on have been deleted: a
// later test wants setup to change nothing.
func forgotten(t *testing.T, kept *env.NS) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), env.SettleLimit)
		defer cancel()
		if out, err := kept.Command(ctx, "kubectl", "pyflow", "setup", "-n", kept.Name).CombinedOutput(); err != nil {
			t.Errorf("setup after the test: %v\n%s", err, out)
		}
	})
}

// recreate deletes a namespace and makes another one of the same name.
func recreate(t *testing.T, ns *env.NS) {
	t.Helper()
	namespaces := ns.Kube.CoreV1().Namespaces()
	env.Check(t, namespaces.Delete(t.Context(), ns.Name, metav1.DeleteOptions{}))
	env.Eventually(t, "the namespace to go", func(ctx context.Context) error {
		_, err := namespaces.Get(ctx, ns.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is there"))
	})
	_, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns.Name}}, metav1.CreateOptions{})
	env.Check(t, err)
}
