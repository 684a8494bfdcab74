package nodeaccess

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

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

// wrapping is what kubelet and container runtimes put before the cause of an error.
var wrapping = regexp.MustCompile(`^(?:` +
	`Back-off pulling image "[^"]*"` +
	`|ErrImagePull|ImagePullBackOff` +
	`|rpc error: code = \w+ desc =` +
	`|failed to pull and unpack image "[^"]*"` +
	`|failed to (?:resolve reference|copy|do request|fetch anonymous token|fetch oauth token|authorize|extract layer \S+|prepare extraction snapshot "[^"]*")(?: "[^"]*")?` +
	`|httpReadSeeker|failed open` +
	`|pulling from host \S+ failed with status code \[[^]]*\]` +
	`|unexpected status code \[[^]]*\]` +
	`|Failed to pull image "[^"]*"|image pull failed for \S+ because the registry is unavailable` +
	`|unexpected status from (?:HEAD|GET) request to \S+` +
	`|(?:unable to copy from source|initializing source|pinging container registry|copying system image from manifest list|reading manifest|(?:reading|choosing) (?:an )?image) \S+(?: in \S+)?` +
	`|error pinging \S+|unable to pull image or OCI artifact|pull image err` +
	`|unable to retrieve auth token` +
	`|Error response from daemon` +
	`|(?:Head|Get) "?\S+"?` +
	`):? `)

// cause is a message of the kubelet without the words that every failed pull has,
// in one line.
func cause(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	for {
		prefix := wrapping.FindString(message)
		if prefix == "" || len(prefix) == len(message) {
			return message
		}
		message = message[len(prefix):]
	}
}

// Advice says in one line what to do about a node that did not pull; it is empty
// when the node pulled, or if what it said is not known.
func Advice(result Result) string {
	if result.Pulled {
		return ""
	}
	text := strings.ToLower(result.Reason + ": " + result.Message)
	for _, known := range knownFailures() {
		if known.reason != "" && known.reason != result.Reason {
			continue
		}
		if known.reason != "" || slices.ContainsFunc(known.words, func(word string) bool { return strings.Contains(text, word) }) {
			return known.advice
		}
	}
	return ""
}

type knownFailure struct {
	// reason is that of the result, if it alone says enough; otherwise the text
	// holds one of words, which are lower case.
	reason string
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
			words:  []string{"server gave http response to https client", "first record does not look like a tls handshake"},
			advice: "the node's container runtime insists on TLS for this address: declare it insecure there (CRI-O 1.35 and newer: a [[registry]] with location and insecure = true in /etc/containers/registries.conf.d; containerd: a hosts.toml with an http:// server in certs.d), or choose another --node-access",
		},
		{
			words:  []string{"x509:", "certificate signed by unknown authority", "tls: failed to verify certificate", "certificate is not trusted"},
			advice: "the node's container runtime does not trust the registry's certificate: install its CA on the nodes, or choose another --node-access",
		},
		{
			words:  []string{"toomanyrequests", "429 too many requests"},
			advice: "the registry limits how often it is asked: try again later",
		},
		{
			words:  []string{"405 method not allowed", "501 not implemented"},
			advice: "something else than the registry answers at this address: look for what listens there on the node",
		},
		{
			words:  []string{"401 unauthorized", "unauthorized", "authentication required", "no basic auth credentials", "403 forbidden", "pull access denied", "authorization failed", "access denied", "denied:"},
			advice: "the registry refused the login of the pull secret: run setup again, which renews it, or correct the login of an external registry",
		},
		{
			words:  []string{"no match for platform", "no matching manifest", "no image found in manifest list", "no image found in image index"},
			advice: "the node's CPU or operating system is none that images are made for: exclude the node",
		},
		{
			words:  []string{"no such host", "server misbehaving", "temporary failure in name resolution", "name or service not known"},
			advice: "the node can not resolve the registry's name, as nodes do not use the cluster's DNS: make the name known to the nodes, or choose another --node-access",
		},
		{
			words:  []string{"connection refused"},
			advice: "nothing listens at this address on the node; with hostport, the CNI plugin does not serve host ports on the loopback; with nodeport, kube-proxy does not, which in nftables mode it never does: choose another --node-access (auto tries hostport and hostnetwork), or look at the pods of daemonset node-access",
		},
		{
			words:  []string{"502 bad gateway", "503 service unavailable", "504 gateway timeout"},
			advice: "the node reached its door, but the door not the registry: look at the pods of namespace pyflow-system, and at network policies and firewalls between nodes",
		},
		{
			words:  []string{"i/o timeout", "deadline exceeded", "timeout awaiting response headers", "tls handshake timeout", "connection timed out", "no route to host", "network is unreachable", "connection reset by peer", "unexpected eof", ": eof"},
			advice: "packets from the node to the registry get lost: look at network policies and firewalls, or choose another --node-access",
		},
		{
			words:  []string{"404 not found", "manifest unknown", "not found"},
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
