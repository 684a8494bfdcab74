//go:build e2e

// Package env is the harness of the end-to-end tests: the cluster under test,
// namespaces that are ready for builds, and the commands that users run.
package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// CommandLimit bounds one command, such as a build on a slow machine.
	CommandLimit = 10 * time.Minute
	// SettleLimit bounds what the cluster does on its own.
	SettleLimit = 3 * time.Minute

	pollEvery = 250 * time.Millisecond
)

// Cluster is the cluster under test and the programs to use it with.
type Cluster struct {
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// SetupFlags are the flags that `kubectl pyflow setup` needs on this cluster.
	SetupFlags []string

	Kube    kubernetes.Interface
	Tekton  tekton.Interface
	Dynamic dynamic.Interface
	Mapper  meta.RESTMapper

	bin, home string
	pool      *pool
}

// shared is the cluster that Main connected to. Tests reach it by Shared and
// Namespace.
var shared *Cluster //nolint:gochecknoglobals // TestMain can hand nothing to the tests

// Main connects to the cluster of $KUBECONFIG, installs the platform, runs the tests
// and returns their exit code. Namespaces for the tests are prepared as many at once as
// batch says. Call it from TestMain.
func Main(m *testing.M, batch int) int {
	home, err := os.MkdirTemp("", "pyflow-e2e-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(home) }()
	if shared, err = connect(home); err != nil {
		return failed(err)
	}
	ctx := context.Background()
	defer shared.pool.delete(ctx, shared)
	if err := shared.recordObjects(ctx); err != nil {
		return failed(err)
	}
	if err := shared.pool.install(ctx, shared, batch); err != nil {
		return failed(err)
	}
	return m.Run()
}

func failed(err error) int {
	_, _ = fmt.Fprintln(os.Stderr, "prepare the end-to-end tests:", err)
	return 1
}

// Shared returns the cluster under test.
func Shared(t *testing.T) *Cluster {
	t.Helper()
	if shared == nil {
		t.Fatal("TestMain must call env.Main")
	}
	return shared
}

func connect(home string) (*Cluster, error) {
	c := &Cluster{
		Kubeconfig: os.Getenv("KUBECONFIG"),
		SetupFlags: strings.Fields(os.Getenv("PYFLOW_SETUP_FLAGS")),
		home:       home,
		pool:       &pool{},
	}
	if c.Kubeconfig == "" || os.Getenv("PYFLOW_BIN") == "" {
		return nil, errors.New("KUBECONFIG or PYFLOW_BIN is not set: run make test-e2e")
	}
	var err error
	if c.bin, err = filepath.Abs(os.Getenv("PYFLOW_BIN")); err != nil {
		return nil, err
	}
	for _, program := range []string{"kubectl", "kubectl-pyflow", "tkn"} {
		if _, err := exec.LookPath(filepath.Join(c.bin, program)); err != nil {
			return nil, err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	if c.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.Tekton, err = tekton.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	c.Mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Kube.Discovery()))
	return c, nil
}
