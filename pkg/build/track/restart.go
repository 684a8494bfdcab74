package track

import "hash/fnv"

// maxCounted bounds the memory for the lines of a step. Later ones come again if the step does.
const maxCounted = 50_000

// restart prepares for a step that runs again in a new pod: its instructions start again, and of the
// lines of its commands those count that were not there before.
func restart(t *Tracker) {
	t.endInstruction()
	t.stages = instructions{parsed: t.stages.parsed, target: t.stages.target}
	t.steps.last = nil
	t.steps.written = written{before: t.steps.written.counts}
}

// written counts the lines that a step has written, by their hash.
type written struct {
	counts map[uint64]int
	// before are those from before a restart that have not come again yet.
	before map[uint64]int
}

// repeats counts a line, and reports whether the step has written it before it was restarted, as
// often as now.
func (w *written) repeats(line string) bool {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(line))
	hash := sum.Sum64()
	if len(w.counts) < maxCounted {
		if w.counts == nil {
			w.counts = map[uint64]int{}
		}
		w.counts[hash]++
	}
	if w.before[hash] == 0 {
		return false
	}
	w.before[hash]--
	return true
}
