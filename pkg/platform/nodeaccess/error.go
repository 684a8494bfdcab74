package nodeaccess

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// told is how many nodes an error names.
const told = 5

// PullError says that nodes did not pull.
type PullError struct {
	// Mode is the way to the registry that was probed.
	Mode manifests.NodeAccess
	// Failures are the results of these nodes, at least one.
	Failures []Result
	// Probed is how many nodes were asked.
	Probed int
}

// Check returns a *PullError, unless every node pulled.
func Check(mode manifests.NodeAccess, results []Result) error {
	failures := slices.DeleteFunc(slices.Clone(results), func(result Result) bool { return result.Pulled })
	if len(failures) == 0 {
		return nil
	}
	return &PullError{Mode: mode, Failures: failures, Probed: len(results)}
}

// Error names the mode and the first five nodes, each with what it said.
func (e *PullError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "node access %s: %d of %d nodes did not pull from the registry", e.Mode, len(e.Failures), e.Probed)
	for i, failure := range e.Failures {
		if i == told {
			fmt.Fprintf(&text, "; and %d more", len(e.Failures)-told)
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

// Refuted says that a node tried to pull and could not, which speaks against the
// mode. Otherwise nothing was proven of it: nodes were full, or went away.
func (e *PullError) Refuted() bool {
	return slices.ContainsFunc(e.Failures, func(result Result) bool { return result.Tried })
}

// Advice is what to do, one line for each kind of failure, in the order of the
// nodes; nil if nothing is known to help.
func (e *PullError) Advice() []string {
	var lines []string
	for _, failure := range e.Failures {
		if line := Advice(failure); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Advice says in one line what to do about a node that did not pull; it is empty
// when the node pulled, or if what it said is not known.
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

type knownFailure struct {
	// One of these fits: the result's reason, the kind of failed pull, or a word, in
	// lower case, of what was said.
	reason string
	pull   diagnose.PullFailure
	words  []string
	advice string
}

// knownFailures are ordered: the first that fits counts, so causes come before
// what they bring about.
func knownFailures() []knownFailure {
	return []knownFailure{
		{
			reason: ReasonNodeGone,
			advice: "the node left the cluster meanwhile: run setup again",
		},
		{
			reason: ReasonNodeNotReady,
			advice: "wait until the node is ready, or remove it from the cluster, and run setup again",
		},
		{
			reason: ReasonDeleted,
			advice: "something deletes pods that setup creates: look for a policy or a controller that does",
		},
		{
			words:  []string{"outofpods", "outofcpu", "outofmemory", "outofephemeral-storage"},
			advice: "the node has no room for one more pod: make some, and run setup again",
		},
		{
			words:  []string{"no space left on device", "evicted: ", "disk pressure", "diskpressure"},
			advice: "the node runs out of resources: free its disk or memory, and run setup again",
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
			advice: "the registry limits how often it is asked: try again later",
		},
		{
			pull:   diagnose.PullNoRegistry,
			advice: "something else than the registry answers at this address: look for what listens there on the node",
		},
		{
			pull:   diagnose.PullUnauthorized,
			advice: "the registry refused the login of the pull secret: run setup again, which renews it, or correct the login of an external registry",
		},
		{
			pull:   diagnose.PullWrongPlatform,
			advice: "the node's CPU or operating system is none that images are made for: exclude the node",
		},
		{
			pull:   diagnose.PullNoName,
			advice: "the node can not resolve the registry's name, as nodes do not use the cluster's DNS: make the name known to the nodes, or choose another --node-access",
		},
		{
			pull:   diagnose.PullRefused,
			advice: "nothing listens at this address on the node; with hostport, the CNI plugin does not serve host ports on the loopback; with nodeport, kube-proxy does not, which in nftables mode it never does: choose another --node-access (auto tries hostport and hostnetwork), or look at the pods of daemonset node-access",
		},
		{
			pull:   diagnose.PullGateway,
			advice: "the node reached its door, but the door not the registry: look at the pods of namespace pyflow-system, and at network policies and firewalls between nodes",
		},
		{
			pull:   diagnose.PullTimeout,
			advice: "packets from the node to the registry get lost: look at network policies and firewalls, or choose another --node-access",
		},
		{
			pull:   diagnose.PullNotFound,
			advice: "another registry answers at this address: look for what else listens there on the node",
		},
		{
			words:  []string{"failedcreatepodsandbox", "failed to create pod sandbox", "cni plugin", "cni config"},
			advice: "the node can not start any pod: repair its network plugin",
		},
		{
			reason: ReasonTimeout,
			advice: "the node is slow, or its kubelet is stuck: look at its other pods, and run setup again",
		},
	}
}
