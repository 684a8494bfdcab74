package live

import (
	"context"
	"errors"
	"slices"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/follow"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/track"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
)

// Phase is a part of a run.
type Phase struct {
	Name event.Phase
	// State is empty before the phase and while it runs. Running tells these apart.
	State   event.State
	Running bool
	// Started and Ended are the cluster's; zero if they are not known.
	Started, Ended time.Time
	// Message is the progress, then the result, as a short phrase.
	Message string
	// Instructions are those that have started, in their order.
	Instructions []Instruction
}

// Instruction is an instruction of the Dockerfile.
type Instruction struct {
	event.Instruction
	Running        bool
	Failed         bool
	Started, Ended time.Time
}

// Progress is how far a run is.
type Progress struct {
	// Run is the whole object; nil until it has been read.
	Run    *tektonv1.PipelineRun
	Phases []Phase
	// Waiting is why the run makes no progress; its Message is empty if it does.
	Waiting event.Event
	// Notices are what was said about the run as a whole, in order.
	Notices []event.Event
	// Usual is how long such a run takes; zero if that is not known.
	Usual time.Duration
	// Finished is the last event; nil while the run is at work.
	Finished *event.Event
	// Err is why the run cannot be followed; a *pipelinerun.NotFoundError for one that does
	// not exist.
	Err error
}

// Follower follows one run: what build.Watch reports, in the form that a page shows.
type Follower struct {
	// ID tells one following of a run from the next. Numbers of lines are those of one ID.
	ID string

	signal   *watch.Signal
	progress Progress
	log      Log
}

// Changed returns a channel that is closed when Progress or Log have more.
func (f *Follower) Changed() <-chan struct{} { return f.signal.Changed() }

// Log is the run's log.
func (f *Follower) Log() *Log { return &f.log }

// Progress returns how far the run is.
func (f *Follower) Progress() (p Progress) {
	f.signal.Read(func() {
		p = f.progress
		p.Phases = slices.Clone(p.Phases)
		for i := range p.Phases {
			p.Phases[i].Instructions = slices.Clone(p.Phases[i].Instructions)
		}
		p.Notices = slices.Clone(p.Notices)
	})
	return p
}

// follow reports the run until its end, or until ctx ends.
func (f *Follower) follow(ctx context.Context, clients *kube.Clients, namespace, name string) {
	object, err := pipelinerun.FindRun(ctx, clients.Tekton, namespace, name)
	if err != nil {
		f.signal.Update(func() { f.progress.Err = err })
		return
	}
	f.signal.Update(func() { f.progress.Run = object })
	run := build.Existing(object)
	recorder := track.NewRecorder(run.App(), namespace, f.handle)
	result, err := build.Watch(ctx, follow.Clients{Tekton: clients.Tekton, Kube: clients.Kube}, run, recorder, build.WatchOptions{
		// The rollout of a run that ended before may be that of a later run.
		NoRollout: object.IsDone(),
	})
	if ctx.Err() != nil {
		return
	}
	// The events end with the failure that the error is.
	_ = recorder.Finish(ctx, result.Result, err)
	var failure *event.Failure
	f.signal.Update(func() {
		f.progress.Run = result.Object
		if end := result.Object.Status.CompletionTime; end != nil {
			f.progress.bound(end.Time)
		}
		if err != nil && !errors.As(err, &failure) && !errors.As(err, new(*track.CanceledError)) && !errors.As(err, new(*track.SupersededError)) {
			f.progress.Err = err
		}
	})
}

// handle takes one event into the progress and the log.
func (f *Follower) handle(e event.Event) {
	if e.Type == event.Log {
		kind := Plain
		switch {
		case e.Chatter:
			kind = Chatter
		case e.Sum:
			kind = Sum
		case e.Folded:
			kind = Folded
		}
		f.log.Append(Line{Source: e.Source, Text: e.Message, Kind: kind})
		f.signal.Update(nil)
		return
	}
	f.signal.Update(func() { f.progress.take(e) })
}

