package enclosure

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// hostLinks is what the names of the host's ends of the links start with.
	hostLinks = "pyflow"
	// nodeLink is a node's end of its link.
	nodeLink = "eth0"

	ipForward = "/proc/sys/net/ipv4/ip_forward"
)

// hostLink returns the host's end of the link to the node with that number.
func (n Names) hostLink(number int) string { return hostLinks + n.Cluster + strconv.Itoa(number) }

// hostTable is the only firewall table that the host gets.
func (n Names) hostTable() string {
	if n.Cluster == "" {
		return "pyflow_cluster"
	}
	return "pyflow_cluster_" + n.Cluster
}

// alone reports whether the host has no link of another cluster.
func (n Names) alone() bool {
	links, err := filepath.Glob("/sys/class/net/" + hostLinks + "*")
	return err == nil && !slices.ContainsFunc(links, func(path string) bool {
		name := strings.TrimPrefix(filepath.Base(path), hostLinks)
		return strings.TrimRight(name, "0123456789") != n.Cluster
	})
}

// connect links the node's network to the host's and lets it reach what the
// host reaches. The host is the router between the nodes and knows which node
// has which pods; what it knows of a node goes with that node's link.
func (e *Enclosure) connect(ctx context.Context) error {
	subnets, number, pid := e.State.Subnets, e.State.Number, strconv.Itoa(e.State.PID)
	link, mtu := e.Names.hostLink(number), strconv.Itoa(e.MTU)
	self, router := subnets.Node(number).String(), subnets.Host().String()
	pods := subnets.NodePods(number)
	inNode := func(arguments ...string) []string {
		return append([]string{"nsenter", "--target", pid, "--net"}, arguments...)
	}
	for _, command := range [][]string{
		{"ip", "link", "add", link, "mtu", mtu, "type", "veth", "peer", "name", nodeLink, "mtu", mtu, "netns", pid},
		{"ip", "address", "add", router, "peer", self, "dev", link},
		{"ip", "link", "set", link, "up"},
		{"ip", "route", "add", pods.String(), "via", self},
		inNode("ip", "link", "set", "lo", "up"),
		// The gateway's address belongs to every pod's interface; the services
		// that listen on it must not have to wait for the first pod.
		inNode("ip", "address", "add", pods.Addr().Next().String()+"/32", "dev", "lo"),
		inNode("ip", "address", "add", self, "peer", router, "dev", nodeLink),
		inNode("ip", "link", "set", nodeLink, "up"),
		inNode("ip", "route", "add", "default", "via", router),
		inNode("sh", "-c", "echo 1 >"+ipForward),
	} {
		if err := execute(ctx, "", command...); err != nil {
			return fmt.Errorf("connect the node: %w", err)
		}
	}
	nodeRules := masquerade("pyflow_node", fmt.Sprintf("ip saddr %s ip daddr != %s oifname %q masquerade", pods, subnets.Pods, nodeLink))
	if err := execute(ctx, nodeRules, inNode("nft", "-f", "-")...); err != nil {
		return fmt.Errorf("translate the pods' addresses: %w", err)
	}
	if number > 0 {
		return nil
	}
	hostRules := masquerade(e.Names.hostTable(), fmt.Sprintf("ip saddr %s oifname != %q masquerade", subnets.Link, hostLinks+"*"))
	if err := execute(ctx, hostRules, "nft", "-f", "-"); err != nil {
		return fmt.Errorf("translate the node's address: %w", err)
	}
	if err := os.WriteFile(ipForward, []byte("1"), 0o644); err != nil {
		return fmt.Errorf("enable forwarding: %w", err)
	}
	return e.openFirewall(ctx)
}

func masquerade(table, rule string) string {
	return fmt.Sprintf(`table ip %s {
	chain postrouting {
		type nat hook postrouting priority 110; policy accept;
		%s
	}
}
`, table, rule)
}

// forwardRules let the nodes' packets through a firewall that drops what it
// does not know.
func forwardRules() [][]string {
	const comment = "pyflow-cluster"
	return [][]string{
		{"FORWARD", "-i", hostLinks + "+", "-m", "comment", "--comment", comment, "-j", "ACCEPT"},
		{"FORWARD", "-o", hostLinks + "+", "-m", "comment", "--comment", comment, "-j", "ACCEPT"},
	}
}

// openFirewall does nothing where the host forwards by default: the rules
// would leave empty chains behind.
func (e *Enclosure) openFirewall(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "iptables", "-w", "-S", "FORWARD").Output()
	if err != nil || !strings.Contains(string(output), "-P FORWARD DROP") {
		return nil //nolint:nilerr // no such table, no such firewall
	}
	e.State.ForwardRules = true
	if err := e.State.Save(e.StatePath); err != nil {
		return err
	}
	for _, rule := range forwardRules() {
		if err := execute(ctx, "", append([]string{"iptables", "-w", "-I"}, rule...)...); err != nil {
			return fmt.Errorf("open the host's firewall: %w", err)
		}
	}
	return nil
}

// disconnect reverts what connect did to the host. It finds everything by name, so that it also
// works without a state.
func (n Names) disconnect(ctx context.Context, number int, state *State) error {
	if _, err := os.Stat("/sys/class/net/" + n.hostLink(number)); err == nil {
		// It goes with the node's network, but only in a while.
		_ = execute(ctx, "", "ip", "link", "delete", n.hostLink(number))
	}
	if number > 0 {
		return nil
	}
	if execute(ctx, "", "nft", "list", "table", "ip", n.hostTable()) == nil {
		if err := execute(ctx, "", "nft", "delete", "table", "ip", n.hostTable()); err != nil {
			return fmt.Errorf("remove address translation: %w", err)
		}
	}
	if state == nil {
		return nil
	}
	if state.ForwardRules {
		for _, rule := range forwardRules() {
			_ = execute(ctx, "", append([]string{"iptables", "-w", "-D"}, rule...)...)
		}
	}
	// The other cluster needs it. Its own record is of a host that forwards already, so
	// the host goes on forwarding when the last one ends.
	if state.IPForward != "" && n.alone() {
		if err := os.WriteFile(ipForward, []byte(state.IPForward), 0o644); err != nil {
			return fmt.Errorf("restore forwarding: %w", err)
		}
	}
	return nil
}

func readIPForward() (string, error) {
	content, err := os.ReadFile(ipForward)
	if err != nil {
		return "", fmt.Errorf("read forwarding: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

func execute(ctx context.Context, input string, command ...string) error {
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Stdin = strings.NewReader(input)
	var output bytes.Buffer
	process.Stdout, process.Stderr = &output, &output
	if err := process.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(output.String()))
	}
	return nil
}
