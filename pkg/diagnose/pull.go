package diagnose

import (
	"regexp"
	"slices"
	"strings"
)

// PullFailure is a kind of reason for which an image could not be pulled.
type PullFailure string

// What keeps a node from pulling, by the words of container runtimes and of
// registries.
const (
	PullUnknown       PullFailure = ""
	PullNoTLS         PullFailure = "NoTLS"         // the registry speaks HTTP, the node TLS
	PullUntrusted     PullFailure = "Untrusted"     // the node does not know the CA
	PullRateLimited   PullFailure = "RateLimited"   // asked too often
	PullNoRegistry    PullFailure = "NoRegistry"    // something else answers there
	PullUnauthorized  PullFailure = "Unauthorized"  // no login, a wrong one, or no such image
	PullWrongPlatform PullFailure = "WrongPlatform" // not made for the node's CPU
	PullNoName        PullFailure = "NoName"        // the host's name is not known
	PullRefused       PullFailure = "Refused"       // nothing listens there
	PullGateway       PullFailure = "Gateway"       // what is in front of the registry does not reach it
	PullTimeout       PullFailure = "Timeout"       // no way there
	PullNotFound      PullFailure = "NotFound"      // the registry has no such image
)

// OfPull reads the kind from what a node said.
func OfPull(message string) PullFailure {
	message = strings.ToLower(message)
	// Causes come before what they bring about.
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

// Passes says that the next attempt may well succeed.
func (f PullFailure) Passes() bool {
	return slices.Contains([]PullFailure{PullRateLimited, PullRefused, PullGateway, PullTimeout}, f)
}

func (f PullFailure) advice(t Trouble) string {
	switch f {
	case PullNotFound:
		return "there is no such image: correct its name and tag"
	case PullUnauthorized:
		return "there is no such image, or its registry wants a login: correct the name, or give the pod a pull secret (" + t.kubectl("create secret docker-registry") + ", imagePullSecrets); that of the registry in the cluster is renewed by kubectl pyflow setup"
	case PullUntrusted:
		return "the node's container runtime does not trust the registry's certificate: install its CA on the nodes, or choose another --node-access with kubectl pyflow setup"
	case PullNoTLS:
		return "the node's container runtime insists on TLS for this registry: declare it insecure on the nodes, or choose another --node-access with kubectl pyflow setup"
	case PullRateLimited:
		return "the registry limits how often it is asked: wait, log in there, or use a mirror"
	case PullWrongPlatform:
		return "the image is not made for the CPU or operating system of the node: take one that is, or keep the pod off that node"
	case PullNoName:
		return "the node does not know the registry's name: correct the image's name; nodes do not use the cluster's DNS"
	case PullNoRegistry:
		return "what answers at this address is no registry: correct the image's name"
	case PullRefused, PullGateway, PullTimeout:
		return "the node does not reach the registry: look at the network, firewalls and proxies between them, and with kubectl pyflow status at the registry in the cluster"
	case PullUnknown:
	}
	return "see what the node says: " + t.describe()
}

// IsPull says that a reason is about pulling an image.
func IsPull(reason string) bool {
	return slices.Contains([]string{
		"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed",
		"PullImageFailed", "TaskRunImagePullFailed",
	}, reason)
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

// Cause is a message of the kubelet without the words that every failed pull has,
// in one line.
func Cause(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	for {
		prefix := wrapping.FindString(message)
		if prefix == "" || len(prefix) == len(message) {
			return message
		}
		message = message[len(prefix):]
	}
}
