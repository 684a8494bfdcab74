package nodeaccess

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Messages of kubelets, by container runtime.
const (
	digest      = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	reference   = "127.0.0.1:5180/pyflow-system/probe@" + digest
	unpack      = `failed to pull and unpack image "` + reference + `": `
	resolve     = unpack + `failed to resolve reference "` + reference + `": `
	head        = resolve + `failed to do request: Head "http://127.0.0.1:5180/v2/pyflow-system/probe/manifests/` + digest + `": `
	backOff     = `Back-off pulling image "` + reference + `": ErrImagePull: `
	crio        = `unable to pull image or OCI artifact: pull image err: initializing source docker://` + reference + `: `
	dockerShim  = `rpc error: code = Unknown desc = Error response from daemon: `
	containerd2 = resolve + `unexpected status from HEAD request to http://127.0.0.1:5180/v2/pyflow-system/probe/manifests/` + digest + `: `
)

func TestAdvice(t *testing.T) {
	tests := map[string]struct {
		reason, message string
		// cause is the message without wrapping, advice is a part of the line.
		cause, advice string
	}{
		"refused, containerd 1.6": {
			"ErrImagePull", head + "dial tcp 127.0.0.1:5180: connect: connection refused",
			"dial tcp 127.0.0.1:5180: connect: connection refused", "hostnetwork",
		},
		"refused, back-off": {
			"ImagePullBackOff", backOff + head + "dial tcp 127.0.0.1:5180: connect: connection refused",
			"dial tcp 127.0.0.1:5180: connect: connection refused", "does not serve host ports on the loopback",
		},
		"refused, CRI-O": {
			"ErrImagePull", crio + `pinging container registry 127.0.0.1:5180: Get "http://127.0.0.1:5180/v2/": dial tcp 127.0.0.1:5180: connect: connection refused`,
			"dial tcp 127.0.0.1:5180: connect: connection refused", "does not serve host ports on the loopback",
		},
		"refused, kubelet before 1.24 with Docker": {
			"ErrImagePull", dockerShim + `Get "http://127.0.0.1:5180/v2/": dial tcp 127.0.0.1:5180: connect: connection refused`,
			"dial tcp 127.0.0.1:5180: connect: connection refused", "does not serve host ports on the loopback",
		},
		"TLS, containerd": {
			"ErrImagePull", strings.ReplaceAll(head, "http:", "https:") + "http: server gave HTTP response to HTTPS client",
			"http: server gave HTTP response to HTTPS client", "insists on TLS",
		},
		"TLS, CRI-O 1.35": {
			"ErrImagePull", crio + `pinging container registry 127.0.0.1:5180: Get "https://127.0.0.1:5180/v2/": http: server gave HTTP response to HTTPS client`,
			"http: server gave HTTP response to HTTPS client", "registries.conf.d",
		},
		"401, containerd 1.6": {
			"ErrImagePull", resolve + `pulling from host 127.0.0.1:5180 failed with status code [manifests ` + digest + `]: 401 Unauthorized`,
			"401 Unauthorized", "refused the credentials",
		},
		"401, containerd 2": {"ErrImagePull", containerd2 + "401 Unauthorized", "401 Unauthorized", "refused the credentials"},
		"401, Docker": {
			"ErrImagePull", dockerShim + `Get http://127.0.0.1:5180/v2/pyflow-system/probe/manifests/` + digest + `: unauthorized: authentication required`,
			"unauthorized: authentication required", "refused the credentials",
		},
		"403": {
			"ErrImagePull", resolve + `pulling from host 127.0.0.1:5180 failed with status code [manifests ` + digest + `]: 403 Forbidden`,
			"403 Forbidden", "refused the credentials",
		},
		"no credentials, containerd": {
			"ErrImagePull", resolve + "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
			"pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials", "refused the credentials",
		},
		"x509": {
			"ErrImagePull", strings.ReplaceAll(head, "http:", "https:") + "x509: certificate signed by unknown authority",
			"x509: certificate signed by unknown authority", "install its CA on the nodes",
		},
		"no such host": {
			"ErrImagePull", head + "dial tcp: lookup registry.pyflow-system.svc on 10.255.255.53:53: no such host",
			"dial tcp: lookup registry.pyflow-system.svc on 10.255.255.53:53: no such host", "nodes do not use the cluster's DNS",
		},
		"i/o timeout":            {"ErrImagePull", head + "dial tcp 10.0.0.7:30180: i/o timeout", "dial tcp 10.0.0.7:30180: i/o timeout", "get lost"},
		"no route":               {"ErrImagePull", head + "dial tcp 192.0.2.77:5000: connect: no route to host", "dial tcp 192.0.2.77:5000: connect: no route to host", "get lost"},
		"proxy without registry": {"ErrImagePull", resolve + `pulling from host 127.0.0.1:5180 failed with status code [manifests ` + digest + `]: 502 Bad Gateway`, "502 Bad Gateway", "cannot reach the registry"},
		"no platform": {
			"ErrImagePull", "rpc error: code = NotFound desc = " + unpack + "no match for platform in manifest: not found",
			"no match for platform in manifest: not found", "exclude the node",
		},
		"another registry": {
			"ErrImagePull", "rpc error: code = NotFound desc = " + resolve + reference + ": not found",
			reference + ": not found", "another registry",
		},
		"an overloaded registry": {"ErrImagePull", containerd2 + "429 Too Many Requests", "429 Too Many Requests", "try again later"},
		"full disk": {
			"ErrImagePull", unpack + `failed to copy: write /var/lib/containerd/io.containerd.content.v1.content/ingest/1/data: no space left on device`,
			"write /var/lib/containerd/io.containerd.content.v1.content/ingest/1/data: no space left on device", "free its disk",
		},
		"full node": {
			"OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110",
			"Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110", "no room for one more pod",
		},
		"no network": {
			"FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "1": plugin type="bridge" failed (add)`,
			`Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "1": plugin type="bridge" failed (add)`, "network plugin",
		},
		"not ready": {ReasonNodeNotReady, "the node is not ready", "the node is not ready", "until the node is ready"},
		"gone":      {ReasonNodeGone, "the node no longer exists", "the node no longer exists", "left the cluster"},
		"timeout":   {ReasonTimeout, "still pulling the image after 1m0s", "still pulling the image after 1m0s", "slow"},
		"deleted":   {ReasonDeleted, "the pod was deleted", "the pod was deleted", "policy"},
		"unknown":   {"ErrImagePull", "the moon is in the wrong phase", "the moon is in the wrong phase", ""},
		"back-off without a cause": {
			"ImagePullBackOff", `Back-off pulling image "` + reference + `"`, `Back-off pulling image "` + reference + `"`, "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := diagnose.Cause(test.message); got != test.cause {
				t.Errorf("cause is %q, want %q", got, test.cause)
			}
			got := Advice(Result{Node: "node", Tried: true, Reason: test.reason, Message: test.message})
			if !strings.Contains(got, test.advice) || (got == "") != (test.advice == "") || strings.Contains(got, "\n") {
				t.Errorf("advice is %q, want %q", got, test.advice)
			}
		})
	}
	if got := Advice(Result{Node: "node", Pulled: true}); got != "" {
		t.Errorf("advice for a node that pulled is %q", got)
	}
}

