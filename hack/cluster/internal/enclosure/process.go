package enclosure

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is the number, on the host, of the one of the node's own processes that
// was started under that name. One that is being started again is an error.
func (s *State) Process(name string) (int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A process may end between the listing and the look at it.
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil || parent(string(stat)) != s.PID {
			continue
		}
		arguments, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if first, _, _ := bytes.Cut(arguments, []byte{0}); err == nil && string(first) == name {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("the node runs no %s", name)
}

// parent reads the fourth field of a process's status, see parseStartTime. It is 0
// of what is no status.
func parent(stat string) int {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(fields[1]) // 0 is no process
	return pid
}
