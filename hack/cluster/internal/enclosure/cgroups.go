package enclosure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// daemons is the leaf for the processes that are not in a pod: on cgroup v2
	// a group with children must not have processes of its own.
	daemons = "daemons"

	mountInfo = "/proc/self/mountinfo"
)

// CgroupRoot is the cgroup that everything of the node with that number is in,
// pods included. Nodes share none: each kubelet removes the cgroups of pods that
// it does not know.
func (n Names) CgroupRoot(number int) string {
	root := "/pyflow-cluster"
	if n.Cluster != "" {
		root += "-" + n.Cluster
	}
	if number == 0 {
		return root
	}
	return fmt.Sprintf("%s-%d", root, number)
}

type hierarchy struct {
	path    string
	unified bool
}

// hierarchies lists the mounted cgroup hierarchies, of either version.
func hierarchies() ([]hierarchy, error) {
	file, err := os.Open(mountInfo)
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer func() { _ = file.Close() }()
	var found []hierarchy
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) == 0 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
			continue
		}
		switch kind[0] {
		case "cgroup":
			found = append(found, hierarchy{path: fields[4]})
		case "cgroup2":
			found = append(found, hierarchy{path: fields[4], unified: true})
		}
	}
	return found, lines.Err()
}

// joinCgroups moves a process into the node's own cgroups. It must not stay in
// those of the session that started it, which end with the session.
func joinCgroups(pid int, cgroup string) error {
	found, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range found {
		if err := hierarchy.join(pid, cgroup); err != nil {
			return fmt.Errorf("join cgroup below %s: %w", hierarchy.path, err)
		}
	}
	return nil
}

func (h hierarchy) join(pid int, cgroup string) error {
	root := filepath.Join(h.path, cgroup)
	leaf := filepath.Join(root, daemons)
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	if h.unified {
		delegate(h.path)
		delegate(root)
	} else {
		// A new group of the cpuset controller takes no process until it has both.
		for _, dir := range []string{root, leaf} {
			inherit(dir, "cpuset.cpus")
			inherit(dir, "cpuset.mems")
		}
	}
	return os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
}

// delegate enables whatever controllers there are for the children of a group.
// Each is tried alone: one that cannot be enabled must not stop the others,
// and the kubelet names what it misses.
func delegate(dir string) {
	content, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for controller := range strings.FieldsSeq(string(content)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

func inherit(dir, file string) {
	own, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || strings.TrimSpace(string(own)) != "" {
		return
	}
	if parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file)); err == nil {
		_ = os.WriteFile(filepath.Join(dir, file), parent, 0o644)
	}
}

// removeCgroups kills what is left in the node's cgroups and removes them.
func removeCgroups(ctx context.Context, cgroup string) error {
	found, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range found {
		root := filepath.Join(hierarchy.path, cgroup)
		err := retry(ctx, func() error { return removeTree(root) })
		if err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

func removeTree(root string) error {
	var groups []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(groups) // children first
	for _, group := range groups {
		killMembers(group)
		if err := syscall.Rmdir(group); err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("%s: %w", group, err)
		}
	}
	return nil
}

func killMembers(group string) {
	content, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		return
	}
	for field := range strings.FieldsSeq(string(content)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// retry repeats what the kernel finishes in the background, for some seconds.
func retry(ctx context.Context, attempt func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
