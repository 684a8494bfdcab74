package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/enclosure"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/node"
)

// The modes of kube-proxy.
const (
	iptables = "iptables"
	nftables = "nftables"
)

func checkProxyMode(mode string) error {
	if mode != iptables && mode != nftables {
		return fmt.Errorf("the mode of kube-proxy is %q: it must be %s or %s", mode, iptables, nftables)
	}
	return nil
}

// SetProxyMode switches the kube-proxy of every node to that mode, iptables or nftables. It
// restarts nothing else. Services do not answer for about two seconds.
func (c *Cluster) SetProxyMode(ctx context.Context, mode string) error {
	if err := host.CheckPrivilege(); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := c.running(); err != nil {
		return err
	}
	return c.setProxyMode(ctx, mode)
}

func (c *Cluster) setProxyMode(ctx context.Context, mode string) error {
	if err := checkProxyMode(mode); err != nil {
		return err
	}
	var nodes []*enclosure.State
	for number := range host.Nodes {
		state, err := c.state(number)
		if err != nil {
			return err
		}
		if !state.Alive() {
			continue
		}
		nodes = append(nodes, state)
		if state.ProxyMode == mode {
			continue
		}
		c.log.Printf("switching kube-proxy of %s to %s", node.Name(number), mode)
		state.ProxyMode = mode
		if err := c.describeNode(number, state.Subnets, mode).WriteProxyConfig(); err != nil {
			return err
		}
		if err := state.Save(node.Layout(c.layout, number).State()); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, state := range nodes {
		if err := c.awaitProxy(ctx, state); err != nil {
			return err
		}
	}
	return nil
}

// awaitProxy waits until the node's kube-proxy works in the node's mode and has
// written its rules.
func (c *Cluster) awaitProxy(ctx context.Context, state *enclosure.State) error {
	return c.await(ctx, state, "kube-proxy of "+node.Name(state.Number), func(ctx context.Context) error {
		address := state.Subnets.Node(state.Number)
		mode, err := get(ctx, address, node.ProxyStatusPort, "/proxyMode")
		if err != nil {
			return err
		}
		if string(mode) != state.ProxyMode {
			return fmt.Errorf("its mode is %s", mode)
		}
		metrics, err := get(ctx, address, node.ProxyStatusPort, "/metrics")
		if err != nil {
			return err
		}
		if !proxySynced(metrics) {
			return errors.New("it has written no rules")
		}
		return nil
	})
}

// proxySynced finds the time of the last rules in kube-proxy's metrics, which is
// not there before the first. Its health says nothing about that: it counts the
// start as an update.
func proxySynced(metrics []byte) bool {
	return bytes.Contains(metrics, []byte("\nkubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} "))
}

// get asks a node directly: a proxy that the user may have set does not know it.
func get(ctx context.Context, address netip.Addr, port uint16, path string) ([]byte, error) {
	url := "http://" + netip.AddrPortFrom(address, port).String() + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask a node: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask a node: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask a node: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask a node: %s says %s: %s", url, response.Status, body)
	}
	return body, nil
}
