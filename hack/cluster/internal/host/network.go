package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrSubnet is returned when no subnet is free.
var ErrSubnet = errors.New("no free subnet")

// Nodes is how many nodes a cluster may have. They are numbered from 0, the one
// that everything else of the cluster runs on.
const Nodes = 2

// Subnets are the addresses of the cluster.
type Subnets struct {
	// Link has the addresses of the host and of the nodes.
	Link netip.Prefix
	// Pods and Services exist only inside the nodes, but must not hide what
	// the nodes have to reach outside.
	Pods, Services netip.Prefix
}

// Host is the host's end of the links between host and nodes.
func (s Subnets) Host() netip.Addr { return nth(s.Link, 1) }

// Node is the address of the node with that number.
func (s Subnets) Node(number int) netip.Addr { return nth(s.Link, 2+number) }

// NodePods is the half of the pods' network that is on the node with that
// number. The nodes' pods reach each other without address translation.
func (s Subnets) NodePods(number int) netip.Prefix {
	bits := s.Pods.Bits() + 1
	address := s.Pods.Addr().As4()
	if number > 0 {
		address[s.Pods.Bits()/8] |= 1 << (7 - s.Pods.Bits()%8)
	}
	return netip.PrefixFrom(netip.AddrFrom4(address), bits)
}

// Gateway is the first node's address on the pods' network: the first one.
func (s Subnets) Gateway() netip.Addr { return s.Pods.Addr().Next() }

// DNS is the address of the cluster's name server, the tenth service address
// by convention.
func (s Subnets) DNS() netip.Addr { return nth(s.Services, 10) }

func nth(prefix netip.Prefix, n int) netip.Addr {
	address := prefix.Addr()
	for range n {
		address = address.Next()
	}
	return address
}

// ChooseSubnets picks for each network the first of a few candidates that
// overlaps nothing in use.
func ChooseSubnets(inUse []netip.Prefix) (Subnets, error) {
	var subnets Subnets
	for _, choice := range []struct {
		into       *netip.Prefix
		candidates []string
	}{
		{&subnets.Link, []string{"10.89.0.0/24", "10.189.0.0/24", "172.29.89.0/24", "192.168.189.0/24"}},
		{&subnets.Pods, []string{"10.88.0.0/16", "10.188.0.0/16", "172.28.0.0/16"}},
		{&subnets.Services, []string{"10.96.0.0/16", "10.196.0.0/16", "172.27.0.0/16"}},
	} {
		prefix, err := firstFree(choice.candidates, inUse)
		if err != nil {
			return Subnets{}, err
		}
		*choice.into = prefix
	}
	return subnets, nil
}

func firstFree(candidates []string, inUse []netip.Prefix) (netip.Prefix, error) {
	for _, candidate := range candidates {
		prefix, err := netip.ParsePrefix(candidate)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("parse subnet: %w", err)
		}
		if !overlapsAny(prefix, inUse) {
			return prefix, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%w: the host uses addresses of %s", ErrSubnet, strings.Join(candidates, ", "))
}

func overlapsAny(prefix netip.Prefix, others []netip.Prefix) bool {
	for _, other := range others {
		if prefix.Overlaps(other) {
			return true
		}
	}
	return false
}

// route is one line of `ip -json route`.
type route struct {
	Destination string `json:"dst"`
	Device      string `json:"dev"`
}

// InUse returns the subnets that the host routes, and its name servers: a pod
// that asks one of them must not be answered by a neighbor.
func InUse(ctx context.Context, nameservers []netip.Addr) ([]netip.Prefix, error) {
	routes, err := routes(ctx)
	if err != nil {
		return nil, err
	}
	var inUse []netip.Prefix
	for _, route := range routes {
		if prefix, ok := destination(route.Destination); ok {
			inUse = append(inUse, prefix)
		}
	}
	for _, server := range nameservers {
		inUse = append(inUse, netip.PrefixFrom(server, server.BitLen()))
	}
	return inUse, nil
}

func destination(text string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix, prefix.Bits() > 0
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false // "default"
	}
	return netip.PrefixFrom(address, address.BitLen()), true
}

func routes(ctx context.Context) ([]route, error) {
	output, err := exec.CommandContext(ctx, "ip", "-4", "-json", "route", "show").Output()
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var routes []route
	if err := json.Unmarshal(output, &routes); err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return routes, nil
}

// MTU is the largest packet that the host's default route carries; the pods'
// interfaces must not exceed it, or large answers from outside get lost.
func MTU(ctx context.Context) int {
	const ethernet = 1500
	routes, err := routes(ctx)
	if err != nil {
		return ethernet
	}
	for _, route := range routes {
		if route.Destination != "default" {
			continue
		}
		content, err := os.ReadFile(filepath.Join("/sys/class/net", route.Device, "mtu"))
		if err != nil {
			return ethernet
		}
		if mtu, err := strconv.Atoi(strings.TrimSpace(string(content))); err == nil && mtu < ethernet {
			return mtu
		}
	}
	return ethernet
}
