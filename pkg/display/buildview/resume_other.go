//go:build !unix

package buildview

import "os"

// notifyResumed does nothing: here programs are not stopped.
func notifyResumed(chan<- os.Signal) {}
