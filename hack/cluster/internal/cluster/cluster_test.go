package cluster

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/debianbase"
)

func TestSetupFlags(t *testing.T) {
	gateway := netip.MustParseAddr("10.88.0.1")
	for _, test := range []struct {
		allMirrors bool
		want       string
		count      int
	}{
		{false, "--image-mirror=docker.io=http://10.88.0.1:5000", 6},
		{false, "--image-mirror=gcr.io/distroless=http://10.88.0.1:5000/mirror/gcr.io/distroless", 6},
		{true, "--image-mirror=docker.io=http://10.88.0.1:5000/mirror/docker.io", 10},
		{true, "--image-mirror=ghcr.io=http://10.88.0.1:5000/mirror/ghcr.io", 10},
		{false, "--cluster-cidr=10.88.0.0/16", 6},
		{false, "--build-egress=10.88.0.1/32", 6},
	} {
		if got := setupFlags(gateway, test.allMirrors); !slices.Contains(got, test.want) || len(got) != test.count {
			t.Errorf("all mirrors %v: got %q, want %d with %s", test.allMirrors, got, test.count, test.want)
		}
	}
}

func TestProxySynced(t *testing.T) {
	const queued = "# TYPE kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge\n" +
		"kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv4\"} 1.7e+09\n"
	if proxySynced([]byte(queued)) {
		t.Error("rules that are only queued count as written")
	}
	if !proxySynced([]byte(queued + "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 1.7e+09\n")) {
		t.Error("written rules do not count")
	}
}

func TestCheckProxyMode(t *testing.T) {
	for mode, valid := range map[string]bool{"iptables": true, "nftables": true, "": false, "ipvs": false} {
		if err := checkProxyMode(mode); (err == nil) != valid {
			t.Errorf("%q: %v", mode, err)
		}
	}
}

func TestMirrored(t *testing.T) {
	c := &Cluster{}
	dir := func(repository, tag string) string {
		for _, image := range debianbase.Images() {
			if image.Repository == repository && slices.Contains(image.Tags, tag) {
				return c.debianDir(image)
			}
		}
		t.Fatalf("no Debian image is %s:%s", repository, tag)
		return ""
	}
	got := c.mirrored(imageSet{dir: "/images", references: []string{"docker.io/library/caddy:2", "ghcr.io/example/a:1"}})
	for name, want := range map[string]string{
		"mirror/docker.io/library/caddy:2":                  "/images/docker.io_library_caddy_2",
		"library/caddy:2":                                   "/images/docker.io_library_caddy_2",
		"mirror/ghcr.io/example/a:1":                        "/images/ghcr.io_example_a_1",
		"mirror/docker.io/library/python:3.13-slim":         dir("docker.io/library/python", "3.13-slim"),
		"library/python:3.13-slim":                          dir("docker.io/library/python", "3.13-slim"),
		"library/python:3.13":                               dir("docker.io/library/python", "3.13"),
		"mirror/gcr.io/distroless/python3-debian13:nonroot": dir("gcr.io/distroless/python3-debian13", "nonroot"),
		"distroless/python3-debian13:nonroot":               "",
		"alpine/git:v2.49.1":                                dir("docker.io/alpine/git", "v2.49.1"),
		"example/a:1":                                       "",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