func pullError(t *testing.T, mode manifests.NodeAccess, results []Result) *PullError {
	t.Helper()
	var found *PullError
	if err := Check(mode, results); !errors.As(err, &found) || found.Mode != mode {
		t.Fatalf("error is %v", err)
	}
	return found
}

func TestPullError(t *testing.T) {
	results := []Result{
		{Node: "a", Tried: true, Reason: "ErrImagePull", Message: head + "dial tcp 127.0.0.1:5180: connect: connection refused"},
		{Node: "b", Pulled: true, Tried: true},
		{Node: "c", Reason: "OutOfpods", Message: "Node didn't have\nenough resource"},
	}
	got := pullError(t, manifests.NodeAccessHostPort, results)
	want := "node access hostport: 2 of 3 nodes did not pull from the registry: " +
		"a: ErrImagePull: dial tcp 127.0.0.1:5180: connect: connection refused; " +
		"c: OutOfpods: Node didn't have enough resource"
	if got.Error() != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	if !got.Refuted() || pullError(t, manifests.NodeAccessHostPort, results[1:]).Refuted() {
		t.Error("only a failed pull refutes the mode")
	}
	if advice := got.Advice(); len(advice) != 2 || !strings.Contains(advice[0], "hostnetwork") || !strings.Contains(advice[1], "no room") {
		t.Errorf("advice is %q", advice)
	}

	if err := Check(manifests.NodeAccessHostPort, results[1:2]); err != nil {
		t.Errorf("error is %v", err)
	}

	var many []Result
	for i := range 1000 {
		many = append(many, Result{Node: fmt.Sprintf("node-%03d", i), Tried: true, Reason: ReasonTimeout})
	}
	got = pullError(t, manifests.NodeAccessHostNetwork, many)
	want = "node access hostnetwork: 1000 of 1000 nodes did not pull from the registry: node-000: Timeout; node-001: Timeout; node-002: Timeout; node-003: Timeout; node-004: Timeout; and 995 more"
	if got.Error() != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	if advice := got.Advice(); len(slices.Compact(advice)) != 1 {
		t.Errorf("advice is %q", advice)
	}
}
