// Command kubectl-pyflow is the kubectl plugin pyflow.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/completion"
)

// memoryLimit is soft: above it the garbage collector works harder, at most half
// of the time. With the binary's own pages it keeps the process below 100 MB
// while a log of any length streams through, at a live heap of 12 to 20 MB.
const memoryLimit = 36 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	// The first signal ends the work in good order. From then on signals are not caught,
	// so that the second one ends the program.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// The terminal was closed; nohup ignores that.
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		received := <-signals
		signal.Stop(signals)
		if received == syscall.SIGHUP {
			cancel(cmd.ErrHangup)
		}
		cancel(nil)
	}()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := cmd.Run(ctx, streams, completion.Args(os.Args))
	cancel(nil)
	os.Exit(code)
}
