package logs

import (
	"fmt"
	"io"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
)

// printer prints the lines of a build that are wanted.
type printer struct {
	out, errOut io.Writer
	// following prints delays and the rollout, too.
	following  bool
	stage      event.Phase
	timestamps bool
	all        bool
	color      bool
	// skip is how many lines are left out before the first one that is printed.
	skip int

	// lines counts those that are wanted, printed or skipped; others the other ones.
	lines, others int
	// rollout is the last progress of the rollout that was printed.
	rollout string
	// broken is the error of writing to standard output; after it nothing is printed.
	broken error
}

func newPrinter(o *Options) *printer {
	return &printer{
		out: o.Streams.Out, errOut: o.Streams.ErrOut, following: o.Follow,
		stage: o.Stage, timestamps: o.Timestamps, all: o.All, color: display.IsTerminal(o.Streams.Out),
	}
}

// show prints an event if it is wanted.
func (p *printer) show(e event.Event) {
	if p.broken != nil {
		return
	}
	switch e.Type {
	case event.InstructionStarted:
		if !p.all { // all has the engine's own words
			e.Message = e.Instruction.Text
			if e.Instruction.Line > 0 {
				e.Message = fmt.Sprintf("%s:%d: %s", e.Instruction.Dockerfile, e.Instruction.Line, e.Instruction.Text)
			}
			p.line(e)
		}
	case event.Log:
		if e.Sum { // its lines are here
			return
		}
		if p.all {
			e.Message, e.Chatter = e.Raw, false
		}
		p.line(e)
	case event.Waiting:
		if p.following {
			fmt.Fprintf(p.errOut, "waiting: %s: %s\n", e.Reason, display.OneLine(e.Message))
			if e.Advice != "" {
				fmt.Fprintf(p.errOut, "hint: %s\n", display.OneLine(e.Advice))
			}
		}
	case event.Notice:
		if e.Reason == event.Warning {
			fmt.Fprint(p.errOut, "warning: ")
		}
		fmt.Fprintln(p.errOut, display.OneLine(e.Message))
	case event.PhaseUpdated, event.PhaseEnded:
		p.progress(e)
	case event.Planned, event.PhaseStarted, event.RunCreated, event.InstructionEnded, event.Finished:
	}
}

// progress prints the progress of the rollout, which has no log.
func (p *printer) progress(e event.Event) {
	if e.Phase == event.Rollout && e.Message != "" && e.Message != p.rollout {
		p.rollout = e.Message
		fmt.Fprintf(p.errOut, "rollout: %s\n", display.OneLine(e.Message))
	}
}

// line prints a line that is wanted.
func (p *printer) line(e event.Event) {
	if e.Chatter || p.stage != "" && e.Phase != p.stage {
		p.others++
		return
	}
	p.lines++
	if p.lines <= p.skip {
		return
	}
	text := e.Message
	// Build and Push have one step.
	if p.stage == event.Build || p.stage == event.Push {
		text = buildview.LogText(text, p.color)
	} else {
		text = buildview.LogLine(e.Source, text, p.color)
	}
	if p.timestamps {
		text = e.Time.UTC().Format(time.RFC3339Nano) + " " + text
	}
	if _, err := fmt.Fprintln(p.out, text); err != nil {
		p.broken = fmt.Errorf("print the log: %w", err)
	}
}
