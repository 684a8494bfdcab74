package track

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// instructions follows the build engine through the Dockerfile. The engine writes each
// instruction before it runs it.
type instructions struct {
	// parsed is the Dockerfile; without it there are no instructions.
	parsed *dockerfile.Dockerfile
	// target is the stage that is built; empty means the last one.
	target string

	// at is the number of the current instruction, from 1; 0 before the first.
	at int
	// cached are the instructions of the stage that come from the cache.
	cached map[string]bool
	// base is the base image that was requested last, lacks the mirror that does not
	// have it.
	base, lacks string
	// building reports that a stage of the Dockerfile has started.
	building  bool
	diagnosis *engine.Diagnosis
	// ran has the indexes of the instructions so far, and whether they were cached.
	ran map[int]bool
}

// read takes a line of the engine and returns the instruction that starts with it, if
// one does.
func (s *instructions) read(line engine.Line) *event.Instruction {
	switch {
	case line.Base != "":
		if line.Base != s.base {
			s.base, s.lacks = line.Base, ""
		}
		if s.at > 0 {
			return nil
		}
		// The engine pulls the image before the stage starts, which can take a while.
		return s.next(s.from(line.Base))
	case line.Lacks != "":
		s.lacks = line.Lacks
	case line.Cached != "":
		if s.cached == nil {
			s.cached = map[string]bool{}
		}
		s.cached[line.Cached] = true
	case line.Stage != "":
		known := !s.building && s.at > 0 && s.stage(s.parsed.Instructions[s.at-1]).Base == line.Stage
		s.building, s.cached = true, nil
		if !known {
			return s.next(s.from(line.Stage))
		}
	case line.Pushing == "":
		return s.next(func(instruction dockerfile.Instruction) bool { return instruction.Text == line.Message })
	}
	return nil
}

// diagnose takes the reason with which the engine ends.
func (s *instructions) diagnose(diagnosis engine.Diagnosis) {
	if diagnosis.Pull && s.lacks != "" {
		diagnosis.Message = "the mirror " + s.lacks + " has no such base image, and " + diagnosis.Message
	}
	if s.diagnosis != nil && s.diagnosis.Crash {
		return // what follows is the stack
	}
	s.diagnosis = &diagnosis
}

// from matches the FROM of a base image.
func (s *instructions) from(base string) func(dockerfile.Instruction) bool {
	return func(instruction dockerfile.Instruction) bool {
		return isFrom(instruction) && s.stage(instruction).Base == base
	}
}

// next moves to the next instruction that matches and returns it, or nil.
func (s *instructions) next(matches func(dockerfile.Instruction) bool) *event.Instruction {
	if s.parsed == nil {
		return nil
	}
	all, needed := s.parsed.Instructions, s.needed()
	for i := range all {
		// From the instruction after the current one, and around.
		if index := (s.at + i) % len(all); needed(all[index]) && matches(all[index]) {
			s.at = index + 1
			started := s.describe(index)
			s.count(index, started.Cached)
			return started
		}
	}
	return nil
}

// count remembers an instruction of which a layer can be cached.
func (s *instructions) count(index int, cached bool) {
	if isFrom(s.parsed.Instructions[index]) {
		return
	}
	if s.ran == nil {
		s.ran = map[int]bool{}
	}
	s.ran[index] = cached
}

// phrase is the result of a build that succeeded.
func (s *instructions) phrase() string {
	cached := 0
	for _, hit := range s.ran {
		if hit {
			cached++
		}
	}
	if cached == 0 {
		return "Built image"
	}
	return fmt.Sprintf("Built image (%d of %s cached)", cached, display.Count(len(s.ran), "step"))
}

// needed reports of an instruction whether the engine runs it: it leaves out the stages
// that the target does not need.
func (s *instructions) needed() func(dockerfile.Instruction) bool {
	stages := s.parsed.Needed(s.target)
	return func(instruction dockerfile.Instruction) bool {
		return instruction.Stage < 0 || stages[instruction.Stage]
	}
}

func (s *instructions) describe(index int) *event.Instruction {
	instruction := s.parsed.Instructions[index]
	return &event.Instruction{
		Dockerfile: s.parsed.Path, Number: index + 1, Total: len(s.parsed.Instructions),
		Line: instruction.Line, Text: instruction.Shown(), Cached: s.cached[instruction.Text],
	}
}

func (s *instructions) stage(instruction dockerfile.Instruction) dockerfile.Stage {
	if instruction.Stage < 0 || instruction.Stage >= len(s.parsed.Stages) {
		return dockerfile.Stage{}
	}
	return s.parsed.Stages[instruction.Stage]
}

func isFrom(instruction dockerfile.Instruction) bool {
	return len(instruction.Text) > 5 && strings.EqualFold(instruction.Text[:5], "FROM ")
}

// failed returns the index of the instruction that failed; ok is false if it is not
// known.
func (s *instructions) failed() (index int, ok bool) {
	if s.parsed == nil {
		return 0, false
	}
	if s.diagnosis != nil {
		needed := s.needed()
		index := slices.IndexFunc(s.parsed.Instructions, func(instruction dockerfile.Instruction) bool {
			return needed(instruction) && s.blames(instruction)
		})
		if index >= 0 {
			return index, true
		}
		if s.diagnosis.Pull {
			return 0, false
		}
	}
	return s.at - 1, s.building && s.at > 0
}

// blames reports whether the diagnosis is about an instruction. The engine looks for
// base images and files before it gets to the instruction.
func (s *instructions) blames(instruction dockerfile.Instruction) bool {
	switch {
	case s.diagnosis.Pull:
		return isFrom(instruction) && s.stage(instruction).Base == s.base
	case s.diagnosis.Missing != "":
		return copies(instruction.Text, *s.diagnosis)
	}
	return false
}

// copies reports whether a COPY or ADD names the path that is missing.
func copies(text string, diagnosis engine.Diagnosis) bool {
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
