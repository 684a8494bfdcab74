package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/nodespec"
)

const resolvConf = "/etc/resolv.conf"

type spec struct{ nodespec.Spec }

// arrangeMounts gives the node its own view of the file system. The tree
// receives from the host but never sends to it, and is shared below itself, as
// the kubelet's mount propagation needs.
func (s spec) arrangeMounts() error {
	if err := syscall.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("detach mounts from the host: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts in the node: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	// Where the resolver's file really is has to be known before /run is covered.
	resolver, err := filepath.EvalSymlinks(resolvConf)
	if err != nil {
		resolver = resolvConf
	}
	if err := s.cover(); err != nil {
		return err
	}
	return replaceFile(s.ResolvConf, resolver)
}

// cover mounts the binds. One of them may hide the source of the next or a
// directory that is to be kept, so all are opened before.
func (s spec) cover() error {
	sources := make([]string, 0, len(s.Binds))
	for _, bind := range s.Binds {
		sources = append(sources, bind.Source)
	}
	files, err := openAll(append(sources, s.Keep...))
	if err != nil {
		return err
	}
	for i, bind := range s.Binds {
		if err := bindMount(descriptorPath(files[i]), bind.Target); err != nil {
			return err
		}
	}
	for i, path := range s.Keep {
		if err := keep(path, files[len(s.Binds)+i]); err != nil {
			return err
		}
	}
	for _, file := range files {
		_ = file.Close()
	}
	return nil
}

func openAll(paths []string) ([]*os.File, error) {
	files := make([]*os.File, 0, len(paths))
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open mount source: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

func descriptorPath(file *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", file.Fd()) }

// keep makes the opened directory visible under its path again when a bind
// covered it: a cache directory may well lie under /tmp or /var.
func keep(path string, file *os.File) error {
	before, err := file.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if after, err := os.Stat(path); err == nil && os.SameFile(before, after) {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make kept directory: %w", err)
	}
	return bindMount(descriptorPath(file), path)
}

// replaceFile covers the file, or makes it when it was below a directory that
// is covered now.
func replaceFile(source, target string) error {
	if _, err := os.Stat(target); err == nil {
		return bindMount(source, target)
	}
	if strings.HasPrefix(target, "/etc/") {
		return nil // the host has no such file, and the node must not make one there
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("read %s: %w", source, err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("make directory of %s: %w", target, err)
	}
	if err := os.WriteFile(target, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	return nil
}

func bindMount(source, target string) error {
	if err := syscall.Mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
