// Package view shows the events of one build: live on a terminal, as plain lines,
// as JSON, or not at all.
package buildview

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// Mode is how a build is shown.
type Mode string

// The modes.
const (
	// Auto is TTY on a terminal that a person watches, else Plain.
	Auto Mode = "auto"
	// TTY is a picture of the stages and the log that changes in its place.
	TTY Mode = "tty"
	// Plain is lines without control sequences, each written when it happens.
	Plain Mode = "plain"
	// JSON is one event per line, as docs/events.md describes them.
	JSON Mode = "json"
	// Quiet is the image's digest alone.
	Quiet Mode = "quiet"
)

// Modes returns all of them.
func Modes() []Mode { return []Mode{Auto, TTY, Plain, JSON, Quiet} }

// What can be wrong with a mode.
var (
	// ErrUnknownMode says that there is no such mode.
	ErrUnknownMode = errors.New("unknown kind of progress")
	// ErrNoTerminal says that TTY was asked for where there is no terminal.
	ErrNoTerminal = errors.New("standard error is no terminal")
)

// View shows one build. Its methods are called from one goroutine.
type View interface {
	// Show tells what happened. It does not wait for a terminal.
	Show(e event.Event)
	// Close ends the view and leaves what is still to be seen. It returns the
	// first error of writing what a script reads. A second call does nothing.
	Close() error
}

// New returns the view of a build. What a script wants goes to out when the build
// has succeeded: the lines "image  <image>" and "url    <URL>" in Auto, TTY and
// Plain, the digest in Quiet; and in JSON every event at once. All that a person
// watches goes to errOut, and in JSON and Quiet nothing does. The message and the
// advice of a failure are left to the caller in each mode.
// Its errors are those of Check.
func New(mode Mode, out, errOut io.Writer) (View, error) {
	if err := Check(mode, errOut); err != nil {
		return nil, err
	}
	results := &results{out: out}
	file, ok := terminal(errOut)
	switch mode {
	case Auto:
		if ok && !inCI() {
			return newTTY(results, file), nil
		}
	case TTY:
		return newTTY(results, file), nil
	case JSON:
		return newJSON(results), nil
	case Quiet:
		return &quiet{results}, nil
	case Plain:
	}
	return newPlain(results, errOut, time.Now), nil
}

// Check says whether there can be such a view: its errors hold ErrUnknownMode or
// ErrNoTerminal.
func Check(mode Mode, errOut io.Writer) error {
	if !slices.Contains(Modes(), mode) {
		return fmt.Errorf("show progress as %q: %w", mode, ErrUnknownMode)
	}
	if _, ok := terminal(errOut); mode == TTY && !ok {
		return fmt.Errorf("show progress as %s: %w", mode, ErrNoTerminal)
	}
	return nil
}

// terminal returns out as the terminal that it is.
func terminal(out io.Writer) (*os.File, bool) {
	file, ok := out.(*os.File)
	return file, ok && display.IsTerminal(out)
}

// inCI says whether a CI system runs the program: some of them pretend to be a
// terminal.
func inCI() bool {
	ci := os.Getenv("CI")
	return ci != "" && ci != "false" && ci != "0"
}

// results writes what a script reads.
type results struct {
	out io.Writer
	// err is the first error of writing; after it nothing is written.
	err error
}

func (r *results) print(format string, args ...any) {
	if r.err != nil {
		return
	}
	if _, err := fmt.Fprintf(r.out, format, args...); err != nil {
		r.err = fmt.Errorf("write the result: %w", err)
	}
}

// finished writes where the image is and where the app answers.
func (r *results) finished(result *event.Result) {
	if result == nil || result.State != event.Succeeded {
		return
	}
	if result.Image != "" {
		r.print("image  %s\n", result.Image)
	}
	if result.URL != "" {
		r.print("url    %s\n", result.URL)
	}
}

// Close returns what went wrong, once.
func (r *results) Close() error {
	err := r.err
	r.err = nil
	return err
}

// quiet shows the digest of an image that was built.
type quiet struct{ *results }

func (v *quiet) Show(e event.Event) {
	if result := e.Result; e.Type == event.Finished && result != nil && result.State == event.Succeeded && result.Digest != "" {
		v.print("%s\n", result.Digest)
	}
}
