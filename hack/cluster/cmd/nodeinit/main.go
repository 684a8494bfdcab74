// Command nodeinit is the first process of the node: alone in fresh process,
// mount and network namespaces it arranges the mounts, starts the node's
// processes, keeps them running and reaps orphans. When it is killed the
// kernel takes everything of the node away with it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "nodeinit:", err)
		os.Exit(1)
	}
}

// run reads the specification from the standard input. The cluster tool sends
// it when the network stands; a tool that died before then closes the pipe, and
// nothing is left behind.
func run() error {
	var spec spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec.Spec); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	if err := spec.arrangeMounts(); err != nil {
		return err
	}
	return supervise(spec.Spec)
}
