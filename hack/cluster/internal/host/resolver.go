package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// ErrResolver is returned when the host has no name server that a pod can reach.
var ErrResolver = errors.New("no name server that a pod can reach")

// Resolver returns the text of a resolv.conf for the node and its name
// servers. A resolver that listens on the host's loopback is out of a pod's
// reach; systemd-resolved keeps the real ones in a second file.
func Resolver(root fs.FS) (string, []netip.Addr, error) {
	for _, path := range []string{"etc/resolv.conf", "run/systemd/resolve/resolv.conf"} {
		content, err := fs.ReadFile(root, path)
		if err != nil {
			continue
		}
		if text, servers := reachable(string(content)); len(servers) > 0 {
			return text, servers, nil
		}
	}
	return "", nil, fmt.Errorf("%w: /etc/resolv.conf names only loopback addresses: add a nameserver line with another one", ErrResolver)
}

// reachable keeps the lines of a resolv.conf but for loopback name servers.
func reachable(content string) (string, []netip.Addr) {
	var kept strings.Builder
	var servers []netip.Addr
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		if fields[0] == "nameserver" && len(fields) > 1 {
			address, err := netip.ParseAddr(fields[1])
			// The node has IPv4 only.
			if err != nil || address.IsLoopback() || !address.Is4() {
				continue
			}
			servers = append(servers, address)
		}
		kept.WriteString(strings.Join(fields, " ") + "\n")
	}
	return kept.String(), servers
}

// Root is the host's file system, with symbolic links followed as the host
// itself follows them.
func Root() fs.FS { return rootFS{} }

type rootFS struct{}

func (rootFS) Open(name string) (fs.File, error) {
	return os.Open(filepath.Join("/", filepath.Clean("/"+name)))
}
