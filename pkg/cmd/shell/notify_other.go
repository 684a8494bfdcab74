//go:build !unix

package shell

import "os"

// notify does nothing: the system has no signal for another size of the terminal.
func notify(chan<- os.Signal) {}
