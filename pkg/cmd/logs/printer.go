package logs

import (
	"fmt"
	"io"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display/buildview"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// printer writes the lines that are wanted.
type printer struct {
	out, errOut io.Writer
	// following says that delays are worth a word.
	following  bool
	stage      event.Phase
	timestamps bool
	all        bool
	color      bool
	// skip is how many lines are left out before the first that is shown.
	skip int

	// tracker makes the events of a build out of those of the run, and told are the
	// ones that it has made of the last.
	tracker *track.Tracker
	told    []event.Event
	// lines are those that were wanted, shown or skipped; others are those of other
	// stages.
	lines, others int
}

func newPrinter(o *Options, run *tektonv1.PipelineRun) *printer {
	p := &printer{
		out: o.Streams.Out, errOut: o.Streams.ErrOut, following: o.Follow,
		stage: o.Stage, timestamps: o.Timestamps, all: o.All, color: display.IsTerminal(o.Streams.Out),
	}
	p.tracker = track.NewTracker(run.Labels[manifests.LabelApp], run.Namespace, func(e event.Event) { p.told = append(p.told, e) })
	p.tracker.Of(run)
	if text := run.Annotations[manifests.AnnotationDockerfile]; text != "" {
		if parsed, err := dockerfile.Parse(pipelinerun.DockerfilePath(run), []byte(text)); err == nil {
			p.tracker.Dockerfile(parsed)
		}
	}
	return p
}

// show tells one event. Its error is that of writing to standard output.
func (p *printer) show(e follow.Event) error {
	p.told = p.told[:0]
	p.tracker.Observe(e)
	for _, told := range p.told {
		switch told.Type {
		case event.InstructionStarted:
			if !p.all { // which has the engine's own words
				told.Source = e.Step
				told.Message = fmt.Sprintf("%s:%d: %s", told.Instruction.Dockerfile, told.Instruction.Line, told.Instruction.Text)
				if err := p.line(told); err != nil {
					return err
				}
			}
		case event.Log:
			if p.all {
				told.Message, told.Chatter = e.Text, false
			}
			if err := p.line(told); err != nil {
				return err
			}
		case event.Waiting:
			if p.following {
				fmt.Fprintf(p.errOut, "waiting: %s: %s\n", told.Reason, told.Message)
				if told.Advice != "" {
					fmt.Fprintf(p.errOut, "hint: %s\n", told.Advice)
				}
			}
		case event.Notice:
			fmt.Fprintln(p.errOut, "warning:", told.Message)
		}
	}
	return nil
}

// line writes a line that is wanted.
func (p *printer) line(e event.Event) error {
	if e.Chatter || p.stage != "" && e.Phase != p.stage {
		p.others++
		return nil
	}
	p.lines++
	if p.lines <= p.skip {
		return nil
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
	_, err := fmt.Fprintln(p.out, text)
	return err
}
