//go:build e2e

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/lock"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// TestSetupsAtOnce sets up namespaces at the same time, and kills one setup in the middle: every
// namespace that was ready stays ready.
func TestSetupsAtOnce(t *testing.T) {
	kept := env.KeptNamespace(t)
	forgotten(t, kept)
	namespaces := []string{kept.EmptyNamespace(t), kept.EmptyNamespace(t), kept.EmptyNamespace(t)}
	setup := func(name string) env.Started {
		return (&env.NS{Cluster: kept.Cluster, Name: name}).Start(t, nil, "setup")
	}

	namespaces = append(namespaces, kept.Name)
	var started []env.Started
	for _, name := range namespaces {
		started = append(started, setup(name))
	}
	waited := 0
	for _, one := range started {
		if r := one.Ends(t).Succeeded(t); strings.Contains(r.Stderr, "waiting for setup by ") && strings.Contains(r.Stderr, "which started ") {
			waited++
		}
	}
	if waited < len(namespaces)-1 {
		t.Errorf("%d setups say for whom they wait", waited)
	}
	ready(t, kept.Cluster, namespaces)

	victim := setup(kept.Name)
	victim.Says(t, "✓ Cluster checked")
	killed(t, victim)
	if _, err := kept.Kube.CoordinationV1().Leases(manifests.SystemNamespace).Get(t.Context(), lock.Name, metav1.GetOptions{}); err != nil {
		t.Fatalf("the setup that was killed had no lock: %v", err)
	}
	kept.Pyflow(t, "setup", "--dry-run=client").Succeeded(t)
	start := time.Now()
	next := setup(namespaces[0])
	next.Says(t, "✓ Cluster checked")
	if took := time.Since(start); took > lock.Duration+10*time.Second {
		t.Errorf("a setup that was killed blocks the next one for %s", took)
	}
	next.Ends(t).Succeeded(t).Says(t, "waiting for setup by ")
	ready(t, kept.Cluster, namespaces)
	if _, err := kept.Kube.CoordinationV1().Leases(manifests.SystemNamespace).Get(t.Context(), lock.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the lock stays: %v", err)
	}
}

// ready wants the registry to accept the credentials of namespaces, and setup to have them on
// record.
func ready(t *testing.T, c *env.Cluster, namespaces []string) {
	t.Helper()
	object, err := c.Kube.CoreV1().ConfigMaps(manifests.SystemNamespace).Get(t.Context(), manifests.ConfigName, metav1.GetOptions{})
	env.Check(t, err)
	for _, name := range namespaces {
		if !strings.Contains(object.Data[manifests.ConfigKey], "- "+name+"\n") {
			t.Errorf("namespace %s is not on record:\n%s", name, object.Data[manifests.ConfigKey])
		}
		user, ca := registrytest.Credentials(t, c, name)
		registrytest.Front(t, c, ca).Wants(t, "credentials of "+name, user, http.StatusOK, registrytest.Request{Method: http.MethodGet, Target: "/v2/"})
	}
}
