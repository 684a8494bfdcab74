// Package cluster starts and stops the cluster and its second node.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/catalog"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/enclosure"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/layout"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/node"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/pins"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/programs"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/progress"
)

// ErrNotRunning reports that there is no running cluster.
var ErrNotRunning = errors.New("the cluster is not running: start it with `make cluster`")

// ErrName reports that no cluster can have that name.
var ErrName = errors.New("the name of a cluster is one to four lower case letters")

var validName = regexp.MustCompile(`^[a-z]{0,4}$`)

// Cluster is a cluster of a user on a machine.
type Cluster struct {
	layout  layout.Layout
	names   enclosure.Names
	pins    pins.Pins
	log     *progress.Log
	errOut  io.Writer
	builder *programs.Builder

	// installing serializes the package manager.
	installing sync.Mutex
}

// New returns the cluster with that name below the user's cache directory; the usual
// one has none. gomod is the text of the module file with the versions; progress goes to
// errOut.
func New(name, gomod string, errOut io.Writer) (*Cluster, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("%w: %q", ErrName, name)
	}
	versions, err := pins.Parse(gomod)
	if err != nil {
		return nil, err
	}
	files, err := layout.Default(name)
	if err != nil {
		return nil, err
	}
	log := progress.New(errOut)
	return &Cluster{
		layout: files, names: enclosure.Names{Cluster: name}, pins: versions, log: log, errOut: errOut,
		builder: &programs.Builder{Pins: versions, Dir: files.Programs(), Log: log},
	}, nil
}

// Kubeconfig returns the path of the administrator's kubeconfig, whether the cluster runs or
// not.
func (c *Cluster) Kubeconfig() string { return c.layout.Kubeconfig() }

// SetupFlags returns the flags that make the product's setup use the upstream
// mirror and the package index beside the node. The mirror stands for Docker
// Hub and distroless, where the base images of builds come from, or with
// allMirrors for every registry: then all images are named after the mirror, and
// the first node has none of them.
func (c *Cluster) SetupFlags(allMirrors bool) (string, error) {
	state, err := c.running()
	if err != nil {
		return "", err
	}
	return strings.Join(setupFlags(state.Subnets.Gateway(), allMirrors), " "), nil
}

// state returns the state of the node with that number; nil if there is none.
func (c *Cluster) state(number int) (*enclosure.State, error) {
	return enclosure.Load(node.Layout(c.layout, number).State())
}

// running returns the state of the first node, which must run.
func (c *Cluster) running() (*enclosure.State, error) {
	state, err := c.state(0)
	if err == nil && !state.Alive() {
		err = ErrNotRunning
	}
	return state, err
}

// distroless is the registry of base images that are not on Docker Hub.
const distroless = "gcr.io/distroless"

func setupFlags(gateway netip.Addr, allMirrors bool) []string {
	mirror := fmt.Sprintf("http://%s:%d", gateway, node.MirrorPort)
	flags := []string{
		fmt.Sprintf("--build-arg=PIP_INDEX_URL=http://%s:%d/simple/", gateway, node.IndexPort),
		fmt.Sprintf("--build-arg=PIP_TRUSTED_HOST=%s", gateway),
		// The pods of all nodes share 16 bits; the mirror and the index are among them.
		fmt.Sprintf("--cluster-cidr=%s", netip.PrefixFrom(gateway, 16).Masked()),
		fmt.Sprintf("--build-egress=%s", netip.PrefixFrom(gateway, gateway.BitLen())),
	}
	if !allMirrors {
		// Of the other registry the base images alone: the platform's own images
		// are in the node under the names that they are published with.
		return append(flags, "--image-mirror=docker.io="+mirror,
			"--image-mirror="+distroless+"="+mirror+"/"+node.MirrorPath+distroless)
	}
	for _, registry := range catalog.Registries() {
		flags = append(flags, "--image-mirror="+registry+"="+mirror+"/"+node.MirrorPath+registry)
	}
	return flags
}

// Down ends the cluster and removes everything but the caches.
func (c *Cluster) Down(ctx context.Context) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return c.down(ctx)
}

func (c *Cluster) down(ctx context.Context) error {
	state, err := c.state(0)
	if err != nil {
		return err
	}
	if state == nil && !c.names.Leftovers() {
		c.log.Printf("no cluster is running")
		return c.removeRun()
	}
	if err := host.CheckPrivilege(); err != nil {
		return err
	}
	c.log.Printf("ending what runs")
	if err := c.stop(ctx, state); err != nil {
		return err
	}
	c.log.Printf("removing its files")
	if err := c.removeRun(); err != nil {
		return err
	}
	c.log.Printf("the cluster is gone; its caches stay in %s", c.layout.Root)
	return nil
}

// stop ends every node, the first one, which the others need, last.
func (c *Cluster) stop(ctx context.Context, first *enclosure.State) error {
	joined, err := c.state(second)
	if err != nil {
		return err
	}
	return errors.Join(c.names.Stop(ctx, second, joined), c.names.Stop(ctx, 0, first))
}

func (c *Cluster) removeRun() error {
	if err := os.RemoveAll(c.layout.Run()); err != nil {
		return fmt.Errorf("remove the run directory: %w", err)
	}
	return nil
}

// lock keeps a second command from changing the cluster at the same time. The lock ends with
// the process.
func (c *Cluster) lock() (func(), error) {
	if err := os.MkdirAll(c.layout.Root, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache directory: %w", err)
	}
	file, err := os.OpenFile(c.layout.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	descriptor := int(file.Fd())
	if syscall.Flock(descriptor, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		c.log.Printf("waiting for another command on the cluster to finish")
		if err := syscall.Flock(descriptor, syscall.LOCK_EX); err != nil {
			return nil, fmt.Errorf("lock the cluster: %w", err)
		}
	}
	return func() { _ = file.Close() }, nil
}

// Tools copies the clients, kubectl and tkn, into a directory.
func (c *Cluster) Tools(ctx context.Context, bin string) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.buildPrograms(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", bin, err)
	}
	for _, name := range []string{"kubectl", "tkn"} {
		if err := copyProgram(c.builder.Path(name), filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyProgram(source, target string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	// A program that is running cannot be written over, but replaced.
	if err := os.WriteFile(target+".part", content, 0o755); err != nil {
		return fmt.Errorf("write program: %w", err)
	}
	if err := os.Rename(target+".part", target); err != nil {
		return fmt.Errorf("write program: %w", err)
	}
	return nil
}
