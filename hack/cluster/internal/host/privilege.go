// Package host finds out what the machine has, what it lacks, and which of its resources are
// free for the cluster.
package host

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
)

// Capabilities that the node cannot do without, by their bit.
const (
	capNetAdmin = 12
	capSysAdmin = 21
)

// ErrPrivilege is returned when the process may not do what a node needs.
var ErrPrivilege = errors.New("the cluster needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN")

var effective = regexp.MustCompile(`(?m)^CapEff:\s*([0-9a-f]+)$`)

// CheckPrivilege fails unless the process may make namespaces, mounts and
// network interfaces.
func CheckPrivilege() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("not root: %w: run it with sudo", ErrPrivilege)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if !mayRunNode(string(status)) {
		return fmt.Errorf("root without capabilities: %w: run it on a machine or in a privileged container", ErrPrivilege)
	}
	return nil
}

func mayRunNode(status string) bool {
	found := effective.FindStringSubmatch(status)
	if found == nil {
		return false
	}
	bits, err := strconv.ParseUint(found[1], 16, 64)
	const needed = 1<<capNetAdmin | 1<<capSysAdmin
	return err == nil && bits&needed == needed
}
