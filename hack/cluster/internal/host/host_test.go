package host

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMayRunNode(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tx\nCapEff:\t000001ffffffffff\n": true,
		"CapEff:\t000001fffeffffff\n":           true,
		"CapEff:\t00000000a80425fb\n":           false, // a container's
		"CapEff:\t0000000000000000\n":           false,
		"":                                      false,
	} {
		if got := mayRunNode(status); got != want {
			t.Errorf("%q: got %v, want %v", status, got, want)
		}
	}
}

func TestMissingNamesEachPackageOnce(t *testing.T) {
	got := missing(nodePrograms(), func(file string) bool { return file == "ip" || file == "runc" })
	if slices.Contains(got, "runc") || slices.Contains(got, "iproute2") {
		t.Errorf("%v names what is there", got)
	}
	if count := strings.Count(strings.Join(got, " "), "containerd"); count != 1 {
		t.Errorf("%v names containerd %d times", got, count)
	}
}

func TestCheckDisk(t *testing.T) {
	dir := t.TempDir()
	if err := CheckDisk(dir, 1); err != nil {
		t.Error(err)
	}
	if err := CheckDisk(dir, math.MaxUint64); !errors.Is(err, ErrDisk) {
		t.Errorf("got %v", err)
	}
}

func TestResolver(t *testing.T) {
	const public, local = "# local\nsearch example.test\nnameserver 192.0.2.53\n", "nameserver 127.0.0.53\noptions edns0\n"
	for name, test := range map[string]struct {
		files   fstest.MapFS
		want    string
		servers int
		err     error
	}{
		"reachable": {
			files: fstest.MapFS{"etc/resolv.conf": {Data: []byte(public)}},
			want:  "search example.test\nnameserver 192.0.2.53\n", servers: 1,
		},
		"systemd-resolved": {
			files: fstest.MapFS{
				"etc/resolv.conf":                 {Data: []byte(local)},
				"run/systemd/resolve/resolv.conf": {Data: []byte("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")},
			},
			want: "nameserver 192.0.2.1\nnameserver 192.0.2.2\n", servers: 2,
		},
		"loopback beside a reachable one": {
			files: fstest.MapFS{"etc/resolv.conf": {Data: []byte("nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.1\n")}},
			want:  "nameserver 192.0.2.1\n", servers: 1,
		},
		"loopback only": {files: fstest.MapFS{"etc/resolv.conf": {Data: []byte(local)}}, err: ErrResolver},
		"no file":       {files: fstest.MapFS{}, err: ErrResolver},
	} {
		t.Run(name, func(t *testing.T) {
			got, servers, err := Resolver(test.files)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if got != test.want || len(servers) != test.servers {
				t.Errorf("got %q and %v", got, servers)
			}
		})
	}
}

func TestChooseSubnets(t *testing.T) {
	free, err := ChooseSubnets(nil)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		free.Host().String():      "10.89.0.1",
		free.Node(0).String():     "10.89.0.2",
		free.Node(1).String():     "10.89.0.3",
		free.NodePods(0).String(): "10.88.0.0/17",
		free.NodePods(1).String(): "10.88.128.0/17",
		free.Gateway().String():   "10.88.0.1",
		free.DNS().String():       "10.96.0.10",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	taken, err := ChooseSubnets([]netip.Prefix{
		netip.MustParsePrefix("10.89.0.128/25"), // a part of the first link subnet
		netip.MustParsePrefix("10.0.0.53/32"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if taken.Link.Overlaps(free.Link) || taken.Pods != free.Pods {
		t.Errorf("chose %v", taken)
	}
	if _, err := ChooseSubnets([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1")}); !errors.Is(err, ErrSubnet) {
		t.Errorf("got %v", err)
	}
}

func TestDestination(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.0/24": "192.0.2.0/24",
		"192.0.2.1":    "192.0.2.1/32",
		"0.0.0.0/0":    "",
		"default":      "",
	} {
		prefix, ok := destination(text)
		if ok != (want != "") || ok && prefix.String() != want {
			t.Errorf("%s: got %v, %v", text, prefix, ok)
		}
	}
}

func TestDebianArchive(t *testing.T) {
	const targets = `http://vendor.test http://vendor.test/dists/x/ x main Packages http://vendor.test/apt/
http://mirror.test/debian http://mirror.test/debian/dists/bookworm/ bookworm contrib Packages http://mirror.test/other/debian/
http://mirror.test/debian http://mirror.test/debian/dists/bookworm/ bookworm main Packages http://mirror.test/debian/
`
	if got := debianArchive(targets); got != "http://mirror.test/debian" {
		t.Errorf("got %q", got)
	}
	if got := debianArchive("http://a.test http://a.test/ x main Packages http://a.test/ubuntu/\n"); got != "" {
		t.Errorf("got %q", got)
	}
}
