package live

import (
	"slices"
	"sync"
)

// maxLogBytes bounds the text of one log in memory. The oldest lines go first.
const maxLogBytes = 32 << 20

// Kind is what a line of a log is.
type Kind uint8

// The kinds of lines. A view hides Chatter and Folded until all lines are asked for.
const (
	Plain Kind = iota
	// Chatter is about the work of the build engine, and Folded of a program that installs
	// packages. Sum stands for folded lines.
	Chatter
	Folded
	Sum
)

// Line is a line of a log.
type Line struct {
	// Source is the step or the pod that wrote it.
	Source string
	// Text is as it was written: not safe to print.
	Text string
	Kind Kind
}

// Log is a log that grows at its end. Lines keep their number, which counts from 0; the
// oldest lines of a very long log are dropped. It is safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	lines []Line
	first uint64
	bytes int
}

// Append adds a line.
func (l *Log) Append(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.bytes += len(line.Text)
	drop := 0
	for l.bytes > maxLogBytes && drop < len(l.lines)-1 {
		l.bytes -= len(l.lines[drop].Text)
		drop++
	}
	// The lines are not moved: the next growth of the slice leaves the dropped ones behind.
	clear(l.lines[:drop])
	l.lines = l.lines[drop:]
	l.first += uint64(drop)
}

// From returns at most limit lines from a number on, and the number of the first of them:
// that of the oldest line that is left if the wanted one was dropped.
func (l *Log) From(number uint64, limit int) (first uint64, lines []Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	number = max(number, l.first)
	if number >= l.first+uint64(len(l.lines)) {
		return number, nil
	}
	lines = l.lines[number-l.first:]
	return number, slices.Clone(lines[:min(len(lines), limit)])
}
