// Package buildview shows the events of one build: live on a terminal, as plain lines, as
// JSON, or only the digest.
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
	// TTY redraws the phases and the end of the log in place.
	TTY Mode = "tty"
	// Plain writes lines without control sequences, each when it happens.
	Plain Mode = "plain"
	// JSON is one event per line, as docs/events.md describes them.
	JSON Mode = "json"
	// Quiet writes the digest of the image only.
	Quiet Mode = "quiet"
)

// Modes returns all modes.
func Modes() []Mode { return []Mode{Auto, TTY, Plain, JSON, Quiet} }

// Errors of a mode.
var (
	// ErrUnknownMode reports an unknown mode.
	ErrUnknownMode = errors.New("unknown kind of progress")
	// ErrNoTerminal reports TTY without a terminal.
	ErrNoTerminal = errors.New("standard error is no terminal")
)

// View shows one build. Its methods are called from one goroutine.
type View interface {
	// Show shows an event. It does not wait for a terminal.
	Show(e event.Event)
	// Close ends the view and leaves a record. It returns the first error of writing
	// what a script reads. A second call does nothing.
	Close() error
}

// New returns the view of a build. What a script reads goes to out: after success the lines
// "image  <image>" and "url    <URL>" in Auto, TTY and Plain and the digest in Quiet; in
// JSON every event at once. What a person watches goes to errOut; JSON and Quiet write
// nothing there. No mode prints the message and the advice of a failure: the caller does.
// The errors of New are those of Check.
func New(mode Mode, out, errOut io.Writer) (View, error) {
	if err := Check(mode, errOut); err != nil {
		return nil, err
	}
	results := &results{out: out}
	file, ok := terminal(errOut)
	switch mode {
	case Auto:
		if ok && !InCI() {
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
	return newPlain(results, errOut, time.Now).watch(), nil
}

// Check checks that a view of the mode is possible. Its error wraps ErrUnknownMode or
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

// terminal returns out if it is a terminal.
func terminal(out io.Writer) (*os.File, bool) {
	file, ok := out.(*os.File)
	return file, ok && display.IsTerminal(out)
}

// InCI reports whether a CI system runs the program, by the variable CI. Some of them pretend to
// be a terminal.
func InCI() bool {
	ci := os.Getenv("CI")
	return ci != "" && ci != "false" && ci != "0"
}

// results writes what a script reads.
type results struct {
	out io.Writer
	// err is the first error of writing. Nothing is written after it.
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

// finished writes the image and the URL of the app.
func (r *results) finished(result *event.Result) {
	if result == nil || result.State != event.Succeeded {
		return
	}
	if result.Image != "" {
		r.print("image  %s\n", result.Image)
	}
	switch {
	case result.Reach != "":
		r.print("url    %s (does not answer from here: %s)\n", result.URL, result.Reach)
	case result.URL != "":
		r.print("url    %s\n", result.URL)
	}
}

// Close returns the first error, once.
func (r *results) Close() error {
	err := r.err
	r.err = nil
	return err
}

// quiet writes the digest of the image.
type quiet struct{ *results }

func (v *quiet) Show(e event.Event) {
	if result := e.Result; e.Type == event.Finished && result != nil && result.State == event.Succeeded && result.Digest != "" {
		v.print("%s\n", result.Digest)
	}
}
