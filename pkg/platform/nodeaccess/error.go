package nodeaccess

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// maxNodes is the number of nodes that an error names.
const maxNodes = 5

// PullError reports that nodes did not pull.
type PullError struct {
	// Mode is the node access that was probed.
	Mode manifests.NodeAccess
	// Failures are the results of the nodes that did not pull, at least one.
	Failures []Result
	// Probed is the number of probed nodes.
	Probed int
}

// Check returns a *PullError if a node did not pull.
func Check(mode manifests.NodeAccess, results []Result) error {
	failures := slices.DeleteFunc(slices.Clone(results), func(result Result) bool { return result.Pulled })
	if len(failures) == 0 {
		return nil
	}
	return &PullError{Mode: mode, Failures: failures, Probed: len(results)}
}

// Error names the mode and the first five nodes, each with its reason.
func (e *PullError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "node access %s: %d of %d nodes did not pull from the registry", e.Mode, len(e.Failures), e.Probed)
	for i, failure := range e.Failures {
		if i == maxNodes {
			fmt.Fprintf(&text, "; and %d more", len(e.Failures)-maxNodes)
			break
		}
		separator := ": "
		if i > 0 {
			separator = "; "
		}
		text.WriteString(separator + failure.String())
	}
	return text.String()
}

// Refuted reports whether a node tried to pull and failed, so that the mode does not
// work. Otherwise nodes were full or went away, and the mode may work.
func (e *PullError) Refuted() bool {
	return slices.ContainsFunc(e.Failures, func(result Result) bool { return result.Tried })
}

// Advice returns what to do, one line for each kind of failure, in the order of the
// nodes. It returns nil if nothing is known to help.
func (e *PullError) Advice() []string {
	var lines []string
	for _, failure := range e.Failures {
		if line := Advice(failure); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Advice returns one line about what to do for a node that did not pull. It is empty
// if the node pulled, or if the failure is not known.
func Advice(result Result) string {
	if result.Pulled {
		return ""
	}
	text := strings.ToLower(result.Reason + ": " + result.Message)
	pull := diagnose.OfPull(text)
	for _, known := range knownFailures() {
		switch {
		case known.reason != "" && known.reason == result.Reason,
			known.pull != "" && known.pull == pull,
			slices.ContainsFunc(known.words, func(word string) bool { return strings.Contains(text, word) }):
			return known.advice
		}
	}
	return ""
}

// knownFailure is a row of the table. It applies if the reason, the kind of failed
// pull or one of the words, in lower case, is that of the result.
type knownFailure struct {
	reason string
	pull   diagnose.PullFailure
	words  []string
	advice string
}

// knownFailures returns the table. The first row that applies counts, so causes come
// before their effects.
func knownFailures() []knownFailure {
	return []knownFailure{
		{
			reason: ReasonNodeGone,
			advice: "the node left the cluster: run setup again",
		},
		{
			reason: ReasonNodeNotReady,
			advice: "wait until the node is ready, or remove it from the cluster, and run setup again",
		},
		{
			reason: ReasonDeleted,
			advice: "something deletes the pods that setup creates: look for a policy or a controller that does this",
		},
		{
			words:  []string{"outofpods", "outofcpu", "outofmemory", "outofephemeral-storage"},
			advice: "the node has no room for one more pod: free resources, and run setup again",
		},
		{
			words:  []string{"no space left on device", "evicted: ", "disk pressure", "diskpressure"},
			advice: "the node is out of resources: free its disk or memory, and run setup again",
		},
		{
			pull:   diagnose.PullNoTLS,
			advice: "the node's container runtime insists on TLS for this address: declare it insecure there (CRI-O 1.35 and newer: a [[registry]] with location and insecure = true in /etc/containers/registries.conf.d; containerd: a hosts.toml with an http:// server in certs.d), or choose another --node-access",
		},
		{
			pull:   diagnose.PullUntrusted,
			advice: "the node's container runtime does not trust the registry's certificate: install its CA on the nodes, or choose another --node-access",
		},
		{
			pull:   diagnose.PullRateLimited,
			advice: "the registry limits the rate of requests: try again later",
		},
		{
			pull:   diagnose.PullNoRegistry,
			advice: "another server than the registry answers at this address: check what listens there on the node",
		},
		{
			pull:   diagnose.PullUnauthorized,
			advice: "the registry refused the credentials in the pull secret: run setup again to renew them, or correct the credentials of the external registry",
		},
		{
			pull:   diagnose.PullWrongPlatform,
			advice: "pyflow does not support the CPU or operating system of the node: exclude the node",
		},
		{
			pull:   diagnose.PullNoName,
			advice: "the node cannot resolve the registry's name, because nodes do not use the cluster's DNS: make the name known to the nodes, or choose another --node-access",
		},
		{
			pull:   diagnose.PullRefused,
			advice: "nothing listens at this address on the node; with hostport, the CNI plugin does not serve host ports on the loopback address; with nodeport, kube-proxy does not, and never does in nftables mode: choose another --node-access (auto tries hostport and hostnetwork), or check the pods of daemonset node-access",
		},
		{
			pull:   diagnose.PullGateway,
			advice: "the node-access proxy on this node is up but cannot reach the registry: check the pods in namespace pyflow-system, and network policies and firewalls between nodes",
		},
		{
			pull:   diagnose.PullTimeout,
			advice: "packets from the node to the registry get lost: check network policies and firewalls, or choose another --node-access",
		},
		{
			pull:   diagnose.PullNotFound,
			advice: "another registry answers at this address: check what else listens there on the node",
		},
		{
			words:  []string{"failedcreatepodsandbox", "failed to create pod sandbox", "cni plugin", "cni config"},
			advice: "the node cannot start any pod: repair its network plugin",
		},
		{
			reason: ReasonTimeout,
			advice: "the node is slow, or its kubelet is stuck: check its other pods, and run setup again",
		},
	}
}
