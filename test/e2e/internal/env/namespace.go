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
	name := c.pool.take(t, c)
	c.deleteAtEnd(t, name)
	return &NS{Cluster: c, Name: name}
}

// KeptNamespace returns the one namespace that is deleted when all tests have ended, for
// tests that run one after another and leave nothing in it: when a prepared namespace
// is deleted, the next setup changes the platform.
func KeptNamespace(t *testing.T) *NS {
	t.Helper()
	c := Shared(t)
	return &NS{Cluster: c, Name: c.pool.kept}
}

// Neighbors returns two namespaces as Namespace does. The name of the second one starts
// with the name of the first one.
func Neighbors(t *testing.T) (a, b *NS) {
	t.Helper()
	c := Shared(t)
	first, second := c.pool.takePair(t, c)
	c.deleteAtEnd(t, first)
	c.deleteAtEnd(t, second)
	return &NS{Cluster: c, Name: first}, &NS{Cluster: c, Name: second}
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
	// kept is the namespace of KeptNamespace.
	kept string

	// batch is how many namespaces are prepared at once, when a test asks for one and
	// none is left. A setup does the work of all namespaces on record, so later setups
	// take longer.
	batch int

	// mu guards names, and is held while namespaces are prepared.
	mu    sync.Mutex
	names []string
}

// install installs the platform for the namespace that is kept. batch is how many
// namespaces are prepared at once; if the command line selects tests, it is a few.
func (p *pool) install(ctx context.Context, c *Cluster, batch int) error {
	// TestMain runs before the testing package reads its flags.
	flag.Parse()
	if selected := flag.Lookup("test.run"); selected != nil && selected.Value.String() != "" {
		batch = min(batch, 2)
	}
	p.batch, p.kept = batch, newName()
	if err := c.create(ctx, p.kept); err != nil {
		return err
	}
	return p.setUp(ctx, c, c.SetupFlags)
}

func (p *pool) setUp(ctx context.Context, c *Cluster, flags []string) error {
	args := append([]string{"pyflow", "setup", "-n", p.kept}, flags...)
	if out, err := c.Command(ctx, "kubectl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("set up the cluster: %w\n%s", err, out)
	}
	return nil
}

func (c *Cluster) create(ctx context.Context, names ...string) error {
	for _, name := range names {
		_, err := c.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
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

// take returns a namespace that is prepared.
func (p *pool) take(t *testing.T, c *Cluster) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.names) == 0 {
		names := make([]string, p.batch)
		for i := range names {
			names[i] = newName()
		}
		Check(t, p.prepare(t.Context(), c, names))
		p.names = names
	}
	name := p.names[0]
	p.names = p.names[1:]
	return name
}

// takePair prepares two namespaces, of which the second one's name starts with the first one's.
func (p *pool) takePair(t *testing.T, c *Cluster) (a, b string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	a = newName()
	b = a + neighborSuffix
	Check(t, p.prepare(t.Context(), c, []string{a, b}))
	return a, b
}

// prepare creates namespaces and makes them ready for builds. The caller holds mu: what is put on
// record must not meet another setup.
func (p *pool) prepare(ctx context.Context, c *Cluster, names []string) error {
	if err := c.create(ctx, names...); err != nil {
		return err
	}
	if err := c.addToConfig(ctx, names); err != nil {
		return err
	}
	// Setup prepares the namespace of -n, and again all that it has on record.
	return p.setUp(ctx, c, nil)
}

// delete removes the namespaces that no test deleted.
func (p *pool) delete(ctx context.Context, c *Cluster) {
	for _, name := range append(p.names, p.kept) {
		_ = c.Kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	}
}
