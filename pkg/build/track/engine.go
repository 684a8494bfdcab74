package track

import (
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

// engine is where the build engine is in the Dockerfile. It prints each
// instruction before it carries it out.
type engine struct {
	// at is the number of the instruction under way, from 1; 0 before the first.
	at int
	// cached are the instructions of the stage that come from the cache.
	cached map[string]bool
	// base is the base image that was asked for last, and lacks the mirror that does
	// not have it.
	base, lacks string
	// building says that a stage of the Dockerfile has begun.
	building  bool
	diagnosis *pipelinerun.Diagnosis
	// full says that the registry had no room for what was pushed.
	full bool
	// test is the stage that is built to be tested; empty while the image is built.
	test string
}

// engineLog reads a line of the build step, and says whether a person need not
// see it.
func (t *Tracker) engineLog(line pipelinerun.LogLine) (hide bool) {
	e := &t.engine
	e.full = e.full || registry.SaysFull(line.Message)
	if line.Level == "" {
		if diagnosis, ok := pipelinerun.Diagnose(line.Message); ok {
			if diagnosis.Pull && e.lacks != "" {
				diagnosis.Message = "the mirror " + e.lacks + " has no such base image, and " + diagnosis.Message
			}
			e.diagnosis = &diagnosis
		}
		return false
	}
	switch {
	case line.Base != "":
		if line.Base != e.base {
			e.base, e.lacks = line.Base, ""
		}
		if e.at == 0 {
			// It is pulled before the stage begins, which may take a while.
			t.from(line.Base)
		}
	case line.Lacks != "":
		e.lacks = line.Lacks
	case line.Cached != "":
		if e.cached == nil {
			e.cached = map[string]bool{}
		}
		e.cached[line.Cached] = true
	case line.Pushing != "" && e.test == "" && !strings.Contains(line.Pushing, "/"+t.app+"/cache:"):
		t.next(event.Push)
	case line.Stage != "":
		told := !e.building && e.at > 0 && t.stageOf(t.dockerfile.Instructions[e.at-1]).Base == line.Stage
		e.building, e.cached = true, nil
		if !told {
			t.from(line.Stage)
		}
	default:
		return t.instruction(func(instruction dockerfile.Instruction) bool { return instruction.Text == line.Message }) || line.Chatter
	}
	return line.Chatter
}

// from tells the FROM of a base image.
func (t *Tracker) from(base string) {
	t.instruction(func(instruction dockerfile.Instruction) bool {
		return isFrom(instruction) && t.stageOf(instruction).Base == base
	})
}

// instruction finds the next instruction that matches, tells it and says whether
// there is one.
func (t *Tracker) instruction(matches func(dockerfile.Instruction) bool) bool {
	if t.dockerfile == nil {
		return false
	}
	all, needed := t.dockerfile.Instructions, t.needed()
	for i := range all {
		// From the one after the last, and round.
		if index := (t.engine.at + i) % len(all); needed(all[index]) && matches(all[index]) {
			t.engine.at = index + 1
			t.tell(event.Event{Type: event.InstructionStarted, Phase: t.stage, Instruction: t.describe(index)})
			return true
		}
	}
	return false
}

// needed says of an instruction whether the build engine carries it out: it leaves
// out the stages that what it builds is not made of.
func (t *Tracker) needed() func(dockerfile.Instruction) bool {
	target := t.target
	if t.engine.test != "" {
		target = t.engine.test
	}
	stages := t.dockerfile.Needed(target)
	return func(instruction dockerfile.Instruction) bool {
		return instruction.Stage < 0 || stages[instruction.Stage]
	}
}

func (t *Tracker) describe(index int) *event.Instruction {
	instruction := t.dockerfile.Instructions[index]
	return &event.Instruction{
		Dockerfile: t.dockerfile.Path, Number: index + 1, Total: len(t.dockerfile.Instructions),
		Line: instruction.Line, Text: instruction.Text, Cached: t.engine.cached[instruction.Text],
	}
}

func (t *Tracker) stageOf(instruction dockerfile.Instruction) dockerfile.Stage {
	if instruction.Stage < 0 || instruction.Stage >= len(t.dockerfile.Stages) {
		return dockerfile.Stage{}
	}
	return t.dockerfile.Stages[instruction.Stage]
}

func isFrom(instruction dockerfile.Instruction) bool {
	return len(instruction.Text) > 5 && strings.EqualFold(instruction.Text[:5], "FROM ")
}

// culprit is the index of the instruction that failed; ok is false when that can
// not be told.
func (t *Tracker) culprit() (index int, ok bool) {
	if t.dockerfile == nil {
		return 0, false
	}
	e, needed := &t.engine, t.needed()
	for i, instruction := range t.dockerfile.Instructions {
		switch {
		case !needed(instruction):
		case e.diagnosis != nil && e.diagnosis.Pull:
			if isFrom(instruction) && t.stageOf(instruction).Base == e.base {
				return i, true
			}
		case e.diagnosis != nil && e.diagnosis.Missing != "":
			// Looked for before the instruction's turn.
			if names(instruction.Text, e.diagnosis) {
				return i, true
			}
		}
	}
	if e.diagnosis != nil && e.diagnosis.Pull || !e.building || e.at == 0 {
		return 0, false
	}
	return e.at - 1, true
}

// names says whether a COPY or ADD names the path that is missing.
func names(text string, diagnosis *pipelinerun.Diagnosis) bool {
	words := strings.Fields(text)
	if len(words) < 3 || !strings.EqualFold(words[0], "COPY") && !strings.EqualFold(words[0], "ADD") {
		return false
	}
	from := slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, "--from=") })
	return from == diagnosis.Elsewhere && slices.ContainsFunc(words[1:len(words)-1], func(word string) bool {
		named := path.Clean(strings.Trim(word, `"[],/`))
		return named == diagnosis.Missing || from && strings.HasSuffix(diagnosis.Missing, "/"+named)
	})
}
