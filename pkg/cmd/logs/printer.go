package logs

import (
	"fmt"
	"io"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

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
	stage      track.Stage
	timestamps bool
	all        bool
	color      bool
	// skip is how many lines are left out before the first that is shown.
	skip int

	// tracker makes the events of a build out of those of the run, and told are the
	// ones that it has made of the last.
	tracker *track.Tracker
	told    []track.Event
	// lines are those that were wanted, shown or skipped; others are those of other
	// stages.
	lines, others int
}

func newPrinter(o *Options, run *tektonv1.PipelineRun) *printer {
	p := &printer{
		out: o.Streams.Out, errOut: o.Streams.ErrOut, following: o.Follow,
		stage: o.Stage, timestamps: o.Timestamps, all: o.All, color: display.IsTerminal(o.Streams.Out),
	}
	p.tracker = track.NewTracker(run.Labels[manifests.LabelApp], run.Namespace, func(event track.Event) { p.told = append(p.told, event) })
	p.tracker.Of(run)
	if text := run.Annotations[manifests.AnnotationDockerfile]; text != "" {
		if parsed, err := dockerfile.Parse(pipelinerun.DockerfilePath(run), []byte(text)); err == nil {
			p.tracker.Dockerfile(parsed)
		}
	}
	return p
}

// show tells one event. Its error is that of writing to standard output.
func (p *printer) show(event follow.Event) error {
	p.told = p.told[:0]
	p.tracker.Observe(event)
	for _, told := range p.told {
		switch told.Type {
		case track.InstructionStarted:
			if !p.all { // which has the engine's own words
				told.Source = event.Step
				told.Message = fmt.Sprintf("%s:%d: %s", told.Instruction.Dockerfile, told.Instruction.Line, told.Instruction.Text)
				if err := p.line(told); err != nil {
					return err
				}
			}
		case track.Log:
			if p.all {
				told.Message, told.Chatter = event.Text, false
			}
			if err := p.line(told); err != nil {
				return err
			}
		case track.Waiting:
			if p.following {
				fmt.Fprintf(p.errOut, "waiting: %s: %s\n", told.Reason, told.Message)
				if told.Advice != "" {
					fmt.Fprintf(p.errOut, "hint: %s\n", told.Advice)
				}
			}
		case track.Notice:
			fmt.Fprintln(p.errOut, "warning:", told.Message)
		}
	}
	return nil
}

// line writes a line that is wanted.
func (p *printer) line(event track.Event) error {
	if event.Chatter || p.stage != "" && event.Stage != p.stage {
		p.others++
		return nil
	}
	p.lines++
	if p.lines <= p.skip {
		return nil
	}
	text := event.Message
	// Build and Push have one step.
	if p.stage == track.Build || p.stage == track.Push {
		text = buildview.LogText(text, p.color)
	} else {
		text = buildview.LogLine(event.Source, text, p.color)
	}
	if p.timestamps {
		text = event.Time.UTC().Format(time.RFC3339Nano) + " " + text
	}
	_, err := fmt.Fprintln(p.out, text)
	return err
}