// take is pure but for p.
func (p *Progress) take(e event.Event) {
	switch e.Type {
	case event.Planned:
		p.plan(e.Phases)
	case event.PhaseStarted:
		p.Waiting = event.Event{}
		p.start(e.Phase, e.Time)
	case event.PhaseUpdated:
		p.phase(e.Phase).Message = e.Message
	case event.PhaseEnded:
		p.Waiting = event.Event{}
		p.phase(e.Phase).end(e)
	case event.InstructionStarted, event.InstructionEnded:
		if e.Instruction != nil {
			p.phase(e.Phase).instruction(e)
		}
	case event.Waiting:
		p.Waiting = e
	case event.Notice:
		p.Notices = append(p.Notices, e)
	case event.RunCreated:
		p.Usual = time.Duration(e.UsualSeconds * float64(time.Second))
	case event.Finished:
		p.Waiting = event.Event{}
		p.Finished = &e
		if e.Failure != nil && e.Failure.Instruction != nil {
			p.phase(e.Failure.Phase).fail(*e.Failure.Instruction)
		}
	case event.Log:
	}
}

// start starts a phase. The events have the time of this machine for what the cluster has no
// time for: the phase before ends no later than this one starts, and a run waits in the
// queue from its creation on.
func (p *Progress) start(name event.Phase, at time.Time) {
	if name == event.Queue && p.Run != nil && p.Run.CreationTimestamp.Time.Before(at) {
		at = p.Run.CreationTimestamp.Time
	}
	phase := p.phase(name)
	phase.Running, phase.Started = true, at
	for i := range p.Phases {
		if before := &p.Phases[i]; before.Name != name && before.Started.Before(at) && before.Ended.After(at) {
			before.Ended = at
		}
	}
}

// bound ends the phases of a run with the run: what has ended before it was looked at ends
// at that time in the events. The rollout comes after the run.
func (p *Progress) bound(end time.Time) {
	for i := range p.Phases {
		phase := &p.Phases[i]
		if phase.Name == event.Rollout || !phase.Ended.After(end) {
			continue
		}
		phase.Ended = end
		if phase.Started.After(end) {
			// The cluster knows the end to the second.
			phase.Ended = phase.Started
		}
	}
}

// plan replaces the phases that have not started.
func (p *Progress) plan(names []event.Phase) {
	phases := make([]Phase, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(p.Phases, func(phase Phase) bool { return phase.Name == name })
		if i >= 0 {
			phases = append(phases, p.Phases[i])
			continue
		}
		phases = append(phases, Phase{Name: name})
	}
	p.Phases = phases
}

// phase returns the phase of that name, a new one if it was not planned. They are in the
// order of event.Phases.
func (p *Progress) phase(name event.Phase) *Phase {
	order := event.Phases()
	at := len(p.Phases)
	for i := range p.Phases {
		if p.Phases[i].Name == name {
			return &p.Phases[i]
		}
		if at == len(p.Phases) && slices.Index(order, p.Phases[i].Name) > slices.Index(order, name) {
			at = i
		}
	}
	p.Phases = slices.Insert(p.Phases, at, Phase{Name: name})
	return &p.Phases[at]
}

// end ends the phase, and the instruction that ran.
func (p *Phase) end(e event.Event) {
	p.Running, p.State, p.Ended, p.Message = false, e.State, e.Time, e.Message
	for i := range p.Instructions {
		if p.Instructions[i].Running {
			p.Instructions[i].Running, p.Instructions[i].Ended = false, e.Time
			p.Instructions[i].Failed = e.State == event.Failed
		}
	}
}

// index returns the place of an instruction; -1 if it has not started.
func (p *Phase) index(wanted event.Instruction) int {
	return slices.IndexFunc(p.Instructions, func(known Instruction) bool {
		return known.Number == wanted.Number && known.Line == wanted.Line
	})
}

// fail marks the instruction that failed.
func (p *Phase) fail(failed event.Instruction) {
	if i := p.index(failed); i >= 0 {
		p.Instructions[i].Failed = true
	}
}

// instruction starts or ends an instruction.
func (p *Phase) instruction(e event.Event) {
	i := p.index(*e.Instruction)
	if i < 0 {
		p.Instructions = append(p.Instructions, Instruction{Started: e.Time})
		i = len(p.Instructions) - 1
	}
	known := &p.Instructions[i]
	known.Instruction = *e.Instruction
	known.Running = e.Type == event.InstructionStarted
	if e.Type == event.InstructionEnded {
		known.Ended = e.Time
		// What ran is measured by the cluster.
		if known.Started.IsZero() || e.DurationSeconds > 0 {
			known.Started = e.Time.Add(-time.Duration(e.DurationSeconds * float64(time.Second)))
		}
	}
}
