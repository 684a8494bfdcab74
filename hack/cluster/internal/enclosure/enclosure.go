// Package enclosure isolates a node from the host in its own namespaces and cgroups, so that
// ending one process ends the node.
package enclosure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/nodespec"
)

// Names are the names of what a cluster has on the host. Clusters side by side share
// none.
type Names struct {
	// Cluster is the name of the cluster: up to four lower case letters, as the name of
	// a network interface is short. Empty is the usual cluster.
	Cluster string
}

// Enclosure is a node that is about to start.
type Enclosure struct {
	// Names are those of the node's cluster.
	Names Names
	// NodeInit is the program that becomes the node's first process.
	NodeInit string
	// Spec configures that program.
	Spec nodespec.Spec
	// State describes the node; Start fills in the process.
	State *State
	// StatePath is the path of the file with the state.
	StatePath string
	// LogPath is the path of the first process's log.
	LogPath string
	// MTU is the largest packet of the link.
	MTU int
}

// passed lists the variables of the caller that the node's processes see. The
// rest stays outside: a build server's environment holds secrets.
func passed() []string { return []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} }

// Start starts the node's first process and connects its network. After an error the caller
// must call Stop.
func (e *Enclosure) Start(ctx context.Context) error {
	if e.State.Number == 0 {
		forward, err := readIPForward()
		if err != nil {
			return err
		}
		e.State.IPForward = forward
	}
	// The state of the host is saved before it changes.
	if err := e.State.Save(e.StatePath); err != nil {
		return err
	}
	log, err := os.Create(e.LogPath)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }()

	// Not bound to the context: the node outlives the command that starts it.
	process := exec.Command(e.NodeInit)
	process.Dir = "/"
	process.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	for _, name := range passed() {
		if value, ok := os.LookupEnv(name); ok {
			process.Env = append(process.Env, name+"="+value)
		}
	}
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	input, err := process.StdinPipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = input.Close() }()
	if err := keepDescriptors(); err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	// Collects it if it ends while this command runs; later the host's init does.
	go func() { _ = process.Wait() }()

	e.State.PID = process.Process.Pid
	if e.State.StartTime, err = startTime(e.State.PID); err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	if err := e.State.Save(e.StatePath); err != nil {
		return err
	}
	if err := joinCgroups(e.State.PID, e.Names.CgroupRoot(e.State.Number)); err != nil {
		return err
	}
	if err := e.connect(ctx); err != nil {
		return err
	}
	if err := json.NewEncoder(input).Encode(e.Spec); err != nil {
		return fmt.Errorf("describe the node: %w", err)
	}
	return nil
}

// keepDescriptors keeps what this command inherited, such as the pipes of make
// or of a build server, from the node: it would hold them open for ever.
func keepDescriptors() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, entry := range entries {
		if descriptor, err := strconv.Atoi(entry.Name()); err == nil && descriptor > 2 {
			syscall.CloseOnExec(descriptor)
		}
	}
	return nil
}

// Stop ends the node with that number and leaves the host as it was before it.
// It works from whatever is left of a node, without a state, too.
func (n Names) Stop(ctx context.Context, number int, state *State) error {
	if state.Alive() {
		// The kernel ends every process of the namespace with its first one.
		if err := syscall.Kill(state.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the node: %w", err)
		}
		err := retry(ctx, func() error {
			if state.Alive() {
				return errors.New("end the node: its first process still runs")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(n.disconnect(ctx, number, state), removeCgroups(ctx, n.CgroupRoot(number)))
}

// Leftovers reports whether the host has anything left of a node.
func (n Names) Leftovers() bool {
	found, err := hierarchies()
	if err != nil {
		return true
	}
	for number := range host.Nodes {
		traces := []string{"/sys/class/net/" + n.hostLink(number)}
		for _, hierarchy := range found {
			traces = append(traces, hierarchy.path+n.CgroupRoot(number))
		}
		for _, path := range traces {
			if _, err := os.Stat(path); err == nil {
				return true
			}
		}
	}
	return false
}

// Command returns a command that runs in the node's network.
func (s *State) Command(ctx context.Context, command ...string) *exec.Cmd {
	arguments := append([]string{"--target", fmt.Sprint(s.PID), "--net", "--"}, command...)
	return exec.CommandContext(ctx, "nsenter", arguments...)
}

// Path is a path of the node's file system as the host reaches it. It is
// short, whatever the cache directory is: a socket's path must be.
func (s *State) Path(path string) string {
	return fmt.Sprintf("/proc/%d/root/%s", s.PID, strings.TrimPrefix(path, "/"))
}
