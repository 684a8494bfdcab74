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
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// instructions follows the build engine through the Dockerfile. The engine names each stage
// and writes each instruction before it runs it.
type instructions struct {
	// parsed is the Dockerfile; without it there are no instructions.
	parsed *dockerfile.Dockerfile
	// target is the stage that becomes the image; empty means the last one.
	target string

	// chain are the indexes of the instructions of the stage that runs, with those of the
	// stages that the engine builds with it; at is the current one in it.
	chain []int
	at    int
	// done is the number of instructions of the stages before.
	done int
	// cached are the instructions of the stage that come from the cache.
	cached map[string]bool
	// base is the base image that was requested last, lacks the mirror that does not
	// have it.
	base, lacks string
	diagnosis   *engine.Diagnosis
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
	case line.Lacks != "":
		s.lacks = line.Lacks
	case line.Cached != "":
		if s.cached == nil {
			s.cached = map[string]bool{}
		}
		s.cached[line.Cached] = true
	case line.Stage != nil:
		return s.begin(*line.Stage)
	case line.Pushing == "":
		return s.next(line.Message)
	}
	return nil
}

// begin starts a stage and returns its FROM.
func (s *instructions) begin(stage engine.Stage) *event.Instruction {
	s.done += s.counted(s.chain)
	s.chain, s.at, s.cached = nil, 0, nil
	if s.parsed == nil || stage.Number < 0 || stage.Number >= len(s.parsed.Stages) || !s.needed()[stage.Number] {
		return nil
	}
	for _, part := range s.parsed.Stages[stage.Number].Lineage() {
		if part.Number > stage.Base {
			s.chain = append(s.chain, s.of(part.Number)...)
		}
	}
	if len(s.chain) == 0 || !s.counts(s.chain[0]) {
		return nil
	}
	return s.describe(s.chain[0])
}

// of returns the indexes of the instructions of a stage.
func (s *instructions) of(stage int) []int {
	var indexes []int
	for i := range s.parsed.Instructions {
		if s.parsed.Instructions[i].Stage == stage {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// next moves to the next instruction of the stage that reads like text and returns it. It
// never goes back: what the engine writes otherwise may read like an instruction.
func (s *instructions) next(text string) *event.Instruction {
	for i := s.at + 1; i < len(s.chain); i++ {
		index := s.chain[i]
		if s.parsed.Instructions[index].Text != text {
			continue
		}
		s.at = i
		started := s.describe(index)
		s.count(index, started.Cached)
		if !s.counts(index) {
			return nil
		}
		return started
	}
	return nil
}

// count remembers an instruction of which a layer can be cached.
func (s *instructions) count(index int, cached bool) {
	if s.inTest(index) {
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

// counts reports whether an instruction is one of those that are counted: all that the user
// has written, and the test command. The build adds the rest of the stage of the test.
func (s *instructions) counts(index int) bool {
	instruction := s.parsed.Instructions[index]
	if instruction.Stage < 0 {
		return false
	}
	return s.parsed.Stages[instruction.Stage].Name != dockerfile.TestRun || instruction.Name == "RUN"
}

// counted returns how many of the instructions count.
func (s *instructions) counted(indexes []int) int {
	number := 0
	for _, index := range indexes {
		if s.counts(index) {
			number++
		}
	}
	return number
}

// total returns how many instructions are built.
func (s *instructions) total() int {
	number := 0
	for stage, needed := range s.needed() {
		if needed {
			number += s.counted(s.of(stage))
		}
	}
	return number
}

// needed reports of each stage whether the engine builds it, for the image or its test.
func (s *instructions) needed() []bool {
	if _, err := s.parsed.Target(dockerfile.TestRun); err != nil {
		return s.parsed.Needed(s.target)
	}
	return s.parsed.Needed(s.target, dockerfile.TestRun)
}

// atEnd reports whether the stage that runs has no further instruction.
func (s *instructions) atEnd() bool { return s.at+1 >= len(s.chain) }

// testing reports whether the stage that runs is the one of the test.
func (s *instructions) testing() bool {
	return len(s.chain) > 0 && s.inTest(s.chain[len(s.chain)-1])
}

// inTest reports whether an instruction is of the stage that the build adds for the test.
func (s *instructions) inTest(index int) bool {
	instruction := s.parsed.Instructions[index]
	return instruction.Stage >= 0 && s.parsed.Stages[instruction.Stage].Name == dockerfile.TestRun
}

// runsTest reports whether the test command runs.
func (s *instructions) runsTest() bool {
	return s.at < len(s.chain) && s.inTest(s.chain[s.at]) && s.counts(s.chain[s.at])
}

// hearsTest reports whether a line that a command writes now is one of the test. The engine
// writes its own lines to another stream than the command, and the first lines of a command can
// come before its instruction: so no command may come between the current instruction and the
// test.
func (s *instructions) hearsTest() bool {
	for i := s.at; i < len(s.chain); i++ {
		index := s.chain[i]
		instruction := s.parsed.Instructions[index]
		switch {
		case instruction.Name != "RUN" || s.cached[instruction.Text]:
		case s.inTest(index):
			return true
		default:
			return false
		}
	}
	return false
}

// describe returns an instruction as it runs. Number counts in the order in which they run.
func (s *instructions) describe(index int) *event.Instruction {
	instruction := s.parsed.Instructions[index]
	described := &event.Instruction{
		Dockerfile: s.parsed.Path, Number: s.done + s.counted(s.chain[:min(s.at+1, len(s.chain))]), Total: s.total(),
		Line: instruction.Line, Text: secret.ReplaceTokens(instruction.Shown(), secret.Hidden), Cached: s.cached[instruction.Text],
	}
	if isFrom(instruction) {
		if stage := s.stage(instruction); stage.Parent == nil && stage.Known {
			described.Image = stage.Base
		}
	}
	if s.inTest(index) {
		described.Line = 0
	}
	return described
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
			return instruction.Stage >= 0 && needed[instruction.Stage] && s.blames(instruction)
		})
		if index >= 0 {
			return index, true
		}
		if s.diagnosis.Pull {
			return 0, false
		}
	}
	if s.at >= len(s.chain) {
		return 0, false
	}
	return s.chain[s.at], true
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
