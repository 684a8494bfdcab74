//go:build e2e

package env

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// namespacePrefix marks namespaces of the tests.
const namespacePrefix = "demo-"

// neighborSuffix makes one namespace's name start with another one's.
const neighborSuffix = "-b"

// NS is a namespace of one test.
type NS struct {
	*Cluster
	// Name is the namespace's name.
	Name string
	// Printed is everything that commands printed which ran in this namespace.
	Printed Output
}

// Namespace returns a namespace of the test's own that setup has prepared for
// builds. It is deleted when the test ends.
func Namespace(t *testing.T) *NS {
	t.Helper()
	c := Shared(t)
	name := c.pool.take()
	if name == "" {
		name = c.EmptyNamespace(t)
		c.pool.setup(t, c, name)
		return &NS{Cluster: c, Name: name}
	}
	c.deleteAtEnd(t, name)
	return &NS{Cluster: c, Name: name}
}

// KeptNamespace returns a namespace as Namespace does, which is deleted when all tests
// have ended: when a prepared namespace is deleted, the next setup changes the platform.
func KeptNamespace(t *testing.T) *NS {
	t.Helper()
	c := Shared(t)
	name := c.pool.take()
	if name == "" {
		name = newName()
		_, err := c.Kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		Check(t, err)
		c.pool.setup(t, c, name)
	}
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.kept = append(c.pool.kept, name)
	return &NS{Cluster: c, Name: name}
}

// Neighbors returns two namespaces as Namespace does, for one test of a run. The name
// of the second one starts with the name of the first one.
func Neighbors(t *testing.T) (a, b *NS) {
	t.Helper()
	c := Shared(t)
	name := c.pool.takePair()
	if name == "" {
		t.Fatal("only one test can have neighbors")
	}
	c.deleteAtEnd(t, name)
	c.deleteAtEnd(t, name+neighborSuffix)
	return &NS{Cluster: c, Name: name}, &NS{Cluster: c, Name: name + neighborSuffix}
}

// EmptyNamespace creates a namespace that setup has not prepared. It is deleted
// when the test ends.
func (c *Cluster) EmptyNamespace(t *testing.T) string {
	t.Helper()
	name := newName()
	_, err := c.Kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	Check(t, err)
	c.deleteAtEnd(t, name)
	return name
}

func (c *Cluster) deleteAtEnd(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		err := c.Kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete namespace %s: %v", name, err)
		}
	})
}

func newName() string { return namespacePrefix + strings.ToLower(rand.Text()[:6]) }

// pool holds namespaces that are ready for builds. To prepare one takes seconds;
// to prepare many at once takes hardly longer.
type pool struct {
	mu    sync.Mutex
	names []string
	pair  string
	kept  []string

	// setups serializes setup commands: two at once compete for one inventory.
	setups sync.Mutex
}

// fill installs the platform and prepares count namespaces, or a few when the
// command line selects tests.
func (p *pool) fill(ctx context.Context, c *Cluster, count int) error {
	if selected := flag.Lookup("test.run"); selected != nil && selected.Value.String() != "" {
		count = min(count, 2)
	}
	p.pair = newName()
	p.names = []string{p.pair + neighborSuffix}
	for range count {
		p.names = append(p.names, newName())
	}
	for _, name := range append(slices.Clone(p.names), p.pair) {
		_, err := c.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	// Setup prepares the namespace of -n, and again all that it has on record.
	for i, flags := range [][]string{c.SetupFlags, nil} {
		args := append([]string{"pyflow", "setup", "-n", p.pair}, flags...)
		if out, err := c.Command(ctx, "kubectl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("set up the cluster: %w\n%s", err, out)
		}
		if i == 0 {
			if err := c.addToConfig(ctx, p.names); err != nil {
				return err
			}
		}
	}
	p.names = p.names[1:]
	return nil
}

// addToConfig puts namespaces on the record of those that setup has prepared.
func (c *Cluster) addToConfig(ctx context.Context, names []string) error {
	configMaps := c.Kube.CoreV1().ConfigMaps(manifests.SystemNamespace)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		object, err := configMaps.Get(ctx, manifests.ConfigName, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read the platform's configuration: %w", err)
		}
		config, err := manifests.ParseConfig(object.Data)
		if err != nil {
			return err
		}
		config.Namespaces = append(config.Namespaces, names...)
		slices.Sort(config.Namespaces)
		text, err := yaml.Marshal(config)
		if err != nil {
			return err
		}
		object.Data[manifests.ConfigKey] = string(text)
		_, err = configMaps.Update(ctx, object, metav1.UpdateOptions{})
		return err
	})
}

func (p *pool) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.names) == 0 {
		return ""
	}
	name := p.names[0]
	p.names = p.names[1:]
	return name
}

func (p *pool) setup(t *testing.T, c *Cluster, name string) {
	t.Helper()
	p.setups.Lock()
	defer p.setups.Unlock()
	c.Pyflow(t, "setup", "-n", name).Succeeded(t)
}

func (p *pool) takePair() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := p.pair
	p.pair = ""
	return name
}

// delete removes the namespaces that no test deleted.
func (p *pool) delete(ctx context.Context, c *Cluster) {
	p.names = append(p.names, p.kept...)
	if pair := p.takePair(); pair != "" {
		p.names = append(p.names, pair, pair+neighborSuffix)
	}
	for name := p.take(); name != ""; name = p.take() {
		_ = c.Kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	}
}
