//go:build unix

package buildview

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyResumed tells when the program goes on after it was stopped, by Ctrl-Z and
// fg.
func notifyResumed(resumed chan<- os.Signal) { signal.Notify(resumed, syscall.SIGCONT) }
