package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/node"
)

// RestartAPIServer ends the API server as a crash would, with every watch and
// every request in progress, and returns when the one that is started in its
// place answers.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	if err := host.CheckPrivilege(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	state, err := c.current(ctx)
	if err != nil {
		return err
	}
	before, err := state.Process(node.APIServer)
	if err != nil {
		return err
	}
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		return fmt.Errorf("end the API server: %w", err)
	}
	c.log.Printf("the API server is ended")
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = c.await(ctx, state, "the API server", func(ctx context.Context) error {
		now, err := state.Process(node.APIServer)
		if err != nil {
			return err
		}
		if now == before {
			return errors.New("it has not ended")
		}
		return c.kubectl(ctx, "get", "--raw=/readyz")
	})
	if err != nil {
		return err
	}
	c.log.Printf("the API server answers")
	return nil
}
