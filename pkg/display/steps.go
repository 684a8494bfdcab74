// Package term shows a person what is going on.
package display

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Steps prints one line per step, cleaned, with its result and time. On a terminal a step
// that is under way is shown too, on a line that its result replaces.
type Steps struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu      sync.Mutex
	pending string
}

// NewSteps prints to out, which a person watches.
func NewSteps(out io.Writer) *Steps {
	return &Steps{out: out, terminal: IsTerminal(out), now: time.Now}
}

// IsTerminal says whether what is written to out appears on a terminal that
// understands control sequences.
func IsTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

// Start begins a step, named as something under way ("Installing Tekton"), and
// returns what ends it: done takes the step's result as a short phrase, or the
// error it failed with, which the caller reports itself.
func (s *Steps) Start(name string) (done func(result string, err error)) {
	start := s.now()
	s.show(name)
	return func(result string, err error) {
		mark := "✓"
		if err != nil {
			mark, result = "✗", name
		}
		s.clear()
		fmt.Fprintf(s.out, "%s %s  %s\n", mark, Clean(result), Seconds(s.now().Sub(start)))
	}
}

// Print writes a line of its own between the steps.
func (s *Steps) Print(line string) {
	pending := s.clear()
	fmt.Fprintln(s.out, Clean(line))
	if pending != "" {
		s.show(pending)
	}
}

// Log writes lines of somebody else's, each after its source in brackets.
func (s *Steps) Log(source string, lines ...string) {
	for _, line := range lines {
		s.Print("  [" + source + "] " + line)
	}
}

// show puts text on the line of what is under way.
func (s *Steps) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		fmt.Fprintf(s.out, "\r\x1b[K… %s", Clean(text))
		s.pending = text
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

// Update replaces what is said of the step under way. It shows on a terminal only.
func (s *Steps) Update(text string) { s.show(text) }

// Seconds is a duration as a person reads it beside others: 0.4s, 12.3s, 3m04s.
func Seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
