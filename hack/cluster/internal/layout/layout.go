// Package layout defines the directories of the cluster's files.
package layout

import (
	"fmt"
	"os"
	"path/filepath"
)

// Layout is the tree below the user's cache directory. Everything in it but
// Run survives the cluster, and clusters share it.
type Layout struct {
	// Root is the directory that holds everything.
	Root string
	// Cluster is the name of the cluster; empty is the usual one.
	Cluster string

	node string
}

// Default returns the layout below the user's cache directory of the cluster with that
// name.
func Default(cluster string) (Layout, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Layout{}, fmt.Errorf("find the cache directory: %w", err)
	}
	return Layout{Root: filepath.Join(cache, "kubectl-pyflow", "cluster"), Cluster: cluster}, nil
}

// Programs holds the built programs, one directory per key.
func (l Layout) Programs() string { return filepath.Join(l.Root, "programs") }

// Images holds the image archives, one per key.
func (l Layout) Images() string { return filepath.Join(l.Root, "images") }

// Debian holds the images that are built from Debian packages, one directory per
// key.
func (l Layout) Debian() string { return filepath.Join(l.Root, "debian") }

// Mirror holds the upstream mirror's storage, one directory per key.
func (l Layout) Mirror() string { return filepath.Join(l.Root, "mirror") }

// Index holds what the package index has cached.
func (l Layout) Index() string { return filepath.Join(l.Root, "index") }

// Lock is the file whose lock a command that changes anything holds.
func (l Layout) Lock() string { return filepath.Join(l.Root, "lock") }

// Node is the layout of a later node: with a Run of its own below the
// cluster's, and all that is in it.
func (l Layout) Node(name string) Layout {
	l.node = name
	return l
}

// Run holds the running cluster and is removed with it.
func (l Layout) Run() string {
	run := "run"
	if l.Cluster != "" {
		run += "-" + l.Cluster
	}
	return filepath.Join(l.Root, run, l.node)
}

// State is the record of the running node.
func (l Layout) State() string { return filepath.Join(l.Run(), "state.json") }

// Kubeconfig is the administrator's kubeconfig.
func (l Layout) Kubeconfig() string { return filepath.Join(l.Run(), "kubeconfig") }

// Logs holds a log file per process of the node.
func (l Layout) Logs() string { return filepath.Join(l.Run(), "log") }

// PKI holds keys, certificates and the components' kubeconfigs.
func (l Layout) PKI() string { return filepath.Join(l.Run(), "pki") }

// Config holds the configuration files of the node's processes.
func (l Layout) Config() string { return filepath.Join(l.Run(), "etc") }

// Volumes holds the provisioned volumes.
func (l Layout) Volumes() string { return filepath.Join(l.Run(), "volumes") }

// NodeDir is what covers the host's directory of that name, such as var/lib,
// inside the node.
func (l Layout) NodeDir(name string) string { return filepath.Join(l.Run(), "node", name) }
