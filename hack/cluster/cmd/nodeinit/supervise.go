package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/nodespec"
)

const (
	restartDelay = time.Second
	waitInterval = 50 * time.Millisecond
)

// supervise starts every process and starts it again when it ends. It returns
// only on a signal; the first process of a process namespace sees just those
// that it asked for.
func supervise(spec nodespec.Spec) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)

	running := map[int]nodespec.Process{}
	start := make(chan nodespec.Process)
	for _, process := range spec.Processes {
		go enqueue(ctx, process, 0, start)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case process := <-start:
			pid, err := launch(process, spec.LogDir)
			if err != nil {
				fmt.Fprintf(os.Stderr, "nodeinit: start %s: %v\n", process.Name, err)
				go enqueue(ctx, process, restartDelay, start)
				continue
			}
			running[pid] = process
		case <-children:
			for _, pid := range reap() {
				process, ours := running[pid]
				if !ours {
					continue // an orphan, such as a shim's child
				}
				delete(running, pid)
				fmt.Fprintf(os.Stderr, "nodeinit: %s ended; starting it again\n", process.Name)
				go enqueue(ctx, process, restartDelay, start)
			}
		}
	}
}

// enqueue hands the process over when the delay is over and all that it waits
// for accepts connections.
func enqueue(ctx context.Context, process nodespec.Process, delay time.Duration, start chan<- nodespec.Process) {
	if !pause(ctx, delay) {
		return
	}
	for _, address := range process.WaitFor {
		for !accepts(ctx, address) {
			if !pause(ctx, waitInterval) {
				return
			}
		}
	}
	select {
	case start <- process:
	case <-ctx.Done():
	}
}

func pause(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func accepts(ctx context.Context, address string) bool {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	dialer := net.Dialer{Timeout: time.Second}
	connection, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

func launch(process nodespec.Process, logDir string) (int, error) {
	log, err := os.OpenFile(filepath.Join(logDir, process.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	child, err := os.StartProcess(process.Path, append([]string{process.Name}, process.Args...), &os.ProcAttr{
		Dir:   "/",
		Env:   append(os.Environ(), process.Env...),
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	pid := child.Pid
	// The reaper collects the exit status of every child.
	return pid, child.Release()
}

// reap collects every child that has ended.
func reap() []int {
	var ended []int
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != nil || pid <= 0 {
			return ended
		}
		ended = append(ended, pid)
	}
}
