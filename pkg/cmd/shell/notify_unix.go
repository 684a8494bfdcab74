//go:build unix

package shell

import (
	"os"
	"os/signal"
	"syscall"
)

// notify sends to changed whenever the terminal has another size.
func notify(changed chan<- os.Signal) { signal.Notify(changed, syscall.SIGWINCH) }
