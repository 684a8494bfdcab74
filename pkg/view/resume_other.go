//go:build !unix

package view

import "os"

// notifyResumed does nothing: here programs are not stopped.
func notifyResumed(chan<- os.Signal) {}
