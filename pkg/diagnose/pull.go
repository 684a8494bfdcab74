package diagnose

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// PullFailure is the kind of cause for which an image could not be pulled.
type PullFailure string

// The causes, as container runtimes and registries report them.
const (
	PullUnknown       PullFailure = ""
	PullNoTLS         PullFailure = "NoTLS"         // the registry speaks HTTP, the node TLS
	PullUntrusted     PullFailure = "Untrusted"     // the node does not know the CA
	PullRateLimited   PullFailure = "RateLimited"   // too many requests
	PullNoRegistry    PullFailure = "NoRegistry"    // another server answers there
	PullUnauthorized  PullFailure = "Unauthorized"  // no credentials, wrong ones, or no such image
	PullWrongPlatform PullFailure = "WrongPlatform" // not built for the CPU of the node
	PullNoName        PullFailure = "NoName"        // the host name does not resolve
	PullRefused       PullFailure = "Refused"       // nothing listens there
	PullGateway       PullFailure = "Gateway"       // a proxy cannot reach the registry
	PullTimeout       PullFailure = "Timeout"       // no route to the registry
	PullNotFound      PullFailure = "NotFound"      // the registry has no such image
)

// OfPull returns the cause in the message of a node.
func OfPull(message string) PullFailure {
	message = strings.ToLower(message)
	// The order matters: causes come before their effects.
	for _, known := range []struct {
		failure PullFailure
		words   []string
	}{
		{PullNoTLS, []string{"server gave http response to https client", "first record does not look like a tls handshake"}},
		{PullUntrusted, []string{"x509:", "certificate signed by unknown authority", "tls: failed to verify certificate", "certificate is not trusted"}},
		{PullRateLimited, []string{"toomanyrequests", "429 too many requests"}},
		{PullNoRegistry, []string{"405 method not allowed", "501 not implemented"}},
		{PullUnauthorized, []string{"401 unauthorized", "unauthorized", "authentication required", "no basic auth credentials", "403 forbidden", "pull access denied", "authorization failed", "access denied", "denied:"}},
		{PullWrongPlatform, []string{"no match for platform", "no matching manifest", "no image found in manifest list", "no image found in image index"}},
		{PullNoName, []string{"no such host", "server misbehaving", "temporary failure in name resolution", "name or service not known"}},
		{PullRefused, []string{"connection refused"}},
		{PullGateway, []string{"502 bad gateway", "503 service unavailable", "504 gateway timeout"}},
		{PullTimeout, []string{"i/o timeout", "deadline exceeded", "timeout awaiting response headers", "tls handshake timeout", "connection timed out", "no route to host", "network is unreachable", "connection reset by peer", "unexpected eof", ": eof"}},
		{PullNotFound, []string{"404 not found", "manifest unknown", "not found"}},
	} {
		if slices.ContainsFunc(known.words, func(word string) bool { return strings.Contains(message, word) }) {
			return known.failure
		}
	}
	return PullUnknown
}

// Passes reports whether the next attempt may succeed.
func (f PullFailure) Passes() bool {
	return slices.Contains([]PullFailure{PullRateLimited, PullRefused, PullGateway, PullTimeout}, f)
}

// remedy returns what to do about the failed pull of p.
func (f PullFailure) remedy(p Problem) string {
	switch f {
	case PullNotFound:
		return "there is no such image: correct its name and tag"
	case PullUnauthorized:
		return "there is no such image, or its registry requires credentials: correct the name, or give the pod a pull secret (" + p.kubectl("create secret docker-registry") + ", imagePullSecrets); kubectl pyflow setup renews the pull secret of the registry in the cluster"
	case PullUntrusted:
		return "the node's container runtime does not trust the registry's certificate: install its CA on the nodes, or choose another --node-access with kubectl pyflow setup"
	case PullNoTLS:
		return "the node's container runtime insists on TLS for this registry: declare it insecure on the nodes, or choose another --node-access with kubectl pyflow setup"
	case PullRateLimited:
		return "the registry limits the rate of requests: wait, use credentials, or use a mirror"
	case PullWrongPlatform:
		return "the image is not built for the CPU or operating system of the node: use another image, or keep the pod off that node"
	case PullNoName:
		return "the node cannot resolve the name of the registry: correct the name of the image; nodes do not use the DNS of the cluster"
	case PullNoRegistry:
		return "the server at this address is no registry: correct the name of the image"
	case PullRefused, PullGateway, PullTimeout:
		return "the node does not reach the registry: check the network, firewalls and proxies between them, and the registry in the cluster with kubectl pyflow status"
	case PullUnknown:
	}
	return "see the events of the node: " + p.describe()
}

// pullReasons are the reasons of a failed pull.
//
//nolint:gochecknoglobals // a constant list
var pullReasons = []string{
	errImagePull, imagePullBackOff, "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed",
	"PullImageFailed", "TaskRunImagePullFailed",
}

// IsPull reports whether a reason is that of a failed pull.
func IsPull(reason string) bool {
	return slices.Contains(pullReasons, reason)
}

// wrapping matches what the kubelet and container runtimes put before the cause of an error.
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

// Cause returns a message of the kubelet about a failed pull as one line that starts with the
// cause.
func Cause(message string) string {
	message = display.OneLine(message)
	for {
		prefix := wrapping.FindString(message)
		if prefix == "" || len(prefix) == len(message) {
			return message
		}
		message = message[len(prefix):]
	}
}

// wrappingStart matches what container runtimes put before the cause of a container that they
// cannot create or start.
var wrappingStart = regexp.MustCompile(`^(?:` +
	`rpc error: code = \w+ desc =` +
	`|failed to (?:create containerd task|start container "[^"]*"|create shim task)` +
	`|OCI runtime (?:create|start) failed|container create failed` +
	`|runc (?:create|start) failed|crun` +
	`|unable to start container process|error during container init` +
	`):? `)

// startCause returns a message of a container runtime as one line that starts with the cause.
func startCause(message string) string {
	message = strings.TrimSuffix(message, ": unknown")
	for {
		prefix := wrappingStart.FindString(message)
		if prefix == "" || len(prefix) == len(message) {
			return message
		}
		message = message[len(prefix):]
	}
}
