package enclosure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
)

// State is what is needed to find a running node again and to restore the host.
type State struct {
	// Number is the node's, from 0.
	Number int `json:"number"`
	// PID is the node's first process, 0 before it is started.
	PID int `json:"pid"`
	// StartTime tells that process from a later one with the same number.
	StartTime string `json:"startTime"`
	// Key names the programs that the node runs.
	Key string `json:"key"`
	// Subnets are the cluster's addresses.
	Subnets host.Subnets `json:"subnets"`
	// ProxyMode is how the node's kube-proxy works: iptables or nftables.
	ProxyMode string `json:"proxyMode"`
	// IPForward is the value of the host's setting before the first node.
	IPForward string `json:"ipForward"`
	// ForwardRules reports that the host's firewall was opened for the node.
	ForwardRules bool `json:"forwardRules"`
}

// Load reads the state. Without a file it returns nil.
func Load(path string) (*State, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no state is an ordinary answer
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	state := &State{}
	if err := json.Unmarshal(content, state); err != nil {
		// Half written by a run that was cut off: nothing of it can be trusted.
		return &State{}, nil //nolint:nilerr // the caller cleans up by name
	}
	return state, nil
}

// Save writes the state in one step.
func (s *State) Save(path string) error {
	content, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := os.WriteFile(path+".part", content, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// Alive reports whether the node's first process is still the one that was started.
func (s *State) Alive() bool {
	if s == nil || s.PID == 0 {
		return false
	}
	start, err := startTime(s.PID)
	return err == nil && start == s.StartTime
}

// startTime returns when a process started, in ticks since the boot. It returns an error for a
// zombie, which has ended.
func startTime(pid int) (string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("look at process %d: %w", pid, err)
	}
	return parseStartTime(string(content))
}

// parseStartTime reads the 22nd field. The second one is the program's name in
// parentheses and may hold anything.
func parseStartTime(stat string) (string, error) {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	const state, start = 0, 19
	if len(fields) <= start {
		return "", errors.New("unknown format of process status")
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", errors.New("process has ended")
	}
	return fields[start], nil
}
