package shell

import (
	"os"
	"os/signal"

	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"
)

// sizes are the sizes of a terminal: the one now, then each new one.
type sizes struct {
	terminal *os.File
	changed  chan os.Signal
	ended    chan struct{}
	first    bool
}

// newSizes returns the sizes of a terminal until stop is called.
func newSizes(terminal *os.File) (s *sizes, stop func()) {
	s = &sizes{terminal: terminal, changed: make(chan os.Signal, 1), ended: make(chan struct{}), first: true}
	notify(s.changed)
	return s, func() {
		signal.Stop(s.changed)
		close(s.ended)
	}
}

// Next implements remotecommand.TerminalSizeQueue.
func (s *sizes) Next() *remotecommand.TerminalSize {
	if !s.first {
		select {
		case <-s.changed:
		case <-s.ended:
			return nil
		}
	}
	s.first = false
	width, height, err := term.GetSize(int(s.terminal.Fd()))
	if err != nil {
		return nil
	}
	return &remotecommand.TerminalSize{Width: uint16(width), Height: uint16(height)} //nolint:gosec // no terminal is that large
}
