package display

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Running is a writer, other than a terminal, that shows the running step in its own way.
type Running interface {
	// ShowRunning shows a text in place of the last one.
	ShowRunning(text string)
}

// Steps prints one line per step with its result and time. On a terminal, and on a Running, it
// also shows the running step, which the result replaces. It sanitizes what it prints.
type Steps struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu      sync.Mutex
	pending string
}

// NewSteps returns Steps that print to out.
func NewSteps(out io.Writer) *Steps {
	return &Steps{out: out, terminal: IsTerminal(out), now: time.Now}
}

// IsTerminal reports whether out is a terminal that understands control sequences.
func IsTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

// Start starts a step with a name such as "Installing Tekton". The caller ends the step with
// done, which takes a short phrase for the result, or the error. Start does not print the
// error: the caller reports it.
func (s *Steps) Start(name string) (done func(result string, err error)) {
	start := s.now()
	s.show(name)
	return func(result string, err error) {
		mark := "✓"
		if err != nil {
			mark, result = "✗", name
		}
		s.clear()
		fmt.Fprintf(s.out, "%s %s  %s\n", mark, Sanitize(result), Seconds(s.now().Sub(start)))
	}
}

// Print prints a line between the steps.
func (s *Steps) Print(line string) {
	pending := s.clear()
	fmt.Fprintln(s.out, Sanitize(line))
	if pending != "" {
		s.show(pending)
	}
}

// Log prints lines of a log, each after its source in brackets.
func (s *Steps) Log(source string, lines ...string) {
	for _, line := range lines {
		s.Print("  [" + source + "] " + line)
	}
}

// show prints text on the line of the running step.
func (s *Steps) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		fmt.Fprintf(s.out, "\r\x1b[K… %s", Sanitize(text))
		s.pending = text
	}
	if running, ok := s.out.(Running); ok {
		running.ShowRunning(Sanitize(text))
	}
}

func (s *Steps) clear() (pending string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending, s.pending = s.pending, ""
	if pending != "" {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
	return pending
}

// Update replaces the text of the running step. It prints on a terminal and a Running only.
func (s *Steps) Update(text string) { s.show(text) }

// Seconds returns a duration with a precision that suits its length: 0.4s, 12.3s, 3m04s.
func Seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
