package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/catalog"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/enclosure"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/node"
)

// second is the number of the node that comes and goes.
const second = 1

// ErrOtherVersions reports that the running cluster is not the one that these sources build.
var ErrOtherVersions = errors.New("the cluster runs other versions: restart it with `make cluster`")

// Join starts the second node and waits until it is ready and its kube-proxy has written its
// rules. It does nothing if the node is ready already.
func (c *Cluster) Join(ctx context.Context) error {
	if err := host.CheckPrivilege(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	first, err := c.current(ctx)
	if err != nil {
		return err
	}
	joined, err := c.state(second)
	if err != nil {
		return err
	}
	// A join that was cut off may have left a node that never gets ready.
	if joined.Alive() && c.awaitReady(ctx, "2s") == nil {
		c.log.Printf("the node %s is ready already", node.Name(second))
		return nil
	}
	if err := c.leave(ctx, joined); err != nil {
		return err
	}
	images, err := c.build(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.join(ctx, first, images); err != nil {
		return fmt.Errorf("%w (logs are in %s)", err, node.Layout(c.layout, second).Logs())
	}
	c.log.Printf("the node %s is ready", node.Name(second))
	return nil
}

func (c *Cluster) awaitReady(ctx context.Context, timeout string) error {
	return c.kubectl(ctx, "wait", "node/"+node.Name(second), "--for=condition=Ready", "--timeout="+timeout)
}

// current returns the state of the first node. The node must run what these sources build,
// because the programs of another version may be deleted.
func (c *Cluster) current(ctx context.Context) (*enclosure.State, error) {
	if err := c.builder.Resolve(ctx); err != nil {
		return nil, err
	}
	first, err := c.running()
	if err == nil && first.Key != c.builder.Key() {
		err = ErrOtherVersions
	}
	return first, err
}

func (c *Cluster) join(ctx context.Context, first *enclosure.State, images imageSet) error {
	resolvConf, _, err := host.Resolver(host.Root())
	if err != nil {
		return err
	}
	described := c.describeNode(second, first.Subnets, first.ProxyMode)
	described.MTU = host.MTU(ctx)
	described.ResolvConf = resolvConf
	state, err := c.startNode(ctx, described)
	if err != nil {
		return err
	}
	if err := c.importImages(ctx, state, images, catalog.EveryNode(c.pins)); err != nil {
		return err
	}
	if err := c.await(ctx, state, "the node", func(ctx context.Context) error {
		return c.awaitReady(ctx, "20s")
	}); err != nil {
		return err
	}
	return c.awaitProxy(ctx, state)
}

// Leave ends the second node at once, as when a machine breaks: nothing is
// drained. What the API server knows of it is deleted, its pods too.
func (c *Cluster) Leave(ctx context.Context) error {
	if err := host.CheckPrivilege(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := c.current(ctx); err != nil {
		return err
	}
	joined, err := c.state(second)
	if err != nil {
		return err
	}
	if err := c.leave(ctx, joined); err != nil {
		return err
	}
	c.log.Printf("the node %s is gone", node.Name(second))
	return nil
}

func (c *Cluster) leave(ctx context.Context, state *enclosure.State) error {
	if err := c.names.Stop(ctx, second, state); err != nil {
		return err
	}
	name := node.Name(second)
	for _, arguments := range [][]string{
		{"delete", "node", name, "--ignore-not-found"},
		// The controller that removes the pods of a node that is gone waits for
		// most of a minute.
		{"delete", "pods", "--all-namespaces", "--field-selector=spec.nodeName=" + name, "--force", "--grace-period=0"},
	} {
		if err := c.kubectl(ctx, arguments...); err != nil {
			return fmt.Errorf("remove the node %s: %w", name, err)
		}
	}
	if err := os.RemoveAll(node.Layout(c.layout, second).Run()); err != nil {
		return fmt.Errorf("remove the files of the node %s: %w", name, err)
	}
	return nil
}
