package manifests

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
)

// BuildNetworkName is the NetworkPolicy of the pods of builds in an app namespace.
const BuildNetworkName = "pyflow-build"

// EgressAll lets builds reach everything: it stands in BuildNetwork.Allowed for no NetworkPolicy.
const EgressAll = "all"

// BuildNetwork is what the pods of builds may reach: all that is outside of the cluster, and in it
// the name servers and the registry.
type BuildNetwork struct {
	// Cluster are the ranges of the cluster's own addresses that an admin named, CIDR, sorted.
	Cluster []string `json:"cluster,omitempty"`
	// Detected are those that setup found, sorted.
	Detected []string `json:"detected,omitempty"`
	// Allowed are what builds may reach in spite of that, sorted: ranges, names of namespaces, or
	// EgressAll.
	Allowed []string `json:"allowed,omitempty"`
}

// ParseRanges reads ranges of addresses in CIDR notation. It returns them sorted, with the bits
// behind the prefix cleared.
func ParseRanges(texts []string) ([]string, error) {
	ranges := []string{}
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a range of addresses, such as 10.0.0.0/16", text)
		}
		ranges = append(ranges, prefix.Masked().String())
	}
	slices.SortFunc(ranges, compareRanges)
	return slices.Compact(ranges), nil
}

// ParseEgress reads what builds may reach: ranges of addresses, names of namespaces, or EgressAll.
func ParseEgress(texts []string) ([]string, error) {
	allowed := []string{}
	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			text = prefix.Masked().String()
		} else if len(validation.IsDNS1123Label(text)) > 0 {
			return nil, fmt.Errorf("%q is neither a range of addresses, such as 10.0.0.0/16, nor the name of a namespace, nor %q", text, EgressAll)
		}
		allowed = append(allowed, text)
	}
	slices.Sort(allowed)
	return slices.Compact(allowed), nil
}

// compareRanges orders ranges by their addresses.
func compareRanges(a, b string) int {
	first, errA := netip.ParsePrefix(a)
	second, errB := netip.ParsePrefix(b)
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}
	return cmp.Or(first.Addr().Compare(second.Addr()), cmp.Compare(first.Bits(), second.Bits()))
}

// buildNetwork returns the NetworkPolicy of the pods of builds; none if they may reach all.
func buildNetwork(r *renderer, namespace string) []*unstructured.Unstructured {
	network := r.Config.BuildNetwork
	if slices.Contains(network.Allowed, EgressAll) {
		return nil
	}
	objects := r.read("namespace/network.yaml")
	policy := find(objects, "NetworkPolicy", BuildNetworkName)
	policy.SetNamespace(namespace)
	rules, _, err := unstructured.NestedSlice(policy.Object, "spec", "egress")
	if err != nil && r.err == nil {
		r.err = err
	}
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		peers, _ := fields["to"].([]any)
		for _, peer := range peers {
			fields, _ := peer.(map[string]any)
			if block, ok := fields["ipBlock"].(map[string]any); ok {
				except(block, slices.Concat(network.Detected, network.Cluster))
			}
		}
	}
	var peers []any
	for _, allowed := range network.Allowed {
		if _, err := netip.ParsePrefix(allowed); err == nil {
			peers = append(peers, map[string]any{"ipBlock": map[string]any{"cidr": allowed}})
			continue
		}
		peers = append(peers, map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": allowed}}})
	}
	if len(peers) > 0 {
		rules = append(rules, map[string]any{"to": peers})
	}
	r.set(policy, rules, "spec", "egress")
	return objects
}

// except adds those of ranges to the exceptions of block that are of its family of addresses.
func except(block map[string]any, ranges []string) {
	whole, err := netip.ParsePrefix(fmt.Sprint(block["cidr"]))
	if err != nil {
		return
	}
	listed, _ := block["except"].([]any)
	var all []string
	for _, one := range listed {
		all = append(all, fmt.Sprint(one))
	}
	for _, one := range ranges {
		if prefix, err := netip.ParsePrefix(one); err == nil && prefix.Addr().Is4() == whole.Addr().Is4() {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, compareRanges)
	all = slices.Compact(all)
	listed = nil
	for _, one := range all {
		listed = append(listed, one)
	}
	block["except"] = listed
}
